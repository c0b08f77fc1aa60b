//! How fast video may come and go, by REMB (draft-alvestrand-rmcat-remb-03) and the rules of Kurento.
//!
//! Enters: what an application allows ([`BandwidthLimits`], [`RembParams`]), what arrived in an interval, what consumers wish, what a
//! peer tells by REMB. Leaves: the bitrate to ask of a publisher, the bitrate to tell west of a viewer. It must never know a clock, a
//! packet or a session.
//!
//! Three parts: [`ReceiveRate`] estimates what a publisher's path carries, with [`Reception`] counting what arrives of it;
//! [`SendRate`] is what a viewer's path carries, as the viewer says; the engine merges what all viewers of an output say
//! (`rivero_engine::bitrate`), and [`advertise`] puts the parts together.

mod receiver;
mod reception;
mod sender;

pub use receiver::{Interval, ReceiveRate, advertise};
pub use reception::Reception;
pub use sender::SendRate;

/// Nobody is ever asked for less, in bps.
pub const LEAST: u32 = 30_000;

/// What an application allows for video, in kbps; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthLimits {
    pub min_recv_kbps: u32,
    pub max_recv_kbps: u32,
    pub min_send_kbps: u32,
    pub max_send_kbps: u32,
}

/// As Kurento begins.
impl Default for BandwidthLimits {
    fn default() -> Self {
        BandwidthLimits { min_recv_kbps: 0, max_recv_kbps: 0, min_send_kbps: 100, max_send_kbps: 500 }
    }
}

impl BandwidthLimits {
    /// bps; the minimum never goes above the maximum.
    fn recv(&self) -> (u64, u64) {
        range(self.min_recv_kbps, self.max_recv_kbps)
    }

    fn send(&self) -> (u64, u64) {
        range(self.min_send_kbps, self.max_send_kbps)
    }
}

fn range(min_kbps: u32, max_kbps: u32) -> (u64, u64) {
    let most = if max_kbps == 0 { u64::MAX } else { u64::from(max_kbps) * 1000 };
    ((u64::from(min_kbps) * 1000).min(most), most)
}

/// Kurento's `RembParams`: how the estimate of a publisher's path grows and shrinks. Any values are taken; what makes no sense has
/// no sensible effect, and does no harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RembParams {
    /// Packets over which the record of losses is averaged.
    pub packets_recv_interval_top: u32,
    /// Growth in a step while below the threshold.
    pub exponential_factor: f32,
    /// The smallest growth in a step above it, in bps.
    pub lineal_factor_min: u32,
    /// Steps from the threshold back to where losses began. (Kurento reads this setting, and then goes on with 30.)
    pub lineal_factor_grade: f32,
    /// What is left of the estimate after heavy losses.
    pub decrement_factor: f32,
    /// Where the threshold is set after losses, as a part of the estimate.
    pub threshold_factor: f32,
    /// Losses up to this, in 256ths, are no reason to go down.
    pub up_losses: u32,
    /// What a viewer's path is taken to carry until the viewer has proved otherwise, in bps.
    pub remb_on_connect: u32,
}

impl Default for RembParams {
    fn default() -> Self {
        RembParams {
            packets_recv_interval_top: 100,
            exponential_factor: 0.04,
            lineal_factor_min: 50,
            lineal_factor_grade: 30.0,
            decrement_factor: 0.5,
            threshold_factor: 0.8,
            up_losses: 12,
            remb_on_connect: 300_000,
        }
    }
}
