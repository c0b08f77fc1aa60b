//! The server: objects, sessions, cache and clock under one roof, without any socket.
//!
//! What enters: text from connections, events from handlers. What leaves: answers, event frames into each connection's
//! bounded queue. What it must never know: sockets (see the rooms below) and media (see `bindings`).
//!
//! The one mutex around [`Sessions`] is held for single statements, never across an await.

use crate::api::model::Api;
use crate::bindings::Bindings;
use crate::cache::Cache;
use crate::classes::{self, LiveClass};
use crate::dispatch;
use crate::events::{EventPost, current_name};
use crate::limits::{Limits, Probe};
use crate::objects::{Birth, MANAGER_ID, Object, lock, new_uuid};
use crate::sessions::{ConnectionId, Sessions, Subscriber};
use futures_util::FutureExt;
use rivero_engine::{Clock, MediaTime};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub mod branch;
pub mod http;
pub mod listen;
pub mod registrar;
pub mod tls;
pub mod websocket;

/// Event frames that wait for one connection; one more closes it.
pub const EVENT_QUEUE: usize = 1024;

/// Waits until `stop` says true, or nobody is left to say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The value's guard must not outlive this line, or the caller's task could not change threads.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Everything that a server is made of.
pub struct ServerOptions {
    /// What `getInfo` says, for the server and each module.
    pub version: String,
    /// When this program was built, as in `Nov  9 2018 10:20:30`.
    pub generation_time: String,
    pub api: Arc<Api>,
    pub bindings: Bindings,
    /// What `getMetadata` answers: JSON text, or nothing.
    pub metadata: String,
    /// Between two passes of the collector; an abandoned session lives one to two of them.
    pub gc_period: Duration,
    /// Whether a request sent twice (same session, same id) is done once.
    pub request_cache: bool,
    /// Where the numbers of threads and files come from.
    pub probe: Box<dyn Probe>,
    /// The part of the system's limits (0 to 1) above which `create` refuses.
    pub exception_limit: f64,
    pub clock: Arc<dyn Clock>,
}

/// How a connection is reached.
#[derive(Clone)]
pub(crate) struct Reach {
    events: mpsc::Sender<Utf8Bytes>,
    overrun: Arc<Notify>,
}

/// What a connection holds while it is open.
pub struct Connection {
    pub id: ConnectionId,
    /// Frames to be sent to the client.
    pub events: mpsc::Receiver<Utf8Bytes>,
    /// Notified when [`Connection::events`] ran full: the connection must close.
    pub overrun: Arc<Notify>,
}

pub struct Server {
    pub(crate) version: String,
    pub(crate) generation_time: String,
    pub(crate) api: Arc<Api>,
    pub(crate) metadata: String,
    clock: Arc<dyn Clock>,
    pub(crate) sessions: Mutex<Sessions<Reach>>,
    pub(crate) cache: Option<Mutex<Cache>>,
    pub(crate) limits: Limits,
    id: String,
    classes: HashMap<&'static str, Arc<LiveClass>>,
    manager: Arc<Object>,
    gc_period: Duration,
    next_connection: AtomicU64,
    /// Groups of objects that are being released.
    burials: watch::Sender<usize>,
}

impl Server {
    /// # Panics
    /// When the API lacks the class `ServerManager`.
    pub fn new(options: ServerOptions) -> Arc<Self> {
        let classes = classes::join(&options.api, &options.bindings);
        let manager = Object::new(Birth {
            id: MANAGER_ID.into(),
            class: classes.get("ServerManager").expect("every API declares ServerManager").clone(),
            parent: None,
            at: options.clock.wall(options.clock.now()),
            face: Box::new(()),
        });
        Arc::new(Server {
            version: options.version,
            generation_time: options.generation_time,
            api: options.api,
            metadata: options.metadata,
            clock: options.clock,
            sessions: Mutex::new(Sessions::new(manager.clone())),
            cache: options.request_cache.then(Mutex::default),
            limits: Limits::new(options.probe, options.exception_limit),
            id: new_uuid(),
            classes,
            manager,
            gc_period: options.gc_period,
            next_connection: AtomicU64::new(1),
            burials: watch::Sender::new(0),
        })
    }

    /// A fresh one for every process.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// Time since some fixed moment, for periods.
    pub fn uptime(&self) -> Duration {
        self.clock.now().since(MediaTime::ZERO)
    }

