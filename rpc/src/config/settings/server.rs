//! The settings of the server itself: limits, the WebSocket doors, and the metadata that clients may read.

use rivero_engine::bitrate::BitratePolicy;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{FileSettings, Section};
use crate::config::Line;
use crate::config::tree::Tree;

/// Everything below `mediaServer`, and the root's `metadata`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    pub resources: ResourceSettings,
    pub websocket: WebSocketSettings,
    /// What `ServerManager.getMetadata` answers: indented JSON, or an empty text when nothing is configured.
    pub metadata: String,
    /// The number of media worker threads, at least 1; by default one for each core.
    pub media_workers: usize,
    /// Whether new elements go round all media workers, instead of staying with their pipeline's while that has room.
    pub media_spread: bool,
    /// The number of threads that decode and encode, at least 1; by default four for each core, so that a slow coder keeps no
    /// other one waiting.
    pub coders: usize,
    /// How many decoders and encoders one pipeline may have (beyond: error 40009).
    pub converters_per_pipeline: usize,
    /// Whose REMB governs a publisher with many viewers.
    pub bitrate_policy: BitratePolicy,
    /// Whether answers take what newer peers offer beyond Kurento's set: RTX, transport-wide feedback, mid, msid.
    pub modern: bool,
    pub files: FileSettings,
    /// Where the server's own page records to, and shows recordings from; absolute, or relative to the main file.
    pub recordings: Option<PathBuf>,
    /// The directory of the main file.
    pub config_path: PathBuf,
}

/// `mediaServer.resources`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSettings {
    /// The fraction of the limits of threads and files above which nothing more is created (error 40009).
    pub exception_limit: f64,
    /// If set: the fraction above which the process ends itself once no object is alive.
    pub kill_limit: Option<f64>,
    /// How often sessions without a sign of life are collected. The transport's keep-alive runs four times as often.
    pub garbage_collector_period: Duration,
    /// Whether a repeated request is answered from memory.
    pub request_cache: bool,
}

/// `mediaServer.net.websocket`.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketSettings {
    /// The port of `ws://`, or `None` for off (a configured 0). A file without the key means 8888, as in 6.8: the files
    /// of 7.3 always name a port, so that one default serves both.
    pub port: Option<u16>,
    /// The literal address to bind `ws://` to; overrides `ipv6` and does not concern `wss://`.
    pub address: Option<IpAddr>,
    /// Whether `[::]` is tried first, with IPv4 as the way out.
    pub ipv6: bool,
    /// The path of the URL, without slashes around it.
    pub path: String,
    /// Threads that read and write connections, at least 1.
    pub threads: usize,
    /// The backlog of the listeners; `None` leaves it to the system.
    pub connection_queue: Option<u32>,
    /// `wss://`, when its port is set and its certificate exists.
    pub secure: Option<SecureSettings>,
    pub registrar: Option<RegistrarSettings>,
}

/// `mediaServer.net.websocket.secure`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecureSettings {
    pub port: u16,
    /// A PEM file with the chain and the private key.
    pub certificate: PathBuf,
    /// The passphrase of the private key.
    pub password: Option<String>,
}

impl std::fmt::Debug for SecureSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let password = self.password.as_ref().map(|_| "****");
        f.debug_struct("SecureSettings")
            .field("port", &self.port)
            .field("certificate", &self.certificate)
            .field("password", &password)
            .finish()
    }
}

/// `mediaServer.net.websocket.registrar`: a server to announce this one to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrarSettings {
    /// The `ws://` or `wss://` URL of the registrar.
    pub address: String,
    /// The host that stands in the announced URL.
    pub local_address: String,
}

/// The configuration gives no way to open a door. The texts are Kurento's; the process logs them and exits with 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("Error creating transport: No network interface is configured")]
    NoInterface,
    #[error("Error creating transport: Only one network interface can be configured")]
    ManyInterfaces,
    #[error("Error creating transport: Configured network interface has not been registered")]
    UnknownInterface,
    /// Binding everywhere instead would open a door that the operator meant to keep narrow.
    #[error("Error creating transport: '{0}' is not an IP address")]
    BadAddress(String),
}

