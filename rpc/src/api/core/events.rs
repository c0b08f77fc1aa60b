//! The events of the base classes.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Era, Event, Module, event, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .event(raise_base())
        .event(media_event())
        .event(error_event())
        .event(object_created())
        .event(object_destroyed())
        .event(element_connected())
        .event(element_disconnected())
        .event(media_flow_out_state_change())
        .event(media_flow_out_state_changed())
        .event(media_flow_in_state_change())
        .event(media_flow_in_state_changed())
        .event(media_transcoding_state_change())
        .event(media_transcoding_state_changed())
        .event(media_session_started())
        .event(media_session_terminated())
        .event(media_state_changed())
        .event(connection_state_changed())
        .event(uri_endpoint_state_changed())
}

fn raise_base() -> Event {
    event("RaiseBase", "Root of all events.")
        .property(param("source", "MediaObject", "The object on which the event happened."))
        .property(
            param("timestampMillis", "String", "When it happened, in ms since 1970 (UTC), as decimal text.")
                .era(Era::Since7),
        )
        .property(
            param("timestamp", "String", "When it happened, in seconds since 1970 (UTC), as decimal text.")
                .era(Era::Until7),
        )
        .property(param("tags", "Tag[]", "The source's tags, or an empty list if it does not send them."))
}

fn media_event() -> Event {
    event("Media", "Base of the events that are raised on objects inside a pipeline.")
        .extends("RaiseBase")
        .property(param("type", "String", "Name of the event."))
}

fn error_event() -> Event {
    event("Error", "Something went wrong on the object outside of any request.")
        .extends("RaiseBase")
        .property(param("description", "String", "What went wrong, for people."))
        .property(param("errorCode", "int", "Numeric code of the error."))
        .property(param("type", "String", "Symbolic name of the error, such as `RESOURCE_ERROR_OPEN`."))
}

fn object_created() -> Event {
    event("ObjectCreated", "An object came to life in the server.").extends("RaiseBase").property(param(
        "object",
        "MediaObject",
        "The new object.",
    ))
}

fn object_destroyed() -> Event {
    event("ObjectDestroyed", "An object was released.").extends("RaiseBase").property(param(
        "objectId",
        "String",
        "Id of the object, which no longer exists.",
    ))
}

fn element_connected() -> Event {
    event("ElementConnected", "The source element was connected to another.")
        .extends("Media")
        .property(param("sink", "MediaElement", "The element that receives."))
        .property(param("mediaType", "MediaType", "The kind of media connected."))
        .property(param("sourceMediaDescription", "String", "Name of the source's output."))
        .property(param("sinkMediaDescription", "String", "Name of the sink's input."))
}

fn element_disconnected() -> Event {
    event("ElementDisconnected", "A connection from the source element ended.")
        .extends("Media")
        .property(param("sink", "MediaElement", "The element that received."))
        .property(param("mediaType", "MediaType", "The kind of media disconnected."))
        .property(param("sourceMediaDescription", "String", "Name of the source's output."))
        .property(param("sinkMediaDescription", "String", "Name of the sink's input."))
}

fn media_flow_out_state_change() -> Event {
    event("MediaFlowOutStateChange", "6.x name of `MediaFlowOutStateChanged`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("state", "MediaFlowState", "Whether media flows now."))
        .property(param("padName", "String", "Name of the output, usually `default`."))
        .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_flow_out_state_changed() -> Event {
    event("MediaFlowOutStateChanged", "The element began or ceased to give out media.")
        .extends("Media")
        .era(Era::Since7)
        .property(param("state", "MediaFlowState", "Whether media flows now."))
        .property(param("padName", "String", "Name of the output, usually `default`."))
        .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_flow_in_state_change() -> Event {
    event("MediaFlowInStateChange", "6.x name of `MediaFlowInStateChanged`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("state", "MediaFlowState", "Whether media flows now."))
        .property(param("padName", "String", "Name of the input, usually `default`."))
        .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_flow_in_state_changed() -> Event {
    event("MediaFlowInStateChanged", "Media began or ceased to arrive at the element.")
        .extends("Media")
        .era(Era::Since7)
        .property(param("state", "MediaFlowState", "Whether media flows now."))
        .property(param("padName", "String", "Name of the input, usually `default`."))
        .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_transcoding_state_change() -> Event {
    event("MediaTranscodingStateChange", "6.x name of `MediaTranscodingStateChanged`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("state", "MediaTranscodingState", "Whether a transcoder is at work."))
        .property(param("binName", "String", "Name of the output's converter."))
        .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_transcoding_state_changed() -> Event {
    event(
        "MediaTranscodingStateChanged",
        "The element's output began to be transcoded, or turned out to need no transcoding.",
    )
    .extends("Media")
    .era(Era::Since7)
    .property(param("state", "MediaTranscodingState", "Whether a transcoder is at work."))
    .property(param("binName", "String", "Name of the output's converter."))
    .property(param("mediaType", "MediaType", "Audio or video."))
}

fn media_session_started() -> Event {
    event("MediaSessionStarted", "The session with the peer was agreed on.").extends("Media")
}

fn media_session_terminated() -> Event {
    event("MediaSessionTerminated", "The session with the peer is over.").extends("Media")
}

fn media_state_changed() -> Event {
    event("MediaStateChanged", "Media began or ceased to be exchanged with the peer, judging by RTCP.")
        .extends("Media")
        .property(param("oldState", "MediaState", "The state until now."))
        .property(param("newState", "MediaState", "The state from now on."))
}

fn connection_state_changed() -> Event {
    event("ConnectionStateChanged", "The transports to the peer became ready for media, or were lost.")
        .extends("Media")
        .property(param("oldState", "ConnectionState", "The state until now."))
        .property(param("newState", "ConnectionState", "The state from now on."))
}

fn uri_endpoint_state_changed() -> Event {
    event("UriEndpointStateChanged", "The endpoint started, paused or stopped.").extends("Media").property(param(
        "state",
        "UriEndpointState",
        "The state from now on.",
    ))
}
