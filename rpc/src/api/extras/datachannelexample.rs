//! Module `datachannelexample`: faces and codes handed on as data. Some write `kmsdatachannelexample` before the dot.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Module, class, param};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("datachannelexample", "Examples of elements that speak through data.")
        .alias("kmsdatachannelexample")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(kms_detect_faces())
        .class(kms_show_faces())
        .class(kms_send_data())
        .class(kms_show_data())
}

fn kms_detect_faces() -> Class {
    class("KmsDetectFaces", "Finds faces and attaches their places to the frames.").extends("Filter").constructor(
        "Creates the filter.",
        [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
    )
}

fn kms_show_faces() -> Class {
    class("KmsShowFaces", "Draws a rectangle around each face that KmsDetectFaces found.")
        .extends("Filter")
        .constructor(
            "Creates the filter.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
        )
}

fn kms_send_data() -> Class {
    class("KmsSendData", "Reads bar codes and sends what they say as data messages.")
        .extends("MediaElement")
        .constructor(
            "Creates the element.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
        )
}

fn kms_show_data() -> Class {
    class("KmsShowData", "Draws the text of the data messages that arrive over the video.")
        .extends("MediaElement")
        .constructor(
            "Creates the element.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
        )
}
