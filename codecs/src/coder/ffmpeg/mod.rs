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
mod vpx;

pub(super) use amr::{AmrDecoder, AmrEncoder, has_amr_encoder};
pub(crate) use context::{CodecContext, Received};
pub(super) use context::{EncodedPacket, VideoShape};
pub(crate) use frame::Frame;
pub(super) use frame::SampleLayout;
pub(super) use graph::FilterGraph;
pub(crate) use log::redirect as redirect_log;
pub(crate) use swr::SoundConverter;
pub(crate) use sws::PictureConverter;
pub(super) use vpx::{VpxEncoder, has_vpx_encoder};

use super::Cause;
use ffmpeg_next::ffi;
use std::ffi::CStr;

/// A zero or positive return value, or why not.
fn check(code: i32) -> Result<i32, Cause> {
    if code < 0 { Err(Cause(code)) } else { Ok(code) }
}

const OUT_OF_MEMORY: Cause = Cause(ffi::AVERROR(ffmpeg_next::error::ENOMEM));

/// FFmpeg's text for an error code.
pub(super) fn describe(code: i32) -> String {
    let mut text = [0; ffi::AV_ERROR_MAX_STRING_SIZE];
    // SAFETY: the room is as long as said, and FFmpeg ends the text with a zero whether it knows the code or not.
    unsafe {
        ffi::av_strerror(code, text.as_mut_ptr(), text.len());
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    }
}

pub(super) fn has_decoder(name: &CStr) -> bool {
    // SAFETY: the name is a C string, and FFmpeg's list of coders is constant.
    unsafe { !ffi::avcodec_find_decoder_by_name(name.as_ptr()).is_null() }
}

pub(super) fn has_encoder(name: &CStr) -> bool {
    // SAFETY: as above.
    unsafe { !ffi::avcodec_find_encoder_by_name(name.as_ptr()).is_null() }
}
