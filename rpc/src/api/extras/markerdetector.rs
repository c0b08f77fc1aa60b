//! Module `markerdetector`: augmented-reality markers. Some clients write `armarkerdetector` before the dot.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Event, Module, class, event, method, param};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("markerdetector", "Finds augmented-reality markers.")
        .alias("armarkerdetector")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(ar_markerdetector())
        .event(marker_count())
}

fn ar_markerdetector() -> Class {
    class("ArMarkerdetector", "Finds augmented-reality markers and draws an image or text on each.")
        .extends("OpenCVFilter")
        .constructor(
            "Creates the filter without anything to draw.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
        )
        .method(method("setShowDebugLevel", "Sets how much of the detection is drawn.").param(param(
            "showDebugLevel",
            "int",
            "0 draws nothing; higher draws more.",
        )))
        .method(method("getShowDebugLevel", "Reads how much of the detection is drawn.").returns("int", "The level."))
        .method(method("setOverlayImage", "Sets the image to draw.").param(param(
            "overlayImage",
            "String",
            "Path or URI of the image.",
        )))
        .method(method("getOverlayImage", "Reads the image to draw.").returns("String", "Path or URI of the image."))
        .method(method("setOverlayText", "Sets the text to draw.").param(param("overlayText", "String", "The text.")))
        .method(method("getOverlayText", "Reads the text to draw.").returns("String", "The text."))
        .method(method("setOverlayScale", "Sets the size of what is drawn.").param(param(
            "overlayScale",
            "float",
            "Size relative to the marker; 1 covers it exactly.",
        )))
        .method(
            method("getOverlayScale", "Reads the size of what is drawn.")
                .returns("float", "Size relative to the marker."),
        )
        .event("MarkerCount")
}

fn marker_count() -> Event {
    event("MarkerCount", "The number of visible markers of one id changed.")
        .extends("Media")
        .property(param("markerId", "int", "Id of the marker."))
        .property(param("markerCount", "int", "How many are visible now."))
        .property(param("markerCountDiff", "int", "How many more than before; negative for fewer."))
}
