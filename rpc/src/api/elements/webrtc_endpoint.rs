//! `WebRtcEndpoint`, the peer of a browser.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Era, Module, class, method, param, property};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(web_rtc_endpoint())
}

fn web_rtc_endpoint() -> Class {
    let bare = class(
        "WebRtcEndpoint",
        "Exchanges audio, video and data with one WebRTC peer, usually a browser: ICE, DTLS and SRTP.",
    )
    .extends("BaseRtpEndpoint")
    .constructor(
        "Creates an endpoint that waits for negotiation.",
        [
            param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
            param("recvonly", "boolean", "Whether our own offers only want to receive.").default(false),
            param("sendonly", "boolean", "Whether our own offers only want to send.").default(false),
            param("useDataChannels", "boolean", "Whether data channels are offered and accepted.").default(false),
            param("certificateKeyType", "CertificateKeyType", "Kind of key wanted for the DTLS certificate.")
                .default("RSA"),
            param("qosDscp", "DSCPValue", "Class with which outgoing packets are marked for routers.")
                .default("NO_VALUE")
                .era(Era::Since7),
        ],
    )
    .event_of("OnIceCandidate", Era::Until7)
    .event("IceCandidateFound")
    .event_of("OnIceGatheringDone", Era::Until7)
    .event("IceGatheringDone")
    .event_of("IceComponentStateChanged", Era::Since7)
    .event_of("DtlsConnectionStateChange", Era::Since7)
    .event_of("DataChannelOpened", Era::Since7)
    .event_of("DataChannelClosed", Era::Since7)
    .event_of("OnIceComponentStateChanged", Era::Until7)
    .event_of("IceComponentStateChange", Era::Until7)
    .event_of("OnDataChannelOpened", Era::Until7)
    .event_of("DataChannelOpen", Era::Until7)
    .event_of("OnDataChannelClosed", Era::Until7)
    .event_of("DataChannelClose", Era::Until7)
    .event("NewCandidatePairSelected");
    methods(states(network(bare)))
}

fn network(class: Class) -> Class {
    class
        .property(
            property(
                "networkInterfaces",
                "String",
                "Names of the interfaces used for candidates, separated by commas; all if empty.",
            )
            .era(Era::Since7),
        )
        .property(
            property("iceTcp", "boolean", "Whether TCP candidates are gathered beside UDP ones.").era(Era::Since7),
        )
        .property(property("stunServerAddress", "String", "IP address of the STUN server; empty uses none."))
        .property(property("stunServerPort", "int", "Port of the STUN server."))
        .property(property(
            "turnUrl",
            "String",
            "TURN server as `user:password@address:port[?transport=udp|tcp|tls]`; empty uses none.",
        ))
        .property(
            property(
                "externalIPv4",
                "String",
                "IPv4 address put into local candidates in place of the machine's own; empty changes none.",
            )
            .era(Era::Since7),
        )
        .property(
            property(
                "externalIPv6",
                "String",
                "IPv6 address put into local candidates in place of the machine's own; empty changes none.",
            )
            .era(Era::Since7),
        )
}

fn states(class: Class) -> Class {
    class
        .property(
            property(
                "ICECandidatePairs",
                "IceCandidatePair[]",
                "The candidate pairs that were selected, one for each component.",
            )
            .read_only(),
        )
        .property(property("IceConnectionState", "IceConnection[]", "The ICE state of each component.").read_only())
        .property(
            property("DtlsConnectionState", "DtlsConnection[]", "The DTLS state of each component.")
                .read_only()
                .era(Era::Since7),
        )
}

fn methods(class: Class) -> Class {
    class
        .method(method(
            "gatherCandidates",
            "Starts to look for local candidates; error 40400 before an offer or answer was made.",
        ))
        .method(
            method("addIceCandidate", "Takes a candidate of the peer; text that is no candidate is error 40401.")
                .param(param("candidate", "IceCandidate", "The peer's candidate; empty text marks the end.")),
        )
        .method(
            method(
                "createDataChannel",
                "Opens a data channel when the association is up; error 40111 if none was negotiated.",
            )
            .param(param("label", "String", "Label told to the peer.").default(""))
            .param(param("ordered", "boolean", "Whether messages arrive in the order of sending.").default(true))
            .param(
                param(
                    "maxPacketLifeTime",
                    "int",
                    "How long a message is resent, in ms; -1 for no limit. Excludes `maxRetransmits`.",
                )
                .default(-1),
            )
            .param(
                param(
                    "maxRetransmits",
                    "int",
                    "How often a message is resent; -1 for no limit. Excludes `maxPacketLifeTime`.",
                )
                .default(-1),
            )
            .param(param("protocol", "String", "Sub-protocol told to the peer.").default("")),
        )
        .method(method("closeDataChannel", "Closes a data channel.").param(param(
            "channelId",
            "int",
            "Number of the SCTP stream that carries the channel.",
        )))
}
