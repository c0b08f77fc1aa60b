//! Module `platedetector`: number plates of vehicles.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Event, Module, class, event, method, param};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("platedetector", "Reads number plates.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(plate_detector_filter())
        .event(plate_detected())
}

fn plate_detector_filter() -> Class {
    class("PlateDetectorFilter", "Reads the number plates of vehicles; the picture stays as it is.")
        .extends("Filter")
        .constructor(
            "Creates the filter.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(method("setPlateWidthPercentage", "Tells how large plates appear.").param(param(
            "plateWidthPercentage",
            "float",
            "Usual width of a plate as a fraction of the frame's width.",
        )))
        .event("PlateDetected")
}

fn plate_detected() -> Event {
    event("PlateDetected", "A plate was read several times alike.").extends("Media").property(param(
        "plate",
        "String",
        "Nine characters; an unread or unused place is a hyphen.",
    ))
}
