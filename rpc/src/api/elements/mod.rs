//! Module `elements`: the endpoints and the hubs.
//!
//! `module` gathers the rows of the files below; what they do is bound to them elsewhere.

pub mod http_endpoint;
pub mod mixing_hubs;
pub mod player_endpoint;
pub mod recorder_endpoint;
pub mod routing_hubs;
pub mod rtp_endpoint;
pub mod webrtc_endpoint;
pub mod webrtc_events;
pub mod webrtc_types;

use super::assemble;
use super::model::Module;

/// The module with all its rows.
pub fn module() -> Module {
    let files: [fn(Module) -> Module; 9] = [
        webrtc_endpoint::declare,
        webrtc_types::declare,
        webrtc_events::declare,
        rtp_endpoint::declare,
        player_endpoint::declare,
        recorder_endpoint::declare,
        http_endpoint::declare,
        mixing_hubs::declare,
        routing_hubs::declare,
    ];
    assemble(Module::new("elements", "Endpoints and hubs.").imports("core"), &files)
}
