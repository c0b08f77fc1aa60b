//! For this crate's tests: a small API with behaviour, and a server around it.

use crate::api::model::{Api, Era, Module, class, enumeration, event, method, param, property, register};
use crate::bindings::{Bindings, Made};
use crate::classes;
use crate::error::Error;
use crate::limits::{Count, Probe};
use crate::objects::{Birth, Object};
use crate::server::{Connection, Server, ServerOptions};
use rivero_engine::time::ManualClock;
use serde_json::{Map, Value as Json, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

pub fn api() -> Api {
    let media_object = class("MediaObject", "")
        .is_abstract()
        .property(property("mediaPipeline", "MediaPipeline", "").is_final())
        .property(property("parent", "MediaObject", "").is_final())
        .property(property("id", "String", "").is_final())
        .property(property("children", "MediaObject[]", "").read_only())
        .property(property("childs", "MediaObject[]", "").read_only().era(Era::Until7))
        .property(property("name", "String", ""))
        .property(property("sendTagsInEvents", "boolean", ""))
        .property(property("creationTime", "int", "").is_final())
        .method(method("addTag", "").param(param("key", "String", "")).param(param("value", "String", "")))
        .method(method("removeTag", "").param(param("key", "String", "")))
        .method(method("getTag", "").param(param("key", "String", "")).returns("String", ""))
        .method(method("getTags", "").returns("Tag[]", ""))
        .event("Error");
    let server_manager = class("ServerManager", "")
        .is_abstract()
        .extends("MediaObject")
        .property(property("info", "ServerInfo", "").read_only())
        .property(property("pipelines", "MediaPipeline[]", "").read_only())
        .property(property("sessions", "String[]", "").read_only())
        .property(property("metadata", "String", "").read_only())
        .method(method("getKmd", "").param(param("moduleName", "String", "")).returns("String", ""))
        .method(method("getCpuCount", "").returns("int", ""))
        .method(method("getUsedCpu", "").param(param("interval", "int", "")).returns("float", ""))
        .method(method("getUsedMemory", "").returns("int64", ""))
        .event("ObjectCreated")
        .event("ObjectDestroyed");
    let element = class("MediaElement", "")
        .is_abstract()
        .extends("MediaObject")
        .method(
            method("connect", "")
                .param(param("sink", "MediaElement", ""))
                .param(param("mediaType", "MediaType", "").optional())
                .param(param("sourceMediaDescription", "String", "").optional()),
        )
        .method(method("echo", "").param(param("value", "Point", "")).returns("Point", ""))
        .method(method("wait", ""))
        .method(method("panic", ""))
        .method(method("unbound", ""))
        .event("ElementConnected")
        .event("MediaFlowInStateChanged");
    let pass_through = class("PassThrough", "")
        .extends("MediaElement")
        .constructor("", [param("mediaPipeline", "MediaPipeline", "")])
        .property(property("limit", "int", ""));
    let hub = class("Hub", "").is_abstract().extends("MediaObject");
    let composite =
        class("Composite", "").extends("Hub").constructor("", [param("mediaPipeline", "MediaPipeline", "")]);
    let port = class("HubPort", "").extends("MediaElement").constructor("", [param("hub", "Hub", "")]);
    let pipeline = class("MediaPipeline", "").extends("MediaObject").constructor("", []);
    let unmade = class("Unmade", "").extends("MediaElement").constructor("", []);
    let core = Module::new("core", "")
        .class(media_object)
        .class(server_manager)
        .class(pipeline)
        .class(element)
        .class(pass_through)
        .class(hub)
        .class(port)
        .class(unmade)
        .complex(enumeration("MediaType", "", ["AUDIO", "VIDEO", "DATA"]))
        .complex(register("Point", "").field(param("x", "int", "")).field(param("y", "int", "").default(7)))
        .complex(register("Point3", "").extends("Point").field(param("z", "double", "").optional()))
        .complex(register("Tag", "").field(param("key", "String", "")).field(param("value", "String", "")))
        .event(event("RaiseBase", ""))
        .event(event("Media", "").extends("RaiseBase"))
        .event(event("Error", "").extends("RaiseBase"))
        .event(event("ObjectCreated", "").extends("RaiseBase"))
        .event(event("ObjectDestroyed", "").extends("RaiseBase"))
        .event(event("ElementConnected", "").extends("Media"))
        .event(event("MediaFlowInStateChanged", "").extends("Media"));
    let elements = Module::new("elements", "").class(composite);
    let extra = Module::new("chroma", "").class(
        class("ChromaFilter", "")
            .extends("MediaElement")
            .constructor("", [param("mediaPipeline", "MediaPipeline", ""), param("rate", "double", "").default(0.5)]),
    );
    Api::new(vec![core, elements, Module::new("filters", ""), extra])
}

/// What the small API's functions share with the test.
#[derive(Default)]
pub struct World {
    pub released: Mutex<Vec<String>>,
    pub made: AtomicU64,
    /// The operation `wait` waits for this.
    pub go: Notify,
    /// The operation `wait` says that it waits.
    pub waiting: Notify,
}

/// A face.
pub struct Limit(pub AtomicU64);

pub fn bindings(world: &Arc<World>) -> Bindings {
    let mut bindings = Bindings::new();
    for class in ["MediaPipeline", "PassThrough", "Composite", "HubPort", "ChromaFilter"] {
        let world = world.clone();
        bindings.factory(class, move |_make| {
            world.made.fetch_add(1, Ordering::Relaxed);
            async { Ok(Made::new(Limit(AtomicU64::new(3)))) }
        });
    }
    let (at_end, at_wait) = (world.clone(), world.clone());
    bindings
        .releaser("MediaObject", move |object| {
            at_end.released.lock().unwrap().push(object.id().to_owned());
            async {}
        })
        .method("MediaElement", "connect", |call| async move {
            let sink = call.args.object("sink").ok_or(Error::ObjectNotFound("Reference to sink is null".into()))?;
            let kind = call.args.opt_string("mediaType").unwrap_or("AUDIO");
            let data = json!({ "sink": sink.id(), "mediaType": kind, "given": call.args.given() });
            let at = call.server.wall();
            call.server.emit(&call.object, "ElementConnected", data.as_object().unwrap().clone(), at);
            Ok(Json::Null)
        })
        .method("MediaElement", "echo", |call| async move { Ok(call.args.json("value").clone()) })
        .method("MediaElement", "wait", move |_call| {
            let world = at_wait.clone();
            async move {
                world.waiting.notify_one();
                world.go.notified().await;
                Ok(Json::Null)
            }
        })
        .method("MediaElement", "panic", |_call| async { panic!("as asked") })
        .getter("PassThrough", "limit", |call| async move {
            Ok(call.object.face_or_refuse::<Limit>()?.0.load(Ordering::Relaxed).into())
        })
        .setter("PassThrough", "limit", |call| async move {
            let limit =
                u64::try_from(call.args.integer("limit")).map_err(|_| Error::IllegalParam("negative".into()))?;
            call.object.face_or_refuse::<Limit>()?.0.store(limit, Ordering::Relaxed);
            Ok(json!("ignored"))
        });
    bindings
}

/// A system with as many files as a test says.
pub struct Files(pub Arc<AtomicU64>);

impl Probe for Files {
    fn allowed(&self) -> Count {
        Count { threads: u64::MAX, files: 1000 }
    }

    fn used(&self) -> Count {
        Count { threads: 1, files: self.0.load(Ordering::Relaxed) }
    }
}

/// A server with one open connection.
pub struct Bench {
    pub server: Arc<Server>,
    pub world: Arc<World>,
    pub clock: Arc<ManualClock>,
    pub files: Arc<AtomicU64>,
    pub connection: Connection,
    next_id: u64,
}

pub fn bench() -> Bench {
    let (world, files) = (Arc::<World>::default(), Arc::<AtomicU64>::default());
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_646_657_831_138);
    let clock = Arc::new(ManualClock::starting(start));
    let server = Server::new(ServerOptions {
        version: "7.3.0".into(),
        generation_time: "Nov  9 2018 10:20:30".into(),
        api: Arc::new(api()),
        bindings: bindings(&world),
        metadata: String::new(),
        gc_period: Duration::from_secs(240),
        request_cache: true,
        probe: Box::new(Files(files.clone())),
        exception_limit: 0.8,
        clock: clock.clone(),
    });
    let connection = server.open_connection();
    Bench { server, world, clock, files, connection, next_id: 1000 }
}

