//! Readers of files that have nothing in common with what writes them: crates in plain Rust, no FFmpeg.
//!
//! Enters: a path. Leaves: what each of them makes of the file. `matroska` reads heads, `matroska-demuxer` the frames behind them;
//! `mp4` reads heads and the tables of fragments (its own `read_sample` knows neither where samples of fragments lie nor when they
//! are shown, and it knows no Opus), `re_mp4` finds the samples themselves.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// What one reader sees.
#[derive(Debug, Default)]
pub struct Seen {
    pub reader: &'static str,
    pub duration: Option<Duration>,
    pub tracks: Vec<SeenTrack>,
    /// Where Matroska's index (cues) leads to.
    pub cues: Vec<Duration>,
}

#[derive(Debug, Default)]
pub struct SeenTrack {
    /// As the container names it.
    pub codec: String,
    /// Pixels.
    pub size: (u64, u64),
    /// Hz
    pub rate: u64,
    pub channels: u64,
    /// The track's own, where the container has one.
    pub duration: Option<Duration>,
    /// When each frame is shown; nothing if the reader reads heads only.
    pub times: Vec<Duration>,
    pub keys: Vec<Duration>,
    /// Bytes of all frames.
    pub bytes: u64,
}

/// By all readers that there are for files of this ending; what one cannot read is its error.
pub fn read(path: &Path) -> Vec<Result<Seen, String>> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("webm" | "mkv") => vec![matroska_head(path), matroska_frames(path)],
        Some("mp4") => vec![mp4_tables(path), mp4_samples(path)],
        _ => Vec::new(),
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn matroska_head(path: &Path) -> Result<Seen, String> {
    let file = matroska::open(path).map_err(told)?;
    let track = |track: &matroska::Track| {
        let mut seen = SeenTrack { codec: track.codec_id.clone(), ..SeenTrack::default() };
        match &track.settings {
            matroska::Settings::Video(video) => seen.size = (video.pixel_width, video.pixel_height),
            matroska::Settings::Audio(audio) => (seen.rate, seen.channels) = (audio.sample_rate as u64, audio.channels),
            matroska::Settings::None => {}
        }
        seen
    };
    let tracks = file.tracks.iter().map(track).collect();
    Ok(Seen { reader: "matroska", duration: file.info.duration, tracks, ..Seen::default() })
}

fn matroska_frames(path: &Path) -> Result<Seen, String> {
    use matroska_demuxer::{Frame, MatroskaFile};
    let mut file = MatroskaFile::open(File::open(path).map_err(told)?).map_err(told)?;
    let scale = file.info().timestamp_scale().get();
    let span = file.info().duration().map(|ticks| Duration::from_nanos((ticks * scale as f64) as u64));
    let mut tracks: Vec<_> = file
        .tracks()
        .iter()
        .map(|track| {
            let mut seen = SeenTrack { codec: track.codec_id().to_owned(), ..SeenTrack::default() };
            if let Some(video) = track.video() {
                seen.size = (video.pixel_width().get(), video.pixel_height().get());
            }
            if let Some(audio) = track.audio() {
                (seen.rate, seen.channels) = (audio.sampling_frequency() as u64, audio.channels().get());
            }
            (track.track_number().get(), seen)
        })
        .collect();
    let mut frame = Frame::default();
    while file.next_frame(&mut frame).map_err(told)? {
        let (_, seen) = tracks.iter_mut().find(|(number, _)| *number == frame.track).ok_or("a frame of no track")?;
        let at = Duration::from_nanos(frame.timestamp * scale);
        seen.times.push(at);
        if frame.is_keyframe == Some(true) {
            seen.keys.push(at);
        }
        seen.bytes += frame.data.len() as u64;
    }
    let tracks = tracks.into_iter().map(|(_, seen)| seen).collect();
    let cues = cue_times(&std::fs::read(path).map_err(told)?, scale);
    Ok(Seen { reader: "matroska-demuxer", duration: span, tracks, cues })
}

/// The times in the last Cues element (RFC 9559, section 5.1.5): the crates use it and do not show it.
fn cue_times(file: &[u8], scale: u64) -> Vec<Duration> {
    const CUES: [u8; 4] = [0x1c, 0x53, 0xbb, 0x6b];
    const POINT: u8 = 0xbb;
    const TIME: u8 = 0xb3;
    let Some(at) = file.windows(4).rposition(|four| four == CUES) else { return Vec::new() };
    let Some((mut points, _)) = element(&file[at + 4..]) else { return Vec::new() };
    let mut times = Vec::new();
    while let Some((id, rest)) = points.split_first() {
        let Some((point, behind)) = element(rest) else { break };
        // Another is a checksum.
        if *id == POINT
            && let Some((&TIME, rest)) = point.split_first()
            && let Some((value, _)) = element(rest)
        {
            let ticks = value.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            times.push(Duration::from_nanos(ticks * scale));
        }
        points = behind;
    }
    times
}

