//! An AVPacket, and its bytes as shared memory.

use super::{NANOS, OUT_OF_MEMORY, check};
use crate::coder::Cause;
use bytes::Bytes;
use ffmpeg_next::ffi;
use std::ptr::{self, NonNull};

/// Owns one packet and its reference to a buffer.
pub(in crate::film) struct Packet(NonNull<ffi::AVPacket>);

// SAFETY: a packet belongs to nobody else; the buffer that it refers to is counted atomically.
unsafe impl Send for Packet {}
// SAFETY: through a shared reference, fields and buffer are only read.
unsafe impl Sync for Packet {}

impl Packet {
    pub(super) fn empty() -> Result<Self, Cause> {
        // SAFETY: returns a fresh packet or null.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(Packet).ok_or(OUT_OF_MEMORY)
    }

    /// A copy of the bytes, with the padding that FFmpeg reads past the end.
    pub(super) fn of(data: &[u8]) -> Result<Self, Cause> {
        let packet = Self::empty()?;
        let size = i32::try_from(data.len()).map_err(|_| OUT_OF_MEMORY)?;
        // SAFETY: our packet, empty; FFmpeg allocates `size` bytes or says that it cannot; fresh memory does not overlap.
        unsafe {
            check(ffi::av_new_packet(packet.0.as_ptr(), size))?;
            ptr::copy_nonoverlapping(data.as_ptr(), (*packet.0.as_ptr()).data, data.len());
        }
        Ok(packet)
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::AVPacket {
        self.0.as_ptr()
    }

    fn get(&self) -> &ffi::AVPacket {
        // SAFETY: valid as long as self, and nobody changes it while self is borrowed.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn get_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { self.0.as_mut() }
    }

    pub(in crate::film) fn stream(&self) -> usize {
        self.get().stream_index.max(0) as usize
    }

    pub(in crate::film) fn is_key(&self) -> bool {
        self.get().flags & ffi::AV_PKT_FLAG_KEY != 0
    }

    /// Nanoseconds; None if unknown.
    pub(in crate::film) fn pts(&self, base: (i32, i32)) -> Option<i64> {
        nanos(self.get().pts, base)
    }

    /// Nanoseconds; None if unknown.
    pub(in crate::film) fn dts(&self, base: (i32, i32)) -> Option<i64> {
        nanos(self.get().dts, base)
    }

    /// Nanoseconds; 0 if unknown.
    pub(in crate::film) fn duration(&self, base: (i32, i32)) -> u64 {
        nanos(self.get().duration, base).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    }

    /// The configuration that begins with this packet, if another does.
    pub(in crate::film) fn new_config(&self) -> Option<Bytes> {
        let mut size = 0;
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;
        // SAFETY: a valid packet; the result is null or `size` bytes that live as long as it; they are copied.
        unsafe {
            let data = ffi::av_packet_get_side_data(self.0.as_ptr(), kind, &mut size);
            (!data.is_null() && size > 0).then(|| Bytes::copy_from_slice(std::slice::from_raw_parts(data, size)))
        }
    }

    /// Says that another configuration begins with this packet.
    pub(super) fn set_new_config(&mut self, config: &[u8]) -> Result<(), Cause> {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;
        // SAFETY: our packet; the result is null or room for as many bytes as asked for, fresh.
        unsafe {
            let room = ffi::av_packet_new_side_data(self.0.as_ptr(), kind, config.len());
            if room.is_null() {
                return Err(OUT_OF_MEMORY);
            }
            ptr::copy_nonoverlapping(config.as_ptr(), room, config.len());
        }
        Ok(())
    }

    /// Shares the bytes; the packet lives as long as any of them.
    pub(in crate::film) fn into_bytes(self) -> Bytes {
        match self.as_ref().is_empty() {
            true => Bytes::new(),
            false => Bytes::from_owner(self),
        }
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        let p = self.get();
        match usize::try_from(p.size) {
            // SAFETY: a packet holds `size` bytes at `data` as long as it lives, and nobody writes to them.
            Ok(size) if size > 0 && !p.data.is_null() => unsafe { std::slice::from_raw_parts(p.data, size) },
            _ => &[],
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: ours, and not used any more.
        unsafe { ffi::av_packet_free(&mut packet) };
    }
}

fn nanos(time: i64, base: (i32, i32)) -> Option<i64> {
    let base = ffi::AVRational { num: base.0, den: base.1 };
    if time == ffi::AV_NOPTS_VALUE || base.num <= 0 || base.den <= 0 {
        return None;
    }
    // SAFETY: pure arithmetic on two positive ratios; what does not fit comes out as i64::MIN.
    let nanos = unsafe { ffi::av_rescale_q(time, base, NANOS) };
    (nanos != i64::MIN).then_some(nanos)
}
