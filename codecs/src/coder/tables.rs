//! Which of FFmpeg's coders does what, and with which settings. Kurento's settings to the number wherever FFmpeg reaches them; each
//! deviation with its reason.

use super::ffmpeg::SampleLayout;
use super::video_encoder::H264Profile;
use rivero_engine::{Codec, MediaKind};
use std::ffi::{CStr, CString};

/// FFmpeg's name of the decoder.
pub(super) fn decoder(codec: Codec) -> Option<&'static CStr> {
    Some(match codec {
        // FFmpeg's own is half as fast again as libvpx.
        Codec::Vp8 => c"vp8",
        Codec::Vp9 => c"vp9",
        Codec::Av1 => c"libdav1d",
        Codec::H264 => c"h264",
        Codec::H265 => c"hevc",
        Codec::H263 => c"h263",
        Codec::Mjpeg => c"mjpeg",
        // libopus conceals losses; FFmpeg's own does not.
        Codec::Opus => c"libopus",
        Codec::Pcmu => c"pcm_mulaw",
        Codec::Pcma => c"pcm_alaw",
        Codec::G722 => c"g722",
        // libspeex writes its complaints about the data to standard error.
        Codec::Speex => c"speex",
        Codec::Gsm => c"libgsm",
        // Only in builds without OpenCORE's.
        Codec::AmrNb => c"amrnb",
        Codec::AmrWb => c"amrwb",
        Codec::Aac => c"aac",
        Codec::Mp3 => c"mp3float",
        Codec::Vorbis => c"vorbis",
        Codec::Raw | Codec::Message => return None,
    })
}

/// FFmpeg's name of the encoder.
pub(super) fn encoder(codec: Codec) -> Option<&'static CStr> {
    Some(match codec {
        Codec::Vp8 => c"libvpx",
        Codec::Vp9 => c"libvpx-vp9",
        Codec::Av1 => c"libaom-av1",
        Codec::H264 => c"libx264",
        Codec::H265 => c"libx265",
        // The one of version 2: plain H.263 knows five sizes only.
        Codec::H263 => c"h263p",
        Codec::Mjpeg => c"mjpeg",
        Codec::Opus => c"libopus",
        Codec::Pcmu => c"pcm_mulaw",
        Codec::Pcma => c"pcm_alaw",
        Codec::G722 => c"g722",
        Codec::Speex => c"libspeex",
        Codec::Gsm => c"libgsm",
        Codec::Aac => c"aac",
        Codec::Mp3 => c"libmp3lame",
        Codec::Vorbis => c"libvorbis",
        Codec::AmrNb | Codec::AmrWb | Codec::Raw | Codec::Message => return None,
    })
}

