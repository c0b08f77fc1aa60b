//! Files and streams of the network to coded media, and coded media to files, by FFmpeg's demuxers and muxers.
//!
//! Enters: a URI, or frames as [`Coded`](rivero_engine::Coded) describes them with their times. Leaves: the same of the other
//! kind. Everything here is a plain object that its caller drives on a thread of its own: calls may wait for a disk or a server,
//! though for a server never beyond a deadline ([`Interrupt`]). This room must never know the graph, a player or a recorder.
//!
//! - [`Reader`] takes tracks and their units out of whatever FFmpeg can read; [`TrackDecoder`] makes pictures and sound of any of
//!   them, also where [`Codec`] has no word for the coding.
//! - [`Writer`] makes a file that is whole at every moment: wherever a write breaks off, it plays up to a second before. `sheet` sees to that.
//! - [`Roots`] say where files may lie.
//!
//! `ffmpeg` holds all that touches FFmpeg's memory; outside of it stands no `unsafe`.

mod afterwards;
mod decoder;
mod error;
mod ffmpeg;
mod heads;
mod interrupt;
mod lane;
mod lengths;
mod place;
mod reader;
mod roots;
mod samples;
mod sheet;
mod stream;
mod writer;

pub use decoder::{Decoded, TrackDecoder};
pub use error::FilmError;
pub use interrupt::Interrupt;
pub use lane::WriterTrack;
pub use place::{Scheme, path_of};
pub use reader::{OpenOptions, Reader, RtspTransport, Track, Unit};
pub use roots::Roots;
pub use sheet::Medium;
pub use stream::{Claim, SpoolRoom};
pub use writer::{Format, Summary, Target, Writer, WriterOptions};
