//! Plays a film into the graph: what a [`Reel`] holds leaves in real time, as it is coded.
//!
//! Enters: orders (play, pause, stop, seek) and what a reel gives. Leaves: frames with their times on the pipeline's clock, which go on
//! without a step back through pause, seek and playing again; and what happened. It must never know who watches.
//!
//! The `projector` is a thread that reads ahead within bounds; the node never waits for it. A stream that has no end of its own and
//! breaks off is opened again (`outage`): Kurento leaves that to applications, which go on to work, as `play` and `stop` act at any
//! time; those that do nothing see their camera again.

mod film_reel;
mod lane;
mod node;
mod outage;
mod projector;
mod reel;
#[cfg(test)]
mod tests;

pub use film_reel::FilmReel;
pub use projector::OpenReel;
pub use reel::{Content, Frame, Reel, ReelInfo};

use crate::film::FilmError;
use node::PlayerNode;
use rivero_engine::graph::NodeSpec;
use rivero_engine::node::{DEFAULT, PortSpec};
use rivero_engine::{Clock, MediaKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Kurento's `UriEndpointState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PlayState {
    #[default]
    Stop,
    Start,
    Pause,
}

/// What a player's node is told.
pub enum PlayerCommand {
    Play,
    Pause,
    Stop,
    /// Answers whether it can be done.
    Seek {
        to: Duration,
        reply: oneshot::Sender<bool>,
    },
    Report {
        reply: oneshot::Sender<PlayerReport>,
    },
}

/// What a player's node tells.
#[derive(Debug)]
pub enum PlayerEvent {
    State(PlayState),
    /// All of it has been played.
    End,
    /// A stream without an end broke off. It goes on as soon as it comes back; until it does, nothing more is told.
    BrokeOff {
        why: FilmError,
    },
    /// It cannot be opened, or not be read any further.
    Failed {
        opened: bool,
        why: FilmError,
    },
}

#[derive(Clone, Debug, Default)]
pub struct PlayerReport {
    /// `None` until the reel is open.
    pub info: Option<ReelInfo>,
    /// Since the film's beginning.
    pub position: Duration,
    pub state: PlayState,
}

/// How to make a player's element. `delay`: how much later live media is played than it comes, so that what was late on its
/// way is not missed.
pub fn player(label: String, clock: Arc<dyn Clock>, open: OpenReel, delay: Duration) -> NodeSpec {
    let port = |kind| PortSpec::new(kind, DEFAULT);
    NodeSpec {
        class: "PlayerEndpoint",
        label,
        inputs: Vec::new(),
        outputs: vec![port(MediaKind::Audio), port(MediaKind::Video)],
        build: Box::new(move |_| Box::new(PlayerNode::new(clock, open, delay))),
        worker: None,
    }
}
