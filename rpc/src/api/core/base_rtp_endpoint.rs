//! `BaseRtpEndpoint`, the base of what sends and receives RTP.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Module, class, enumeration, method, param, property, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(base_rtp_endpoint()).complex(remb_params()).complex(media_state()).complex(connection_state())
}

fn base_rtp_endpoint() -> Class {
    class(
        "BaseRtpEndpoint",
        "An SDP endpoint whose media travels as RTP, with RTCP feedback and REMB congestion control.",
    )
    .extends("SdpEndpoint")
    .is_abstract()
    .property(property(
        "minVideoRecvBandwidth",
        "int",
        "Floor of the bandwidth estimate that is sent to the peer, in kbps.",
    ))
    .property(property(
        "minVideoSendBandwidth",
        "int",
        "Floor of what is sent to the peer, whatever it estimates, in kbps.",
    ))
    .property(property(
        "maxVideoSendBandwidth",
        "int",
        "Ceiling of what is sent to the peer, whatever it estimates, in kbps; 0 sets none.",
    ))
    .property(
        property("mediaState", "MediaState", "Whether RTCP shows that media is exchanged with the peer.").read_only(),
    )
    .property(
        property("connectionState", "ConnectionState", "Whether every transport to the peer is ready for media.")
            .read_only(),
    )
    .property(property("mtu", "int", "Size that an outgoing RTP packet shall not exceed, in bytes.").era(Era::Since7))
    .property(property("rembParams", "RembParams", "Tuning of the bandwidth estimator. Set it before negotiation."))
    .method(
        method(
            "requestKeyframe",
            "Asks the source of the video sent here for a key frame; error 40111 if no video is sent.",
        )
        .era(Era::Since7),
    )
    .event("MediaStateChanged")
    .event("ConnectionStateChanged")
}

fn remb_params() -> Complex {
    register("RembParams", "Tuning of the bandwidth estimator that speaks REMB with the peer.")
        .field(param("packetsRecvIntervalTop", "int", "Number of packets over which losses are averaged.").default(100))
        .field(
            param(
                "exponentialFactor",
                "float",
                "Growth of the estimate per step while below the threshold, as a fraction.",
            )
            .default(0.04),
        )
        .field(
            param(
                "linealFactorMin",
                "int",
                "Smallest growth per step while above the threshold, in bps; 50 unless set.",
            )
            .optional(),
        )
        .field(
            param(
                "linealFactorGrade",
                "float",
                "Number of steps in which the estimate climbs from the threshold back to its last top.",
            )
            .default(30),
        )
        .field(
            param("decrementFactor", "float", "Fraction to which the estimate falls when losses are too many.")
                .default(0.5),
        )
        .field(
            param("thresholdFactor", "float", "Threshold between fast and slow growth, as a fraction of the last top.")
                .default(0.8),
        )
        .field(param("upLosses", "int", "Losses tolerated without a decrease, in 1/256 of the packets.").default(12))
        .field(
            param("rembOnConnect", "int", "Estimate assumed of the peer until it has proved its own, in bps.")
                .default(300000),
        )
}

fn media_state() -> Complex {
    enumeration("MediaState", "Whether media is exchanged with the peer.", ["DISCONNECTED", "CONNECTED"])
}

fn connection_state() -> Complex {
    enumeration("ConnectionState", "Whether the transports to the peer are ready.", ["DISCONNECTED", "CONNECTED"])
}
