//! What can go wrong on the control side of the graph.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    #[error("media elements do not share a pipeline")]
    NotSamePipeline,
    #[error("the element is released")]
    Released,
    #[error("the worker is gone")]
    WorkerGone,
    /// No more converters than the configuration allows one pipeline.
    #[error("the pipeline has as many converters as it may have ({0})")]
    TooManyConverters(usize),
    #[error("the port belongs to another hub")]
    NotOfThisHub,
}
