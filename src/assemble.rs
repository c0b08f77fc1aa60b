//! Puts the floors together: media workers, the API bound to them, the doors to clients. And takes them apart again.

use crate::VERSION;
use crate::pages::pages;
use crate::recordings::Place;
use rivero_codecs::convert::Converters;
use rivero_engine::graph::{EngineParts, Placement, WorkerHandle};
use rivero_engine::time::SystemClock;
use rivero_engine::toolbox::EmptyToolbox;
use rivero_engine::{Clock, Engine};
use rivero_rpc::config::settings::{ConfiguredCodec, ElementSettings, FileSettings, SecureSettings, ServerSettings};
use rivero_rpc::config::tree::Tree;
use rivero_rpc::kurento::{self, Media, MediaOptions, NoticeQueue};
use rivero_rpc::limits::ThisProcess;
use rivero_rpc::server::http::Pages;
use rivero_rpc::server::listen::{ListenOptions, Listener, Security};
use rivero_rpc::server::registrar::{Registration, register_forever};
use rivero_rpc::server::tls;
use rivero_rpc::{Bindings, Server, ServerOptions, api};
use rivero_transport::net::NetSettings;
use rivero_transport::sdp::LocalCodec;
use rivero_transport::webrtc::{Certificate, WebRtcConfig};
use rivero_transport::worker::{WorkerSettings, Workers};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long pipelines have to end before the process goes without them.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(Box<dyn std::error::Error + Send + Sync>);

impl StartError {
    pub fn new(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StartError(why.into())
    }
}

/// The running server.
pub struct Assembly {
    server: Arc<Server>,
    workers: Workers,
    stop: watch::Sender<bool>,
    kill_limit: Option<f64>,
}

impl Assembly {
    /// Starts everything. Call inside the runtime that shall serve the clients.
    pub async fn start(
        settings: ServerSettings,
        elements: ElementSettings,
        recordings: Option<Place>,
    ) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let webrtc = Arc::new(webrtc_config(&elements, settings.modern, &*clock)?);
        let notices = NoticeQueue::default();
        let worker_settings = WorkerSettings {
            workers: settings.media_workers,
            coders: settings.coders,
            toolbox: Arc::new(Converters),
            converters_per_pipeline: settings.converters_per_pipeline,
            placement: if settings.media_spread { Placement::Spread } else { Placement::Pipeline },
            bitrate_policy: settings.bitrate_policy,
            net: NetSettings { ports: (elements.base_rtp.min_port, elements.base_rtp.max_port) },
        };
        let workers = Workers::start(&worker_settings, clock.clone(), notices.sink(), webrtc.certificate.clone())
            .await
            .map_err(StartError::new)?;
        let media = media(workers.engine.clone(), elements, settings.files.clone(), webrtc);
        let server = serve_api(&settings, &media, clock.clone());
        media.attach(&server);
        tokio::spawn(notices.run(media.clone()));
        tokio::spawn(server.clone().collect_forever());
        let (stop, stopped) = watch::channel(false);
        let recordings = recordings.map(|place| place.open(clock).map_err(StartError::new)).transpose()?;
        let pages = pages(media, &server, recordings);
        open_doors(&settings, &pages, &server, &stopped)?;
        Ok(Assembly { server, workers, stop, kill_limit: settings.resources.kill_limit })
    }

    /// Ends when `killLimit` is configured, the process uses more than that part of the system's limits, and no object is
    /// left that could be the reason: something leaks, and whoever supervises the process shall start it anew.
    pub async fn exhausted(&self) {
        let Some(limit) = self.kill_limit else { return std::future::pending().await };
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.server.object_count() == 0 && self.server.limits().exceeds(limit, self.server.uptime()) {
                return;
            }
        }
    }

    /// Closes the doors, releases every pipeline and ends the workers.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(PATIENCE, self.server.shutdown()).await.is_err() {
            tracing::error!(target: "KurentoMediaServer", "not everything could be released in time");
        }
        // The threads end by themselves within a turn; joining them must not hold up this one.
        let workers = self.workers;
        if tokio::task::spawn_blocking(move || workers.stop()).await.is_err() {
            tracing::error!(target: "KurentoMediaServer", "the media workers did not end orderly");
        }
    }
}

