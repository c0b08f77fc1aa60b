//! From the media workers' notices to Kurento's events.
//!
//! Workers must not wait: a notice goes into a bounded queue, and a task of the RPC side makes events of them, in order.

use super::face::{ElementFace, Role, element};
use super::media::Media;
use super::uri_endpoint::state_name;
use super::values::{connected, flowing, members, typed};
use super::webrtc_endpoint::{candidate_pair, dtls_connection};
use crate::objects::Object;
use rivero_codecs::film::FilmError;
use rivero_codecs::player::{PlayState, PlayerEvent};
use rivero_codecs::recorder::{RecorderCommand, RecorderEvent};
use rivero_engine::notice::{ErrorKind, Notice, NoticeSink, What};
use rivero_transport::rtp_endpoint::RtpEvent;
use rivero_transport::webrtc::WebRtcEvent;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Notices that wait. States are told when they change, so that this holds the news of thousands of endpoints.
const QUEUE: usize = 16_384;

/// What the workers write into and the events are made from.
pub struct NoticeQueue {
    sink: NoticeSink,
    notices: mpsc::Receiver<Notice>,
    lost: Arc<AtomicU64>,
}

impl Default for NoticeQueue {
    fn default() -> Self {
        let (sender, notices) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = lost.clone();
        let sink: NoticeSink = Arc::new(move |notice| {
            if sender.try_send(notice).is_err() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        NoticeQueue { sink, notices, lost }
    }
}

impl NoticeQueue {
    /// Where media workers put their notices.
    pub fn sink(&self) -> NoticeSink {
        self.sink.clone()
    }

    /// Makes events of notices until nobody is left to write any. To be spawned once.
    pub async fn run(mut self, media: Arc<Media>) {
        while let Some(notice) = self.notices.recv().await {
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::error!(lost, "the queue of notices ran over: events were lost");
            }
            // The object may have been released since.
            if let Some(object) = media.object(notice.element) {
                raise(&media, &object, notice);
            }
        }
    }
}

fn raise(media: &Media, object: &Object, notice: Notice) {
    let at = media.engine.clock().wall(notice.at);
    let emit = |name: &str, data: Json| media.emit(object, name, members(data), at);
    match notice.what {
        What::FlowIn { kind, pad, flowing: flows } => emit(
            "MediaFlowInStateChanged",
            json!({ "state": flowing(flows), "padName": pad, "mediaType": kind.name() }),
        ),
        What::FlowOut { kind, pad, flowing: flows } => emit(
            "MediaFlowOutStateChanged",
            json!({ "state": flowing(flows), "padName": pad, "mediaType": kind.name() }),
        ),
        What::Transcoding { kind, transcoding } => emit(
            "MediaTranscodingStateChanged",
            json!({
                "state": if transcoding { "TRANSCODING" } else { "NOT_TRANSCODING" },
                "binName": "default",
                "mediaType": kind.name(),
            }),
        ),
        // Of a worker and not of an object; the worker has logged it.
        What::Overload { .. } => {}
        What::Error { kind, description } => {
            tracing::warn!(object = object.id(), "{description}");
            emit("Error", json!({ "type": error_type(kind), "errorCode": 0, "description": description }));
        }
        What::Other(other) => match other.downcast::<WebRtcEvent>() {
            Ok(event) => {
                let (name, data) = webrtc_event(*event);
                media.emit(object, name, data, at);
            }
            Err(other) => match other.downcast::<RtpEvent>() {
                Ok(event) => {
                    let (name, data) = rtp_event(*event);
                    emit(name, data);
                }
                Err(other) => match other.downcast::<PlayerEvent>() {
                    // Whoever posts media gives no orders to its player.
                    Ok(event) if matches!(*event, PlayerEvent::State(_)) && is_posted(object) => {}
                    Ok(event) => {
                        media.films.player_told(&event);
                        let (name, data) = player_event(&event);
                        emit(name, data);
                        if matches!(*event, PlayerEvent::End) {
                            end_recorders(media, object);
                        }
                    }
                    Err(other) => match other.downcast::<RecorderEvent>() {
                        Ok(event) => {
                            media.films.recorder_told(&event);
                            recorder_event(*event, object, &emit);
                        }
                        Err(_) => tracing::error!(object = object.id(), "a notice of an unknown kind"),
                    },
                },
            },
        },
    }
}

fn is_posted(object: &Object) -> bool {
    element(object).is_ok_and(|face| matches!(face.role, Role::HttpPost(_)))
}

/// Recorders of what has ended stop where they were told to.
fn end_recorders(media: &Media, source: &Object) {
    let Ok(face) = element(source) else { return };
    for connection in face.element.sinks(None, None) {
        let Some(sink) = media.object(connection.sink) else { continue };
        let ends = |face: &&ElementFace| matches!(&face.role, Role::Recorder(face) if face.stop_on_end_of_stream);
        let Some(recorder) = element(&sink).ok().filter(ends).map(|face| face.element.clone()) else { continue };
        // Notices are not held up for that.
        tokio::spawn(async move { recorder.tell(RecorderCommand::Stop { reply: None }).await });
    }
}

fn recorder_event(event: RecorderEvent, object: &Object, emit: &impl Fn(&str, Json)) {
    match event {
        RecorderEvent::State(state) => {
            emit("UriEndpointStateChanged", json!({ "state": state_name(state) }));
            let name = match state {
                PlayState::Start => "Recording",
                PlayState::Pause => "Paused",
                PlayState::Stop => "Stopped",
            };
            emit(name, json!({}));
        }
        RecorderEvent::Written(summary) => tracing::info!(object = object.id(), ?summary, "recorded"),
        RecorderEvent::Failed { opened, why } => {
            let (kind, code) = recording_error(opened, &why);
            let why = with_reasons(&why);
            tracing::error!(object = object.id(), "a recording fails: {why}");
            let id = object.id();
            let description = format!("Error code {code}: The recording fails: {why}, source: {id}, element: {id}");
            emit("Error", json!({ "type": kind, "errorCode": code, "description": description }));
        }
        RecorderEvent::Late => {
            tracing::warn!(object = object.id(), "the place of a recording is too slow: frames are left out");
            let description = "The place of the recording is too slow: frames are left out";
            emit("Error", json!({ "type": "UNEXPECTED_ELEMENT_ERROR", "errorCode": 0, "description": description }));
        }
    }
}

/// Kurento's name of why a recording ends early, and the number that goes with it (GStreamer's, of errors of resources).
fn recording_error(opened: bool, why: &FilmError) -> (&'static str, u32) {
    match why {
        FilmError::Full => ("RESOURCE_ERROR_NO_SPACE_LEFT", 14),
        _ if opened => ("RESOURCE_ERROR_WRITE", 10),
        _ => ("RESOURCE_ERROR_OPEN", 6),
    }
}

fn with_reasons(why: &dyn std::error::Error) -> String {
    let mut text = why.to_string();
    let mut reason = why.source();
    while let Some(why) = reason {
        text = format!("{text}: {why}");
        reason = why.source();
    }
    text
}

fn player_event(event: &PlayerEvent) -> (&'static str, Json) {
    match event {
        PlayerEvent::State(state) => ("UriEndpointStateChanged", json!({ "state": state_name(*state) })),
        PlayerEvent::End => ("EndOfStream", json!({})),
        PlayerEvent::BrokeOff { why } => {
            let text = format!("The source broke off, and is opened again: {why}");
            ("Error", json!({ "type": "UNEXPECTED_ELEMENT_ERROR", "errorCode": 0, "description": text }))
        }
        PlayerEvent::Failed { opened, why } => {
            let broken = matches!(
                why,
                FilmError::Invalid { .. }
                    | FilmError::Unsupported(_)
                    | FilmError::TooLarge { .. }
                    | FilmError::Failed { .. }
            );
            let (kind, text) = match (broken, opened) {
                (true, _) => ("INVALID_MEDIA", "Invalid Media".to_owned()),
                (false, false) => ("INVALID_URI", "Invalid URI".to_owned()),
                (false, true) => ("UNEXPECTED_ELEMENT_ERROR", format!("The source broke off: {why}")),
            };
            ("Error", json!({ "type": kind, "errorCode": 0, "description": text }))
        }
    }
}

/// Kurento's names of error types; what it has no name for is an unexpected error of an element.
fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Panic | ErrorKind::Ring | ErrorKind::Format | ErrorKind::Element => "UNEXPECTED_ELEMENT_ERROR",
    }
}

