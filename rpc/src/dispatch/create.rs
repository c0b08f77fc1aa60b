//! The method `create`.

use crate::args::{Args, Checker, Kind, Leaving};
use crate::bindings::{Answer, Made, Make};
use crate::classes::LiveClass;
use crate::dispatch::session_or_new;
use crate::error::Error;
use crate::objects::{Birth, Object, lock, new_id};
use crate::params::{self, Params};
use crate::server::Server;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tracing::Instrument;

pub async fn create(server: &Arc<Server>, params: Params) -> Answer {
    let name = params::string(&params, "type")?;
    let session = session_or_new(&params);
    let class = server.api.class_on_wire(&name).and_then(|row| server.class(row.name));
    let class = class.ok_or_else(|| Error::no_factory(&name))?.clone();
    let factory = class.factory.clone().ok_or_else(|| Error::no_factory(&name))?;
    server.limits.check(server.uptime())?;
    let args = arguments(server, &class, params.get("constructorParams"))?;
    let parent = parent(&class, &args)?;
    let id = new_id(&class, parent.as_deref());
    let span = tracing::info_span!("session", id = session.as_str());
    let make = Make {
        server: server.clone(),
        session: session.clone(),
        id: id.clone(),
        class: class.clone(),
        args,
        parent: parent.clone(),
    };
    let made = factory(make).instrument(span).await?;
    let birth = Birth { id, class, parent, at: server.wall(), face: Box::new(()) };
    let object = register(server, &session, birth, made).await?;
    Ok(json!({ "sessionId": session, "value": object.id() }))
}

fn arguments(server: &Server, class: &LiveClass, given: Option<&Json>) -> Result<Args, Error> {
    let given = match given {
        None | Some(Json::Null) if class.constructor.iter().any(|param| !param.optional) => {
            return Err(Error::Marshall("'constructorParams' is required".into()));
        }
        None | Some(Json::Null) => None,
        Some(Json::Object(given)) => Some(given),
        Some(_) => return Err(Error::Marshall("'constructorParams' should be an object".into())),
    };
    let find = |id: &str| server.object(id);
    Checker { api: &server.api, find: &find }.check(&class.constructor, given, Leaving::Any)
}

/// The object given for the first constructor parameter that is one.
fn parent(class: &LiveClass, args: &Args) -> Result<Option<Arc<Object>>, Error> {
    let objects = || class.constructor.iter().filter(|param| matches!(param.kind, Kind::Class(_)));
    if let Some(wrong) = objects().find(|param| args.has(param.name) && args.object(param.name).is_none()) {
        return Err(Error::Internal(format!("'{}' is an object of another class", wrong.name)));
    }
    Ok(objects().next().and_then(|param| args.object(param.name)))
}

/// Makes the object known. When its parent was released meanwhile, it ends again.
async fn register(server: &Arc<Server>, session: &str, birth: Birth, made: Made) -> Result<Arc<Object>, Error> {
    let object = Object::new(Birth { face: made.face, ..birth });
    let inserted = lock(&server.sessions).insert(object.clone(), session);
    if !inserted {
        server.end(&object).await;
        return Err(Error::no_object(object.parent().map_or("", |parent| parent.id())));
    }
    tracing::debug!(object = object.id(), "created");
    let data = Map::from_iter([("object".to_owned(), Json::from(object.id()))]);
    server.emit(server.manager(), "ObjectCreated", data, server.wall());
    if let Some(then) = made.then {
        then(&object);
    }
    Ok(object)
}
