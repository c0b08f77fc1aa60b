//! What can go wrong on the control side of the graph.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    #[error("media elements do not share a pipeline")]
    NotSamePipeline,
    #[error("the element is released")]
    Released,
    #[error("the worker is gone")]
    WorkerGone,
    #[error("the port belongs to another hub")]
    NotOfThisHub,
}