    /// The time of day, for time stamps.
    pub fn wall(&self) -> SystemTime {
        self.clock.wall(self.clock.now())
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// By bare name.
    pub fn class(&self, name: &str) -> Option<&Arc<LiveClass>> {
        self.classes.get(name)
    }

    /// The object behind `manager_ServerManager`.
    pub fn manager(&self) -> &Arc<Object> {
        &self.manager
    }

    // ---- objects

    /// A live object.
    pub fn object(&self, id: &str) -> Option<Arc<Object>> {
        lock(&self.sessions).object(id).cloned()
    }

    /// In order of creation.
    pub fn children(&self, object: &Object) -> Vec<Arc<Object>> {
        lock(&self.sessions).children(object.id())
    }

    pub fn pipelines(&self) -> Vec<Arc<Object>> {
        lock(&self.sessions).pipelines()
    }

    /// How many objects live, the server manager not counted.
    pub fn object_count(&self) -> usize {
        lock(&self.sessions).count()
    }

    /// The same by class, the server manager counted.
    pub fn object_counts(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.sessions).count_by_class()
    }

    /// Releases an object and all below it, as a client's `release` does.
    pub fn release(self: &Arc<Self>, id: &str) {
        let released = lock(&self.sessions).release(id);
        self.bury(released);
    }

    // ---- events

    /// Sends an event to all who subscribed, under each name by which they know it. `event` is the name of 7.3; `data` holds
    /// the event's own properties (source, tags, time stamps and `type` are added). Never waits.
    pub fn emit(&self, source: &Object, event: &str, data: Map<String, Json>, at: SystemTime) {
        let current = current_name(event);
        let subscribers = lock(&self.sessions).subscribers(source.id(), |name| current_name(name) == current);
        if subscribers.is_empty() {
            return;
        }
        let post = EventPost { source, data, at };
        let mut written: BTreeMap<&str, Utf8Bytes> = BTreeMap::new();
        for Subscriber { name, reach, .. } in subscribers {
            let text = written.entry(name).or_insert_with(|| post.write(&self.api, name).into()).clone();
            if let Err(mpsc::error::TrySendError::Full(_)) = reach.events.try_send(text) {
                reach.overrun.notify_one();
            }
        }
    }

    // ---- connections

    pub fn open_connection(&self) -> Connection {
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let overrun = Arc::new(Notify::new());
        lock(&self.sessions).open(id, Reach { events: sender, overrun: overrun.clone() });
        Connection { id, events, overrun }
    }

    /// The session and its objects stay until the collector finds them abandoned.
    pub fn close_connection(&self, id: ConnectionId) {
        lock(&self.sessions).close(id);
    }

    /// The session for which a connection speaks.
    pub fn session_of(&self, id: ConnectionId) -> Option<String> {
        lock(&self.sessions).spoken_for(id).map(ToString::to_string)
    }

    /// Answers one message. The caller hands over a connection's messages one at a time, in order. An empty answer is sent
    /// as an empty text frame.
    pub async fn handle_text(self: &Arc<Self>, connection: ConnectionId, text: &str) -> String {
        dispatch::answer(self, connection, text).await
    }

    // ---- time

    /// One pass of the collector.
    pub fn collect(self: &Arc<Self>) {
        let (ended, released) = lock(&self.sessions).collect();
        for session in ended {
            tracing::info!(session, "removing an inactive session");
        }
        self.bury(released);
        if let Some(cache) = &self.cache {
            lock(cache).expire(self.uptime());
        }
    }

    /// Collects every `gc_period` until the server is gone. To be spawned once.
    pub async fn collect_forever(self: Arc<Self>) {
        let server = Arc::downgrade(&self);
        let period = self.gc_period.max(Duration::from_millis(1));
        drop(self);
        loop {
            tokio::time::sleep(period).await;
            match server.upgrade() {
                Some(server) => server.collect(),
                None => return,
            }
        }
    }

    /// Releases every object and waits until all are gone. Nothing can be created any longer.
    pub async fn shutdown(self: &Arc<Self>) {
        let released = lock(&self.sessions).release_all();
        self.bury(released);
        let mut burials = self.burials.subscribe();
        // Fails only when the sender is gone, and that is ours.
        let _ = burials.wait_for(|count| *count == 0).await;
    }

    /// Ends objects that no client can reach any longer, in the given order, behind the caller's back.
    pub(crate) fn bury(self: &Arc<Self>, objects: Vec<Arc<Object>>) {
        if objects.is_empty() {
            return;
        }
        let server = self.clone();
        self.burials.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            for (n, object) in objects.into_iter().enumerate() {
                server.end(&object).await;
                let data = Map::from_iter([("objectId".to_owned(), Json::from(object.id()))]);
                server.emit(&server.manager, "ObjectDestroyed", data, server.wall());
                if n % 64 == 63 {
                    tokio::task::yield_now().await;
                }
            }
            server.burials.send_modify(|count| *count -= 1);
        });
    }

    /// Runs what is bound to the end of an object. A panic there costs that object only.
    pub(crate) async fn end(&self, object: &Arc<Object>) {
        for releaser in &object.class().releasers {
            let ending = AssertUnwindSafe(async { releaser(object.clone()).await });
            if ending.catch_unwind().await.is_err() {
                tracing::error!(object = object.id(), "releasing an object failed");
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.id)
    }
}
