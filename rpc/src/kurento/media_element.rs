//! `MediaElement`, and the elements that are no more than that.

use super::dot_file;
use super::face::{Bitrates, ElementFace, Role, element, parent_pipeline};
use super::media::Media;
use super::stats;
use super::values::{kind, members, typed};
use crate::bindings::{Answer, Bindings, Call, Made, Make};
use crate::error::Error;
use crate::objects::{Object, lock};
use rivero_engine::MediaKind;
use rivero_engine::elements::pass_through;
use rivero_engine::graph::{Change, Connection, Selection};
use serde_json::{Value as Json, json};
use std::future::ready;
use std::sync::Arc;

const CLASS: &str = "MediaElement";

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings
        .factory("PassThrough", move |make| create_pass_through(make, media.clone()))
        .releaser(CLASS, release)
        .method(CLASS, "connect", connect)
        .method(CLASS, "disconnect", disconnect)
        .method(CLASS, "getSourceConnections", async |call: Call| connections(&call, true))
        .method(CLASS, "getSinkConnections", async |call: Call| connections(&call, false))
        .method(CLASS, "isMediaFlowingIn", async |call: Call| is_flowing(call, true).await)
        .method(CLASS, "isMediaFlowingOut", async |call: Call| is_flowing(call, false).await)
        .method(CLASS, "isMediaTranscoding", is_transcoding)
        .method(CLASS, "getStats", stats::read)
        // Taken and not acted upon, exactly as in Kurento, whose elements never read what these two store.
        .method(CLASS, "setAudioFormat", async |_: Call| Ok(Json::Null))
        .method(CLASS, "setVideoFormat", async |_: Call| Ok(Json::Null))
        .method(CLASS, "getGstreamerDot", async |call: Call| -> Answer {
            Ok(element(&call.object)?.element.dot().await.into())
        })
        .method(CLASS, "dumpGstreamerDot", dump_dot);
    bind_bitrates(bindings);
}

