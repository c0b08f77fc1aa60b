//! Statistics of the rest of a WebRTC session: channels, tracks, candidates, transports, certificates.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Complex, Module, enumeration, param, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .complex(rtc_codec())
        .complex(rtc_peer_connection_stats())
        .complex(rtc_media_stream_stats())
        .complex(rtc_media_stream_track_stats())
        .complex(rtc_data_channel_state())
        .complex(rtc_data_channel_stats())
        .complex(rtc_transport_stats())
        .complex(rtc_stats_ice_candidate_type())
        .complex(rtc_ice_candidate_attributes())
        .complex(rtc_stats_ice_candidate_pair_state())
        .complex(rtc_ice_candidate_pair_stats())
        .complex(rtc_certificate_stats())
}

fn rtc_codec() -> Complex {
    register("RTCCodec", "A codec in use.")
        .extends("RTCStats")
        .field(param("payloadType", "int64", "RTP payload type."))
        .field(param("codec", "String", "Media type of the codec, such as `video/VP8`."))
        .field(param("clockRate", "int64", "RTP clock rate in Hz."))
        .field(param("channels", "int64", "Number of audio channels."))
        .field(param("parameters", "String", "Format parameters from the SDP."))
}

fn rtc_peer_connection_stats() -> Complex {
    register("RTCPeerConnectionStats", "Totals of the whole connection.")
        .extends("RTCStats")
        .field(param("dataChannelsOpened", "int64", "Number of data channels opened so far."))
        .field(param("dataChannelsClosed", "int64", "Number of data channels closed so far."))
}

fn rtc_media_stream_stats() -> Complex {
    register("RTCMediaStreamStats", "A media stream as announced in the SDP.")
        .extends("RTCStats")
        .field(param("streamIdentifier", "String", "Identifier of the stream."))
        .field(param("trackIds", "String[]", "Ids of the statistics of its tracks."))
}

fn rtc_media_stream_track_stats() -> Complex {
    register("RTCMediaStreamTrackStats", "A track of a media stream.")
        .extends("RTCStats")
        .field(param("trackIdentifier", "String", "Identifier of the track."))
        .field(param("remoteSource", "boolean", "Whether the track comes from the peer."))
        .field(param("ssrcIds", "String[]", "Synchronisation sources of the track."))
        .field(param("frameWidth", "int64", "Width of the last frame in px."))
        .field(param("frameHeight", "int64", "Height of the last frame in px."))
        .field(param("framesPerSecond", "double", "Frame rate in frames per second."))
        .field(param("framesSent", "int64", "Number of frames sent."))
        .field(param("framesReceived", "int64", "Number of frames received."))
        .field(param("framesDecoded", "int64", "Number of frames decoded."))
        .field(param("framesDropped", "int64", "Number of frames dropped before display."))
        .field(param("framesCorrupted", "int64", "Number of frames found damaged."))
        .field(param("audioLevel", "double", "Loudness as a fraction of full scale."))
        .field(param("echoReturnLoss", "double", "Echo return loss in dB."))
        .field(param("echoReturnLossEnhancement", "double", "Gain of the echo canceller in dB."))
}

fn rtc_data_channel_state() -> Complex {
    enumeration("RTCDataChannelState", "Life of a data channel.", ["connecting", "open", "closing", "closed"])
}

fn rtc_data_channel_stats() -> Complex {
    register("RTCDataChannelStats", "A data channel.")
        .extends("RTCStats")
        .field(param("label", "String", "Label given at creation."))
        .field(param("protocol", "String", "Sub-protocol given at creation."))
        .field(param("datachannelid", "int64", "Number of the SCTP stream that carries the channel."))
        .field(param("state", "RTCDataChannelState", "Where the channel is in its life."))
        .field(param("messagesSent", "int64", "Number of messages sent."))
        .field(param("bytesSent", "int64", "Payload sent, in bytes."))
        .field(param("messagesReceived", "int64", "Number of messages received."))
        .field(param("bytesReceived", "int64", "Payload received, in bytes."))
}

