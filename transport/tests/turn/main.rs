//! Relays and public addresses, against servers that are not ours.
//!
//! `minutes`: half an hour of simulated time against a TURN server in memory, which lets everything expire. `relays`:
//! real sockets against Debian's coturn, over UDP, TCP and TLS, IPv4 and IPv6. `sessions`: whole endpoints behind such relays.
//! `restarts`: those
//! endpoints when coturn crashes in mid-call. `reflexive`: endpoints behind a NAT, in simulated time. Tests that need coturn say `SKIPPED` where
//! it is not installed; `make test` installs it.

mod coturn;
#[path = "../house/mod.rs"]
mod house;
mod minutes;
mod reflexive;
mod relays;
mod restarts;
mod sessions;
