//! Module `pointerdetector`: a coloured pointer and the windows it enters.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Complex, Event, Module, class, event, method, param, register};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("pointerdetector", "Follows a pointer.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(pointer_detector_filter())
        .complex(window_param())
        .complex(pointer_detector_window_media_param())
        .event(window_in())
        .event(window_out())
}

fn pointer_detector_filter() -> Class {
    class(
        "PointerDetectorFilter",
        "Follows an object of one colour and tells when it enters or leaves windows on the picture.",
    )
    .extends("Filter")
    .constructor(
        "Creates the filter, which follows nothing until it is calibrated.",
        [
            param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
            param("calibrationRegion", "WindowParam", "Region in which the object is shown for calibration."),
            param("windows", "PointerDetectorWindowMediaParam[]", "The windows to watch.")
                .default(serde_json::json!([])),
        ],
    )
    .method(method("addWindow", "Adds a window; one of the same id is replaced.").param(param(
        "window",
        "PointerDetectorWindowMediaParam",
        "The window.",
    )))
    .method(method("clearWindows", "Removes all windows."))
    .method(method(
        "trackColorFromCalibrationRegion",
        "Learns the colour in the calibration region and starts to follow it.",
    ))
    .method(method("removeWindow", "Removes a window.").param(param("windowId", "String", "The window's id.")))
    .event("WindowIn")
    .event("WindowOut")
}

fn window_param() -> Complex {
    register("WindowParam", "A rectangle in px; in spite of the names its corner is the top left one.")
        .field(param("topRightCornerX", "int", "Left edge in px."))
        .field(param("topRightCornerY", "int", "Top edge in px."))
        .field(param("width", "int", "Width in px."))
        .field(param("height", "int", "Height in px."))
}

fn pointer_detector_window_media_param() -> Complex {
    register(
        "PointerDetectorWindowMediaParam",
        "A window on the picture; in spite of the names its corner is the top left one.",
    )
    .field(param("id", "String", "Name of the window."))
    .field(param("height", "int", "Height in px."))
    .field(param("width", "int", "Width in px."))
    .field(param("upperRightX", "int", "Left edge in px."))
    .field(param("upperRightY", "int", "Top edge in px."))
    .field(param("activeImage", "String", "Path or URI of the image drawn while the pointer is inside.").optional())
    .field(param("imageTransparency", "float", "Transparency of the images, from 0 (opaque) to 1.").optional())
    .field(param("image", "String", "Path or URI of the image drawn while the pointer is outside.").optional())
}

fn window_in() -> Event {
    event("WindowIn", "The pointer entered a window.").extends("Media").property(param(
        "windowId",
        "String",
        "The window's id.",
    ))
}

fn window_out() -> Event {
    event("WindowOut", "The pointer left a window for none.").extends("Media").property(param(
        "windowId",
        "String",
        "The window's id.",
    ))
}
