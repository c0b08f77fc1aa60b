//! TCP on a worker: its listening socket, opened when the first endpoint offers TCP, and the way of packets into sessions.
//!
//! Enters: packets, a batch a read. Leaves: the same, handed to their sessions, and what those send in answer. It must never
//! know what is in them beyond the user name of the first.

use super::{Admission, FrameReader, FrameTooLong, Receiver, TcpLink, TcpPort};
use crate::net::{LocalNet, Path, Route};
use crate::webrtc::WebRtcSession;
use std::cell::OnceCell;
use std::rc::Rc;

#[derive(Default)]
pub struct WorkerTcp {
    port: OnceCell<Option<Rc<TcpPort>>>,
    admission: Rc<Admission>,
}

impl LocalNet {
    /// The worker's listening socket: on the number of its UDP port if that is free, otherwise on another of the range. `None`
    /// when none is free. Call on the worker's runtime.
    pub fn tcp_port(self: &Rc<Self>) -> Option<Rc<TcpPort>> {
        self.tcp.port.get_or_init(|| self.listen()).clone()
    }

    fn listen(self: &Rc<Self>) -> Option<Rc<TcpPort>> {
        let port = match TcpPort::bind(self.settings.ports, self.shared_port().number()) {
            Ok(port) => Rc::new(port),
            Err(why) => {
                tracing::warn!("no TCP port of the configured range is free, peers are offered UDP alone: {why}");
                return None;
            }
        };
        tracing::info!(port = port.number(), "media worker listens on a TCP port");
        let (serving, admission, net) = (port.clone(), self.tcp.admission.clone(), self.clone());
        tokio::task::spawn_local(async move { serving.serve(admission, net).await });
        Some(port)
    }
}

impl Receiver for LocalNet {
    fn owner(&self, first: &[u8]) -> Option<Route> {
        let route = self.demux.borrow().find_name(first);
        if route.is_none() {
            self.strangers.set(self.strangers.get() + 1);
        }
        route
    }

    fn receive(
        &self,
        link: &Rc<TcpLink>,
        (node, transport): Route,
        frames: &mut FrameReader,
    ) -> Result<(), FrameTooLong> {
        let Some(shard) = self.shard.borrow().upgrade() else { return Ok(()) };
        let mut shard = shard.borrow_mut();
        let before = shard.next_deadline();
        let path = Path::Tcp(link.clone());
        let outcome = loop {
            match frames.next_frame() {
                Ok(Some(frame)) => shard.enter::<WebRtcSession, _>(node, |session, out| {
                    session.receive(transport, &path, link.remote(), link.local(), frame, out);
                }),
                Ok(None) => break Ok(()),
                Err(why) => break Err(why),
            };
        };
        shard.run();
        self.flush();
        if shard.next_deadline() != before {
            self.rearm.notify_one();
        }
        outcome
    }
}
