//! The settings of the media elements, as one value that is read once and handed to whoever builds elements.

use super::Section;
use super::sdp::SdpSettings;
use super::webrtc::WebRtcSettings;
use crate::config::Line;
use crate::config::tree::Tree;

/// Everything below `modules.kurento`. A value applies to an object when it is constructed.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementSettings {
    pub base_rtp: BaseRtpSettings,
    pub media_element: MediaElementSettings,
    pub sdp: SdpSettings,
    pub webrtc: WebRtcSettings,
    pub uri: UriSettings,
    pub http: HttpSettings,
    pub player: PlayerSettings,
    pub recorder: RecorderSettings,
    pub composite: CompositeSettings,
}

impl ElementSettings {
    /// Reads the settings; `lines` receives a line for every value that cannot be used and is replaced by its default.
    pub fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        Self {
            base_rtp: BaseRtpSettings::read(tree, lines),
            media_element: MediaElementSettings::read(tree, lines),
            sdp: SdpSettings::read(tree, lines),
            webrtc: WebRtcSettings::read(tree, lines),
            uri: UriSettings::read(tree, lines),
            http: HttpSettings::read(tree, lines),
            player: PlayerSettings::read(tree, lines),
            recorder: RecorderSettings::read(tree, lines),
            composite: CompositeSettings::read(tree, lines),
        }
    }
}

/// `BaseRtpEndpoint`: concerns WebRtcEndpoint and RtpEndpoint alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRtpSettings {
    /// The lowest UDP port, at least 1024.
    pub min_port: u16,
    /// The highest UDP port, above `min_port`.
    pub max_port: u16,
    /// The largest RTP packet, in bytes.
    pub mtu: u16,
}

impl BaseRtpSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        const HIGHEST: i64 = u16::MAX as i64;
        let mut section = Section::of_class(tree, "BaseRtpEndpoint", lines);
        let wanted_min = section.parsed("minPort", "a number").unwrap_or(1024_i64);
        let wanted_max = section.parsed("maxPort", "a number").unwrap_or(HIGHEST);
        // The minimum is applied first, against the default maximum; a maximum below it then gives way.
        let min_port = wanted_min.clamp(1024, HIGHEST - 1);
        let max_port = wanted_max.clamp(min_port + 1, HIGHEST);
        if (min_port, max_port) != (wanted_min, wanted_max) {
            section.warn(format!(
                "The port range {wanted_min}-{wanted_max} is not usable: ports {min_port}-{max_port} are used"
            ));
        }
        let narrow = |port: i64| u16::try_from(port).expect("both ports were clamped to 16 bits");
        Self {
            min_port: narrow(min_port),
            max_port: narrow(max_port),
            mtu: section.at_least("mtu", 1, "a number of bytes from 1 to 65535").unwrap_or(1200),
        }
    }
}

/// `MediaElement`: bit rates of encoders, in bits per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaElementSettings {
    /// Kurento 6.8 to 6.18: sets the minimum and the maximum at once.
    pub output_bitrate: Option<u32>,
    pub encoder_bitrate: u32,
    pub min_encoder_bitrate: u32,
    /// `None` is unlimited, written as 0.
    pub max_encoder_bitrate: Option<u32>,
}

impl MediaElementSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        const RATE: &str = "a bit rate in bps";
        let mut section = Section::of_class(tree, "MediaElement", lines);
        Self {
            output_bitrate: section.parsed("outputBitrate", RATE),
            encoder_bitrate: section.parsed("encoderBitrate", RATE).unwrap_or(300_000),
            min_encoder_bitrate: section.parsed("minEncoderBitrate", RATE).unwrap_or(0),
            max_encoder_bitrate: section.parsed("maxEncoderBitrate", RATE).filter(|rate| *rate != 0),
        }
    }
}

/// `UriEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriSettings {
    /// What a URI without a scheme is appended to, after a `/`. The value is kept as the file has it.
    pub default_path: String,
}

impl UriSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let section = Section::of_class(tree, "UriEndpoint", lines);
        Self { default_path: section.text("defaultPath").unwrap_or_else(|| "file:///var/lib/kurento".to_owned()) }
    }
}

/// `HttpEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// The name or address to listen on; `None` is any local address.
    pub server_address: Option<String>,
    pub port: u16,
    /// The host in the URLs that are handed out.
    pub announced_address: Option<String>,
}

impl HttpSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::of_class(tree, "HttpEndpoint", lines);
        Self {
            server_address: section.text("serverAddress"),
            port: section.parsed("port", "a port from 0 to 65535").unwrap_or(9091),
            announced_address: section.text("announcedAddress"),
        }
    }
}

/// `PlayerEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerSettings {
    /// The lowest and the highest UDP port that an RTSP client may use.
    pub rtsp_client_ports: Option<(u16, u16)>,
}

impl PlayerSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let key = "rtspClientPortRange";
        let mut section = Section::of_class(tree, "PlayerEndpoint", lines);
        let Some(text) = section.text(key) else { return Self { rtsp_client_ports: None } };
        let range = text.split_once('-').and_then(|(low, high)| {
            let (low, high): (u16, u16) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low <= high).then_some((low, high))
        });
        if range.is_none() {
            section.refuse(key, "a range of ports, PortMin-PortMax");
        }
        Self { rtsp_client_ports: range }
    }
}

/// What a recorder does about gaps in the time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GapsFix {
    #[default]
    None,
    GenPts,
    FillIfTranscoding,
}

/// `RecorderEndpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderSettings {
    pub gaps_fix: GapsFix,
}

impl RecorderSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::of_class(tree, "RecorderEndpoint", lines);
        let gaps_fix = match section.text("gapsFix").as_deref() {
            None | Some("NONE") => GapsFix::None,
            Some("GENPTS") => GapsFix::GenPts,
            Some("FILL_IF_TRANSCODING") => GapsFix::FillIfTranscoding,
            Some(_) => {
                section.refuse("gapsFix", "NONE, GENPTS or FILL_IF_TRANSCODING");
                GapsFix::None
            }
        };
        Self { gaps_fix }
    }
}

/// `Composite`. Kurento looks these up where its own file does not put them; Rivero honours the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompositeSettings {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second.
    pub framerate: u32,
}

impl CompositeSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        const POSITIVE: &str = "a number from 1";
        let mut section = Section::of_class(tree, "Composite", lines);
        Self {
            width: section.at_least("width", 1, POSITIVE).unwrap_or(800),
            height: section.at_least("height", 1, POSITIVE).unwrap_or(600),
            framerate: section.at_least("framerate", 1, POSITIVE).unwrap_or(15),
        }
    }
}
