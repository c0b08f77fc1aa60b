//! `dumpGstreamerDot`: a drawing goes into a file, if the operator has named a folder (`GST_DEBUG_DUMP_DOT_DIR`).

use super::media::Media;
use crate::bindings::Answer;
use crate::objects::Object;
use serde_json::Value as Json;
use std::time::UNIX_EPOCH;

pub async fn write(media: &Media, object: &Object, dot: String) -> Answer {
    let Some(folder) = media.dot_folder.clone() else { return Ok(Json::Null) };
    let millis = media.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // An id holds slashes, and a name whatever a client likes: the class and the last part of the id will do.
    let last: String = object.id().rsplit('/').next().unwrap_or_default().chars().filter(|c| *c != '.').collect();
    let file = folder.join(format!("{millis}-{last}.dot"));
    let written = tokio::task::spawn_blocking(move || std::fs::write(&file, dot).map_err(|why| (file, why))).await;
    if let Ok(Err((file, why))) = written {
        tracing::warn!(file = %file.display(), "the drawing cannot be written: {why}");
    }
    Ok(Json::Null)
}
