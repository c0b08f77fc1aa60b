//! The control side: handles that are cheap to clone and cannot touch media.
//!
//! Enters: what an application wants (create, connect, release). Leaves: commands for the shards, in an order that keeps every
//! step of a change harmless, and [`Change`]s for whoever tells the application. The truth about who is connected to whom
//! lives here, in [`topology`]; the shards only know the links that both ends have ports for.

mod dot;
mod element;
mod engine;
mod pipeline;
mod routes;
mod tally;
mod topology;

pub use element::{Element, Selection};
pub use engine::{Engine, EngineParts, Placement, WorkerHandle};
pub(crate) use pipeline::PipelineRef;
pub use pipeline::{NodeSpec, Pipeline};
pub use tally::{Conversion, ConverterCount};
pub use topology::{Change, Connection};
