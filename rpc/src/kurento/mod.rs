//! The faces of Kurento's classes: handlers that translate between the protocol and the media floors, and stop.
//!
//! Enters: calls whose arguments are already checked against their rows, and notices of the media workers. Leaves: calls of
//! the engine, of codecs and of transport, answers and events in Kurento's words. It must never hold media logic.

mod base_rtp_endpoint;
mod dot_file;
mod face;
mod film_tally;
mod http_post_endpoint;
mod hubs;
mod media;
mod media_element;
mod media_pipeline;
mod negotiator;
mod notices;
mod player_endpoint;
mod recorder_endpoint;
mod rtp_endpoint;
mod sdp_endpoint;
mod stats;
mod transport_stats;
mod uri_endpoint;
mod values;
mod webrtc_endpoint;

pub use film_tally::FilmCounts;
pub use media::{Media, MediaOptions};
pub use notices::NoticeQueue;

use crate::bindings::Bindings;
use std::sync::Arc;

/// Binds everything that exists.
pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    media_pipeline::bind(bindings, media);
    media_element::bind(bindings, media);
    hubs::bind(bindings, media);
    sdp_endpoint::bind(bindings);
    base_rtp_endpoint::bind(bindings);
    webrtc_endpoint::bind(bindings, media);
    rtp_endpoint::bind(bindings, media);
    uri_endpoint::bind(bindings);
    player_endpoint::bind(bindings, media);
    recorder_endpoint::bind(bindings, media);
    http_post_endpoint::bind(bindings, media);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivero_engine::testing::Bench;

    #[test]
    fn every_row_of_what_can_be_created_is_bound_and_nothing_else() {
        let bench = Bench::new(1);
        let media = Media::new(MediaOptions::for_tests(bench.engine.clone()));
        let mut bindings = Bindings::new();
        bind(&mut bindings, &media);
        assert_eq!(bindings.check(&crate::api::kurento()), Vec::<String>::new());
    }
}
