//! RTP payload formats.
