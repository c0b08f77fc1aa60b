//! What can go wrong on the control side of the graph.

use crate::MediaKind;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    #[error("media elements do not share a pipeline")]
    NotSamePipeline,
    #[error("the element is released")]
    Released,
    #[error("the worker is gone")]
    WorkerGone,
    #[error("the element has no {kind} connection named '{description}'")]
    NoSuchPort { kind: MediaKind, description: String },
    #[error("the port belongs to another hub")]
    NotOfThisHub,
    #[error("the command is not one of this element's")]
    NotUnderstood,
}