impl Bench {
    /// Says something on the bench's own connection.
    pub async fn say(&self, text: &str) -> String {
        self.server.handle_text(self.connection.id, text).await
    }

    /// A request with a fresh id; its whole response.
    pub async fn ask(&mut self, method: &str, params: Json) -> Json {
        self.next_id += 1;
        let request = json!({ "id": self.next_id, "jsonrpc": "2.0", "method": method, "params": params });
        let mut response: Json = serde_json::from_str(&self.say(&request.to_string()).await).unwrap();
        assert_eq!(response["id"], json!(self.next_id));
        response.as_object_mut().unwrap().remove("id");
        response.as_object_mut().unwrap().remove("jsonrpc");
        response
    }

    /// The result of a request that must succeed.
    pub async fn result(&mut self, method: &str, params: Json) -> Json {
        let mut response = self.ask(method, params).await;
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].take()
    }

    /// Code and message of a request that must fail.
    pub async fn refusal(&mut self, method: &str, params: Json) -> (i64, String) {
        let response = self.ask(method, params).await;
        let error = &response["error"];
        (error["code"].as_i64().expect("a refusal"), error["message"].as_str().unwrap().to_owned())
    }

    pub async fn create(&mut self, session: &str, class: &str, params: Json) -> String {
        let params = json!({ "type": class, "constructorParams": params, "sessionId": session });
        self.result("create", params).await["value"].as_str().unwrap().to_owned()
    }

    pub async fn invoke(&mut self, session: &str, object: &str, operation: &str, params: Json) -> Json {
        let params =
            json!({ "object": object, "operation": operation, "operationParams": params, "sessionId": session });
        self.result("invoke", params).await["value"].take()
    }

    /// The event frames that wait for the bench's connection.
    pub fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.connection.events.try_recv().ok()).map(|text| text.to_string()).collect()
    }
}

