//! `ZBarFilter`, which reads bar codes.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Event, Module, class, event, param};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(z_bar_filter()).event(code_found())
}

fn z_bar_filter() -> Class {
    class("ZBarFilter", "Reads bar codes and QR codes; the picture stays as it is.")
        .extends("Filter")
        .constructor(
            "Creates the filter.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.")],
        )
        .event("CodeFound")
}

fn code_found() -> Event {
    event("CodeFound", "A code was read; the same code in view is told once a second.")
        .extends("Media")
        .property(param("codeType", "String", "Symbology, such as `QR-Code` or `EAN-13`."))
        .property(param("value", "String", "The text in the code."))
}
