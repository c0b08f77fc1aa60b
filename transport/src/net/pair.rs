//! Pairs of ports for one RTP session: what arrives there is the session's, whoever it comes from.
//!
//! Enters: datagrams at a port of the pair. Leaves: the same at the node, with the line and whether it is the port of RTCP. It
//! must never judge who may send.

use super::local::{LocalNet, OwnPort, random_u16};
use super::port::UdpPort;
use crate::rtp_endpoint::RtpSession;
use rivero_engine::NodeId;
use std::io;
use std::rc::Rc;
use tokio::task::JoinHandle;

/// An even port for RTP and the odd one after it for RTCP, closed when dropped.
pub struct PortPair {
    pub rtp: OwnPort,
    pub rtcp: OwnPort,
}

impl LocalNet {
    /// Opens the ports of one line of a session.
    ///
    /// Errors: no pair of the range is free.
    pub fn open_pair(self: &Rc<Self>, node: NodeId, line: usize) -> io::Result<PortPair> {
        let (rtp, rtcp) = UdpPort::bind_pair(self.settings.ports, random_u16())?;
        let open = |port: UdpPort, is_rtcp| {
            let port = Rc::new(port);
            let receiving = self.receive_pair(port.clone(), node, line, is_rtcp);
            OwnPort { port, receiving }
        };
        Ok(PortPair { rtp: open(rtp, false), rtcp: open(rtcp, true) })
    }

    fn receive_pair(self: &Rc<Self>, port: Rc<UdpPort>, node: NodeId, line: usize, is_rtcp: bool) -> JoinHandle<()> {
        let net = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                port.readable().await;
                if net.receive_pair_turn(&port, node, line, is_rtcp) {
                    tokio::task::yield_now().await;
                }
            }
        })
    }

    /// As `LocalNet::receive_turn`, without looking for whose it is.
    fn receive_pair_turn(&self, port: &Rc<UdpPort>, node: NodeId, line: usize, is_rtcp: bool) -> bool {
        self.receive_batches(port, |shard, source, destination, bytes| {
            shard.enter::<RtpSession, _>(node, |session, out| {
                session.receive(line, is_rtcp, source, destination, bytes, out);
            });
        })
    }
}
