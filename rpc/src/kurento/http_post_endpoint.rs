//! `HttpPostEndpoint`: plays what a peer posts to its URL.

use super::face::{ElementFace, Role, element, parent_pipeline};
use super::media::Media;
use super::values::members;
use crate::bindings::{Answer, Bindings, Call, Made, Make, Pending};
use crate::error::Error;
use crate::objects::{Object, lock};
use crate::uploads::{Body, Desk, Expects, Receipt, Registration};
use rivero_codecs::film::{FilmError, Interrupt, OpenOptions, Reader, SpoolRoom};
use rivero_codecs::player::{FilmReel, Frame, PlayerCommand, Reel, ReelInfo, player};
use rivero_engine::Element;
use serde_json::json;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

const CLASS: &str = "HttpPostEndpoint";
/// How long a peer may take for what is needed to begin, or for the next frame. That it is silent is noticed sooner, where it is
/// received.
const SLOWEST: Duration = Duration::from_secs(60);

pub struct HttpPostFace {
    url: String,
    registration: Mutex<Option<Registration>>,
}

pub fn bind(bindings: &mut Bindings, media: &Arc<Media>) {
    let media = media.clone();
    bindings.factory(CLASS, move |make| create(make, media.clone())).releaser(CLASS, release).method(
        "HttpEndpoint",
        "getUrl",
        async |call: Call| -> Answer { Ok(url(&call.object)?.into()) },
    );
}

/// `useEncodedMedia` changes nothing: media is never decoded but for a sink that takes no other.
async fn create(make: Make, media: Arc<Media>) -> Result<Made, Error> {
    let pipeline = parent_pipeline(&make)?;
    let patience = Duration::from_secs(u64::try_from(make.args.integer("disconnectionTimeout")).unwrap_or(0));
    let desk = Arc::new(Desk::default());
    let owner = Arc::new(Owner { desk: desk.clone(), element: OnceLock::new(), media: Arc::downgrade(&media) });
    let registration = media.uploads.expect(patience, owner.clone()).await.map_err(|why| {
        tracing::error!("cannot listen for posts of media: {why}");
        Error::HttpRegistration("Cannot register HttpPostEndpoint".to_owned())
    })?;
    let room = media.spool_room.clone();
    let open = Arc::new(move |interrupt: &Interrupt| open(&desk, &room, interrupt));
    let mut spec = player(make.id.to_string(), media.engine.clock().clone(), open, Duration::ZERO);
    spec.class = CLASS;
    let element = pipeline.add(spec).await?;
    let _ = owner.element.set(element.clone());
    let url = registration.url().to_owned();
    tracing::info!(endpoint = %make.id, url, "endpoint for posts of media created");
    let face = HttpPostFace { url, registration: Mutex::new(Some(registration)) };
    Ok(ElementFace::new(element, &media, Role::HttpPost(face)).made())
}

fn face(object: &Object) -> Result<&HttpPostFace, Error> {
    match &element(object)?.role {
        Role::HttpPost(face) => Ok(face),
        _ => Err(Error::ObjectNotFound("Invalid object".to_owned())),
    }
}

fn url(object: &Object) -> Result<&str, Error> {
    Ok(&face(object)?.url)
}

async fn release(object: Arc<Object>) {
    if let Ok(face) = face(&object) {
        drop(lock(&face.registration).take());
    }
}

/// On the projector's thread.
fn open(desk: &Desk, room: &SpoolRoom, interrupt: &Interrupt) -> Result<Box<dyn Reel>, FilmError> {
    let (body, mut receipt) = desk.take().ok_or(FilmError::NotFound)?;
    let opened = film(body, room, interrupt.clone());
    receipt.opened(opened.is_ok());
    Ok(Box::new(PostedReel { film: opened?, _receipt: receipt }))
}

fn film(body: Body, room: &SpoolRoom, interrupt: Interrupt) -> Result<FilmReel, FilmError> {
    let options = OpenOptions { open_patience: SLOWEST, read_patience: SLOWEST, ..OpenOptions::default() };
    FilmReel::of(Reader::from_stream(Box::new(body), room, &options, interrupt)?, options.largest)
}

/// As long as it lasts, the next post waits.
struct PostedReel {
    film: FilmReel,
    _receipt: Receipt,
}

impl Reel for PostedReel {
    fn info(&self) -> &ReelInfo {
        self.film.info()
    }

    fn next(&mut self) -> Result<Option<Frame>, FilmError> {
        self.film.next()
    }

    fn seek(&mut self, to: Duration) -> Result<(), FilmError> {
        self.film.seek(to)
    }
}

/// Whom the posts are for.
struct Owner {
    desk: Arc<Desk>,
    element: OnceLock<Element>,
    media: Weak<Media>,
}

impl Owner {
    fn tell(&self, event: &str) {
        let (Some(media), Some(element)) = (self.media.upgrade(), self.element.get()) else { return };
        if let Some(object) = media.object(element.id()) {
            media.emit(&object, event, members(json!({})), media.wall());
        }
    }
}

impl Expects for Owner {
    fn session_started(&self) {
        self.tell("MediaSessionStarted");
    }

    fn session_terminated(&self) {
        self.tell("MediaSessionTerminated");
    }

    fn play(&self, body: Body, receipt: Receipt) -> Pending<()> {
        self.desk.put(body, receipt);
        let element = self.element.get().cloned();
        Box::pin(async move {
            let Some(element) = element else { return };
            // What was posted before is over; its player may not have looked yet. One that is gone needs no post any more: whoever
            // released it ends the post as well.
            for command in [PlayerCommand::Stop, PlayerCommand::Play] {
                if element.tell(command).await.is_err() {
                    return;
                }
            }
        })
    }
}
