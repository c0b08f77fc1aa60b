//! `RtpEndpoint`, for plain RTP and for SRTP with keys in the SDP.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Event, Module, class, enumeration, event, param, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(rtp_endpoint()).event(on_key_soft_limit()).complex(crypto_suite()).complex(sdes())
}

fn rtp_endpoint() -> Class {
    class("RtpEndpoint", "Exchanges audio and video with one plain RTP or SDES-SRTP peer.")
        .extends("BaseRtpEndpoint")
        .constructor(
            "Creates an endpoint that waits for negotiation.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("crypto", "SDES", "Keys for SRTP by SDES; plain RTP without a suite.")
                    .default(serde_json::json!({})),
                param("useIpv6", "boolean", "Whether to use IPv6 addresses in place of IPv4.").default(false),
            ],
        )
        .event("OnKeySoftLimit")
}

fn on_key_soft_limit() -> Event {
    event("OnKeySoftLimit", "The SRTP key of a stream has been used for nearly as long as is safe.")
        .extends("Media")
        .property(param("mediaType", "MediaType", "The kind of media."))
}

fn crypto_suite() -> Complex {
    enumeration(
        "CryptoSuite",
        "SRTP suites for SDES: key size of AES in counter mode, and tag size of HMAC-SHA1.",
        ["AES_128_CM_HMAC_SHA1_32", "AES_128_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80"],
    )
}

fn sdes() -> Complex {
    register("SDES", "Keys for SRTP that are exchanged in the SDP (RFC 4568); give at most one of the two key forms.")
        .field(
            param("key", "String", "Master key and salt as ASCII text: 30 characters for AES-128, 46 for AES-256.")
                .optional(),
        )
        .field(
            param("keyBase64", "String", "Master key and salt as base64: 30 bytes for AES-128, 46 for AES-256.")
                .optional(),
        )
        .field(param("crypto", "CryptoSuite", "The suite; none means plain RTP.").optional())
}
