//! What all faces share: the engine, the settings of elements, and which object stands for which element.

use super::film_tally::FilmTally;
use crate::config::settings::{ElementSettings, FileSettings};
use crate::objects::{Object, lock};
use crate::server::Server;
use crate::uploads::Uploads;
use rivero_codecs::film::{Roots, SpoolRoom, WriterOptions};
use rivero_engine::notice::ElementId;
use rivero_engine::{Clock, Engine};
use rivero_transport::webrtc::WebRtcConfig;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::SystemTime;

/// Bytes of a single post that is written to a temporary file, and of all at the same time.
const MOST_SPOOLED: u64 = 1 << 30;
const MOST_SPOOLED_BY_ALL: u64 = 4 << 30;

pub struct MediaOptions {
    pub engine: Engine,
    pub settings: ElementSettings,
    pub files: FileSettings,
    pub webrtc: Arc<WebRtcConfig>,
    /// Where `dumpGstreamerDot` writes; nowhere without it.
    pub dot_folder: Option<PathBuf>,
}

pub struct Media {
    pub engine: Engine,
    pub settings: ElementSettings,
    /// Where files may lie.
    pub roots: Roots,
    /// How recordings are written.
    pub writing: WriterOptions,
    pub webrtc: Arc<WebRtcConfig>,
    pub dot_folder: Option<PathBuf>,
    pub uploads: Uploads,
    /// For posts.
    pub spool_room: SpoolRoom,
    pub recording_room: SpoolRoom,
    pub films: FilmTally,
    objects: Mutex<HashMap<ElementId, Weak<Object>>>,
    server: OnceLock<Weak<Server>>,
}

impl Media {
    pub fn new(options: MediaOptions) -> Arc<Self> {
        Arc::new(Media {
            engine: options.engine,
            uploads: Uploads::new(options.settings.http.clone()),
            spool_room: SpoolRoom::new(MOST_SPOOLED, MOST_SPOOLED_BY_ALL),
            settings: options.settings,
            roots: options.files.roots.map_or_else(Roots::anywhere, Roots::below),
            writing: WriterOptions { sync: options.files.sync, ..WriterOptions::default() },
            webrtc: options.webrtc,
            dot_folder: options.dot_folder,
            recording_room: SpoolRoom::new(options.files.spool / 4, options.files.spool),
            films: FilmTally::default(),
            objects: Mutex::default(),
            server: OnceLock::new(),
        })
    }

    /// The server whose clients read the events; to be told once, before anything is created.
    pub fn attach(&self, server: &Arc<Server>) {
        let _ = self.server.set(Arc::downgrade(server));
    }

    /// From now on notices of the element are events of the object.
    pub fn register(&self, element: ElementId, object: &Arc<Object>) {
        lock(&self.objects).insert(element, Arc::downgrade(object));
    }

    pub fn forget(&self, element: ElementId) {
        lock(&self.objects).remove(&element);
    }

    pub fn object(&self, element: ElementId) -> Option<Arc<Object>> {
        lock(&self.objects).get(&element).and_then(Weak::upgrade)
    }

    pub fn wall(&self) -> SystemTime {
        let clock: &Arc<dyn Clock> = self.engine.clock();
        clock.wall(clock.now())
    }

    pub fn emit(&self, source: &Object, event: &str, data: Map<String, Json>, at: SystemTime) {
        if let Some(server) = self.server.get().and_then(Weak::upgrade) {
            server.emit(source, event, data, at);
        }
    }
}

#[cfg(test)]
impl MediaOptions {
    pub fn for_tests(engine: Engine) -> Self {
        use rivero_transport::webrtc::Certificate;
        let settings = ElementSettings::read(&crate::config::tree::Tree::new(), &mut Vec::new());
        let webrtc = WebRtcConfig {
            certificate: Arc::new(Certificate::generate().expect("a certificate")),
            audio_codecs: vec!["opus/48000/2".parse().expect("a codec")],
            video_codecs: vec!["VP8/90000".parse().expect("a codec")],
            audio_lines: 1,
            video_lines: 1,
            modern: true,
        };
        MediaOptions { engine, settings, files: FileSettings::default(), webrtc: Arc::new(webrtc), dot_folder: None }
    }
}
