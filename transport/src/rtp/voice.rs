//! What we say to a peer by RTCP of what comes from it.
//!
//! Enters: reports, and whatever else is to be said. Leaves: one compound packet, sealed and sent. It must never know when.

use super::outgoing::Outgoing;
use crate::net::{LocalNet, Way};
use crate::rtcp::{self, ReportBlock};

pub(crate) struct Voice<'a> {
    net: &'a LocalNet,
    way: &'a Way,
    outgoing: &'a mut Outgoing,
    cname: &'a str,
}

impl<'a> Voice<'a> {
    /// `None` while there is no way to the peer, or no key.
    pub fn new(
        net: &'a LocalNet,
        way: Option<&'a Way>,
        outgoing: Option<&'a mut Outgoing>,
        cname: &'a str,
    ) -> Option<Self> {
        Some(Voice { net, way: way?, outgoing: outgoing?, cname })
    }

    /// Reports and our name stand before what is said (RFC 3550, section 6.1; RFC 4585, section 3.1). `ours` is the source that
    /// speaks.
    pub fn say(&mut self, ours: u32, reports: &[ReportBlock], write: impl FnOnce(&mut Vec<u8>)) {
        self.net.fill(|buffer| {
            self.outgoing.send_rtcp(self.way, buffer, |out| {
                rtcp::write_receiver_report(out, ours, reports);
                rtcp::write_cname(out, ours, self.cname);
                write(out);
            });
        });
    }
}
