//! Half an hour against a server in memory: allocation, permission, channel and nonce end several times over.
//!
//! Enters: nothing. One peer and one relay exchange a datagram each every simulated second.

use rivero_engine::MediaTime;
use rivero_transport::net::nat::{Allocation, RelayError, RelayOutput, RelaySettings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use turn_server_proto::api::{Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::prelude::DelayedTransmitBuild;
use turn_server_proto::types::{Instant, TransportType};

const SECONDS: u64 = 1800;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn at(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

/// A relay, its server and one peer, in one thread, on a wire without delay.
struct World {
    now: MediaTime,
    allocation: Allocation,
    server: TurnServer,
    listens: SocketAddr,
    client: SocketAddr,
    peer: SocketAddr,
    relayed: SocketAddr,
    allocated: Option<SocketAddr>,
    /// Messages that the relay sent, by their first two bytes; channel data under 0x4000.
    sent: BTreeMap<u16, u32>,
    /// Requests of this kind never reach the server.
    lost: Option<u16>,
    at_peer: Vec<Vec<u8>>,
    at_relay: Vec<Vec<u8>>,
    failed: Option<RelayError>,
}

impl World {
    fn new(ipv6: bool, lost: Option<u16>) -> Self {
        let [listens, client, relayed, peer] = if ipv6 {
            ["[2001:db8::1]:3478", "[2001:db8::2]:5000", "[2001:db8::1]:40000", "[2001:db8::9]:7000"].map(address)
        } else {
            ["198.51.100.1:3478", "10.0.0.2:5000", "198.51.100.1:40000", "203.0.113.9:7000"].map(address)
        };
        let mut server = TurnServer::new(TransportType::Udp, listens, "realm".to_owned());
        server.add_user("user".to_owned(), "secret".to_owned());
        server.set_nonce_expiry_duration(Duration::from_secs(130));
        let now = at(0);
        let settings = RelaySettings { user: "user".to_owned(), password: "secret".to_owned(), stream: false, ipv6 };
        let allocation = Allocation::new(settings, now);
        World {
            now,
            allocation,
            server,
            listens,
            client,
            peer,
            relayed,
            allocated: None,
            sent: BTreeMap::new(),
            lost,
            at_peer: Vec::new(),
            at_relay: Vec::new(),
            failed: None,
        }
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(self.now.as_nanos() as i64 + 1_000_000_000)
    }

    fn serve(&mut self, bytes: Vec<u8>, from: SocketAddr, to: SocketAddr) {
        let now = self.instant();
        let reply = self.server.recv(Transmit::new(bytes, TransportType::Udp, from, to), now);
        let reply = reply.map(|reply| (reply.to, reply.data.build()));
        self.deliver(reply);
        if let TurnServerPollRet::AllocateSocket { transport, listen_addr, client_addr, allocation_transport, family } =
            self.server.poll(now)
        {
            let relayed = Ok(self.relayed);
            self.server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                relayed,
                now,
            );
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            self.deliver(Some((transmit.to, transmit.data)));
        }
    }

    fn deliver(&mut self, datagram: Option<(SocketAddr, Vec<u8>)>) {
        match datagram {
            Some((to, bytes)) if to == self.client => self.allocation.receive(self.now, &bytes),
            Some((to, bytes)) if to == self.peer => self.at_peer.push(bytes),
            Some((to, _)) => panic!("{to} is nobody"),
            None => {}
        }
    }

    /// Everything that is to happen until `until`. False when the relay has ended.
    fn run(&mut self, until: MediaTime) -> bool {
        loop {
            match self.allocation.poll(self.now) {
                RelayOutput::Transmit(bytes) => {
                    let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
                    *self.sent.entry(if kind >= 0x4000 { 0x4000 } else { kind }).or_default() += 1;
                    let known = self.allocated.is_some();
                    if self.lost != Some(kind) || !known {
                        self.serve(bytes, self.client, self.listens);
                    }
                }
                RelayOutput::Received { peer, bytes } => {
                    assert_eq!(peer, self.peer);
                    self.at_relay.push(bytes);
                }
                RelayOutput::Allocated { relayed, mapped } => {
                    assert_eq!((relayed, mapped), (self.relayed, Some(self.client)));
                    assert_eq!(self.allocated.replace(relayed), None);
                }
                RelayOutput::Failed(why) => {
                    self.failed = Some(why);
                    return false;
                }
                RelayOutput::Released => return false,
                RelayOutput::Wait(next) => match next.filter(|next| *next <= until) {
                    Some(next) => self.now = next,
                    None => {
                        self.now = until;
                        return true;
                    }
                },
            }
        }
    }

    /// A datagram each way a second, both of which must be media, numbered.
    fn exchange(&mut self, seconds: u64) -> bool {
        let datagram = |side: u8, second: u64| [&[0x80, side], second.to_be_bytes().as_slice()].concat();
        for second in 0..seconds {
            if !self.run(at(second * 1000)) {
                return false;
            }
            self.allocation.send(self.now, self.peer, &datagram(1, second));
            if !self.run(self.now) {
                return false;
            }
            self.serve(datagram(2, second), self.peer, self.relayed);
            if !self.run(self.now) {
                return false;
            }
        }
        for (side, arrived) in [(1, &self.at_peer), (2, &self.at_relay)] {
            let expected: Vec<_> = (0..seconds).map(|second| datagram(side, second)).collect();
            assert!(*arrived == expected, "side {side}: {} of {seconds} datagrams", arrived.len());
        }
        true
    }

    fn sent(&self, kind: u16) -> u32 {
        self.sent.get(&kind).copied().unwrap_or_default()
    }
}

#[test]
fn a_relay_lasts() {
    for ipv6 in [false, true] {
        let mut world = World::new(ipv6, None);
        assert!(world.exchange(SECONDS), "{:?}", world.failed);
        // Without them, nothing would have arrived after 300, 600 and 600 seconds; the server asked for a new nonce too.
        assert!(world.sent(4) >= 3, "refreshes: {:?}", world.sent);
        assert!(world.sent(8) >= 4, "permissions: {:?}", world.sent);
        assert!(world.sent(9) >= 3, "channels: {:?}", world.sent);
        assert!(u64::from(world.sent(0x4000)) > SECONDS - 5, "channel data: {:?}", world.sent);

        world.allocation.release(world.now);
        assert!(!world.run(world.now) && world.failed.is_none());
        let before = world.at_relay.len();
        world.serve(vec![0x80], world.peer, world.relayed);
        assert_eq!(world.at_relay.len(), before, "the server has forgotten it");
    }
}

/// The server does let things expire: this is what the test above would look like if nothing were refreshed.
#[test]
fn a_relay_that_cannot_be_refreshed_ends() {
    let mut world = World::new(false, Some(4));
    assert!(!world.exchange(SECONDS));
    assert!(matches!(world.failed, Some(RelayError::Lost)), "{:?}", world.failed);
    assert_eq!(world.now, at(600_000));
}
