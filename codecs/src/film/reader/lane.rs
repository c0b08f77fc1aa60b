//! One of FFmpeg's streams on its way: packets become units.
//!
//! Enters: packets in the container's form and time. Leaves: units in the form of [`Coded`](rivero_engine::Coded), timed from the
//! beginning of the media; none of what is of no use. This room must never know what else the file holds.

use super::{Track, Unit};
use crate::film::ffmpeg::{Filter, Packet, Parameters};
use crate::film::heads;
use crate::film::lengths::Form;
use bytes::Bytes;
use rivero_engine::{Codec, MediaKind};
use std::time::Duration;

/// What the reader keeps of one of FFmpeg's streams.
pub(super) struct Lane {
    pub(super) track: Option<usize>,
    pub(super) ignored: bool,
    base: (i32, i32),
    pub(super) filter: Option<Filter>,
    form: Option<Form>,
    /// Parameter sets that stood within the stream since it began or was sought: they count, whatever the file says of the track.
    in_band: Option<Bytes>,
    /// Nanoseconds in the media's own time: for a unit that does not say its own.
    next: i64,
    /// The source has said of some units when they are shown.
    times_known: bool,
    /// After a seek, pictures are of no use before a key frame.
    pub(super) awaits_key: bool,
}

impl Lane {
    /// `start`: nanoseconds in the media's own time; `base`: the seconds of one of its units, as a ratio.
    pub(super) fn new(base: (i32, i32), start: i64) -> Self {
        let (filter, form, in_band) = (None, None, None);
        let (times_known, awaits_key) = (false, false);
        Lane { track: None, ignored: false, base, filter, form, in_band, next: start, times_known, awaits_key }
    }

    /// What comes next does not follow what came last.
    pub(super) fn begin_anew(&mut self, kind: MediaKind) {
        self.awaits_key = kind == MediaKind::Video;
        self.in_band = None;
        if let Some(filter) = &mut self.filter {
            filter.reset();
        }
    }

    /// Prepares to bring the packets into the form of [`Coded`](rivero_engine::Coded). A stream that this fails for is left to
    /// FFmpeg's decoders.
    pub(super) fn bring_in_form(&mut self, mut parameters: Parameters) -> (Parameters, Option<Codec>) {
        let codec = parameters.codec();
        match codec {
            Some(codec @ (Codec::H264 | Codec::H265)) => {
                let Some(form) = Form::read(codec, parameters.config()) else { return (parameters, None) };
                if parameters.set_config(&form.sets).is_err() {
                    return (parameters, None);
                }
                self.form = Some(form);
            }
            Some(Codec::Aac) => {
                let made = Filter::new(c"aac_adtstoasc", &parameters, self.base).and_then(Result::ok);
                let Some(filter) = made else { return (parameters, None) };
                self.filter = Some(filter);
            }
            _ => {}
        }
        (parameters, codec)
    }

    pub(super) fn unit(&mut self, packet: Packet, index: usize, track: &Track, start: i64) -> Option<Unit> {
        let (pts, dts) = (packet.pts(self.base), packet.dts(self.base));
        let duration = packet.duration(self.base);
        let at = pts.or(dts).unwrap_or(self.next);
        // A source that never says when pictures are shown has them in order, as far as anybody knows.
        self.times_known |= pts.is_some();
        let timed = pts.is_some() || !self.times_known;
        let decode_at = dts.unwrap_or(at);
        self.next = at.saturating_add_unsigned(duration);
        let key = track.kind != MediaKind::Video || packet.is_key();
        if self.awaits_key && !key {
            return None;
        }
        self.awaits_key = false;
        let mut config = packet.new_config();
        let mut data = packet.into_bytes();
        match track.codec {
            Some(codec @ (Codec::H264 | Codec::H265)) => {
                if let Some(form) = config.take().and_then(|config| Form::read(codec, &config)) {
                    config = Some(form.sets.clone());
                    self.form = Some(form);
                    self.in_band = None;
                }
                let form = self.form.as_ref()?;
                let Some(converted) = form.convert(data) else {
                    tracing::debug!("a unit whose lengths do not add up is left out");
                    return None;
                };
                data = converted;
                // Decoders start at any key frame only if its parameter sets stand there.
                if key {
                    let own = heads::config(codec, &data);
                    let sets = self.in_band.as_ref().unwrap_or(&form.sets);
                    if !own.is_empty() {
                        self.in_band = Some(own.into());
                    } else if !sets.is_empty() {
                        data = [&sets[..], &data[..]].concat().into();
                    }
                }
            }
            // The temporal delimiter (AV1 specification, section 5.6).
            Some(Codec::Av1) if data.starts_with(&[0x12, 0x00]) => data = data.slice(2..),
            _ => {}
        }
        config = config.filter(|config| *config != track.config);
        let since = |time: i64| Duration::from_nanos(u64::try_from(time.saturating_sub(start)).unwrap_or(0));
        let (at, decode_at, duration) = (since(at), since(decode_at), Duration::from_nanos(duration));
        (!data.is_empty()).then_some(Unit { track: index, data, at, timed, decode_at, duration, key, config })
    }
}
