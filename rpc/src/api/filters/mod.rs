//! Module `filters`: the filters that every Kurento server has.
//!
//! `module` gathers the rows of the files below; what they do is bound to them elsewhere.

pub mod face_overlay_filter;
pub mod gstreamer_filter;
pub mod image_overlay_filter;
pub mod opencv_filter;
pub mod zbar_filter;

use super::assemble;
use super::model::Module;

/// The module with all its rows.
pub fn module() -> Module {
    let files: [fn(Module) -> Module; 5] = [
        face_overlay_filter::declare,
        image_overlay_filter::declare,
        gstreamer_filter::declare,
        opencv_filter::declare,
        zbar_filter::declare,
    ];
    assemble(Module::new("filters", "Filters that every server has.").imports("core").imports("elements"), &files)
}
