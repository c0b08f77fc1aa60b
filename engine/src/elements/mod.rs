//! The elements that need nothing but the graph.

mod pass_through;

pub use pass_through::{hub_port, pass_through};
