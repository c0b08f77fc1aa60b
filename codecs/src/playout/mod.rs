//! Between the network and a decoder: packets in order, their times on the pipeline's clock, and sound without holes or haste.
//!
//! Enters: RTP packets of the graph as the network delivered them, blocks of decoded samples, the time. Leaves: packets in order
//! with word of what is missing, times of presentation, and by how much sound must be stretched. It must never know a codec, a
//! socket or a library: numbers in, numbers out, and the time is always an argument.
//!
//! They stand one after another, and a stream has one of each: [`Reorder`] puts packets in order, [`Timeline`] says when each
//! was meant to be seen or heard, [`Together`] delays it to where its sender's other streams are, and, behind the decoder, [`Drift`] fits the samples of a foreign clock into ours.

mod drift;
#[cfg(test)]
mod hour;
mod patience;
mod reorder;
mod timeline;
mod together;

pub use drift::{Drift, Plan};
pub use reorder::{MAX_BYTES, MAX_PACKETS, Reorder, Step};
pub use timeline::{Mapped, Timeline};
pub use together::Together;