/// An object outside any server.
pub fn object(id: &str, class: &str, parent: Option<&Arc<Object>>) -> Arc<Object> {
    let api = api();
    let classes = classes::join(&api, &Bindings::new());
    Object::new(Birth {
        id: id.into(),
        class: classes[class].clone(),
        parent: parent.cloned(),
        at: SystemTime::UNIX_EPOCH,
        face: Box::new(()),
    })
}

#[test]
fn bindings_and_rows_fit() {
    let world = Arc::<World>::default();
    let complaints = bindings(&world).check(&api());
    assert_eq!(complaints, ["method MediaElement.unbound has no binding"]);
    let mut wrong = bindings(&world);
    wrong.method("MediaElement", "nope", |_| async { Ok(Json::Null) });
    wrong.setter("MediaObject", "id", |_| async { Ok(Json::Null) });
    wrong.factory("Hub", |_| async { Ok(Made::new(())) });
    let complaints = wrong.check(&api());
    assert!(complaints.contains(&"method MediaElement.nope is bound but has no row".to_owned()), "{complaints:?}");
    assert!(complaints.contains(&"setter MediaObject.id is bound but has no writable row".to_owned()));
    assert!(complaints.iter().any(|c| c.starts_with("factory Hub is bound")));
}

/// An empty set of event properties.
pub fn no_data() -> Map<String, Json> {
    Map::new()
}
