//! `RecorderEndpoint`, which stores what it receives.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Event, Module, class, enumeration, event, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .class(recorder_endpoint())
        .event(recording_event())
        .event(paused_event())
        .event(stopped_event())
        .complex(media_profile_spec_type())
        .complex(gaps_fix_method())
}

fn recorder_endpoint() -> Class {
    class("RecorderEndpoint", "Stores what it receives in a file or uploads it, one recording in its life.")
        .extends("UriEndpoint")
        .constructor(
            "Creates a recorder, which is stopped.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("uri", "String", "Where to store: a `file`, `http` or `https` URI, or a path."),
                param("mediaProfile", "MediaProfileSpecType", "Container, codecs and tracks of the recording.")
                    .default("WEBM"),
                param("stopOnEndOfStream", "boolean", "Whether the recording ends when its source ends.")
                    .default(false),
            ],
        )
        .method(method("record", "Starts or resumes; writing begins once every track of the profile has media."))
        .method(method("stopAndWait", "Ends the recording and answers when the file is complete, or after 4000 ms."))
        .event("Recording")
        .event("Paused")
        .event("Stopped")
}

fn recording_event() -> Event {
    event("Recording", "The recorder has begun to write, or resumed.").extends("Media")
}

fn paused_event() -> Event {
    event("Paused", "The recorder has paused.").extends("Media")
}

fn stopped_event() -> Event {
    event("Stopped", "The recording is complete.").extends("Media")
}

fn media_profile_spec_type() -> Complex {
    enumeration(
        "MediaProfileSpecType",
        "Container and tracks of a recording; a name without ONLY has audio and video.",
        [],
    )
    .value_of("WEBM", Era::Always)
    .value_of("MKV", Era::Since7)
    .value_of("MP4", Era::Always)
    .value_of("WEBM_VIDEO_ONLY", Era::Always)
    .value_of("WEBM_AUDIO_ONLY", Era::Always)
    .value_of("MKV_VIDEO_ONLY", Era::Since7)
    .value_of("MKV_AUDIO_ONLY", Era::Since7)
    .value_of("MP4_VIDEO_ONLY", Era::Always)
    .value_of("MP4_AUDIO_ONLY", Era::Always)
    .value_of("JPEG_VIDEO_ONLY", Era::Always)
    .value_of("KURENTO_SPLIT_RECORDER", Era::Always)
    .value_of("FLV", Era::Since7)
}

fn gaps_fix_method() -> Complex {
    enumeration(
        "GapsFixMethod",
        "What to do with gaps in recorded audio: nothing, close them, or fill when transcoding.",
        ["NONE", "GENPTS", "FILL_IF_TRANSCODING"],
    )
    .era(Era::Since7)
}
