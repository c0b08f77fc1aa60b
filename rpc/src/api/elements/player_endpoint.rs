//! `PlayerEndpoint`, which plays files and streams.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Event, Module, class, event, method, param, property, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(player_endpoint()).complex(video_info()).event(end_of_stream())
}

fn player_endpoint() -> Class {
    class("PlayerEndpoint", "Plays a file or network stream into the pipeline, paced in real time.")
        .extends("UriEndpoint")
        .constructor(
            "Creates a player, which is stopped.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("uri", "String", "What to play: a `file`, `http`, `https` or `rtsp` URI, or a path."),
                param("useEncodedMedia", "boolean", "Whether media is passed on as it is coded, without decoding.")
                    .default(false),
                param("networkCache", "int", "Jitter buffer for RTSP, in ms.").default(2000),
            ],
        )
        .property(
            property("videoInfo", "VideoInfo", "Duration and seekable range, known once the media was opened.")
                .read_only(),
        )
        .property(
            property("elementGstreamerDot", "String", "Drawing of the player's inside in Graphviz's DOT language.")
                .read_only(),
        )
        .property(property(
            "position",
            "int64",
            "Place in the media in ms; setting it seeks, and error 40700 says that it cannot.",
        ))
        .method(method("play", "Starts, or resumes after a pause."))
        .event("EndOfStream")
}

fn video_info() -> Complex {
    register("VideoInfo", "What is known of the media being played.")
        .field(param("isSeekable", "boolean", "Whether the position can be set."))
        .field(param("seekableInit", "int64", "Start of the seekable range, in ms."))
        .field(param("seekableEnd", "int64", "End of the seekable range, in ms."))
        .field(param("duration", "int64", "Length in ms; 0 if unknown."))
}

fn end_of_stream() -> Event {
    event("EndOfStream", "The source has delivered everything it has.").extends("Media")
}
