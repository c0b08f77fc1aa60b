//! `RecorderEndpoint`.

use super::face::{ElementFace, Role, element, parent_pipeline};
use super::media::Media;
use super::uri_endpoint::{normalise, without_password};
use crate::bindings::{Answer, Bindings, Call, Made, Make};
use crate::config::settings::GapsFix;
use crate::delivery::{self, RealPace};
use crate::error::Error;
use crate::objects::Object;
use rivero_codecs::film::{FilmError, Format, Target, path_of};
use rivero_codecs::player::PlayState;
use rivero_codecs::recorder::{Gaps, Profile, RecorderCommand, Shelf, recorder, take_what_fits};
use rivero_engine::Element;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const CLASS: &str = "RecorderEndpoint";
/// Kurento's.
const PATIENCE: Duration = Duration::from_secs(4);

pub struct RecorderFace {
    pub uri: String,
    pub stop_on_end_of_stream: bool,
}

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings
        .factory(CLASS, move |make| create(make, media.clone()))
        .releaser(CLASS, release)
        .method(CLASS, "record", async |call: Call| tell(&call.object, RecorderCommand::Record).await)
        .method(CLASS, "stopAndWait", async |call: Call| -> Answer {
            stop_and_wait(&element(&call.object)?.element).await;
            Ok(Json::Null)
        });
}

async fn create(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let profile = profile(make.args.string("mediaProfile"))?;
    let pipeline = parent_pipeline(&make)?;
    let uri = normalise(make.args.string("uri"), &media.settings.uri.default_path);
    let place = uri.clone();
    let shared = media.clone();
    let open = Arc::new(move || open(&place, &shared));
    let gaps = gaps(media.settings.recorder.gaps_fix);
    let spec = recorder(make.id.to_string(), profile, open, media.writing, gaps);
    let element = pipeline.add(spec).await?;
    take_what_fits(&element, profile);
    tracing::info!(endpoint = %make.id, uri = without_password(&uri), ?profile, "recorder created");
    let face = RecorderFace { uri, stop_on_end_of_stream: make.args.boolean("stopOnEndOfStream") };
    Ok(ElementFace::new(element, &media, Role::Recorder(face)).made())
}

/// On the scribe's thread.
fn open(uri: &str, media: &Media) -> Result<Shelf, FilmError> {
    if !is_web(uri) {
        return Ok(Target::Inside(path_of(uri)?, media.roots.clone()).into());
    }
    let pace = Arc::new(RealPace(media.engine.clock().clone()));
    let (delivery, arrival) = delivery::send(uri, &media.recording_room, pace)?;
    let complete = Box::new(|| Ok(arrival.wait()?));
    Ok(Shelf { target: Target::Stream(Box::new(delivery)), complete })
}

fn is_web(uri: &str) -> bool {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// Errors: a profile that needs what nobody has but Kurento's own company.
fn profile(name: &str) -> Result<Profile, Error> {
    let (container, tracks) = match name.split_once('_') {
        Some((container, tracks)) => (container, tracks),
        None => (name, ""),
    };
    let format = match container {
        "WEBM" => Format::WebM,
        "MKV" => Format::Matroska,
        "MP4" => Format::Mp4,
        "FLV" => Format::Flv,
        "JPEG" => Format::Jpeg,
        _ => return Err(Error::IllegalParam("Kurento Split Recorder not supported".to_owned())),
    };
    Ok(Profile { format, audio: tracks != "VIDEO_ONLY", video: tracks != "AUDIO_ONLY" })
}

/// Kurento fills no gaps either, whatever that one's name says.
fn gaps(fix: GapsFix) -> Gaps {
    match fix {
        GapsFix::None | GapsFix::FillIfTranscoding => Gaps::Stay,
        GapsFix::GenPts => Gaps::Close,
    }
}

/// A recording that still runs is completed.
async fn release(object: Arc<Object>) {
    if let Ok(face) = element(&object) {
        stop_and_wait(&face.element).await;
    }
}

async fn stop_and_wait(element: &Element) {
    let (reply, done) = oneshot::channel();
    // One that is gone has nothing left to complete.
    if element.tell(RecorderCommand::Stop { reply: Some(reply) }).await.is_ok()
        && tokio::time::timeout(PATIENCE, done).await.is_err()
    {
        tracing::error!(element = element.id().0, "a recording is not complete after {} ms", PATIENCE.as_millis());
    }
}

async fn tell(object: &Object, command: RecorderCommand) -> Answer {
    element(object)?.element.tell(command).await?;
    Ok(Json::Null)
}

pub async fn pause(object: &Object) -> Answer {
    tell(object, RecorderCommand::Pause).await
}

pub async fn stop(object: &Object) -> Answer {
    tell(object, RecorderCommand::Stop { reply: None }).await
}

pub async fn state(object: &Object) -> Result<PlayState, Error> {
    let (reply, answer) = oneshot::channel();
    element(object)?.element.tell(RecorderCommand::Report { reply }).await?;
    answer.await.map(|report| report.state).map_err(|_| Error::ObjectNotFound("Invalid object".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_its_tracks() {
        let read = |name| profile(name).map(|profile| (profile.format, profile.audio, profile.video));
        assert_eq!(read("WEBM"), Ok((Format::WebM, true, true)));
        assert_eq!(read("MP4_VIDEO_ONLY"), Ok((Format::Mp4, false, true)));
        assert_eq!(read("MKV_AUDIO_ONLY"), Ok((Format::Matroska, true, false)));
        assert_eq!(read("FLV"), Ok((Format::Flv, true, true)));
        assert_eq!(read("JPEG_VIDEO_ONLY"), Ok((Format::Jpeg, false, true)));
        assert_eq!(read("KURENTO_SPLIT_RECORDER").map_err(|why| why.code()), Err(40107));
    }

    #[test]
    fn gaps_are_closed_where_the_configuration_says_so() {
        let fixes = [GapsFix::None, GapsFix::GenPts, GapsFix::FillIfTranscoding];
        assert_eq!(fixes.map(gaps), [Gaps::Stay, Gaps::Close, Gaps::Stay]);
    }
}
