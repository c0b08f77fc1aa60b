//! The rows of the API and the functions bound to them, joined once at start so that dispatch only looks up.
//!
//! What enters: the API and the bindings. What leaves: one [`LiveClass`] per class. What it must never know: objects, sessions.

use crate::api::model::{Api, Class};
use crate::args::{Declared, Kind};
use crate::bindings::{Bindings, Factory, Handler, Releaser};
use crate::events;
use std::collections::HashMap;
use std::sync::Arc;

/// A class as the server works with it.
pub struct LiveClass {
    /// Bare: `WebRtcEndpoint`.
    pub name: &'static str,
    /// `kurento.WebRtcEndpoint`
    pub qualified: String,
    /// The qualified names of its bases, nearest first.
    pub hierarchy: Vec<String>,
    /// Bare names, its own first.
    lineage: Vec<&'static str>,
    pub(crate) operations: HashMap<String, Operation>,
    /// Every name that can be subscribed.
    events: Vec<&'static str>,
    pub(crate) constructor: Vec<Declared>,
    pub(crate) factory: Option<Factory>,
    pub(crate) releasers: Vec<Releaser>,
}

/// Something that `invoke` can call.
pub(crate) struct Operation {
    pub params: Vec<Declared>,
    /// A setter answers null, and refuses its value rather than the lack of `operationParams`.
    pub is_setter: bool,
    /// `None`: declared, but not done by this server.
    pub handler: Option<Handler>,
}

impl LiveClass {
    fn join(api: &Api, bindings: &Bindings, class: &Class) -> Self {
        let lineage: Vec<_> = api.lineage(class).map(|class| class.name).collect();
        let constructor =
            class.constructor.iter().flat_map(|c| &c.params).map(|p| Declared::of(api, class.module, p)).collect();
        LiveClass {
            name: class.name,
            qualified: class.qualified(),
            hierarchy: api.lineage(class).skip(1).map(Class::qualified).collect(),
            operations: operations(api, bindings, class, &lineage),
            events: event_names(api, class),
            constructor,
            factory: bindings.factory_of(class.name).filter(|_| !class.is_abstract),
            releasers: bindings.releasers_of(&lineage),
            lineage,
        }
    }

    /// Whether this is the class of that bare name or descends from it.
    pub fn is_a(&self, base: &str) -> bool {
        self.lineage.contains(&base)
    }

    /// The event of that name, current or former, if objects of this class can raise it.
    pub fn event(&self, name: &str) -> Option<&'static str> {
        self.events.iter().copied().find(|known| *known == name)
    }
}

impl std::fmt::Debug for LiveClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LiveClass({})", self.qualified)
    }
}

/// All classes by bare name.
pub fn join(api: &Api, bindings: &Bindings) -> HashMap<&'static str, Arc<LiveClass>> {
    let classes = api.modules.iter().flat_map(|module| &module.classes);
    classes.map(|class| (class.name, Arc::new(LiveClass::join(api, bindings, class)))).collect()
}

fn operations(api: &Api, bindings: &Bindings, class: &Class, lineage: &[&'static str]) -> HashMap<String, Operation> {
    let mut operations = HashMap::new();
    for row in api.lineage(class) {
        for method in &row.methods {
            let params = method.params.iter().map(|p| Declared::of(api, row.module, p)).collect();
            let handler = bindings.find_method(lineage, method.name);
            operations.entry(method.name.to_owned()).or_insert(Operation { params, is_setter: false, handler });
        }
        for property in &row.properties {
            let suffix = capitalise(property.name);
            let handler = bindings.find_getter(lineage, property.name);
            let getter = Operation { params: Vec::new(), is_setter: false, handler };
            operations.entry(format!("get{suffix}")).or_insert(getter);
            if property.writable() {
                let kind = Kind::of(api, row.module, property.ty);
                let params = vec![Declared { name: property.name, kind, optional: false, default: None }];
                let handler = bindings.find_setter(lineage, property.name);
                operations.entry(format!("set{suffix}")).or_insert(Operation { params, is_setter: true, handler });
            }
        }
    }
    operations
}

fn capitalise(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

fn event_names(api: &Api, class: &Class) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for (name, _) in api.lineage(class).flat_map(|row| &row.events) {
        let current = events::current_name(name);
        names.extend([*name, current].into_iter().chain(events::former_names(current)));
    }
    names.sort_unstable();
    names.dedup();
    names
}
