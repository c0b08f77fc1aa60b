//! How behaviour is bound to the rows of the API.
//!
//! What enters: functions, each beside the class and the row that it serves. What leaves: what [`crate::classes`] joins with
//! the rows, and a list of complaints where the two do not fit. What it must never know: any class by name, except that the
//! bindings common to all objects are there from the start.
//!
//! A function bound to a class serves its descendants too, unless one of them has a binding of its own.

use crate::api::model::{Api, Class};
use crate::args::Args;
use crate::classes::LiveClass;
use crate::error::Error;
use crate::objects::Object;
use crate::server::Server;
use serde_json::Value as Json;
use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub type Answer = Result<Json, Error>;
pub type Pending<T = Answer> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One call of an operation, getter or setter.
pub struct Call {
    pub server: Arc<Server>,
    pub session: String,
    pub object: Arc<Object>,
    /// A setter finds its value under the property's name.
    pub args: Args,
}

/// One object to be made.
pub struct Make {
    pub server: Arc<Server>,
    pub session: String,
    /// The id that the object will have.
    pub id: Arc<str>,
    pub class: Arc<LiveClass>,
    pub args: Args,
    /// The object named by the first constructor parameter that is an object: a pipeline, or a port's hub.
    pub parent: Option<Arc<Object>>,
}

/// What a factory made.
pub struct Made {
    pub(crate) face: Box<dyn Any + Send + Sync>,
    pub(crate) then: Option<Then>,
}

type Then = Box<dyn FnOnce(&Arc<Object>) + Send>;

impl Made {
    pub fn new<T: Any + Send + Sync>(face: T) -> Self {
        Made { face: Box::new(face), then: None }
    }

    /// Runs once the object is registered, before the client reads its id.
    pub fn then(mut self, then: impl FnOnce(&Arc<Object>) + Send + 'static) -> Self {
        self.then = Some(Box::new(then));
        self
    }
}

pub type Handler = Arc<dyn Fn(Call) -> Pending + Send + Sync>;
pub type Factory = Arc<dyn Fn(Make) -> Pending<Result<Made, Error>> + Send + Sync>;
pub type Releaser = Arc<dyn Fn(Arc<Object>) -> Pending<()> + Send + Sync>;

type Row = (&'static str, &'static str);

/// Everything that is bound.
pub struct Bindings {
    methods: HashMap<Row, Handler>,
    getters: HashMap<Row, Handler>,
    setters: HashMap<Row, Handler>,
    factories: HashMap<&'static str, Factory>,
    releasers: HashMap<&'static str, Releaser>,
}

impl Default for Bindings {
    fn default() -> Self {
        Bindings::new()
    }
}

fn handler<F, R>(f: F) -> Handler
where
    F: Fn(Call) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |call| Box::pin(f(call)))
}

impl Bindings {
    /// With what every object has (`MediaObject`) and the server manager.
    pub fn new() -> Self {
        let mut bindings = Bindings {
            methods: HashMap::new(),
            getters: HashMap::new(),
            setters: HashMap::new(),
            factories: HashMap::new(),
            releasers: HashMap::new(),
        };
        crate::media_object::bind(&mut bindings);
        crate::server_manager::bind(&mut bindings);
        bindings
    }

