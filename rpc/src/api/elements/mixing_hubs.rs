//! The hubs that make a new picture or sound: `Composite`, `AlphaBlending`.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Era, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(composite()).class(alpha_blending())
}

fn composite() -> Class {
    class("Composite", "Arranges the video of its ports in a grid and mixes their audio, each port without its own.")
        .extends("Hub")
        .constructor(
            "Creates a hub with a picture of fixed size and rate.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("width", "int", "Width of the picture in px.").default(800).era(Era::Since7),
                param("height", "int", "Height of the picture in px.").default(600).era(Era::Since7),
                param("framerate", "int", "Pictures per second.").default(15).era(Era::Since7),
            ],
        )
}

fn alpha_blending() -> Class {
    class(
        "AlphaBlending",
        "Lays the video of its ports over one another and mixes their audio, each port without its own.",
    )
    .extends("Hub")
    .constructor(
        "Creates a hub; its first port is the master.",
        [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
    )
    .method(
        method("setMaster", "Chooses the port whose picture size the output takes.")
            .param(param("source", "HubPort", "The new master."))
            .param(param("zOrder", "int", "Layer of the master; a higher one lies on top.")),
    )
    .method(
        method("setPortProperties", "Places a port's picture on the output.")
            .param(param("relativeX", "float", "Left edge as a fraction of the output's width."))
            .param(param("relativeY", "float", "Top edge as a fraction of the output's height."))
            .param(param("zOrder", "int", "Layer; a higher one lies on top."))
            .param(param("relativeWidth", "float", "Width as a fraction of the output's width."))
            .param(param("relativeHeight", "float", "Height as a fraction of the output's height."))
            .param(param("port", "HubPort", "The port to place.")),
    )
}
