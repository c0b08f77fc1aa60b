//! The hubs that route: `Dispatcher`, `DispatcherOneToMany`, `Mixer`.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(dispatcher()).class(dispatcher_one_to_many()).class(mixer())
}

fn dispatcher() -> Class {
    class("Dispatcher", "Routes audio and video from any port to any other.")
        .extends("Hub")
        .constructor(
            "Creates a hub without routes.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(
            method("connect", "Makes a source the audio and video of a sink, in place of what it had.")
                .param(param("source", "HubPort", "The port whose input is taken."))
                .param(param("sink", "HubPort", "The port whose output gets it.")),
        )
}

fn dispatcher_one_to_many() -> Class {
    class("DispatcherOneToMany", "Gives the audio and video of one chosen port to all ports.")
        .extends("Hub")
        .constructor(
            "Creates a hub without a source.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(method("setSource", "Chooses the source.").param(param(
            "source",
            "HubPort",
            "The port whose input all ports get.",
        )))
        .method(method("removeSource", "Leaves the hub without a source; nobody receives."))
}

fn mixer() -> Class {
    class("Mixer", "Routes video and mixes audio between ports, as told for each pair.")
        .extends("Hub")
        .constructor(
            "Creates a hub without routes.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .method(
            method("connect", "Adds a source to a sink's audio mix, or makes it the sink's video.")
                .param(param("media", "MediaType", "Audio or video."))
                .param(param("source", "HubPort", "The port whose input is taken."))
                .param(param("sink", "HubPort", "The port whose output gets it.")),
        )
        .method(
            method("disconnect", "Takes a source out of a sink's audio mix; for video that is error 40005.")
                .param(param("media", "MediaType", "Audio or video."))
                .param(param("source", "HubPort", "The port whose input is taken."))
                .param(param("sink", "HubPort", "The port whose output gets it.")),
        )
}