fn media(engine: Engine, settings: ElementSettings, files: FileSettings, webrtc: Arc<WebRtcConfig>) -> Arc<Media> {
    let dot_folder = std::env::var_os("GST_DEBUG_DUMP_DOT_DIR").map(PathBuf::from);
    Media::new(MediaOptions { engine, settings, files, webrtc, dot_folder })
}

fn serve_api(settings: &ServerSettings, media: &Arc<Media>, clock: Arc<dyn Clock>) -> Arc<Server> {
    let mut bindings = Bindings::new();
    kurento::bind(&mut bindings, media);
    let resources = &settings.resources;
    let server = Server::new(ServerOptions {
        version: VERSION.to_owned(),
        generation_time: env!("RIVERO_BUILT").to_owned(),
        api: Arc::new(api::kurento()),
        bindings,
        metadata: settings.metadata.clone(),
        gc_period: resources.garbage_collector_period,
        request_cache: resources.request_cache,
        probe: Box::new(ThisProcess),
        exception_limit: resources.exception_limit,
        clock,
    });
    let allowed = server.limits().allowed();
    let target = resources.exception_limit * 100.0;
    tracing::info!(
        target: "KurentoResourceManager",
        "Using above {target}% of system limits will throw NOT_ENOUGH_RESOURCES exception"
    );
    tracing::info!(target: "KurentoResourceManager", "System limits: {allowed}");
    let cache = if resources.request_cache { "ENABLED" } else { "DISABLED" };
    tracing::info!(target: "KurentoServerMethods", "RPC Request Cache is {cache}");
    server
}

fn open_doors(
    settings: &ServerSettings,
    pages: &Pages,
    server: &Arc<Server>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    let socket = &settings.websocket;
    let options = |port| ListenOptions {
        address: socket.address,
        ipv6: socket.ipv6,
        port,
        backlog: socket.connection_queue.unwrap_or(1024),
        path: socket.path.clone(),
        pages: pages.clone(),
    };
    let mut open = false;
    if let Some(port) = socket.port {
        let listener = Listener::bind(options(port)).map_err(|why| {
            tracing::error!(target: "KurentoWebSocketTransport", "port {port} cannot be listened on: {why}");
            StartError::new(
                "Error creating transport: Cannot open a WebSocket listener on the specified port (multiple KMS instances?)",
            )
        })?;
        let address = listener.address().map_err(StartError::new)?;
        tracing::info!(
            target: "KurentoWebSocketTransport",
            "WebSocket server (ws://) listening on address '{}', port {}", address.ip(), address.port()
        );
        tracing::info!(
            target: "KurentoMediaServer",
            "Applications connect to ws://127.0.0.1:{0}/{1}; people open http://127.0.0.1:{0}/", address.port(), socket.path
        );
        tokio::spawn(listener.serve(server.clone(), Security::None, stopped.clone()));
        open = true;
    }
    match &socket.secure {
        Some(secure) => {
            let wide = ListenOptions { address: None, ..options(secure.port) };
            open |= open_secure_door(secure, wide, server, stopped);
        }
        None => tracing::info!(target: "KurentoWebSocketTransport", "Secure WebSocket server (wss://) not enabled"),
    }
    if let Some(registrar) = &socket.registrar {
        let registration = Registration {
            registrar: registrar.address.clone(),
            local_address: registrar.local_address.clone(),
            port: socket.port.unwrap_or(0),
            secure_port: socket.secure.as_ref().map(|secure| secure.port),
            path: socket.path.clone(),
        };
        tokio::spawn(register_forever(registration, stopped.clone()));
    }
    if open { Ok(()) } else { Err(StartError::new("Error creating transport: no WebSocket listener is enabled")) }
}

/// A fault of `wss://` never stops `ws://`.
fn open_secure_door(
    secure: &SecureSettings,
    options: ListenOptions,
    server: &Arc<Server>,
    stopped: &watch::Receiver<bool>,
) -> bool {
    let security = match tls::server_config(&secure.certificate) {
        Ok(config) => Security::Tls(config),
        Err(why) => {
            tracing::error!(target: "KurentoWebSocketTransport", "Secure WebSocket error: {why}");
            Security::Broken
        }
    };
    match Listener::bind(options) {
        Ok(listener) => {
            tracing::info!(
                target: "KurentoWebSocketTransport",
                "Secure WebSocket server (wss://) listening on port {}", secure.port
            );
            tokio::spawn(listener.serve(server.clone(), security, stopped.clone()));
            true
        }
        Err(why) => {
            tracing::error!(
                target: "KurentoWebSocketTransport",
                "Secure WebSocket error: cannot listen on port {} ({why})", secure.port
            );
            false
        }
    }
}

