//! `OpenCVFilter`, the base of picture filters of third parties.
//!
//! `declare` takes the module under assembly and hands it back with these rows. What they do is bound to them
//! elsewhere; nothing here knows it.

use crate::api::model::{Class, Module, class};

/// Adds the rows of this file to `module`.
pub fn declare(module: Module) -> Module {
    module.class(open_cv_filter())
}

fn open_cv_filter() -> Class {
    class("OpenCVFilter", "Base of filters that work on whole pictures in memory; third parties derive from it.")
        .extends("Filter")
        .is_abstract()
}
