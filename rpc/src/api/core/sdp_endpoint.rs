//! `SdpEndpoint`, which negotiates by offer and answer.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Complex, Era, Module, class, method, param, property, register};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(sdp_endpoint()).complex(offer_options()).complex(codec_configuration())
}

fn sdp_endpoint() -> Class {
    class("SdpEndpoint", "A session endpoint that agrees on its media by SDP, one offer and one answer in its life.")
        .extends("SessionEndpoint")
        .is_abstract()
        .property(property(
            "maxAudioRecvBandwidth",
            "int",
            "Audio limit announced to the peer, in kbps; 0 announces none. Set it before negotiation.",
        ))
        .property(property(
            "maxVideoRecvBandwidth",
            "int",
            "Video limit announced to the peer, in kbps; 0 announces none. Set it before negotiation.",
        ))
        .method(
            method("generateOffer", "Makes the offer; a second negotiation is error 40208.")
                .param(
                    param("options", "OfferOptions", "Which kinds of media to offer; audio and video if absent.")
                        .optional()
                        .era(Era::Since7),
                )
                .returns("String", "The offer as SDP text."),
        )
        .method(
            method(
                "processOffer",
                "Takes the peer's offer; text that is not SDP is error 40201, a second negotiation 40208.",
            )
            .param(param("offer", "String", "The peer's SDP text."))
            .returns("String", "Our answer as SDP text."),
        )
        .method(
            method("processAnswer", "Takes the peer's answer to our offer; without an offer that is error 40209.")
                .param(param("answer", "String", "The peer's SDP text."))
                .returns("String", "Our own description after negotiation, as SDP text."),
        )
        .method(
            method(
                "getLocalSessionDescriptor",
                "Reads our own description with the candidates found so far; error 40202 before negotiation.",
            )
            .returns("String", "SDP text."),
        )
        .method(
            method("getRemoteSessionDescriptor", "Reads the peer's description; error 40203 before negotiation.")
                .returns("String", "SDP text."),
        )
}

fn offer_options() -> Complex {
    register("OfferOptions", "What a generated offer shall contain.")
        .era(Era::Since7)
        .field(param("offerToReceiveAudio", "boolean", "Whether the offer has an audio section.").default(true))
        .field(param("offerToReceiveVideo", "boolean", "Whether the offer has a video section.").default(true))
}

fn codec_configuration() -> Complex {
    register("CodecConfiguration", "A codec that may be negotiated, with its settings.")
        // 6.8 requires `name`; optional as in 7.3, which no client of 6.8 notices.
        .field(
            param("name", "String", "Codec with clock rate and channels as in SDP, such as `opus/48000/2`.").optional(),
        )
        .field(param("properties", "String<>", "Settings of the codec by name.").optional())
}