fn rtc_transport_stats() -> Complex {
    register("RTCTransportStats", "A transport that carries media to and from the peer.")
        .extends("RTCStats")
        .field(param("bytesSent", "int64", "Payload sent, in bytes."))
        .field(param("bytesReceived", "int64", "Payload received, in bytes."))
        .field(param(
            "rtcpTransportStatsId",
            "String",
            "Id of the statistics of the separate RTCP transport, if there is one.",
        ))
        .field(param("activeConnection", "boolean", "Whether the transport is in use."))
        .field(param("selectedCandidatePairId", "String", "Id of the statistics of the candidate pair in use."))
        .field(param("localCertificateId", "String", "Id of the statistics of our certificate."))
        .field(param("remoteCertificateId", "String", "Id of the statistics of the peer's certificate."))
}

fn rtc_stats_ice_candidate_type() -> Complex {
    enumeration(
        "RTCStatsIceCandidateType",
        "Where an ICE candidate's address comes from.",
        ["host", "serverreflexive", "peerreflexive", "relayed"],
    )
}

fn rtc_ice_candidate_attributes() -> Complex {
    register("RTCIceCandidateAttributes", "An ICE candidate.")
        .extends("RTCStats")
        .field(param("ipAddress", "String", "Address of the candidate."))
        .field(param("portNumber", "int64", "Port of the candidate."))
        .field(param("transport", "String", "`udp` or `tcp`."))
        .field(param("candidateType", "RTCStatsIceCandidateType", "Where the address comes from."))
        .field(param("priority", "int64", "ICE priority."))
        .field(param("addressSourceUrl", "String", "STUN or TURN server that told the address."))
}

fn rtc_stats_ice_candidate_pair_state() -> Complex {
    enumeration(
        "RTCStatsIceCandidatePairState",
        "How far the connectivity check of a candidate pair has come.",
        ["frozen", "waiting", "inprogress", "failed", "succeeded", "cancelled"],
    )
}

fn rtc_ice_candidate_pair_stats() -> Complex {
    register("RTCIceCandidatePairStats", "A pair of a local and a remote ICE candidate.")
        .extends("RTCStats")
        .field(param("transportId", "String", "Id of the statistics of the transport."))
        .field(param("localCandidateId", "String", "Id of the statistics of our candidate."))
        .field(param("remoteCandidateId", "String", "Id of the statistics of the peer's candidate."))
        .field(param("state", "RTCStatsIceCandidatePairState", "How far the connectivity check has come."))
        .field(param("priority", "int64", "Priority of the pair."))
        .field(param("nominated", "boolean", "Whether the controlling side nominated the pair."))
        .field(param("writable", "boolean", "Whether a check that we sent was answered."))
        .field(param("readable", "boolean", "Whether a valid check of the peer arrived."))
        .field(param("bytesSent", "int64", "Payload sent, in bytes."))
        .field(param("bytesReceived", "int64", "Payload received, in bytes."))
        .field(param("roundTripTime", "double", "Time to the peer and back from STUN checks, in seconds."))
        .field(param("availableOutgoingBitrate", "double", "Estimated bandwidth to the peer, in bps."))
        .field(param("availableIncomingBitrate", "double", "Estimated bandwidth from the peer, in bps."))
}

fn rtc_certificate_stats() -> Complex {
    register("RTCCertificateStats", "A certificate used for DTLS.")
        .extends("RTCStats")
        .field(param("fingerprint", "String", "Digest of the certificate in hexadecimal bytes."))
        .field(param("fingerprintAlgorithm", "String", "Name of the digest, such as `sha-256`."))
        .field(param("base64Certificate", "String", "The certificate in DER form, as base64."))
        .field(param("issuerCertificateId", "String", "Id of the statistics of the issuer's certificate."))
}
