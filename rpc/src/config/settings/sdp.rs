//! The settings of SdpEndpoint: how many media an offer has, and which codecs it names, in order of preference.

use std::str::FromStr;

use super::Section;
use crate::config::Line;
use crate::config::tree::Tree;

/// `SdpEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdpSettings {
    pub num_audio_medias: u32,
    pub num_video_medias: u32,
    /// Most wanted first. A file without the key means no codec; no file at all means the list that 7.3 ships.
    pub audio_codecs: Vec<ConfiguredCodec>,
    pub video_codecs: Vec<ConfiguredCodec>,
}

/// One entry of a codec list, written `<encoding>/<clock rate>[/<channels>]` as in `a=rtpmap` (RFC 8866 section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredCodec {
    /// As written; compare without regard to case.
    pub encoding: String,
    /// Hz.
    pub clock_rate: u32,
    pub channels: Option<u8>,
}

/// The text is not `<encoding>/<clock rate>[/<channels>]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not <encoding>/<clock rate>[/<channels>]")]
pub struct BadCodec;

impl FromStr for ConfiguredCodec {
    type Err = BadCodec;

    fn from_str(text: &str) -> Result<Self, BadCodec> {
        let mut parts = text.trim().split('/');
        let encoding = parts.next().filter(|name| !name.is_empty()).ok_or(BadCodec)?.to_owned();
        let clock_rate = parts.next().and_then(|rate| rate.parse().ok()).filter(|rate| *rate > 0).ok_or(BadCodec)?;
        let channels = parts.next().map(str::parse).transpose().map_err(|_| BadCodec)?;
        if parts.next().is_some() || channels == Some(0) {
            return Err(BadCodec);
        }
        Ok(Self { encoding, clock_rate, channels })
    }
}

const AUDIO: [&str; 4] = ["opus/48000/2", "PCMU/8000", "PCMA/8000", "AMR/8000"];
const VIDEO: [&str; 5] = ["H265/90000", "AV1/90000", "VP9/90000", "VP8/90000", "H264/90000"];

impl SdpSettings {
    pub(super) fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::of_class(tree, "SdpEndpoint", lines);
        let has_file = section.exists();
        Self {
            num_audio_medias: section.parsed("numAudioMedias", "a number").unwrap_or(1),
            num_video_medias: section.parsed("numVideoMedias", "a number").unwrap_or(1),
            audio_codecs: if has_file { codecs(&mut section, "audioCodecs") } else { built_in(&AUDIO) },
            video_codecs: if has_file { codecs(&mut section, "videoCodecs") } else { built_in(&VIDEO) },
        }
    }
}

fn built_in(names: &[&str]) -> Vec<ConfiguredCodec> {
    names.iter().map(|name| name.parse().expect("the built-in names are well formed")).collect()
}

/// Reads `{ "name": ... }` entries. Their `properties` are read over, as Kurento does not support them either.
fn codecs(section: &mut Section<'_>, key: &str) -> Vec<ConfiguredCodec> {
    let mut codecs = Vec::new();
    for entry in section.texts_at(key) {
        let name = entry.text("name").or(entry.value()).unwrap_or_default();
        match name.parse() {
            Ok(codec) => codecs.push(codec),
            Err(error) => {
                let path = section.path(key);
                section.warn(format!("Error deserializing '{path}' from config: '{name}' is {error}"));
            }
        }
    }
    codecs
}
