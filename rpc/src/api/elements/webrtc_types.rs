//! Candidates, states, keys and packet marks of `WebRtcEndpoint`.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Complex, Era, Module, enumeration, param, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .complex(ice_candidate())
        .complex(ice_candidate_pair())
        .complex(ice_component_state())
        .complex(ice_connection())
        .complex(certificate_key_type())
        .complex(dtls_connection_state())
        .complex(dtls_connection())
        .complex(dscp_value())
}

fn ice_candidate() -> Complex {
    register("IceCandidate", "An ICE candidate as browsers exchange it.")
        .field(param("candidate", "String", "The candidate in SDP form, beginning with `candidate:`."))
        .field(param("sdpMid", "String", "Identifier (`mid`) of the media section it belongs to."))
        .field(param("sdpMLineIndex", "int", "Place of that media section in the SDP, from 0."))
}

fn ice_candidate_pair() -> Complex {
    register("IceCandidatePair", "A pair of candidates over which a component sends and receives.")
        .field(param("streamId", "String", "Number of the ICE stream, as text.").era(Era::Since7))
        .field(param("componentId", "int", "Component of the stream: 1 for RTP, 2 for RTCP.").era(Era::Since7))
        .field(param("streamID", "String", "6.x spelling of `streamId`.").era(Era::Until7))
        .field(param("componentID", "int", "6.x spelling of `componentId`.").era(Era::Until7))
        .field(param("localCandidate", "String", "Our candidate in SDP form."))
        .field(param("remoteCandidate", "String", "The peer's candidate in SDP form."))
}

fn ice_component_state() -> Complex {
    enumeration(
        "IceComponentState",
        "How far ICE has come for a component; READY and FAILED need not be final.",
        ["DISCONNECTED", "GATHERING", "CONNECTING", "CONNECTED", "READY", "FAILED"],
    )
}

fn ice_connection() -> Complex {
    register("IceConnection", "The ICE state of a component.")
        .field(param("streamId", "String", "Number of the ICE stream, as text."))
        .field(param("componentId", "int", "Component of the stream: 1 for RTP, 2 for RTCP."))
        .field(param("state", "IceComponentState", "How far ICE has come."))
}

fn certificate_key_type() -> Complex {
    enumeration("CertificateKeyType", "Kind of key in a DTLS certificate.", ["RSA", "ECDSA"])
}

fn dtls_connection_state() -> Complex {
    enumeration(
        "DtlsConnectionState",
        "How far the DTLS handshake has come.",
        ["NEW", "CLOSED", "FAILED", "CONNECTING", "CONNECTED"],
    )
    .era(Era::Since7)
}

fn dtls_connection() -> Complex {
    register("DtlsConnection", "The DTLS state of a component.")
        .era(Era::Since7)
        .field(param("streamId", "String", "Number of the ICE stream, as text."))
        .field(param("componentId", "String", "Label of the component."))
        .field(param("connectionId", "String", "Label of the DTLS connection."))
        .field(param("state", "DtlsConnectionState", "How far the handshake has come."))
}

fn dscp_value() -> Complex {
    enumeration(
        "DSCPValue",
        "Marks for outgoing packets; NO_VALUE defers to the configuration, NO_DSCP marks none.",
        [
            "NO_DSCP",
            "NO_VALUE",
            "AUDIO_VERYLOW",
            "AUDIO_LOW",
            "AUDIO_MEDIUM",
            "AUDIO_HIGH",
            "VIDEO_VERYLOW",
            "VIDEO_LOW",
            "VIDEO_MEDIUM",
            "VIDEO_MEDIUM_THROUGHPUT",
            "VIDEO_HIGH",
            "VIDEO_HIGH_THROUGHPUT",
            "DATA_VERYLOW",
            "DATA_LOW",
            "DATA_MEDIUM",
            "DATA_HIGH",
            "CHROME_HIGH",
            "CHROME_MEDIUM",
            "CHROME_LOW",
            "CHROME_VERYLOW",
            "CS0",
            "CS1",
            "CS2",
            "CS3",
            "CS4",
            "CS5",
            "CS6",
            "CS7",
            "AF11",
            "AF12",
            "AF13",
            "AF21",
            "AF22",
            "AF23",
            "AF31",
            "AF32",
            "AF33",
            "AF41",
            "AF42",
            "AF43",
            "EF",
            "VOICEADMIT",
            "LE",
        ],
    )
    .era(Era::Since7)
}
