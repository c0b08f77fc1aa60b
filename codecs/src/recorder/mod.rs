//! Records what the graph gives: frames go into a file as they are coded where its format takes that.
//!
//! Enters: frames with their times on the pipeline's clock, and orders (record, pause, stop). Leaves: a file that is whole at every
//! moment, and what happened. Paused time is cut out; all other gaps stay what they were, unless [`Gaps`] says otherwise. It must never know who is recorded.
//!
//! The `scribe` is a thread that writes; the node never waits for it, and bounds what waits for the disk.

mod gaps;
mod node;
mod profile;
mod scribe;
#[cfg(test)]
mod tests;

pub use gaps::Gaps;
pub use profile::Profile;
pub use scribe::{OpenTarget, Shelf};

use crate::film::{FilmError, Summary, WriterOptions};
use crate::player::PlayState;
use node::RecorderNode;
use rivero_engine::graph::NodeSpec;
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::{Element, MediaKind};
use tokio::sync::oneshot;

/// What a recorder's node is told.
pub enum RecorderCommand {
    Record,
    Pause,
    /// Answers when the file is complete.
    Stop {
        reply: Option<oneshot::Sender<()>>,
    },
    Report {
        reply: oneshot::Sender<RecorderReport>,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderReport {
    pub state: PlayState,
    /// Frames that wait for the disk.
    pub waiting: usize,
    /// Frames that were left out since the disk could not take them.
    pub left_out: u64,
}

/// What a recorder's node tells.
#[derive(Debug)]
pub enum RecorderEvent {
    /// `Start` once something is written.
    State(PlayState),
    /// What became of the file: told when it is complete, behind the state.
    Written(Summary),
    /// It ends before it was told to, or cannot be completed; told before the state.
    Failed {
        /// Whether there was a place to write to.
        opened: bool,
        why: FilmError,
    },
    /// Frames are left out since the disk cannot take them; told once.
    Late,
}

/// The inputs of a recorder's node.
const AUDIO: usize = 0;
const VIDEO: usize = 1;

/// How to make a recorder's element. Follow with [`take_what_fits`].
pub fn recorder(label: String, profile: Profile, open: OpenTarget, options: WriterOptions, gaps: Gaps) -> NodeSpec {
    let port = |kind| PortSpec::new(kind, DEFAULT);
    NodeSpec {
        class: "RecorderEndpoint",
        label,
        inputs: vec![port(MediaKind::Audio), port(MediaKind::Video)],
        outputs: Vec::new(),
        build: Box::new(move |_| Box::new(RecorderNode::new(profile, open, options, gaps))),
        worker: None,
    }
}

/// Says what a recorder takes, before anything is connected to it.
pub fn take_what_fits(element: &Element, profile: Profile) {
    element.take(AUDIO, profile.takes(MediaKind::Audio));
    element.take(VIDEO, profile.takes(MediaKind::Video));
}
