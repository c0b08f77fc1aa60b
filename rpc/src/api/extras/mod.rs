//! The modules beside the three basic ones: detectors, examples and the sampler, each under a name of its own.
//!
//! What they do is bound to them elsewhere, and a server may leave any of them without a factory.

pub mod chroma;
pub mod crowddetector;
pub mod datachannelexample;
pub mod gstreamerexample;
pub mod markerdetector;
pub mod opencvexample;
pub mod platedetector;
pub mod pointerdetector;
pub mod videosampler;

use super::model::Module;

/// All extra modules, by name.
pub fn modules() -> Vec<Module> {
    vec![
        chroma::module(),
        crowddetector::module(),
        datachannelexample::module(),
        gstreamerexample::module(),
        markerdetector::module(),
        opencvexample::module(),
        platedetector::module(),
        pointerdetector::module(),
        videosampler::module(),
    ]
}
