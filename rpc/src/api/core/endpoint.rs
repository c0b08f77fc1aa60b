//! The borders of a pipeline: `Endpoint`, `SessionEndpoint`, `UriEndpoint`.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Module, class, enumeration, method, property};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(endpoint()).class(session_endpoint()).class(uri_endpoint()).complex(uri_endpoint_state())
}

fn endpoint() -> Class {
    class("Endpoint", "An element at the border of a pipeline, where media enters or leaves the server.")
        .extends("MediaElement")
        .is_abstract()
}

fn session_endpoint() -> Class {
    class("SessionEndpoint", "An endpoint that talks with one remote peer for a bounded time.")
        .extends("Endpoint")
        .is_abstract()
        .event("MediaSessionTerminated")
        .event("MediaSessionStarted")
}

fn uri_endpoint() -> Class {
    class("UriEndpoint", "An endpoint that reads from, or writes to, a place named by a URI.")
        .extends("Endpoint")
        .is_abstract()
        .property(
            property("uri", "String", "The place; a relative path has been put under the configured default folder.")
                .is_final(),
        )
        .property(
            property("state", "UriEndpointState", "Whether the endpoint is stopped, running or paused.").read_only(),
        )
        .method(method("pause", "Holds the media where it is, until it is started again."))
        .method(method("stop", "Ends the transfer."))
        .event("UriEndpointStateChanged")
}

fn uri_endpoint_state() -> Complex {
    enumeration(
        "UriEndpointState",
        "What a URI endpoint is doing: nothing, transferring, or holding.",
        ["STOP", "START", "PAUSE"],
    )
}
