//! Who holds what: sessions, the objects that they reference, subscriptions, and which connection speaks for a session.
//!
//! What enters: "this session references that object", "this connection now speaks for that session", "a collection is
//! due". What leaves: the objects that nobody holds any longer, children before parents. What it must never know: sockets,
//! time, or what an object does. It is a plain state machine; the server keeps it behind one mutex.
//!
//! Two laws hold after every call: who references an object references its parents; an object is known here exactly as long
//! as some session references it (the server manager always). Every call costs in proportion to what it touches, never to
//! all there is.

use crate::objects::{MANAGER_ID, Object, new_uuid};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// Names a connection for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// `C` is whatever reaches a connection.
pub struct Sessions<C> {
    objects: HashMap<Arc<str>, Entry>,
    pipelines: BTreeMap<Arc<str>, Arc<Object>>,
    sessions: HashMap<Arc<str>, Session>,
    connections: HashMap<ConnectionId, Connection<C>>,
    /// Which connection speaks for a session id. The session itself need not exist (yet).
    speakers: HashMap<Arc<str>, ConnectionId>,
    born: u64,
    /// At the end of the server nothing new is taken in.
    closed: bool,
}

struct Entry {
    object: Arc<Object>,
    /// Its place in the order of creation.
    born: u64,
    /// By order of creation.
    children: BTreeMap<u64, Arc<Object>>,
    holders: HashSet<Arc<str>>,
    /// Event name and subscription ids, by session.
    subscribers: HashMap<Arc<str>, HashMap<&'static str, HashSet<String>>>,
}

#[derive(Default)]
struct Session {
    in_use: bool,
    objects: HashSet<Arc<str>>,
}

struct Connection<C> {
    session: Option<Arc<str>>,
    reach: C,
}

/// One place to which an event goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriber<C> {
    /// The name under which the session subscribed.
    pub name: &'static str,
    pub connection: ConnectionId,
    pub reach: C,
}

impl<C: Clone> Sessions<C> {
    pub fn new(manager: Arc<Object>) -> Self {
        let mut sessions = Sessions {
            objects: HashMap::new(),
            pipelines: BTreeMap::new(),
            sessions: HashMap::new(),
            connections: HashMap::new(),
            speakers: HashMap::new(),
            born: 0,
            closed: false,
        };
        sessions.enter(manager);
        sessions
    }

    fn enter(&mut self, object: Arc<Object>) {
        let born = self.born;
        self.born += 1;
        if let Some(parent) = object.parent().and_then(|parent| self.objects.get_mut(parent.id())) {
            parent.children.insert(born, object.clone());
        }
        if object.is_a("MediaPipeline") {
            self.pipelines.insert(object.shared_id(), object.clone());
        }
        let entry = Entry {
            born,
            children: BTreeMap::new(),
            holders: HashSet::new(),
            subscribers: HashMap::new(),
            object: object.clone(),
        };
        self.objects.insert(object.shared_id(), entry);
    }

    // ---- objects

    pub fn object(&self, id: &str) -> Option<&Arc<Object>> {
        self.objects.get(id).map(|entry| &entry.object)
    }

    /// How many objects live, the server manager not counted.
    pub fn count(&self) -> usize {
        self.objects.len() - 1
    }

    /// The same by class, the server manager counted. Looks at each of them.
    pub fn count_by_class(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.objects.values() {
            *counts.entry(entry.object.class().name).or_default() += 1;
        }
        counts
    }

    /// In order of creation.
    pub fn children(&self, id: &str) -> Vec<Arc<Object>> {
        self.objects.get(id).map(|entry| entry.children.values().cloned().collect()).unwrap_or_default()
    }

    /// All pipelines, by id.
    pub fn pipelines(&self) -> Vec<Arc<Object>> {
        self.pipelines.values().cloned().collect()
    }

    /// Takes a new object in: its creator references it, and so does every session that references its parent. False, and
    /// nothing done, when its parent has been released meanwhile, or everything.
    #[must_use]
    pub fn insert(&mut self, object: Arc<Object>, creator: &str) -> bool {
        if self.closed {
            return false;
        }
        let mut holders = HashSet::new();
        if let Some(parent) = object.parent() {
            let Some(parent) = self.objects.get(parent.id()) else { return false };
            holders.clone_from(&parent.holders);
        }
        let id = object.shared_id();
        self.enter(object);
        for holder in holders {
            self.hold(&holder, &id);
        }
        self.reference(creator, &id);
        true
    }

