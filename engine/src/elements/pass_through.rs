//! `PassThrough` hands its input on unchanged. `HubPort` does the same twice: from the application's side into the hub, and
//! from the hub out to the application's side.

use crate::MediaKind;
use crate::graph::NodeSpec;
use crate::node::{DEFAULT, HUB, Input, Node, Outbox, PortSpec};

/// Output `p` carries what comes into input `p`; feedback goes the other way.
struct Wire;

impl Node for Wire {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { port, packet, .. } => out.media(port, packet),
            Input::Feedback { port, feedback } => out.feedback(port, feedback),
            Input::Command(_) | Input::Deadline => {}
        }
    }
}

/// Audio and video in, the same out; no data, as in Kurento.
pub fn pass_through(label: impl Into<String>) -> NodeSpec {
    let ports = vec![PortSpec::new(MediaKind::Audio, DEFAULT), PortSpec::new(MediaKind::Video, DEFAULT)];
    NodeSpec {
        class: "PassThrough",
        label: label.into(),
        inputs: ports.clone(),
        outputs: ports,
        build: Box::new(|_| Box::new(Wire)),
        worker: None,
    }
}

/// What is connected into the port goes to the hub; what the hub gives the port leaves it.
pub fn hub_port(label: impl Into<String>) -> NodeSpec {
    let ports = |description| MediaKind::ALL.map(|kind| PortSpec::new(kind, description));
    NodeSpec {
        class: "HubPort",
        label: label.into(),
        inputs: [ports(DEFAULT), ports(HUB)].concat(),
        outputs: [ports(HUB), ports(DEFAULT)].concat(),
        build: Box::new(|_| Box::new(Wire)),
        worker: None,
    }
}
