//! FFmpeg's memory, owned. Enters and leaves: the engine's pictures and sound, byte slices, numbers. What is here knows how to
//! hold FFmpeg's objects safely, and must never decide anything about media: that is for the rooms above.
#![allow(unsafe_code)]

mod amr;
mod context;
mod frame;
mod graph;
mod log;
mod swr;
mod sws;

pub(super) use amr::{AmrEncoder, has_amr_encoder};
pub(super) use context::{CodecContext, EncodedPacket, Received, VideoShape};
pub(super) use frame::{Frame, SampleLayout};
pub(super) use graph::FilterGraph;
pub(super) use swr::SoundConverter;
pub(super) use sws::PictureConverter;

use super::Cause;
use ffmpeg_next::ffi;
use std::ffi::CStr;

/// A zero or positive return value, or why not.
fn check(code: i32) -> Result<i32, Cause> {
    if code < 0 { Err(Cause(code)) } else { Ok(code) }
}

const OUT_OF_MEMORY: Cause = Cause(ffi::AVERROR(libc_enomem()));

const fn libc_enomem() -> i32 {
    ffmpeg_next::error::ENOMEM
}

pub(super) fn has_decoder(name: &CStr) -> bool {
    // SAFETY: the name is a C string, and FFmpeg's list of coders is constant.
    unsafe { !ffi::avcodec_find_decoder_by_name(name.as_ptr()).is_null() }
}

pub(super) fn has_encoder(name: &CStr) -> bool {
    // SAFETY: as above.
    unsafe { !ffi::avcodec_find_encoder_by_name(name.as_ptr()).is_null() }
}
