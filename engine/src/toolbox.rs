//! The converters that floors above give to the engine at start: "from these caps to those". The engine joins them to one chain
//! between a source and whoever wants another format of it; how they work is no business of this room.

use crate::Caps;
use crate::node::PortSpec;
use crate::shard::Build;

/// Kurento's bitrates of an element's encoders, in bps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingSettings {
    /// What an encoder begins with.
    pub bitrate: u32,
    pub min: u32,
    /// [`u32::MAX`] stands for no limit.
    pub max: u32,
}

impl Default for CodingSettings {
    fn default() -> Self {
        CodingSettings { bitrate: 300_000, min: 0, max: u32::MAX }
    }
}

/// One converter of a chain: a node with one input and one output.
pub struct Step {
    /// For drawings and logs.
    pub class: &'static str,
    pub port: PortSpec,
    /// What comes out.
    pub to: Caps,
    /// It decodes or encodes, rather than packing the same media differently.
    pub transcodes: bool,
    /// How much of a core it takes compared to others, for placing.
    pub weight: u32,
}

/// Converts nothing.
#[derive(Debug)]
pub struct EmptyToolbox;

impl Toolbox for EmptyToolbox {
    fn steps(&self, _from: &Caps, _to: &Caps) -> Option<Vec<Step>> {
        None
    }

    fn build(&self, _from: &Caps, _to: &Caps, _settings: CodingSettings) -> Build {
        Box::new(|_| unreachable!("nobody asks for what is not offered"))
    }
}

/// What can be converted, and by what. Called on the control side.
pub trait Toolbox: Send + Sync {
    /// The chain from these caps to those, in order; `None` when there is none. Never empty.
    fn steps(&self, from: &Caps, to: &Caps) -> Option<Vec<Step>>;

    /// Makes the node of a step. It takes [`CodingSettings`] as a command.
    fn build(&self, from: &Caps, to: &Caps, settings: CodingSettings) -> Build;
}
