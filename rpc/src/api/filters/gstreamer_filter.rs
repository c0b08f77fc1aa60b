//! `GStreamerFilter`, one named processing step.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class, method, param, property};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(g_streamer_filter())
}

fn g_streamer_filter() -> Class {
    class("GStreamerFilter", "Applies one processing step that is named as on GStreamer's command line.")
        .extends("Filter")
        .constructor(
            "Creates the filter; a command that is unknown or names several steps is error 40001.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param(
                    "command",
                    "String",
                    "Name of the step and its settings, such as `videoflip method=horizontal-flip`.",
                ),
                param("filterType", "FilterType", "The kind of media to which it applies.").default("AUTODETECT"),
            ],
        )
        .property(property("command", "String", "The command given at creation.").read_only())
        .method(
            method("setElementProperty", "Changes a setting of the step while it runs; an unknown one is error 40001.")
                .param(param("propertyName", "String", "Name of the setting."))
                .param(param("propertyValue", "String", "The new value as text.")),
        )
}