type Setting = (&'static CStr, CString);

/// How a video encoder is run.
pub(super) struct VideoCoding {
    pub settings: Vec<Setting>,
    /// Width and height are rounded down to a multiple of this.
    pub multiple: u32,
    /// Frames from one key frame to the next, at most.
    pub key_distance: i32,
    /// Ticks of the encoder's clock in one nominal frame. With 1 it counts frames instead of measuring time.
    pub ticks: u32,
    /// Constant rate by FFmpeg's lights: lowest, highest and mean are one.
    pub constant: bool,
    /// Milliseconds of the buffer that the rate is held against, for encoders that want it said.
    pub buffer_ms: Option<u32>,
    /// Whether FFmpeg's wrapper heeds another rate while it runs (measured with 5.1: only libx264's does;
    /// libvpx itself does, in builds that have it).
    pub rate_while_running: bool,
    pub full_range: bool,
    /// Whether its rate control goes by times. The others share the bits out among the frames that they were told to expect.
    pub keeps_time: bool,
    /// For codecs that libvpx encodes: its settings.
    pub vpx: Option<VpxEffort>,
}

impl VideoCoding {
    /// Of x264, in bytes.
    pub fn limit_slices(&mut self, bytes: u32) {
        let bytes = CString::new(bytes.to_string()).expect("digits are no zero bytes");
        self.settings.push((c"slice-max-size", bytes));
    }
}

#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "vpx"), allow(dead_code, reason = "FFmpeg is told in the settings"))]
pub(super) struct VpxEffort {
    /// Microseconds that a picture may take; it decides between real-time mode and good quality.
    pub deadline: u32,
    pub cpu_used: i32,
}

pub(super) fn video_coding(codec: Codec, profile: H264Profile) -> VideoCoding {
    let set = |settings: &[(&'static CStr, &str)]| {
        settings.iter().map(|&(name, value)| (name, CString::new(value).expect("no zero bytes"))).collect::<Vec<_>>()
    };
    // At 30 frames a second, RTP's clock of 90 kHz.
    let timed = || VideoCoding {
        settings: Vec::new(),
        multiple: 1,
        key_distance: 60,
        ticks: 3000,
        constant: false,
        buffer_ms: None,
        rate_while_running: false,
        full_range: false,
        keeps_time: false,
        vpx: None,
    };
    let by_vpx = |deadline: u32, cpu_used: i32| VideoCoding {
        settings: set(&[
            (c"deadline", &deadline.to_string()),
            (c"cpu-used", &cpu_used.to_string()),
            (c"lag-in-frames", "0"),
        ]),
        // GStreamer's default.
        key_distance: 128,
        constant: true,
        rate_while_running: super::ffmpeg::has_vpx_encoder(codec),
        keeps_time: true,
        vpx: Some(VpxEffort { deadline, cpu_used }),
        ..timed()
    };
    match codec {
        // Kurento says a deadline of 200 ms, which libvpx takes as "good quality" for frames that follow each other faster, with
        // cpu-used 16 then meaning 5, a fixed speed. 3.6 ms for a picture of 640x480 here, against 1.9 in real-time mode.
        // resize-allowed is not within FFmpeg's reach.
        Codec::Vp8 => by_vpx(200_000, 16),
        // The same deadline costs 58 ms a picture here, which is no live stream: real-time mode at its fastest costs 4.6.
        Codec::Vp9 => by_vpx(1, 8),
        // Kurento's cpu-used 4 costs 83 ms a picture here; 8 costs 12.
        Codec::Av1 => VideoCoding {
            settings: set(&[(c"usage", "realtime"), (c"cpu-used", "8"), (c"lag-in-frames", "0")]),
            key_distance: 90,
            constant: true,
            keeps_time: true,
            ..timed()
        },
        Codec::H264 => VideoCoding {
            settings: set(&[
                (c"preset", "veryfast"),
                (c"tune", "zerolatency"),
                (c"forced-idr", "1"),
                (c"profile", profile.name()),
            ]),
            multiple: 2,
            // x264enc's vbv-buf-capacity
            buffer_ms: Some(600),
            rate_while_running: true,
            ..timed()
        },
        Codec::H265 => VideoCoding {
            settings: set(&[
                (c"preset", "veryfast"),
                (c"tune", "zerolatency"),
                (c"forced-idr", "1"),
                // It would write to standard error, and start a thread for each core.
                (c"x265-params", "log-level=none:pools=none:frame-threads=1"),
            ]),
            multiple: 2,
            ..timed()
        },
        Codec::Mjpeg => VideoCoding {
            // RFC 2435 carries no tables for entropy coding, and wants both tables for quantisation.
            settings: set(&[(c"huffman", "default"), (c"force_duplicated_matrix", "1")]),
            ticks: 1,
            key_distance: 1,
            full_range: true,
            ..timed()
        },
        _ => VideoCoding { multiple: 4, ticks: 1, ..timed() },
    }
}

/// How an audio encoder is run.
pub(super) struct AudioCoding {
    pub settings: Vec<Setting>,
    pub layout: SampleLayout,
    /// The only sampling rate (Hz), if there is only one.
    pub rate: Option<u32>,
    pub most_channels: u8,
    /// Bits a second unless asked otherwise; None where the codec has one rate only.
    pub bitrate: Option<u32>,
    /// Whether decoders need the header apart from the frames.
    pub header_apart: bool,
}

pub(super) fn audio_coding(codec: Codec) -> AudioCoding {
    let plain = AudioCoding {
        settings: Vec::new(),
        layout: SampleLayout::S16,
        rate: Some(8000),
        most_channels: 1,
        bitrate: None,
        header_apart: false,
    };
    let set = |name, value: &str| (name, CString::new(value).expect("no zero bytes"));
    match codec {
        // As GStreamer's opusenc: constant rate, tuned for any sound, frames of 20 ms. Its FEC spends bits only once a loss is
        // expected, which Kurento never says.
        Codec::Opus => AudioCoding {
            settings: vec![
                set(c"application", "audio"),
                set(c"vbr", "off"),
                set(c"fec", "1"),
                set(c"frame_duration", "20"),
            ],
            rate: Some(48_000),
            most_channels: 2,
            bitrate: Some(64_000),
            ..plain
        },
        Codec::G722 => AudioCoding { rate: Some(16_000), ..plain },
        Codec::Speex => AudioCoding { rate: None, ..plain },
        Codec::Aac => AudioCoding {
            layout: SampleLayout::FloatPlanar,
            rate: None,
            most_channels: 8,
            bitrate: Some(128_000),
            header_apart: true,
            ..plain
        },
        Codec::Mp3 => AudioCoding {
            layout: SampleLayout::S16Planar,
            rate: None,
            most_channels: 2,
            bitrate: Some(128_000),
            ..plain
        },
        Codec::Vorbis => AudioCoding {
            layout: SampleLayout::FloatPlanar,
            rate: None,
            most_channels: 8,
            bitrate: Some(128_000),
            header_apart: true,
            ..plain
        },
        Codec::AmrNb => AudioCoding { bitrate: Some(12_200), ..plain },
        Codec::AmrWb => AudioCoding { rate: Some(16_000), bitrate: Some(23_850), ..plain },
        // PCM takes any rate and number of channels.
        Codec::Pcmu | Codec::Pcma => AudioCoding { rate: None, most_channels: 8, ..plain },
        _ => plain,
    }
}

pub(super) fn is_video(codec: Codec) -> bool {
    codec.kind() == MediaKind::Video && codec != Codec::Raw
}