fn webrtc_event(event: WebRtcEvent) -> (&'static str, Map<String, Json>) {
    let (name, data) = match event {
        WebRtcEvent::CandidateFound { candidate, mid, index } => {
            let fields = json!({ "candidate": candidate, "sdpMid": mid, "sdpMLineIndex": index });
            ("IceCandidateFound", json!({ "candidate": typed("IceCandidate", fields) }))
        }
        WebRtcEvent::GatheringDone => ("IceGatheringDone", json!({})),
        WebRtcEvent::IceState { stream, state } => {
            ("IceComponentStateChanged", json!({ "streamId": stream, "componentId": 1, "state": state.name() }))
        }
        WebRtcEvent::PairSelected { stream, pair } => {
            ("NewCandidatePairSelected", json!({ "candidatePair": candidate_pair(stream, &pair.local, &pair.remote) }))
        }
        WebRtcEvent::DtlsState { stream, state } => {
            let mut data = dtls_connection(stream);
            data["state"] = state.name().into();
            ("DtlsConnectionStateChange", data)
        }
        WebRtcEvent::Connection { connected: now } => ("ConnectionStateChanged", state_change(now)),
        WebRtcEvent::Media { connected: now } => ("MediaStateChanged", state_change(now)),
        WebRtcEvent::DataChannelOpened { stream } => ("DataChannelOpened", json!({ "channelId": stream })),
        WebRtcEvent::DataChannelClosed { stream } => ("DataChannelClosed", json!({ "channelId": stream })),
    };
    (name, members(data))
}

fn rtp_event(event: RtpEvent) -> (&'static str, Json) {
    match event {
        RtpEvent::Connection { connected: now } => ("ConnectionStateChanged", state_change(now)),
        RtpEvent::Media { connected: now } => ("MediaStateChanged", state_change(now)),
        RtpEvent::KeySoftLimit { kind } => ("OnKeySoftLimit", json!({ "mediaType": kind.name() })),
    }
}

fn state_change(now: bool) -> Json {
    json!({ "oldState": connected(!now), "newState": connected(now) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_recording_that_fails_says_why_as_kurento_does() {
        let of = |opened, why: io::Error| {
            let why = FilmError::from(why);
            (recording_error(opened, &why), with_reasons(&why))
        };
        let full = of(true, io::ErrorKind::StorageFull.into());
        assert_eq!(full, (("RESOURCE_ERROR_NO_SPACE_LEFT", 14), "no room left".to_owned()));
        let broken = of(true, io::Error::other("the disk burns"));
        assert_eq!(broken, (("RESOURCE_ERROR_WRITE", 10), "reading or writing failed: the disk burns".to_owned()));
        let denied = of(false, io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied, (("RESOURCE_ERROR_OPEN", 6), "no permission".to_owned()));
    }
}
