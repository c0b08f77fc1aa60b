//! The events of `WebRtcEndpoint`, under the names of 6.x and of 7.x.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Era, Event, Module, event, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .event(on_ice_candidate())
        .event(ice_candidate_found())
        .event(on_ice_gathering_done())
        .event(ice_gathering_done())
        .event(on_ice_component_state_changed())
        .event(ice_component_state_change())
        .event(ice_component_state_changed())
        .event(dtls_connection_state_change())
        .event(on_data_channel_opened())
        .event(data_channel_open())
        .event(data_channel_opened())
        .event(on_data_channel_closed())
        .event(data_channel_close())
        .event(data_channel_closed())
        .event(new_candidate_pair_selected())
}

fn on_ice_candidate() -> Event {
    event("OnIceCandidate", "6.x name of `IceCandidateFound`.").extends("Media").era(Era::Until7).property(param(
        "candidate",
        "IceCandidate",
        "The new local candidate.",
    ))
}

fn ice_candidate_found() -> Event {
    event("IceCandidateFound", "A local candidate was found and should be sent to the peer.")
        .extends("Media")
        .property(param("candidate", "IceCandidate", "The new local candidate."))
}

fn on_ice_gathering_done() -> Event {
    event("OnIceGatheringDone", "6.x name of `IceGatheringDone`.").extends("Media").era(Era::Until7)
}

fn ice_gathering_done() -> Event {
    event("IceGatheringDone", "All local candidates have been found.").extends("Media")
}

fn on_ice_component_state_changed() -> Event {
    event("OnIceComponentStateChanged", "Older 6.x name of `IceComponentStateChanged`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("streamId", "int", "Number of the ICE stream, from 1."))
        .property(param("componentId", "int", "Component of the stream: 1 for RTP, 2 for RTCP."))
        .property(param("state", "IceComponentState", "The state from now on."))
}

fn ice_component_state_change() -> Event {
    event("IceComponentStateChange", "Later 6.x name of `IceComponentStateChanged`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("streamId", "int", "Number of the ICE stream, from 1."))
        .property(param("componentId", "int", "Component of the stream: 1 for RTP, 2 for RTCP."))
        .property(param("state", "IceComponentState", "The state from now on."))
}

fn ice_component_state_changed() -> Event {
    event("IceComponentStateChanged", "An ICE component went to another state.")
        .extends("Media")
        .era(Era::Since7)
        .property(param("streamId", "int", "Number of the ICE stream, from 1."))
        .property(param("componentId", "int", "Component of the stream: 1 for RTP, 2 for RTCP."))
        .property(param("state", "IceComponentState", "The state from now on."))
}

fn dtls_connection_state_change() -> Event {
    event("DtlsConnectionStateChange", "The DTLS handshake of a component advanced, failed or was closed.")
        .extends("Media")
        .era(Era::Since7)
        .property(param("streamId", "String", "Number of the ICE stream, as text."))
        .property(param("componentId", "String", "Label of the component."))
        .property(param("connectionId", "String", "Label of the DTLS connection."))
        .property(param("state", "DtlsConnectionState", "The state from now on."))
}

fn on_data_channel_opened() -> Event {
    event("OnDataChannelOpened", "Older 6.x name of `DataChannelOpened`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("channelId", "int", "Number of the SCTP stream that carries the channel."))
}

fn data_channel_open() -> Event {
    event("DataChannelOpen", "Later 6.x name of `DataChannelOpened`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("channelId", "int", "Number of the SCTP stream that carries the channel."))
}

fn data_channel_opened() -> Event {
    event("DataChannelOpened", "A data channel became usable.").extends("Media").era(Era::Since7).property(param(
        "channelId",
        "int",
        "Number of the SCTP stream that carries the channel.",
    ))
}

fn on_data_channel_closed() -> Event {
    event("OnDataChannelClosed", "Older 6.x name of `DataChannelClosed`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("channelId", "int", "Number of the SCTP stream that carries the channel."))
}

fn data_channel_close() -> Event {
    event("DataChannelClose", "Later 6.x name of `DataChannelClosed`.")
        .extends("Media")
        .era(Era::Until7)
        .property(param("channelId", "int", "Number of the SCTP stream that carries the channel."))
}

fn data_channel_closed() -> Event {
    event("DataChannelClosed", "A data channel was closed.").extends("Media").era(Era::Since7).property(param(
        "channelId",
        "int",
        "Number of the SCTP stream that carries the channel.",
    ))
}

fn new_candidate_pair_selected() -> Event {
    event("NewCandidatePairSelected", "ICE selected a candidate pair; a better one may follow.")
        .extends("Media")
        .property(param("candidatePair", "IceCandidatePair", "The pair in use from now on."))
}