/// What stands behind an element's id: its data, and what follows it (RFC 8794, section 4).
fn element(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = data.first()?.leading_zeros() as usize + 1;
    let (size, rest) = data.split_at_checked(length)?;
    let marked = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
    rest.split_at_checked((marked & !(1 << (7 * length))) as usize)
}

fn ticks(count: u64, scale: u32) -> Duration {
    Duration::from_secs_f64(count as f64 / f64::from(scale.max(1)))
}

fn mp4_tables(path: &Path) -> Result<Seen, String> {
    let file = File::open(path).map_err(told)?;
    let size = file.metadata().map_err(told)?.len();
    let film = mp4::Mp4Reader::read_header(file, size).map_err(told)?;
    let mut tracks = Vec::new();
    for trak in &film.moov.traks {
        let id = trak.tkhd.track_id;
        let track = film.tracks().get(&id).ok_or("a track that is lost")?;
        // It names what it knows.
        let codec = track.media_type().map_or_else(|_| "?".to_owned(), |kind| kind.to_string());
        let scale = track.timescale();
        let mut seen = SeenTrack {
            codec,
            size: (track.width().into(), track.height().into()),
            duration: Some(ticks(trak.mdia.mdhd.duration, scale)),
            ..SeenTrack::default()
        };
        if let Some(sound) = &trak.mdia.minf.stbl.stsd.mp4a {
            (seen.rate, seen.channels) = (u64::from(sound.samplerate.value()), u64::from(sound.channelcount));
        }
        add_fragments(&film, id, scale, &mut seen)?;
        if film.sample_count(id).map_err(told)? as usize != seen.times.len() {
            return Err("counts that differ".to_owned());
        }
        tracks.push(seen);
    }
    Ok(Seen { reader: "mp4", duration: Some(film.duration()), tracks, ..Seen::default() })
}

/// A track's samples, by the tables of its fragments (ISO/IEC 14496-12, 8.8.8).
fn add_fragments(film: &mp4::Mp4Reader<File>, id: u32, scale: u32, seen: &mut SeenTrack) -> Result<(), String> {
    const NO_KEY: u32 = 1 << 16;
    let all = film.moofs.iter().flat_map(|moof| &moof.trafs);
    for fragment in all.filter(|fragment| fragment.tfhd.track_id == id) {
        let usual = &fragment.tfhd;
        let run = fragment.trun.as_ref().ok_or("a fragment without samples")?;
        let mut at = fragment.tfdt.as_ref().ok_or("a fragment without a time")?.base_media_decode_time;
        for number in 0..run.sample_count as usize {
            let shift = run.sample_cts.get(number).map_or(0, |shift| i64::from(*shift as i32));
            let shown = ticks(at.saturating_add_signed(shift), scale);
            let first = run.first_sample_flags.filter(|_| number == 0);
            let flags = first.or(run.sample_flags.get(number).copied()).or(usual.default_sample_flags).unwrap_or(0);
            let size = run.sample_sizes.get(number).copied().or(usual.default_sample_size).unwrap_or(0);
            let lasts = run.sample_durations.get(number).copied().or(usual.default_sample_duration).unwrap_or(0);
            seen.times.push(shown);
            if flags & NO_KEY == 0 {
                seen.keys.push(shown);
            }
            seen.bytes += u64::from(size);
            at += u64::from(lasts);
        }
    }
    Ok(())
}

fn mp4_samples(path: &Path) -> Result<Seen, String> {
    let (film, data) = re_mp4::Mp4::read_file(path).map_err(told)?;
    let movie = &film.moov.mvhd;
    let mut tracks = Vec::new();
    for track in film.tracks().values() {
        let mut seen = SeenTrack {
            codec: track.codec_string(&film).unwrap_or_else(|| "?".to_owned()),
            size: (track.width.into(), track.height.into()),
            duration: Some(ticks(track.duration, track.timescale as u32)),
            ..SeenTrack::default()
        };
        for sample in &track.samples {
            let shown = ticks(u64::try_from(sample.composition_timestamp).map_err(told)?, track.timescale as u32);
            seen.times.push(shown);
            if sample.is_sync {
                seen.keys.push(shown);
            }
            seen.bytes += data.get(sample.byte_range()).ok_or("a sample outside the file")?.len() as u64;
        }
        tracks.push(seen);
    }
    Ok(Seen { reader: "re_mp4", duration: Some(ticks(movie.duration, movie.timescale)), tracks, ..Seen::default() })
}
