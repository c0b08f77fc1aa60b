//! Floor 1: coded to raw and raw to coded, by FFmpeg; RTP to coded and coded to RTP.
//!
//! Enters: packets of the graph. Leaves: packets of the graph in another form. It must never know a socket, SDP or JSON;
//! and nobody outside may see FFmpeg.
//!
//! `playout` puts packets in order and in time, `payload` takes frames out of them and puts them in, `coder` decodes and encodes,
//! `film` reads and writes files and streams, `convert` makes of all that the nodes that the graph puts in where formats differ.

pub mod coder;
pub mod convert;
pub mod film;
pub mod payload;
pub mod player;
pub mod playout;
pub mod recorder;
