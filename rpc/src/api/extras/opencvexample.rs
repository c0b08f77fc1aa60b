//! Module `opencvexample`: an example filter on the picture base class.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Era, Module, class, method, param};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("opencvexample", "An example filter on the picture base class.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(open_cv_example())
}

fn open_cv_example() -> Class {
    class("OpenCVExample", "Example filter on the picture base class that shows edges, or the picture in grey.")
        .extends("OpenCVFilter")
        .era(Era::Since7)
        .constructor(
            "Creates the filter.",
            [param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object.").is_final()],
        )
        .method(method("setFilterType", "Chooses what is shown.").param(param(
            "filterType",
            "int",
            "0 for edges, 1 for grey.",
        )))
        .method(method("setEdgeThreshold", "Sets how strong an edge must be.").param(param(
            "edgeValue",
            "int",
            "Threshold from 0 to 255.",
        )))
}