    /// Binds an operation.
    pub fn method<F, R>(&mut self, class: &'static str, name: &'static str, f: F) -> &mut Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        self.methods.insert((class, name), handler(f));
        self
    }

    /// Binds reading a property.
    pub fn getter<F, R>(&mut self, class: &'static str, property: &'static str, f: F) -> &mut Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        self.getters.insert((class, property), handler(f));
        self
    }

    /// Binds writing a property. What the function answers is ignored, its refusal is not.
    pub fn setter<F, R>(&mut self, class: &'static str, property: &'static str, f: F) -> &mut Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        self.setters.insert((class, property), handler(f));
        self
    }

    /// Binds making an object. A class without factory cannot be created and does not show in `getInfo`.
    pub fn factory<F, R>(&mut self, class: &'static str, f: F) -> &mut Self
    where
        F: Fn(Make) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Made, Error>> + Send + 'static,
    {
        self.factories.insert(class, Arc::new(move |make| Box::pin(f(make))));
        self
    }

    /// Binds the end of an object: called once, after its children's, when no client can reach it any longer. Those of the
    /// base classes follow.
    pub fn releaser<F, R>(&mut self, class: &'static str, f: F) -> &mut Self
    where
        F: Fn(Arc<Object>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.releasers.insert(class, Arc::new(move |object| Box::pin(f(object))));
        self
    }

    /// Whether objects of the class can be created.
    pub fn creates(&self, class: &str) -> bool {
        self.factories.contains_key(class)
    }

    pub(crate) fn factory_of(&self, class: &str) -> Option<Factory> {
        self.factories.get(class).cloned()
    }

    /// Those of the class and its bases, nearest first.
    pub(crate) fn releasers_of(&self, lineage: &[&'static str]) -> Vec<Releaser> {
        lineage.iter().filter_map(|class| self.releasers.get(class).cloned()).collect()
    }

    pub(crate) fn find_method(&self, lineage: &[&'static str], name: &'static str) -> Option<Handler> {
        find(&self.methods, lineage, name)
    }

    pub(crate) fn find_getter(&self, lineage: &[&'static str], property: &'static str) -> Option<Handler> {
        find(&self.getters, lineage, property)
    }

    pub(crate) fn find_setter(&self, lineage: &[&'static str], property: &'static str) -> Option<Handler> {
        find(&self.setters, lineage, property)
    }

    /// Where bindings and rows do not fit: a binding without a row, a row of a class that can be created (or of the server
    /// manager) without a binding. Empty when all is well.
    pub fn check(&self, api: &Api) -> Vec<String> {
        let mut complaints = self.without_row(api);
        let created = api.modules.iter().flat_map(|module| &module.classes);
        for class in created.filter(|c| c.name == "ServerManager" || self.factories.contains_key(c.name)) {
            self.without_binding(api, class, &mut complaints);
        }
        complaints.sort();
        complaints.dedup();
        complaints
    }

    fn without_row(&self, api: &Api) -> Vec<String> {
        let method = |c: &Class, name: &str| c.methods.iter().any(|m| m.name == name);
        let property = |c: &Class, name: &str| c.properties.iter().any(|p| p.name == name);
        let writable = |c: &Class, name: &str| c.properties.iter().any(|p| p.name == name && p.writable());
        let known = |class: &str, has: &dyn Fn(&Class) -> bool| {
            api.class(class).is_some_and(|class| api.lineage(class).any(has))
        };
        let mut complaints = Vec::new();
        let mut complain = |ok: bool, text: String| {
            if !ok {
                complaints.push(text);
            }
        };
        for (class, name) in self.methods.keys() {
            complain(known(class, &|c| method(c, name)), format!("method {class}.{name} is bound but has no row"));
        }
        for (class, name) in self.getters.keys() {
            complain(known(class, &|c| property(c, name)), format!("getter {class}.{name} is bound but has no row"));
        }
        for (class, name) in self.setters.keys() {
            let fits = known(class, &|c| writable(c, name));
            complain(fits, format!("setter {class}.{name} is bound but has no writable row"));
        }
        for class in self.factories.keys() {
            let fits = api.class(class).is_some_and(|class| !class.is_abstract);
            complain(fits, format!("factory {class} is bound but there is no such class, or it is abstract"));
        }
        for class in self.releasers.keys() {
            complain(api.class(class).is_some(), format!("releaser {class} is bound but there is no such class"));
        }
        complaints
    }

    fn without_binding(&self, api: &Api, class: &Class, complaints: &mut Vec<String>) {
        let lineage: Vec<_> = api.lineage(class).map(|class| class.name).collect();
        for row in api.lineage(class) {
            let missing_methods = row.methods.iter().filter(|m| self.find_method(&lineage, m.name).is_none());
            complaints.extend(missing_methods.map(|m| format!("method {}.{} has no binding", row.name, m.name)));
            let properties = &row.properties;
            let missing_getters = properties.iter().filter(|p| self.find_getter(&lineage, p.name).is_none());
            complaints.extend(missing_getters.map(|p| format!("getter {}.{} has no binding", row.name, p.name)));
            let missing_setters =
                properties.iter().filter(|p| p.writable() && self.find_setter(&lineage, p.name).is_none());
            complaints.extend(missing_setters.map(|p| format!("setter {}.{} has no binding", row.name, p.name)));
        }
    }
}

fn find(bound: &HashMap<Row, Handler>, lineage: &[&'static str], name: &'static str) -> Option<Handler> {
    lineage.iter().find_map(|class| bound.get(&(*class, name)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_from_the_start_fits_kurentos_rows() {
        assert_eq!(Bindings::new().check(&crate::api::kurento()), Vec::<String>::new());
    }
}
