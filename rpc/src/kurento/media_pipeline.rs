//! `MediaPipeline`.

use super::dot_file;
use super::face::{PipelineFace, pipeline};
use super::media::Media;
use crate::bindings::{Answer, Bindings, Call, Made};
use crate::objects::Object;
use serde_json::Value as Json;
use std::sync::Arc;

const CLASS: &str = "MediaPipeline";

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let factory = media.clone();
    let dump = media.clone();
    bindings
        .factory(CLASS, move |make| {
            let pipeline = factory.engine.pipeline(make.id.to_string());
            tracing::info!(pipeline = %make.id, session = make.session, "pipeline created");
            std::future::ready(Ok(Made::new(PipelineFace { pipeline })))
        })
        .releaser(CLASS, release)
        .getter(CLASS, "latencyStats", async |call: Call| -> Answer {
            Ok(pipeline(&call.object)?.pipeline.latency_stats().into())
        })
        .setter(CLASS, "latencyStats", set_latency_stats)
        .method(CLASS, "getGstreamerDot", async |call: Call| -> Answer {
            Ok(pipeline(&call.object)?.pipeline.dot().await.into())
        })
        .method(CLASS, "dumpGstreamerDot", move |call: Call| dump_dot(call, dump.clone()));
}

async fn release(object: Arc<Object>) {
    if let Ok(face) = pipeline(&object) {
        face.pipeline.release().await;
        tracing::info!(pipeline = object.id(), "pipeline released");
    }
}

async fn set_latency_stats(call: Call) -> Answer {
    pipeline(&call.object)?.pipeline.set_latency_stats(call.args.boolean("latencyStats")).await?;
    Ok(Json::Null)
}

async fn dump_dot(call: Call, media: Arc<Media>) -> Answer {
    let dot = pipeline(&call.object)?.pipeline.dot().await;
    dot_file::write(&media, &call.object, dot).await
}
