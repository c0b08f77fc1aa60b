//! `PlayerEndpoint`.

use super::face::{ElementFace, Role, element, parent_pipeline};
use super::media::Media;
use super::uri_endpoint::{normalise, without_password};
use super::values::typed;
use crate::bindings::{Answer, Bindings, Call, Made, Make};
use crate::error::Error;
use crate::objects::Object;
use rivero_codecs::film::{FilmError, OpenOptions};
use rivero_codecs::player::{FilmReel, PlayerCommand, PlayerReport, Reel, player};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const CLASS: &str = "PlayerEndpoint";

pub struct PlayerFace {
    pub uri: String,
}

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings
        .factory(CLASS, move |make| create(make, media.clone()))
        .method(CLASS, "play", play)
        .getter(CLASS, "videoInfo", video_info)
        .getter(CLASS, "position", async |call: Call| -> Answer {
            Ok(json!(millis(report(&call.object).await?.position)))
        })
        .setter(CLASS, "position", seek)
        // What is inside is drawn with everything else that stands around the element.
        .getter(CLASS, "elementGstreamerDot", async |call: Call| -> Answer {
            Ok(element(&call.object)?.element.dot().await.into())
        });
}

/// `useEncodedMedia` changes nothing: media is never decoded but for a sink that takes no other.
async fn create(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let pipeline = parent_pipeline(&make)?;
    let uri = normalise(make.args.string("uri"), &media.settings.uri.default_path);
    let network_cache = Duration::from_millis(u64::try_from(make.args.integer("networkCache")).unwrap_or(0));
    let options = OpenOptions {
        roots: media.roots.clone(),
        rtsp_ports: media.settings.player.rtsp_client_ports,
        network_cache,
        ..OpenOptions::default()
    };
    let place = uri.clone();
    let open = Arc::new(move |interrupt: &_| -> Result<Box<dyn Reel>, FilmError> {
        Ok(Box::new(FilmReel::open(&place, &options, rivero_codecs::film::Interrupt::clone(interrupt))?))
    });
    let clock = media.engine.clock().clone();
    let element = pipeline.add(player(make.id.to_string(), clock, open, network_cache)).await?;
    tracing::info!(endpoint = %make.id, uri = without_password(&uri), "player created");
    Ok(ElementFace::new(element, &media, Role::Player(PlayerFace { uri })).made())
}

async fn tell(object: &Object, command: PlayerCommand) -> Answer {
    element(object)?.element.tell(command).await?;
    Ok(Json::Null)
}

async fn play(call: Call) -> Answer {
    tell(&call.object, PlayerCommand::Play).await
}

pub async fn pause(object: &Object) -> Answer {
    tell(object, PlayerCommand::Pause).await
}

pub async fn stop(object: &Object) -> Answer {
    tell(object, PlayerCommand::Stop).await
}

pub async fn report(object: &Object) -> Result<PlayerReport, Error> {
    let (reply, answer) = oneshot::channel();
    element(object)?.element.tell(PlayerCommand::Report { reply }).await?;
    answer.await.map_err(|_| Error::ObjectNotFound("Invalid object".to_owned()))
}

async fn seek(call: Call) -> Answer {
    let fails = || Error::SeekFailed("Seek fails".to_owned());
    let to = Duration::from_millis(u64::try_from(call.args.integer("position")).map_err(|_| fails())?);
    let (reply, answer) = oneshot::channel();
    element(&call.object)?.element.tell(PlayerCommand::Seek { to, reply }).await?;
    match answer.await {
        Ok(true) => Ok(Json::Null),
        Ok(false) | Err(_) => Err(fails()),
    }
}

async fn video_info(call: Call) -> Answer {
    let info = report(&call.object).await?.info.unwrap_or_default();
    let duration = info.duration.map_or(0, millis);
    let end = if info.seekable { duration } else { 0 };
    let fields = json!({ "isSeekable": info.seekable, "seekableInit": 0, "seekableEnd": end, "duration": duration });
    Ok(typed("VideoInfo", fields))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
