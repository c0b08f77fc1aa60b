//! A call among enemies, on simulated time: somebody sends from anywhere whatever a wire can carry, and the media of those who
//! are connected goes on as if nothing had happened; nobody else is answered, and what is remembered is bounded.
//!
//! Seeds are fixed, so that every run is the same. The publisher and the viewer are those of the tests on loss.

#[allow(dead_code, reason = "shared with the tests on loss, which use all of it")]
#[path = "../loss/connection.rs"]
mod connection;
#[allow(dead_code, reason = "shared with the tests on loss, which use all of it")]
#[path = "../loss/publisher.rs"]
mod publisher;
#[allow(dead_code, reason = "shared with the tests on loss, which use all of it")]
#[path = "../loss/viewer.rs"]
mod viewer;

mod candidates;
mod ports;
mod reloads;
mod replays;
mod scene;
mod spoofed;
mod strangers;
mod vanished;
