//! One URL, and the session of the peer that posts to it. Enters: requests that begin and end. Leaves: news for the one who
//! expects them.

use super::body::{Body, Feed, Receipt, body};
use crate::bindings::Pending;
use crate::objects::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use uuid::Uuid;

/// Who a URL belongs to.
pub trait Expects: Send + Sync {
    /// The first post has come.
    fn session_started(&self);

    /// Nobody has been connected for some time: the URL leads nowhere from now on.
    fn session_terminated(&self);

    /// A post begins; the one before it has been played.
    fn play(&self, body: Body, receipt: Receipt) -> Pending<()>;
}

pub struct Site {
    path: String,
    /// As peers know this server.
    host: String,
    patience: Duration,
    who: Arc<dyn Expects>,
    /// The secret that makes a peer the one of this session.
    cookie: OnceLock<String>,
    /// Requests that are being received. The end of the site is the end of this channel for those who watch.
    active: watch::Sender<usize>,
    gone: watch::Sender<bool>,
    /// One post is played at a time.
    turn: Arc<Semaphore>,
}

impl Site {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether a request may post here, by its cookie; the first one may, and is told the cookie of the session.
    pub fn admit(&self, cookies: impl Iterator<Item = impl AsRef<str>>) -> Admitted {
        let mut first = false;
        let secret = self.cookie.get_or_init(|| {
            first = true;
            // A positive number of 63 bits, as Kurento's clients expect.
            (Uuid::new_v4().as_u64_pair().0 >> 1).to_string()
        });
        match first {
            true => Admitted::First(secret.clone()),
            false if cookies.into_iter().any(|cookie| cookie.as_ref() == secret) => Admitted::Again,
            false => Admitted::No,
        }
    }

    /// Waits until the post before has been played.
    pub async fn begin(&self) -> Option<Feed> {
        let turn = self.turn.clone().acquire_owned().await.ok()?;
        let (feed, body, receipt) = body(turn);
        self.who.play(body, receipt).await;
        Some(feed)
    }

    /// Resolves when the site is no more.
    pub async fn gone(&self) {
        // An end of the channel is the end of the site as well.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }
}

pub enum Admitted {
    /// With the cookie's value.
    First(String),
    Again,
    No,
}

/// Counts a request as a connection of its site, until it is dropped.
pub struct Connected(Arc<Site>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.active.send_modify(|active| *active -= 1);
    }
}

/// All URLs.
#[derive(Default)]
pub struct Sites(Mutex<HashMap<String, Arc<Site>>>);

impl Sites {
    pub fn add(&self, host: String, patience: Duration, who: Arc<dyn Expects>) -> Arc<Site> {
        let path = format!("/{}", Uuid::new_v4());
        let site = Arc::new(Site {
            path: path.clone(),
            host,
            patience,
            who,
            cookie: OnceLock::new(),
            active: watch::Sender::new(0),
            gone: watch::Sender::new(false),
            turn: Arc::new(Semaphore::new(1)),
        });
        lock(&self.0).insert(path, site.clone());
        site
    }

    pub fn find(&self, path: &str) -> Option<Arc<Site>> {
        lock(&self.0).get(path).cloned()
    }

    /// Requests that are under way end.
    pub fn remove(&self, site: &Site) {
        lock(&self.0).remove(&site.path);
        site.gone.send_replace(true);
        site.turn.close();
    }

    /// A post has been admitted, the first of its session or a later one.
    pub fn connect(self: &Arc<Self>, site: &Arc<Site>, first: bool) -> Connected {
        site.active.send_modify(|active| *active += 1);
        if first {
            site.who.session_started();
            tokio::spawn(watch_session(
                Arc::downgrade(self),
                Arc::downgrade(site),
                site.active.subscribe(),
                site.patience,
            ));
        }
        Connected(site.clone())
    }
}

/// Ends the session when nobody has been connected for `patience`.
async fn watch_session(sites: Weak<Sites>, site: Weak<Site>, mut active: watch::Receiver<usize>, patience: Duration) {
    loop {
        if active.wait_for(|active| *active == 0).await.is_err() {
            return;
        }
        match timeout(patience, active.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => break,
        }
    }
    let (Some(sites), Some(site)) = (sites.upgrade(), site.upgrade()) else { return };
    // Released at this moment: then nobody wants to know.
    if sites.find(&site.path).is_some() {
        sites.remove(&site);
        site.who.session_terminated();
    }
}
