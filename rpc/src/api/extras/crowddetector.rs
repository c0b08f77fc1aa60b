//! Module `crowddetector`: how full regions are and how people move in them.
//!
//! `module` gives the rows; what they do is bound to them elsewhere, and nothing here knows it.

use crate::api::model::{Class, Complex, Event, Module, class, event, param, property, register};

/// The module with all its rows.
pub fn module() -> Module {
    Module::new("crowddetector", "Measures crowds.")
        .imports("core")
        .imports("elements")
        .imports("filters")
        .class(crowd_detector_filter())
        .complex(region_of_interest())
        .complex(relative_point())
        .complex(region_of_interest_config())
        .event(crowd_detector_fluidity())
        .event(crowd_detector_occupancy())
        .event(crowd_detector_direction())
}

fn crowd_detector_filter() -> Class {
    class("CrowdDetectorFilter", "Measures how full regions of the picture are, how people move in them, and whither.")
        .extends("Filter")
        .constructor(
            "Creates the filter; a region without a legal id is error 40107.",
            [
                param("mediaPipeline", "MediaPipeline", "The pipeline that owns the new object."),
                param("rois", "RegionOfInterest[]", "The regions to watch."),
            ],
        )
        // Kurento writes this default as the text "320"; a number is what the type says.
        .property(
            property("processingWidth", "int", "Width at which frames are analysed, in px, from 160 to 1280.")
                .default(320),
        )
        .event("CrowdDetectorFluidity")
        .event("CrowdDetectorOccupancy")
        .event("CrowdDetectorDirection")
}

fn region_of_interest() -> Complex {
    register("RegionOfInterest", "A region to watch.")
        .field(param("points", "RelativePoint[]", "Corners of its polygon."))
        .field(param("regionOfInterestConfig", "RegionOfInterestConfig", "Thresholds for its events."))
        .field(param("id", "String", "Name of the region, beginning with a letter."))
}

fn relative_point() -> Complex {
    register("RelativePoint", "A point in the picture.")
        .field(param("x", "float", "Distance from the left as a fraction of the frame's width."))
        .field(param("y", "float", "Distance from the top as a fraction of the frame's height."))
}

fn region_of_interest_config() -> Complex {
    register("RegionOfInterestConfig", "Thresholds for the events of a region.")
        .field(param("occupancyLevelMin", "int", "Occupancy above which the level is 1, in percent.").default(10))
        .field(param("occupancyLevelMed", "int", "Occupancy above which the level is 2, in percent.").default(35))
        .field(param("occupancyLevelMax", "int", "Occupancy above which the level is 3, in percent.").default(65))
        .field(
            param(
                "occupancyNumFramesToEvent",
                "int",
                "Number of consecutive frames at a new occupancy level before its event.",
            )
            .default(5),
        )
        .field(param("fluidityLevelMin", "int", "Fluidity above which the level is 1, in percent.").default(10))
        .field(param("fluidityLevelMed", "int", "Fluidity above which the level is 2, in percent.").default(35))
        .field(param("fluidityLevelMax", "int", "Fluidity from which the level is 3, in percent.").default(65))
        .field(
            param(
                "fluidityNumFramesToEvent",
                "int",
                "Number of consecutive frames at a new fluidity level before its event.",
            )
            .default(5),
        )
        .field(
            param("sendOpticalFlowEvent", "boolean", "Whether directions of movement are computed and told.")
                .default(false),
        )
        .field(
            param("opticalFlowNumFramesToEvent", "int", "Number of frames with a new direction before its event.")
                .default(3),
        )
        .field(
            param(
                "opticalFlowNumFramesToReset",
                "int",
                "Number of frames without movement after which the direction is forgotten.",
            )
            .default(3),
        )
        .field(param("opticalFlowAngleOffset", "int", "Turn of the four directions, in degrees.").default(0))
}

fn crowd_detector_fluidity() -> Event {
    event("CrowdDetectorFluidity", "The level of fluidity of a region changed.")
        .extends("Media")
        .property(param("fluidityPercentage", "float", "Share of the people who stand still, in percent."))
        .property(param("fluidityLevel", "int", "Level from 0 to 3."))
        .property(param("roiId", "String", "The `id` of the region."))
}

fn crowd_detector_occupancy() -> Event {
    event("CrowdDetectorOccupancy", "The level of occupancy of a region changed.")
        .extends("Media")
        .property(param("occupancyPercentage", "float", "Share of the region that is occupied, in percent."))
        .property(param("occupancyLevel", "int", "Level from 0 to 3."))
        .property(param("roiId", "String", "The `id` of the region."))
}

fn crowd_detector_direction() -> Event {
    event("CrowdDetectorDirection", "The main direction of movement in a region changed.")
        .extends("Media")
        .property(param("directionAngle", "float", "Direction in degrees."))
        .property(param("roiId", "String", "The `id` of the region."))
}
