//! How a source is opened, and what FFmpeg is told of it.
//!
//! Enters: what the caller wants. Leaves: FFmpeg's options, the protocols and the formats that a source may use. This room must
//! never know what is read.

use crate::coder::Largest;
use crate::film::ffmpeg::Origin;
use crate::film::{Roots, Scheme};
use std::ffi::CStr;
use std::time::Duration;

/// A camera that sends nothing for so long has stalled.
const SILENT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RtspTransport {
    /// UDP, and TCP where the server wants that.
    #[default]
    Any,
    Udp,
    Tcp,
}

#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What URIs may begin with; what a server or a playlist leads to as well.
    pub schemes: Vec<Scheme>,
    pub roots: Roots,
    /// How long opening may take altogether.
    pub open_patience: Duration,
    /// How long a single unit, or a seek, may take.
    pub read_patience: Duration,
    pub rtsp_transport: RtspTransport,
    /// Local UDP ports for RTSP, first and last.
    pub rtsp_ports: Option<(u16, u16)>,
    /// How long RTP packets may be waited for that are overtaken by others.
    pub network_cache: Duration,
    /// Whether a server must show a certificate that the system trusts.
    pub verify_tls: bool,
    /// No larger picture is decoded while looking at the streams.
    pub largest: Largest,
}

impl Default for OpenOptions {
    /// All schemes, and files anywhere: who serves strangers says what they may open.
    fn default() -> Self {
        OpenOptions {
            schemes: Scheme::ALL.to_vec(),
            roots: Roots::anywhere(),
            open_patience: Duration::from_secs(20),
            read_patience: Duration::from_secs(15),
            rtsp_transport: RtspTransport::default(),
            rtsp_ports: None,
            network_cache: Duration::from_millis(2000),
            verify_tls: true,
            largest: Largest::default(),
        }
    }
}

pub(super) fn network(scheme: Scheme, url: String, options: &OpenOptions) -> Origin {
    // A page may lead from one to the other, if both are allowed.
    let web = [Scheme::Http, Scheme::Https];
    let schemes: Vec<Scheme> = match web.contains(&scheme) {
        true => web.into_iter().filter(|scheme| options.schemes.contains(scheme)).collect(),
        false => vec![scheme],
    };
    let mut protocols: Vec<&str> = schemes.iter().map(|scheme| scheme.protocols()).collect();
    if web.contains(&scheme) {
        protocols.push("crypto");
    }
    Origin::Net { url, protocols: protocols.join(","), schemes }
}

/// Which formats may be read, by FFmpeg's names. None that opens what its bytes tell it to, but playlists from servers, which may
/// lead to servers.
pub(super) fn formats(scheme: Scheme) -> fn(&str) -> bool {
    fn harmless(name: &str) -> bool {
        let leads_elsewhere = [
            "concat",
            "concatf",
            "image2",
            "imf",
            "lavfi",
            "sdp",
            "vobsub",
            "avisynth",
            "vapoursynth",
            "webm_dash_manifest",
            "hls",
            "applehttp",
            "dash",
            "rtsp",
            "rtp",
            "sap",
        ];
        !leads_elsewhere.contains(&name)
    }
    fn web(name: &str) -> bool {
        harmless(name) || matches!(name, "hls" | "applehttp" | "dash")
    }
    fn rtsp(name: &str) -> bool {
        name == "rtsp"
    }
    match scheme {
        Scheme::Http | Scheme::Https => web,
        Scheme::Rtsp | Scheme::Rtsps => rtsp,
        _ => harmless,
    }
}

/// Options for FFmpeg's demuxers and protocols.
pub(super) fn settings(scheme: Scheme, options: &OpenOptions) -> Vec<(&'static CStr, String)> {
    let mut settings = Vec::new();
    match scheme {
        Scheme::Http | Scheme::Https => {
            settings.push((c"user_agent", "Rivero".to_owned()));
            // A file whose server breaks off is asked for from there on: at once, and one, four and eleven seconds later.
            settings.push((c"reconnect", "1".to_owned()));
            settings.push((c"reconnect_delay_max", "7".to_owned()));
        }
        Scheme::Rtsp | Scheme::Rtsps => {
            settings.push((c"max_delay", options.network_cache.as_micros().min(60_000_000).to_string()));
            // Where nothing comes over UDP, TCP is tried; only with a time-out of its own does FFmpeg notice.
            settings.push((c"timeout", SILENT.as_micros().to_string()));
            match options.rtsp_transport {
                RtspTransport::Any => {}
                RtspTransport::Udp => settings.push((c"rtsp_transport", "udp".to_owned())),
                RtspTransport::Tcp => settings.push((c"rtsp_transport", "tcp".to_owned())),
            }
            if let Some((first, last)) = options.rtsp_ports.filter(|(first, last)| *first > 0 && first <= last) {
                settings.push((c"min_port", first.to_string()));
                settings.push((c"max_port", last.to_string()));
            }
        }
        _ => {}
    }
    if matches!(scheme, Scheme::Https | Scheme::Http | Scheme::Rtsps | Scheme::Rtmps) {
        settings.push((c"tls_verify", u8::from(options.verify_tls).to_string()));
    }
    settings
}
