//! `MediaPipeline`, the graph that owns elements and hubs.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Module, class, enumeration, method, param, property};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(media_pipeline()).complex(gstreamer_dot_details())
}

fn media_pipeline() -> Class {
    class("MediaPipeline", "A graph of elements and hubs; media flows only between members of one pipeline.")
        .extends("MediaObject")
        .constructor("Creates an empty pipeline, which runs at once.", [])
        .property(
            property(
                "latencyStats",
                "boolean",
                "Whether latencies are measured in every element, including those made later.",
            )
            .default(false),
        )
        .method(
            method("getGstreamerDot", "Draws the elements of the pipeline and their connections.")
                .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
                .returns("String", "A directed graph in Graphviz's DOT language."),
        )
        .method(
            method(
                "dumpGstreamerDot",
                "Writes the drawing to a file on the server, if the server has a folder for drawings.",
            )
            .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
            .era(Era::Since7),
        )
}

fn gstreamer_dot_details() -> Complex {
    enumeration(
        "GstreamerDotDetails",
        "How much a drawing of a graph shows; SHOW_VERBOSE and SHOW_ALL show everything.",
        [
            "SHOW_MEDIA_TYPE",
            "SHOW_CAPS_DETAILS",
            "SHOW_NON_DEFAULT_PARAMS",
            "SHOW_STATES",
            "SHOW_FULL_PARAMS",
            "SHOW_ALL",
            "SHOW_VERBOSE",
        ],
    )
}