/// Kurento 7 and Kurento 6 (which misspelt two of its names) call the same bounds differently.
fn bind_bitrates(bindings: &mut Bindings) {
    type Read = fn(Bitrates) -> i64;
    type Write = fn(&mut Bitrates, i64);
    let rows: [(&'static str, Read, Write); 7] = [
        ("encoderBitrate", |b| b.target, Bitrates::set_target),
        ("minEncoderBitrate", |b| b.min, Bitrates::set_min),
        ("maxEncoderBitrate", |b| b.max, Bitrates::set_max),
        ("minOutputBitrate", |b| b.min, Bitrates::set_min),
        ("maxOutputBitrate", |b| b.max, Bitrates::set_max),
        ("minOuputBitrate", |b| b.min, Bitrates::set_min),
        ("maxOuputBitrate", |b| b.max, Bitrates::set_max),
    ];
    for (name, read, write) in rows {
        bindings
            .getter(CLASS, name, move |call| ready(element(&call.object).map(|face| read(face.bitrates()).into())))
            .setter(CLASS, name, move |call: Call| async move {
                let face = element(&call.object)?;
                write(&mut lock(&face.bitrates), call.args.integer(name));
                face.element.set_coding(face.bitrates().coding()).await;
                Ok(Json::Null)
            });
    }
    bindings.method(CLASS, "setOutputBitrate", async |call: Call| {
        let face = element(&call.object)?;
        lock(&face.bitrates).fix(call.args.integer("bitrate"));
        face.element.set_coding(face.bitrates().coding()).await;
        Ok(Json::Null)
    });
}

async fn create_pass_through(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let element = parent_pipeline(&make)?.add(pass_through(make.id.to_string())).await?;
    Ok(ElementFace::new(element, &media, Role::Plain).made())
}

/// The end of any element: its neighbours hear of it, and its node goes.
async fn release(object: Arc<Object>) {
    let Ok(face) = element(&object) else { return };
    if let Role::HubPort(hub) = &face.role {
        hub.forget_port(&face.element);
    }
    let changes = face.element.release().await;
    tell(&face.media, &changes);
    face.media.forget(face.element.id());
}

/// Raises what happened as events of each connection's source.
pub fn tell(media: &Media, changes: &[Change]) {
    for change in changes {
        let (name, connection) = match change {
            Change::Connected(connection) => ("ElementConnected", connection),
            Change::Disconnected(connection) => ("ElementDisconnected", connection),
        };
        // A sink whose object is gone already can no longer be named.
        let ends = (media.object(connection.source), media.object(connection.sink));
        let (Some(source), Some(sink)) = ends else { continue };
        let data = json!({
            "sink": sink.id(),
            "mediaType": connection.kind.name(),
            "sourceMediaDescription": connection.source_description,
            "sinkMediaDescription": connection.sink_description,
        });
        media.emit(&source, name, members(data), media.wall());
    }
}

fn selection(call: &Call) -> Result<Selection, Error> {
    Ok(Selection {
        kind: call.args.opt_string("mediaType").map(kind).transpose()?,
        source_description: call.args.opt_string("sourceMediaDescription").map(str::to_owned),
        sink_description: call.args.opt_string("sinkMediaDescription").map(str::to_owned),
    })
}

async fn connect(call: Call) -> Answer {
    let source = element(&call.object)?;
    let sink = call.args.object("sink").ok_or_else(|| Error::ObjectNotFound("Reference to sink is null".to_owned()))?;
    let changes = source.element.connect(&element(&sink)?.element, &selection(&call)?).await?;
    tell(&source.media, &changes);
    Ok(Json::Null)
}

async fn disconnect(call: Call) -> Answer {
    let source = element(&call.object)?;
    // A sink that is no element is ignored, as in Kurento.
    let Some(sink) = call.args.object("sink") else { return Ok(Json::Null) };
    let changes = source.element.disconnect(&element(&sink)?.element, &selection(&call)?).await;
    tell(&source.media, &changes);
    Ok(Json::Null)
}

fn connections(call: &Call, sources: bool) -> Answer {
    let face = element(&call.object)?;
    let kind = call.args.opt_string("mediaType").map(kind).transpose()?;
    let description = call.args.opt_string("description");
    let mut found =
        if sources { face.element.sources(kind, description) } else { face.element.sinks(kind, description) };
    // Kurento's order: by the name of the kind.
    found.sort_by_key(|connection| connection.kind.name());
    Ok(found.iter().filter_map(|connection| describe(&face.media, connection)).collect())
}

fn describe(media: &Media, connection: &Connection) -> Option<Json> {
    let fields = json!({
        "source": media.object(connection.source)?.id(),
        "sink": media.object(connection.sink)?.id(),
        "type": connection.kind.name(),
        "sourceDescription": connection.source_description,
        "sinkDescription": connection.sink_description,
    });
    Some(typed("ElementConnectionData", fields))
}

async fn is_flowing(call: Call, inward: bool) -> Answer {
    let (what, description) =
        if inward { ("MediaFlowingIn", "sinkMediaDescription") } else { ("MediaFlowingOut", "sourceMediaDescription") };
    let kind = audio_or_video(&call, what)?;
    let Some(report) = element(&call.object)?.element.report().await else { return Ok(false.into()) };
    let description = call.args.opt_string(description);
    let port = if inward { report.input(kind, description) } else { report.output(kind, description) };
    Ok(port.is_some_and(|port| port.flowing).into())
}

/// Whatever converter is named: Kurento's own names of them mean nothing here.
async fn is_transcoding(call: Call) -> Answer {
    let kind = audio_or_video(&call, "MediaTranscoding")?;
    Ok(element(&call.object)?.element.is_transcoding(kind).into())
}

fn audio_or_video(call: &Call, what: &str) -> Result<MediaKind, Error> {
    match kind(call.args.string("mediaType"))? {
        MediaKind::Data => Err(Error::IllegalParam(format!("Media type DATA is not supported for {what}"))),
        kind => Ok(kind),
    }
}

async fn dump_dot(call: Call) -> Answer {
    let face = element(&call.object)?;
    let dot = face.element.dot().await;
    dot_file::write(&face.media, &call.object, dot).await
}
