//! Floor 1: coded to raw and raw to coded, RTP to frames and frames to RTP, files to media and media to files, by FFmpeg.
//!
//! Enters: packets of the graph, films. Leaves: packets of the graph in another form, recordings. It must never know SDP, JSON, or
//! a socket other than those that FFmpeg opens to fetch a film; and nobody outside may see FFmpeg.
//!
//! `playout` puts packets in order and in time, `payload` takes frames out of them and puts them in, `coder` decodes and encodes,
//! `film` reads and writes files and streams. Of these are made: the nodes of `convert`, which the graph puts in where formats
//! differ, and the elements of `player` and `recorder`.

pub mod coder;
pub mod convert;
pub mod film;
pub mod payload;
pub mod player;
pub mod playout;
pub mod recorder;
