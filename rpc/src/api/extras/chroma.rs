//! Module `chroma`: a background of one colour replaced by an image.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Complex, Module, class, method, param, register};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("chroma", "Replaces a background of one colour.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(chroma_filter())
        .complex(window_param())
}

fn chroma_filter() -> Class {
    class("ChromaFilter", "Replaces a background of one colour, learnt from a sample region, by an image.")
        .extends("Filter")
        .constructor(
            "Creates the filter, which learns the colour from its first 60 frames.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("window", "WindowParam", "Region that shows only background while learning."),
                param("backgroundImage", "String", "Path or URI of the image; empty replaces nothing.").default(""),
            ],
        )
        .method(method("setBackground", "Sets the image.").param(param("uri", "String", "Path or URI of the image.")))
        .method(method("unsetBackground", "Removes the image; the background shows again."))
}

fn window_param() -> Complex {
    register("WindowParam", "A rectangle in px; in spite of the names its corner is the top left one.")
        .field(param("topRightCornerX", "int", "Left edge in px."))
        .field(param("topRightCornerY", "int", "Top edge in px."))
        .field(param("width", "int", "Width in px."))
        .field(param("height", "int", "Height in px."))
}
