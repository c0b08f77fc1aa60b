//! Module `core`: the base classes, the pipeline, the server, statistics and the types that all others use.
//!
//! `module` gathers the rows of the files below; what they do is bound to them elsewhere.

pub mod base_rtp_endpoint;
pub mod endpoint;
pub mod events;
pub mod hub;
pub mod media_element;
pub mod media_object;
pub mod media_pipeline;
pub mod rtc_stats;
pub mod sdp_endpoint;
pub mod server_manager;
pub mod stats;
pub mod types;

use super::assemble;
use super::model::Module;

/// The module with all its rows.
pub fn module() -> Module {
    let files: [fn(Module) -> Module; 12] = [
        media_object::declare,
        server_manager::declare,
        media_pipeline::declare,
        media_element::declare,
        endpoint::declare,
        sdp_endpoint::declare,
        base_rtp_endpoint::declare,
        hub::declare,
        types::declare,
        stats::declare,
        rtc_stats::declare,
        events::declare,
    ];
    assemble(Module::new("core", "Base classes, pipelines and the server itself."), &files)
}
