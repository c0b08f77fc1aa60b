//! `ImageOverlayFilter`, which draws images at fixed places.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(image_overlay_filter())
}

fn image_overlay_filter() -> Class {
    class("ImageOverlayFilter", "Draws images over the picture.")
        .extends("Filter")
        .constructor(
            "Creates the filter without images.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(method("removeImage", "Stops drawing an image.").param(param(
            "id",
            "String",
            "The id given when it was added.",
        )))
        .method(
            method("addImage", "Adds an image; one of the same id is replaced.")
                .param(param("id", "String", "Name for later removal."))
                .param(param("uri", "String", "Path or URI of the image."))
                .param(param("offsetXPercent", "float", "Left edge as a fraction of the frame's width."))
                .param(param("offsetYPercent", "float", "Top edge as a fraction of the frame's height."))
                .param(param("widthPercent", "float", "Width of the image's box as a fraction of the frame's width."))
                .param(param(
                    "heightPercent",
                    "float",
                    "Height of the image's box as a fraction of the frame's height.",
                ))
                .param(param(
                    "keepAspectRatio",
                    "boolean",
                    "Whether the image keeps its proportions inside the box; else it is stretched.",
                ))
                .param(param("center", "boolean", "Whether an image smaller than its box is centred in it.")),
        )
}
