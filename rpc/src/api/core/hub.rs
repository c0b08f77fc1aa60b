//! `Hub` and `HubPort`, where many streams meet.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Era, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(hub()).class(hub_port())
}

fn hub() -> Class {
    class("Hub", "Joins many ports by a rule of its own; elements reach it through HubPorts.")
        .extends("MediaObject")
        .is_abstract()
        .method(
            method("getGstreamerDot", "Draws the hub and its ports.")
                .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
                .returns("String", "A directed graph in Graphviz's DOT language."),
        )
        .method(
            method(
                "dumpGstreamerDot",
                "Writes a drawing of the hub to a file, if the server has a folder for drawings.",
            )
            .param(param("details", "GstreamerDotDetails", "How much to draw; everything if absent.").optional())
            .era(Era::Since7),
        )
}

fn hub_port() -> Class {
    class("HubPort", "One mouth of a hub: what enters goes to the hub, what the hub gives comes out.")
        .extends("MediaElement")
        .constructor(
            "Creates a port of a hub; ports are numbered from 0 in the order of creation.",
            [param("hub", "Hub", "The hub that the port belongs to.")],
        )
}
