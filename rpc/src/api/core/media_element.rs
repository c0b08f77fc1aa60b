//! `MediaElement`, the base of all that takes in or gives out media, and its two plainest children.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Era, Module, class, method, param, property};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(media_element()).class(filter()).class(pass_through())
}

fn media_element() -> Class {
    let bare = class("MediaElement", "A member of a pipeline that takes in media, gives out media, or both.")
        .extends("MediaObject")
        .is_abstract()
        .event("ElementConnected")
        .event("ElementDisconnected")
        .event_of("MediaFlowOutStateChanged", Era::Since7)
        .event_of("MediaFlowInStateChanged", Era::Since7)
        .event_of("MediaTranscodingStateChanged", Era::Since7)
        .event_of("MediaFlowOutStateChange", Era::Until7)
        .event_of("MediaFlowInStateChange", Era::Until7)
        .event_of("MediaTranscodingStateChange", Era::Until7);
    observations(formats(connections(bitrates(bare))))
}

fn bitrates(class: Class) -> Class {
    class
        .property(
            property(
                "encoderBitrate",
                "int",
                "Bitrate at which an encoder for this element's video output starts, in bps.",
            )
            .era(Era::Since7),
        )
        .property(
            property(
                "minEncoderBitrate",
                "int",
                "Lowest bitrate to which the video encoder may go, in bps; 0 sets no floor.",
            )
            .era(Era::Since7),
        )
        .property(
            property(
                "maxEncoderBitrate",
                "int",
                "Highest bitrate to which the video encoder may go, in bps; 0 sets no ceiling.",
            )
            .era(Era::Since7),
        )
        .property(property("minOuputBitrate", "int", "Misspelt twin of `minOutputBitrate`, in bps.").era(Era::Until7))
        .property(
            property(
                "minOutputBitrate",
                "int",
                "Lowest bitrate to which the video encoder may go, in bps; 7.x says `minEncoderBitrate`.",
            )
            .era(Era::Until7),
        )
        .property(property("maxOuputBitrate", "int", "Misspelt twin of `maxOutputBitrate`, in bps.").era(Era::Until7))
        .property(
            property(
                "maxOutputBitrate",
                "int",
                "Highest bitrate to which the video encoder may go, in bps; 7.x says `maxEncoderBitrate`.",
            )
            .era(Era::Until7),
        )
        .method(
            method("setOutputBitrate", "Fixes the video encoder's bitrate by setting both its bounds to one value.")
                .param(param("bitrate", "int", "Bitrate in bps."))
                .era(Era::Until7),
        )
}

fn connections(class: Class) -> Class {
    class
        .method(
            method("getSourceConnections", "Lists the connections that feed this element.")
                .param(
                    param("mediaType", "MediaType", "Only connections of this kind; all kinds if absent.").optional(),
                )
                .param(param("description", "String", "Only connections into the input of this name.").optional())
                .returns("ElementConnectionData[]", "One entry for each connection."),
        )
        .method(
            method("getSinkConnections", "Lists the connections that this element feeds.")
                .param(
                    param("mediaType", "MediaType", "Only connections of this kind; all kinds if absent.").optional(),
                )
                .param(param("description", "String", "Only connections from the output of this name.").optional())
                .returns("ElementConnectionData[]", "One entry for each connection."),
        )
        .method(
            method("connect", "Feeds this element's output into another; what fed that input before is disconnected.")
                .param(param(
                    "sink",
                    "MediaElement",
                    "The element that shall receive; it must be in the same pipeline.",
                ))
                .param(
                    param("mediaType", "MediaType", "The kind to connect; audio, video and data if absent.").optional(),
                )
                .param(param("sourceMediaDescription", "String", "Name of the output; `default` if absent.").optional())
                .param(param("sinkMediaDescription", "String", "Name of the input; `default` if absent.").optional()),
        )
        .method(
            method("disconnect", "Ends a connection; one that does not exist is no error.")
                .param(param("sink", "MediaElement", "The element that receives."))
                .param(
                    param("mediaType", "MediaType", "The kind to disconnect; audio, video and data if absent.")
                        .optional(),
                )
                .param(param("sourceMediaDescription", "String", "Name of the output; `default` if absent.").optional())
                .param(param("sinkMediaDescription", "String", "Name of the input; `default` if absent.").optional()),
        )
}

fn formats(class: Class) -> Class {
    class
        .method(method("setAudioFormat", "Stores the audio format that this element should give out.").param(param(
            "caps",
            "AudioCaps",
            "Codec and bitrate.",
        )))
        .method(method("setVideoFormat", "Stores the video format that this element should give out.").param(param(
            "caps",
            "VideoCaps",
            "Codec and frame rate.",
        )))
}

fn observations(class: Class) -> Class {
    class
        .method(
            method("getStats", "Reads the statistics of this element.")
                .param(param("mediaType", "MediaType", "Only statistics of this kind; all kinds if absent.").optional())
                .returns("Stats<>", "Statistics objects by their id."),
        )
        .method(
            method("isMediaFlowingIn", "Whether media has arrived lately; asking for data is error 40107.")
                .param(param("mediaType", "MediaType", "Audio or video."))
                .param(param("sinkMediaDescription", "String", "Name of the input.").default("default"))
                .returns("boolean", "True while the input is fed."),
        )
        .method(
            method("isMediaFlowingOut", "Whether media has been given out lately; asking for data is error 40107.")
                .param(param("mediaType", "MediaType", "Audio or video."))
                .param(param("sourceMediaDescription", "String", "Name of the output.").default("default"))
                .returns("boolean", "True while the output gives media."),
        )
        .method(
            method("isMediaTranscoding", "Whether media is decoded and encoded again on its way out of this element.")
                .param(param("mediaType", "MediaType", "Audio or video."))
                .param(
                    param("binName", "String", "Name of the output's converter, as told by the transcoding event.")
                        .default("default"),
                )
                .returns("boolean", "True while a transcoder is at work."),
        )
        .method(
            method("getGstreamerDot", "Draws the inside of the element.")
                .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
                .returns("String", "A directed graph in Graphviz's DOT language."),
        )
        .method(
            method(
                "dumpGstreamerDot",
                "Writes a drawing of the element to a file, if the server has a folder for drawings.",
            )
            .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
            .era(Era::Since7),
        )
}

fn filter() -> Class {
    class("Filter", "Changes or examines media on its way; the kinds that it does not handle pass untouched.")
        .extends("MediaElement")
        .is_abstract()
}

fn pass_through() -> Class {
    class("PassThrough", "Hands its input on unchanged; audio and video only.").extends("MediaElement").constructor(
        "Creates the element inside a pipeline.",
        [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
    )
}
