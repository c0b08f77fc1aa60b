//! `FaceOverlayFilter`, which draws an image over faces.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(face_overlay_filter())
}

fn face_overlay_filter() -> Class {
    class("FaceOverlayFilter", "Finds faces and draws an image over each.")
        .extends("Filter")
        .constructor(
            "Creates the filter without an image.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(method("unsetOverlayedImage", "Stops drawing."))
        .method(
            method("setOverlayedImage", "Sets the image and its place relative to a face; replaces the one before.")
                .param(param("uri", "String", "Path or URI of the image."))
                .param(param(
                    "offsetXPercent",
                    "float",
                    "Shift to the right as a fraction of the face's width; negative to the left.",
                ))
                .param(param(
                    "offsetYPercent",
                    "float",
                    "Shift downwards as a fraction of the face's height; negative upwards.",
                ))
                .param(param("widthPercent", "float", "Width as a fraction of the face's width."))
                .param(param("heightPercent", "float", "Height as a fraction of the face's height.")),
        )
}
