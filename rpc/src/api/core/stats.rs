//! Statistics of elements and of RTP streams.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Complex, Era, Module, enumeration, param, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module
        .complex(stats_type())
        .complex(stats())
        .complex(media_latency_stat())
        .complex(element_stats())
        .complex(endpoint_stats())
        .complex(rtc_stats())
        .complex(rtcrtp_stream_stats())
        .complex(rtc_inbound_rtp_stream_stats())
        .complex(rtc_outbound_rtp_stream_stats())
}

fn stats_type() -> Complex {
    enumeration(
        "StatsType",
        "What a statistics object is about.",
        [
            "inboundrtp",
            "outboundrtp",
            "session",
            "datachannel",
            "track",
            "transport",
            "candidatepair",
            "localcandidate",
            "remotecandidate",
            "element",
            "endpoint",
        ],
    )
}

fn stats() -> Complex {
    register("Stats", "Base of all statistics objects.")
        .field(param("id", "String", "Id under which the object stands in the answer of `getStats`."))
        .field(param("type", "StatsType", "What the object is about."))
        .field(param("timestampMillis", "int64", "When it was read, in ms since 1970 (UTC).").era(Era::Since7))
        .field(param("timestamp", "double", "When it was read, in seconds since 1970 (UTC).").era(Era::Until7))
}

fn media_latency_stat() -> Complex {
    register("MediaLatencyStat", "An average latency.")
        .field(param("name", "String", "Name of the input, or of the path, that was measured."))
        .field(param("type", "MediaType", "The kind of media."))
        .field(param("avg", "double", "Moving average in ns; a new sample weighs one quarter."))
}

fn element_stats() -> Complex {
    register("ElementStats", "Statistics of an element.")
        .extends("Stats")
        .field(
            param("inputAudioLatency", "double", "Latency at the audio input in ns, as in early 6.x.").era(Era::Until7),
        )
        .field(
            param("inputVideoLatency", "double", "Latency at the video input in ns, as in early 6.x.").era(Era::Until7),
        )
        .field(param(
            "inputLatency",
            "MediaLatencyStat[]",
            "Latency from the sources to each input; empty unless the pipeline measures latencies.",
        ))
}

fn endpoint_stats() -> Complex {
    register("EndpointStats", "Statistics of an endpoint, which see the whole way through the pipeline.")
        .extends("ElementStats")
        .field(
            param("audioE2ELatency", "double", "End-to-end latency of audio in ns, as in early 6.x.").era(Era::Until7),
        )
        .field(
            param("videoE2ELatency", "double", "End-to-end latency of video in ns, as in early 6.x.").era(Era::Until7),
        )
        .field(param(
            "E2ELatency",
            "MediaLatencyStat[]",
            "Latency from entering the pipeline to leaving it here, for each path.",
        ))
}

fn rtc_stats() -> Complex {
    register("RTCStats", "Base of the statistics that follow the W3C's WebRTC draft.").extends("Stats")
}

fn rtcrtp_stream_stats() -> Complex {
    register("RTCRTPStreamStats", "What incoming and outgoing RTP streams have in common.")
        .extends("RTCStats")
        .field(param("ssrc", "String", "Synchronisation source of the stream, as decimal text."))
        .field(param("associateStatsId", "String", "Id of the statistics of the opposite direction; empty."))
        .field(param("isRemote", "boolean", "Whether the peer measured this; always false."))
        .field(param("mediaTrackId", "String", "Id of the track's statistics; empty."))
        .field(param("transportId", "String", "Id of the transport's statistics; empty."))
        .field(param("codecId", "String", "Id of the codec's statistics; empty."))
        .field(param("firCount", "int64", "Number of full intra requests (FIR)."))
        .field(param("pliCount", "int64", "Number of picture loss indications (PLI)."))
        .field(param("nackCount", "int64", "Number of negative acknowledgements (NACK)."))
        .field(param("sliCount", "int64", "Number of slice loss indications (SLI); always 0."))
        .field(param("remb", "int64", "Last bandwidth estimate (REMB) in bps; video only."))
        .field(param("packetsLost", "int64", "Number of packets lost."))
        .field(param("fractionLost", "double", "Losses of the last report interval, as a fraction."))
}

fn rtc_inbound_rtp_stream_stats() -> Complex {
    register("RTCInboundRTPStreamStats", "An RTP stream that the peer sends.")
        .extends("RTCRTPStreamStats")
        .field(param("packetsReceived", "int64", "Number of packets received."))
        .field(param("bytesReceived", "int64", "Payload received, in bytes."))
        .field(param("jitter", "double", "Variation of the arrival times, in seconds."))
}

fn rtc_outbound_rtp_stream_stats() -> Complex {
    register("RTCOutboundRTPStreamStats", "An RTP stream that is sent to the peer.")
        .extends("RTCRTPStreamStats")
        .field(param("packetsSent", "int64", "Number of packets sent."))
        .field(param("bytesSent", "int64", "Payload sent, in bytes."))
        .field(param("targetBitrate", "double", "Bitrate that the encoder aims at, in bps."))
        .field(param("roundTripTime", "double", "Time to the peer and back from RTCP reports, in seconds."))
}