impl ServerSettings {
    /// Reads the settings; `lines` receives a line for every value that cannot be used and is replaced by its default.
    pub fn read(tree: &Tree, lines: &mut Vec<Line>) -> Result<Self, SettingsError> {
        check_interfaces(tree)?;
        Ok(Self {
            resources: ResourceSettings::read(tree, lines),
            websocket: WebSocketSettings::read(tree, lines)?,
            metadata: tree.at("metadata").map(metadata_text).unwrap_or_default(),
            media_workers: Section::new(tree, "mediaServer.media", lines)
                .at_least("workers", 1, "a number from 1")
                .unwrap_or_else(cores),
            media_spread: tree.text("mediaServer.media.placement") == Some("spread"),
            coders: Section::new(tree, "mediaServer.media", lines)
                .at_least("coders", 1, "a number from 1")
                .unwrap_or_else(|| 4 * cores()),
            converters_per_pipeline: Section::new(tree, "mediaServer.media", lines)
                .at_least("convertersPerPipeline", 0, "a number from 0")
                .unwrap_or(256),
            bitrate_policy: bitrate_policy(tree, lines),
            modern: Section::new(tree, "mediaServer.media", lines).bool("modern").unwrap_or(true),
            files: FileSettings::read(tree, lines),
            recordings: Section::new(tree, "mediaServer.demo", lines).file("recordings", tree.text("configPath")),
            config_path: PathBuf::from(tree.text("configPath").unwrap_or(".")),
        })
    }
}

fn bitrate_policy(tree: &Tree, lines: &mut Vec<Line>) -> BitratePolicy {
    match tree.text("mediaServer.media.bitrate") {
        None | Some("slowest") => BitratePolicy::Slowest,
        Some("most") => BitratePolicy::Most,
        Some(_) => {
            let mut section = Section::new(tree, "mediaServer.media", lines);
            section.warn("mediaServer.media.bitrate is neither slowest nor most: slowest is used");
            BitratePolicy::Slowest
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn metadata_text(metadata: &Tree) -> String {
    match metadata.value() {
        Some(text) => text.to_owned(),
        None => metadata.to_pretty_json(),
    }
}

/// `mediaServer.net` must hold one child, `websocket`. The dummy members that stand for comments do not count.
fn check_interfaces(tree: &Tree) -> Result<(), SettingsError> {
    let mut names = tree
        .at("mediaServer.net")
        .into_iter()
        .flat_map(Tree::members)
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("//"));
    match (names.next(), names.next()) {
        (None, _) => Err(SettingsError::NoInterface),
        (Some(_), Some(_)) => Err(SettingsError::ManyInterfaces),
        (Some("websocket"), None) => Ok(()),
        (Some(_), None) => Err(SettingsError::UnknownInterface),
    }
}

impl ResourceSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::new(tree, "mediaServer.resources", lines);
        let period = section.at_least("garbageCollectorPeriod", 1, "a number of seconds from 1").unwrap_or(240_u32);
        Self {
            exception_limit: section.float("exceptionLimit").unwrap_or(0.8),
            kill_limit: section.float("killLimit"),
            garbage_collector_period: Duration::from_secs(u64::from(period)),
            request_cache: !section.bool("disableRequestCache").unwrap_or(false),
        }
    }
}

const PORT: &str = "a port from 0 to 65535";

impl WebSocketSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Result<Self, SettingsError> {
        let secure = SecureSettings::read(tree, lines);
        let registrar = RegistrarSettings::read(tree, lines);
        let mut section = Section::new(tree, "mediaServer.net.websocket", lines);
        let port = section.parsed("port", PORT).unwrap_or(8888_u16);
        let address = match section.text("address") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| SettingsError::BadAddress(text))?),
        };
        let path = section.text("path").unwrap_or_else(|| "kurento".to_owned());
        Ok(Self {
            port: Some(port).filter(|port| *port != 0),
            address,
            ipv6: section.bool("ipv6").unwrap_or(true),
            path: path.trim_matches('/').to_owned(),
            threads: threads(&mut section),
            connection_queue: section.parsed("connqueue", "a number from 0"),
            secure,
            registrar,
        })
    }
}

fn threads(section: &mut Section<'_>) -> usize {
    let expected = "a number from 1";
    match section.at_least("threads", 1, expected) {
        Some(threads) => threads,
        None => {
            let path = section.path("threads");
            section.warn(format!("{path} is not set to {expected}, using 10"));
            10
        }
    }
}

impl SecureSettings {
    /// `None` when off, and also when the certificate is missing: a fault of `wss://` never stops `ws://`.
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Option<Self> {
        let mut section = Section::new(tree, "mediaServer.net.websocket.secure", lines);
        let port = section.parsed("port", PORT).filter(|port| *port != 0)?;
        let Some(certificate) = section.file("certificate", tree.text("configPath")) else {
            lines.push(Line::error("Certificate file must be provided for Secure WebSocket"));
            return None;
        };
        if !certificate.exists() {
            let text = format!("Certificate file doesn't exist: {}", certificate.display());
            lines.push(Line::error(text));
            return None;
        }
        Some(Self { port, certificate, password: section.text("password") })
    }
}

impl RegistrarSettings {
    fn read(tree: &Tree, lines: &mut Vec<Line>) -> Option<Self> {
        let section = Section::new(tree, "mediaServer.net.websocket.registrar", lines);
        let address = section.text("address")?;
        let local_address = section.text("localAddress").unwrap_or_else(|| "localhost".to_owned());
        Some(Self { address, local_address })
    }
}
