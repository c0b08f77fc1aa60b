//! One object that a client can name.
//!
//! What enters: its class, its parent and the face that a handler made for it. What leaves: identity, name, tags, and the
//! face by its type. What it must never know: sessions, and what the face does. Who lives and who dies is decided in
//! [`crate::sessions`].

use crate::classes::LiveClass;
use crate::error::Error;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The id of the one object that always exists.
pub const MANAGER_ID: &str = "manager_ServerManager";

pub struct Object {
    id: Arc<str>,
    class: Arc<LiveClass>,
    parent: Option<Arc<Object>>,
    /// Seconds since 1970.
    creation_time: u64,
    name: Mutex<String>,
    tags: Mutex<BTreeMap<String, String>>,
    send_tags: AtomicBool,
    face: Box<dyn Any + Send + Sync>,
}

/// What [`Object::new`] is told.
pub struct Birth {
    pub id: Arc<str>,
    pub class: Arc<LiveClass>,
    pub parent: Option<Arc<Object>>,
    pub at: SystemTime,
    pub face: Box<dyn Any + Send + Sync>,
}

impl Object {
    pub fn new(birth: Birth) -> Arc<Self> {
        Arc::new(Object {
            name: Mutex::new(birth.id.to_string()),
            id: birth.id,
            class: birth.class,
            parent: birth.parent,
            creation_time: birth.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            tags: Mutex::default(),
            send_tags: AtomicBool::new(false),
            face: birth.face,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id, to keep.
    pub fn shared_id(&self) -> Arc<str> {
        self.id.clone()
    }

    pub fn class(&self) -> &Arc<LiveClass> {
        &self.class
    }

    /// Whether the object's class is `base` (a bare name) or descends from it.
    pub fn is_a(&self, base: &str) -> bool {
        self.class.is_a(base)
    }

    /// The pipeline of an element or hub, the hub of a port.
    pub fn parent(&self) -> Option<&Arc<Object>> {
        self.parent.as_ref()
    }

    /// The object itself, then its parent, and so on.
    pub fn lineage(&self) -> impl Iterator<Item = &Object> {
        std::iter::successors(Some(self), |object| object.parent.as_deref())
    }

    /// The pipeline that the object is, or in which it lives. The server manager has none.
    pub fn pipeline(&self) -> Option<&Object> {
        self.lineage().find(|object| object.is_a("MediaPipeline"))
    }

    /// Seconds since 1970.
    pub fn creation_time(&self) -> u64 {
        self.creation_time
    }

    /// What the factory made, when it is a `T`.
    pub fn face<T: Any>(&self) -> Option<&T> {
        self.face.downcast_ref()
    }

    /// What the factory made, where the binding knows that it is a `T`.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`] with Kurento's `Invalid object` when the object is something else.
    pub fn face_or_refuse<T: Any>(&self) -> Result<&T, Error> {
        self.face().ok_or_else(|| Error::ObjectNotFound("Invalid object".into()))
    }

    pub fn name(&self) -> String {
        lock(&self.name).clone()
    }

    pub fn set_name(&self, name: &str) {
        name.clone_into(&mut lock(&self.name));
    }

    /// Tags by key.
    pub fn tags(&self) -> BTreeMap<String, String> {
        lock(&self.tags).clone()
    }

    pub fn set_tag(&self, key: &str, value: &str) {
        lock(&self.tags).insert(key.to_owned(), value.to_owned());
    }

    pub fn remove_tag(&self, key: &str) {
        lock(&self.tags).remove(key);
    }

    pub fn sends_tags(&self) -> bool {
        self.send_tags.load(Ordering::Relaxed)
    }

    pub fn set_sends_tags(&self, on: bool) {
        self.send_tags.store(on, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({})", self.id)
    }
}

/// Locks a mutex whose data is whole between any two statements, so that a panic elsewhere cannot have broken it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fresh id for an object of a class: `<uuid>_<namespace>.<Class>`, behind the parent's id and a slash when it has one.
pub fn new_id(class: &LiveClass, parent: Option<&Object>) -> Arc<str> {
    let own = format!("{}_{}", new_uuid(), class.qualified);
    match parent {
        Some(parent) => format!("{}/{own}", parent.id()).into(),
        None => own.into(),
    }
}

/// A random UUID in lower case with dashes.
pub fn new_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}
