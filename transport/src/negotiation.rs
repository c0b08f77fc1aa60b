//! The one negotiation of an endpoint, as both control sides hold it: an offer of ours and its answer, or the other way round.
//!
//! Enters: descriptions, ours and the peer's. Leaves: whether it is the time for the next step, and the descriptions. It must never
//! know what is negotiated.

use crate::sdp::{self, OfferedMedia, SdpError, SessionDescription};
use rivero_engine::{Element, EngineError};
use std::any::Any;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::oneshot;

#[derive(Debug, thiserror::Error)]
pub enum NegotiationError {
    #[error("{0}")]
    Sdp(#[from] SdpError),
    #[error("the endpoint has already negotiated")]
    AlreadyNegotiated,
    #[error("no offer was generated")]
    OfferNotGenerated,
    #[error("the answer was already processed")]
    AnswerAlreadyProcessed,
    #[error("the session cannot be opened: {0}")]
    NotOpened(String),
    #[error("candidates cannot be gathered: {0}")]
    NotGathered(String),
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// How far it has come.
#[derive(Default)]
enum Stage {
    #[default]
    Fresh,
    /// A step is under way.
    Busy,
    Offered(Vec<OfferedMedia>),
    Done,
}

#[derive(Default)]
pub(crate) struct Negotiation {
    stage: Stage,
    /// We made the offer.
    pub offerer: bool,
    pub local: Option<SessionDescription>,
    pub remote: Option<SessionDescription>,
}

impl Negotiation {
    /// Takes the one negotiation, or says that it is taken.
    pub fn begin(&mut self) -> Result<(), NegotiationError> {
        if !matches!(self.stage, Stage::Fresh) {
            return Err(NegotiationError::AlreadyNegotiated);
        }
        self.stage = Stage::Busy;
        Ok(())
    }

    /// It failed before anybody heard of it: it can begin again.
    pub fn undo(&mut self) {
        self.stage = Stage::Fresh;
    }

    /// Our offer is made. Returns its text.
    pub fn offer(&mut self, offer: SessionDescription, lines: Vec<OfferedMedia>) -> String {
        let text = sdp::write(&offer);
        self.offerer = true;
        self.stage = Stage::Offered(lines);
        self.local = Some(offer);
        text
    }

    /// An offer is answered. Returns the text of the answer.
    pub fn answer(&mut self, offer: SessionDescription, answer: SessionDescription) -> String {
        let text = sdp::write(&answer);
        self.remote = Some(offer);
        self.local = Some(answer);
        self.stage = Stage::Done;
        text
    }

    /// What we offered, while it waits for an answer.
    pub fn offered(&self) -> &[OfferedMedia] {
        if let Stage::Offered(lines) = &self.stage { lines } else { &[] }
    }

    /// Takes the peer's answer with what it answers.
    pub fn begin_answer(&mut self, text: &str) -> Result<(Vec<OfferedMedia>, SessionDescription), NegotiationError> {
        if text.is_empty() {
            return Err(SdpError::Empty.into());
        }
        if !self.offerer {
            return Err(NegotiationError::OfferNotGenerated);
        }
        let Stage::Offered(lines) = &mut self.stage else { return Err(NegotiationError::AnswerAlreadyProcessed) };
        // The text is checked before the stage moves on.
        let answer = sdp::parse(text)?;
        let lines = std::mem::take(lines);
        self.stage = Stage::Busy;
        Ok((lines, answer))
    }

    /// The answer could not be used: another one may come.
    pub fn undo_answer(&mut self, lines: Vec<OfferedMedia>) {
        self.stage = Stage::Offered(lines);
    }

    pub fn finish_answer(&mut self, answer: SessionDescription) {
        self.remote = Some(answer);
        self.stage = Stage::Done;
    }
}

/// Tells the session something that it answers.
///
/// Errors: the element is released.
pub(crate) async fn ask<C: Any + Send, T>(
    element: &Element,
    command: impl FnOnce(oneshot::Sender<T>) -> C,
) -> Result<T, EngineError> {
    let (reply, answer) = oneshot::channel();
    element.tell(command(reply)).await?;
    answer.await.map_err(|_| EngineError::Released)
}

/// What is behind a lock that is never held over a panic that leaves it half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Seconds since 1900, as the `o=` line has them (RFC 8866, section 5.2).
pub(crate) fn origin_id(element: &Element) -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let clock = element.pipeline().clock().clone();
    let since = clock.wall(clock.now()).duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() + FROM_1900_TO_1970
}

/// The canonical name of an endpoint's sources (RFC 3550, section 6.5.1), in Kurento's form.
pub(crate) fn random_cname() -> String {
    format!("user{}@host-{:08x}", random_u32(), random_u32())
}

pub(crate) fn random_u32() -> u32 {
    // Without randomness no session would be safe to open; the machine's generator does not fail once it is up.
    getrandom::u32().unwrap_or(1).max(1)
}