    fn hold(&mut self, session: &Arc<str>, id: &Arc<str>) {
        if let Some(entry) = self.objects.get_mut(id) {
            entry.holders.insert(session.clone());
            self.sessions.entry(session.clone()).or_default().objects.insert(id.clone());
        }
    }

    /// References an object and its parents in a session (which comes to exist by it) and marks the session as in use.
    /// `None` when there is no such object.
    pub fn reference(&mut self, session: &str, id: &str) -> Option<Arc<Object>> {
        let object = self.objects.get(id)?.object.clone();
        let session = self.key(session);
        self.sessions.entry(session.clone()).or_default().in_use = true;
        for ancestor in object.lineage() {
            if self.objects.get(ancestor.id()).is_some_and(|entry| entry.holders.contains(&session)) {
                break; // and hence all further ones
            }
            self.hold(&session, &ancestor.shared_id());
        }
        Some(object)
    }

    /// The one shared copy of a session's name.
    fn key(&self, session: &str) -> Arc<str> {
        self.sessions.get_key_value(session).map_or_else(|| session.into(), |(key, _)| key.clone())
    }

    /// The object and everything below it, children first.
    fn subtree(&self, id: &str) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        let mut open: Vec<Arc<str>> = self.objects.get_key_value(id).map(|(key, _)| key.clone()).into_iter().collect();
        while let Some(id) = open.pop() {
            let below = self.objects.get(&id).into_iter().flat_map(|entry| entry.children.values().rev());
            open.extend(below.map(|child| child.shared_id()));
            found.push(id);
        }
        found.reverse();
        found
    }

    /// Drops an object and all below it from one session. What nobody else holds is returned, children first.
    pub fn unreference(&mut self, session: &str, id: &str) -> Vec<Arc<Object>> {
        if self.sessions.get(session).is_none_or(|s| !s.objects.contains(id)) {
            return Vec::new();
        }
        let subtree = self.subtree(id);
        subtree.iter().filter_map(|id| self.let_go(session, id)).collect()
    }

    /// Ends one reference; returns the object when it was the last.
    fn let_go(&mut self, session: &str, id: &str) -> Option<Arc<Object>> {
        if let Some(session) = self.sessions.get_mut(session) {
            session.objects.remove(id);
        }
        let entry = self.objects.get_mut(id)?;
        entry.subscribers.remove(session);
        let held = entry.holders.remove(session);
        if !held || !entry.holders.is_empty() || id == MANAGER_ID {
            return None;
        }
        self.remove(id)
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Object>> {
        let entry = self.objects.remove(id)?;
        self.pipelines.remove(id);
        if let Some(parent) = entry.object.parent().and_then(|parent| self.objects.get_mut(parent.id())) {
            parent.children.remove(&entry.born);
        }
        Some(entry.object)
    }

    /// Drops an object and all below it from every session. The server manager cannot be released.
    pub fn release(&mut self, id: &str) -> Vec<Arc<Object>> {
        if id == MANAGER_ID {
            return Vec::new();
        }
        let mut released = Vec::new();
        for id in self.subtree(id) {
            let holders = self.objects.get(&id).map(|entry| entry.holders.clone()).unwrap_or_default();
            for holder in holders {
                if let Some(session) = self.sessions.get_mut(&holder) {
                    session.objects.remove(&id);
                }
            }
            released.extend(self.remove(&id));
        }
        released
    }

    /// Releases everything, children first, and takes nothing new in.
    pub fn release_all(&mut self) -> Vec<Arc<Object>> {
        self.closed = true;
        let pipelines = self.pipelines();
        let mut released: Vec<_> = pipelines.iter().flat_map(|pipeline| self.release(pipeline.id())).collect();
        let rest: Vec<_> = self.objects.keys().filter(|id| &***id != MANAGER_ID).cloned().collect();
        released.extend(rest.iter().flat_map(|id| self.release(id)));
        released
    }

    // ---- sessions

    pub fn session_ids(&self) -> Vec<String> {
        let sorted: BTreeSet<&Arc<str>> = self.sessions.keys().collect();
        sorted.into_iter().map(|id| id.to_string()).collect()
    }

    /// Marks a session as in use; false when there is no such session.
    #[must_use]
    pub fn keep_alive(&mut self, session: &str) -> bool {
        self.sessions.get_mut(session).map(|session| session.in_use = true).is_some()
    }

    /// Ends a session. With `release` its objects end for everybody, else only for it.
    pub fn close_session(&mut self, session: &str, release: bool) -> Vec<Arc<Object>> {
        let Some(ended) = self.sessions.get(session) else { return Vec::new() };
        let held: Vec<Arc<str>> = ended.objects.iter().cloned().collect();
        let released = match release {
            true => held.iter().flat_map(|id| self.release(id)).collect(),
            false => self.let_all_go(session, held),
        };
        // What is left is the server manager, if anything.
        if let Some(manager) = self.objects.get_mut(MANAGER_ID) {
            manager.holders.remove(session);
            manager.subscribers.remove(session);
        }
        self.sessions.remove(session);
        released
    }

    fn let_all_go(&mut self, session: &str, mut held: Vec<Arc<str>>) -> Vec<Arc<Object>> {
        // Younger ones first: a child is younger than its parent.
        held.sort_by_key(|id| std::cmp::Reverse(self.objects.get(id).map(|entry| entry.born)));
        held.iter().filter_map(|id| self.let_go(session, id)).collect()
    }

    /// One pass of the collector: sessions for which a connection speaks, or that were used since the last pass, stay; the
    /// others end. Returns the ids of the ended sessions and the objects that went with them.
    pub fn collect(&mut self) -> (Vec<String>, Vec<Arc<Object>>) {
        let mut ended = Vec::new();
        for (id, session) in &mut self.sessions {
            let spoken_for = self.speakers.contains_key(id);
            if !spoken_for && !session.in_use {
                ended.push(id.to_string());
            }
            session.in_use = spoken_for;
        }
        let released = ended.iter().flat_map(|id| self.close_session(id, false)).collect();
        (ended, released)
    }

    // ---- subscriptions

    /// Adds a subscription and returns its id. The object must be referenced by the session.
    pub fn subscribe(&mut self, session: &str, id: &str, event: &'static str) -> Option<String> {
        let session = self.key(session);
        let entry = self.objects.get_mut(id)?;
        let subscription = new_uuid();
        let events = entry.subscribers.entry(session).or_default();
        events.entry(event).or_default().insert(subscription.clone());
        Some(subscription)
    }

    pub fn unsubscribe(&mut self, session: &str, id: &str, subscription: &str) {
        let Some(entry) = self.objects.get_mut(id) else { return };
        let Some(events) = entry.subscribers.get_mut(session) else { return };
        events.retain(|_, subscriptions| {
            subscriptions.remove(subscription);
            !subscriptions.is_empty()
        });
        if events.is_empty() {
            entry.subscribers.remove(session);
        }
    }

    /// Where an event of an object goes: each subscribed name for which `wanted` says yes, once per session that has a
    /// connection.
    pub fn subscribers(&self, id: &str, wanted: impl Fn(&str) -> bool) -> Vec<Subscriber<C>> {
        let Some(entry) = self.objects.get(id) else { return Vec::new() };
        let mut found = Vec::new();
        for (session, events) in &entry.subscribers {
            let Some(&connection) = self.speakers.get(session) else { continue };
            let Some(speaker) = self.connections.get(&connection) else { continue };
            let names = events.keys().copied().filter(|name| wanted(name));
            found.extend(names.map(|name| Subscriber { name, connection, reach: speaker.reach.clone() }));
        }
        found
    }

    // ---- connections

    pub fn open(&mut self, connection: ConnectionId, reach: C) {
        self.connections.insert(connection, Connection { session: None, reach });
    }

    /// Forgets a connection; its session and objects stay.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(session) = self.connections.remove(&connection).and_then(|connection| connection.session) {
            self.speakers.remove(&session);
        }
    }

    /// The session for which a connection speaks.
    pub fn spoken_for(&self, connection: ConnectionId) -> Option<&Arc<str>> {
        self.connections.get(&connection)?.session.as_ref()
    }

    /// Lets a connection speak for a session: it stops speaking for another one, and another connection stops speaking for
    /// this one. True when this was new.
    pub fn bind(&mut self, connection: ConnectionId, session: &str) -> bool {
        let key = self.key(session);
        let Some(speaker) = self.connections.get_mut(&connection) else { return false };
        if speaker.session.as_deref() == Some(session) {
            return false;
        }
        if let Some(former) = speaker.session.replace(key.clone()) {
            self.speakers.remove(&former);
        }
        if let Some(robbed) = self.speakers.insert(key, connection).and_then(|id| self.connections.get_mut(&id)) {
            robbed.session = None;
        }
        // A session is in use by being spoken for; one that does not exist needs no mark.
        if let Some(session) = self.sessions.get_mut(session) {
            session.in_use = true;
        }
        true
    }
}

#[cfg(test)]
mod tests;
