//! `HttpEndpoint` and `HttpPostEndpoint`, which take media over HTTP.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class, method, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(http_endpoint()).class(http_post_endpoint())
}

fn http_endpoint() -> Class {
    class("HttpEndpoint", "An endpoint that a peer reaches through an HTTP URL of this server.")
        .extends("SessionEndpoint")
        .is_abstract()
        .method(
            method("getUrl", "Tells the URL at which the endpoint listens.")
                .returns("String", "An absolute `http` URL."),
        )
}

fn http_post_endpoint() -> Class {
    class("HttpPostEndpoint", "Receives a media file in the body of an HTTP POST and plays it into the pipeline.")
        .extends("HttpEndpoint")
        .constructor(
            "Creates the endpoint and its URL.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param(
                    "disconnectionTimeout",
                    "int",
                    "How long to wait for a request before the session ends, in seconds.",
                )
                .default(2),
                param("useEncodedMedia", "boolean", "Whether media is passed on as it is coded, without decoding.")
                    .default(false),
            ],
        )
        .event("EndOfStream")
}