/// What WebRTC endpoints may negotiate: the configured codecs without those that browsers do not speak there.
fn webrtc_config(elements: &ElementSettings, modern: bool, clock: &dyn Clock) -> Result<WebRtcConfig, StartError> {
    let enable_h265 = elements.webrtc.enable_h265;
    let speaks = |codec: &&ConfiguredCodec| match codec.encoding.to_ascii_uppercase().as_str() {
        "H265" => enable_h265,
        "OPUS" | "PCMU" | "PCMA" | "G722" | "VP8" | "VP9" | "AV1" | "H264" => true,
        _ => false,
    };
    let local = |codec: &ConfiguredCodec| LocalCodec::new(&codec.encoding, codec.clock_rate, codec.channels);
    let list = |codecs: &[ConfiguredCodec]| codecs.iter().filter(speaks).map(local).collect();
    Ok(WebRtcConfig {
        certificate: Arc::new(certificate(elements.webrtc.pem_certificate_ecdsa.as_deref(), clock)?),
        audio_codecs: list(&elements.sdp.audio_codecs),
        video_codecs: list(&elements.sdp.video_codecs),
        audio_lines: elements.sdp.num_audio_medias as usize,
        video_lines: elements.sdp.num_video_medias as usize,
        modern,
    })
}

/// The configured certificate, or one of our own when there is none or it cannot be used.
fn certificate(file: Option<&Path>, clock: &dyn Clock) -> Result<Certificate, StartError> {
    if let Some(file) = file {
        let read = std::fs::read_to_string(file).map_err(|why| why.to_string());
        let now = clock.instant(clock.now());
        match read.and_then(|pem| Certificate::from_pem(&pem, now).map_err(|why| why.to_string())) {
            Ok(certificate) => return Ok(certificate),
            Err(why) => {
                let file = file.display();
                tracing::error!(target: "KurentoWebRtcEndpointImpl", "Certificate in file {file} is not valid: {why}");
            }
        }
    }
    Certificate::generate().map_err(StartError::new)
}

/// The API without anything running behind it, for `--version` and `--list`.
fn described() -> (api::model::Api, Bindings) {
    let (commands, _) = mpsc::channel(1);
    let handle = WorkerHandle { commands, busy: Arc::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = ElementSettings::read(&Tree::new(), &mut Vec::new());
    let engine = Engine::new(EngineParts {
        workers: vec![handle],
        coders: 0,
        clock: clock.clone(),
        placement: Placement::Pipeline,
        toolbox: Arc::new(EmptyToolbox),
        converters_per_pipeline: 0,
        notices: Arc::new(drop),
    });
    let api = api::kurento();
    let mut bindings = Bindings::new();
    // A machine on which no certificate can be made has no WebRTC; the lists are shown without it.
    if let Ok(webrtc) = webrtc_config(&settings, true, &*clock) {
        kurento::bind(&mut bindings, &media(engine, settings, FileSettings::default(), Arc::new(webrtc)));
    }
    (api, bindings)
}

/// Modules that have something to offer, by name.
pub fn modules() -> Vec<&'static str> {
    let (api, bindings) = described();
    let offers = |module: &&api::model::Module| {
        matches!(module.name, "core" | "elements" | "filters")
            || module.classes.iter().any(|c| bindings.creates(c.name))
    };
    api.modules.iter().filter(offers).map(|module| module.name).collect()
}

/// Names under which objects can be created: bare and qualified.
pub fn factories() -> Vec<String> {
    let (api, bindings) = described();
    let classes = api.modules.iter().flat_map(|module| &module.classes).filter(|class| bindings.creates(class.name));
    let mut names: Vec<String> = classes.flat_map(|class| [class.name.to_owned(), class.qualified()]).collect();
    names.sort();
    names
}
