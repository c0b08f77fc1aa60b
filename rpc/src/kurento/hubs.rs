//! `Hub`, `HubPort`, `Dispatcher`, `DispatcherOneToMany`.

use super::dot_file;
use super::face::{ElementFace, HubFace, Role, Rule, element, hub, parent_pipeline};
use super::media::Media;
use crate::bindings::{Answer, Bindings, Call, Made, Make};
use crate::error::Error;
use crate::objects::Object;
use rivero_engine::hubs::{Dispatcher, OneToMany};
use rivero_engine::{Element, EngineError};
use serde_json::Value as Json;
use std::sync::Arc;

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let (dispatcher, one_to_many, port) = (media.clone(), media.clone(), media.clone());
    bindings
        .factory("Dispatcher", move |make| {
            std::future::ready(create(&make, &dispatcher, |pipeline| Rule::Dispatcher(Dispatcher::new(pipeline))))
        })
        .factory("DispatcherOneToMany", move |make| {
            std::future::ready(create(&make, &one_to_many, |pipeline| Rule::OneToMany(OneToMany::new(pipeline))))
        })
        .factory("HubPort", move |make| create_port(make, port.clone()))
        .method("Hub", "getGstreamerDot", async |call: Call| -> Answer {
            Ok(hub(&call.object)?.pipeline.dot().await.into())
        })
        .method("Hub", "dumpGstreamerDot", dump_dot)
        .method("Dispatcher", "connect", dispatch)
        .method("DispatcherOneToMany", "setSource", set_source)
        .method("DispatcherOneToMany", "removeSource", remove_source);
}

fn create(make: &Make, media: &Arc<Media>, rule: fn(rivero_engine::Pipeline) -> Rule) -> Result<Made, Error> {
    let pipeline = parent_pipeline(make)?;
    let face = HubFace { media: media.clone(), rule: rule(pipeline.clone()), pipeline };
    Ok(Made::new(Arc::new(face)))
}

async fn create_port(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let parent = make.parent.as_ref().ok_or_else(|| Error::ObjectNotFound("Invalid object".to_owned()))?;
    let hub = hub(parent)?.clone();
    let element = hub.add_port(make.id.to_string()).await?;
    Ok(ElementFace::new(element, &media, Role::HubPort(hub)).made())
}

impl HubFace {
    async fn add_port(&self, label: String) -> Result<Element, EngineError> {
        match &self.rule {
            Rule::Dispatcher(hub) => hub.add_port(label).await,
            Rule::OneToMany(hub) => hub.add_port(label).await,
        }
    }

    pub fn forget_port(&self, port: &Element) {
        match &self.rule {
            Rule::Dispatcher(hub) => hub.forget_port(port),
            Rule::OneToMany(hub) => hub.forget_port(port),
        }
    }
}

/// A port named by an argument.
fn port(call: &Call, name: &str) -> Result<Arc<Object>, Error> {
    call.args.object(name).ok_or_else(|| Error::ObjectNotFound(format!("Reference to {name} is null")))
}

/// Kurento says nothing about a port of another hub, and does nothing: the log says it.
fn forgive(outcome: Result<(), EngineError>, call: &Call) -> Result<(), Error> {
    match outcome {
        Err(EngineError::NotOfThisHub) => {
            tracing::warn!(hub = call.object.id(), "a port of another hub was named: nothing is routed");
            Ok(())
        }
        outcome => Ok(outcome?),
    }
}

async fn dispatch(call: Call) -> Answer {
    let (source, sink) = (port(&call, "source")?, port(&call, "sink")?);
    if let Rule::Dispatcher(hub) = &hub(&call.object)?.rule {
        forgive(hub.connect(&element(&source)?.element, &element(&sink)?.element).await, &call)?;
    }
    Ok(Json::Null)
}

async fn set_source(call: Call) -> Answer {
    let source = port(&call, "source")?;
    if let Rule::OneToMany(hub) = &hub(&call.object)?.rule {
        forgive(hub.set_source(&element(&source)?.element).await, &call)?;
    }
    Ok(Json::Null)
}

async fn remove_source(call: Call) -> Answer {
    if let Rule::OneToMany(hub) = &hub(&call.object)?.rule {
        hub.remove_source().await;
    }
    Ok(Json::Null)
}

async fn dump_dot(call: Call) -> Answer {
    let face = hub(&call.object)?;
    let dot = face.pipeline.dot().await;
    dot_file::write(&face.media, &call.object, dot).await
}
