//! Module `videosampler`: pictures taken from a video and delivered.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Complex, Era, Event, Module, class, enumeration, event, param};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("videosampler", "Samples pictures from video.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(video_sampler())
        .event(sample_image_delivered())
        .complex(image_delivery())
        .complex(image_encoding())
}

fn video_sampler() -> Class {
    class("VideoSampler", "Takes pictures from the video at a fixed period and delivers them to a gRPC service.")
        .extends("MediaElement")
        .era(Era::Since7)
        .constructor(
            "Creates the sampler, which starts with the video.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("framePeriod", "int", "Time between two samples, in ms."),
                param("imageDeliveryMethod", "ImageDelivery", "How samples are delivered.").default("NONE"),
                param("height", "int", "Height of a sample in px; 0 follows the width or the video.").default(0),
                param("width", "int", "Width of a sample in px; 0 follows the height or the video.").default(0),
                param("imageEncoding", "ImageEncoding", "Image format of a sample.").default("PNG"),
                param("endpointUrl", "String", "Host and port of the receiving service; empty delivers nothing.")
                    .default(""),
                param("metadata", "String", "Text sent along with each sample.").default(""),
            ],
        )
        .event("SampleImageDelivered")
}

fn sample_image_delivered() -> Event {
    event("SampleImageDelivered", "The delivery of a sample was attempted.")
        .extends("Media")
        .era(Era::Since7)
        .property(param("delivered", "boolean", "Whether the receiver took it."))
}

fn image_delivery() -> Complex {
    enumeration("ImageDelivery", "How samples are delivered.", ["NONE", "GRPC"]).era(Era::Since7)
}

fn image_encoding() -> Complex {
    enumeration("ImageEncoding", "Image formats of samples.", ["PNG", "JPEG", "BMP", "PBM", "PPM"]).era(Era::Since7)
}
