//! Whole chains in a graph: a source whose sinks take something else, with decoders and encoders between them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../signal/mod.rs"]
mod signal;

mod drift;
mod frames;
mod hostile;
mod look;
mod loss;
mod manners;
mod matrix;
mod network;
mod stage;
mod streams;
