//! Kinds of media, codecs, formats and connections.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Complex, Era, Module, enumeration, param, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .complex(media_type())
        .complex(media_flow_state())
        .complex(media_transcoding_state())
        .complex(filter_type())
        .complex(audio_codec())
        .complex(video_codec())
        .complex(audio_caps())
        .complex(video_caps())
        .complex(fraction())
        .complex(element_connection_data())
}

fn media_type() -> Complex {
    enumeration("MediaType", "The three kinds of media.", ["AUDIO", "DATA", "VIDEO"])
}

fn media_flow_state() -> Complex {
    enumeration(
        "MediaFlowState",
        "Whether media moves: FLOWING after the first buffer, NOT_FLOWING after two silent seconds.",
        ["FLOWING", "NOT_FLOWING"],
    )
}

fn media_transcoding_state() -> Complex {
    enumeration(
        "MediaTranscodingState",
        "Whether media is decoded and encoded again.",
        ["TRANSCODING", "NOT_TRANSCODING"],
    )
}

fn filter_type() -> Complex {
    enumeration(
        "FilterType",
        "The kind of media that a filter handles; AUTODETECT decides by what the filter accepts.",
        ["AUDIO", "AUTODETECT", "VIDEO"],
    )
}

fn audio_codec() -> Complex {
    enumeration("AudioCodec", "Audio codecs; RAW is uncompressed sound.", [])
        .value_of("OPUS", Era::Always)
        .value_of("PCMU", Era::Always)
        .value_of("PCMA", Era::Since7)
        .value_of("RAW", Era::Always)
}

fn video_codec() -> Complex {
    enumeration("VideoCodec", "Video codecs; RAW is uncompressed pictures.", [])
        .value_of("H265", Era::Since7)
        .value_of("AV1", Era::Since7)
        .value_of("VP9", Era::Since7)
        .value_of("VP8", Era::Always)
        .value_of("H264", Era::Always)
        .value_of("RAW", Era::Always)
}

fn audio_caps() -> Complex {
    register("AudioCaps", "An audio format.").field(param("codec", "AudioCodec", "The codec.")).field(param(
        "bitrate",
        "int",
        "Bitrate in bps.",
    ))
}

fn video_caps() -> Complex {
    register("VideoCaps", "A video format.").field(param("codec", "VideoCodec", "The codec.")).field(param(
        "framerate",
        "Fraction",
        "Frames per second.",
    ))
}

fn fraction() -> Complex {
    register("Fraction", "A ratio of two whole numbers.")
        .field(param("numerator", "int", "The upper number."))
        .field(param("denominator", "int", "The lower number; not 0."))
}

fn element_connection_data() -> Complex {
    register("ElementConnectionData", "One connection between two elements.")
        .field(param("source", "MediaElement", "The element that gives."))
        .field(param("sink", "MediaElement", "The element that receives."))
        .field(param("type", "MediaType", "The kind of media."))
        .field(param("sourceDescription", "String", "Name of the source's output."))
        .field(param("sinkDescription", "String", "Name of the sink's input."))
}
