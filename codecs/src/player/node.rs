//! The worker half of a player: gives each frame to the graph when its time has come.
//!
//! One point ties the film to the pipeline's clock: *this* place of the film is due at *that* time. Pausing, seeking and waiting
//! for a slow disk move the point; time itself only goes forward.

use super::outage::{Outage, Plan};
use super::projector::{OpenReel, Projector, Reading};
use super::reel::{Content, Frame, ReelInfo};
use super::{PlayState, PlayerCommand, PlayerEvent, PlayerReport};
use crate::convert::{is_reordered, raw};
use crate::film::{FilmError, Interrupt};
use rivero_engine::{Body, Caps, Clock, Coded, Input, MediaKind, MediaTime, Node, Outbox, Packet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How soon the node looks again when the projector has nothing yet.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often what is live is thrown away while the player is paused.
const LET_PASS: Duration = Duration::from_millis(100);
/// Live media that comes so much later than it should has jumped.
const JUMP: Duration = Duration::from_secs(1);
/// Live media is shown so much earlier than its delay allows, so that a sender's clock that runs ahead of ours needs no correction
/// with each frame.
const SLACK: Duration = Duration::from_millis(20);
/// A film is not silent for longer: its times are broken there, and it goes on at once.
const GAP: Duration = Duration::from_secs(60);
/// Frames that leave in one go; the rest follows after `BREATH`, when others have had their turn.
const AT_ONCE: usize = 64;
const BREATH: Duration = Duration::from_millis(1);
/// A frame that was waited for and comes later than this was held up by what it is read from: the film goes on from here instead of
/// hurrying. One that is only late, because a file holds its sound far from its pictures, is no reason.
const HELD_UP: Duration = Duration::from_millis(300);
/// Sound that may lie before the picture that a paused film shows after a seek.
const MOST_HELD: usize = 256;
/// What follows in the same stream is at least this much later: two ticks of a clock of 90 kHz.
const STEP: Duration = Duration::from_micros(23);

pub struct PlayerNode {
    clock: Arc<dyn Clock>,
    open: OpenReel,
    delay: Duration,
    state: PlayState,
    show: Option<Show>,
    outage: Outage,
    /// When what left last is shown, of audio and video: playing again goes on behind it.
    last: [MediaTime; 2],
    /// What of that was before the film was tied to the clock anew: times may go back for frames in another order, but not behind that.
    floor: [MediaTime; 2],
}

/// A film that is open, or being opened.
struct Show {
    projector: Projector,
    info: Option<ReelInfo>,
    run: u64,
    next: Option<Frame>,
    ended: bool,
    /// The projector had nothing to give since the last frame.
    starved: bool,
    /// Where the film stands: this place is due at that time.
    point: Option<(Duration, MediaTime)>,
    /// While paused, or before the first frame: the place at which it goes on.
    place: Duration,
    /// Another place was sought, and no picture from there has left.
    cut: bool,
    /// It was sought while it is paused: one picture is shown.
    peeks: bool,
    /// Sound that was met on the way to that picture.
    held: VecDeque<Frame>,
    /// It is not where it should be: it goes on from wherever it is.
    astray: bool,
    /// Pictures before the next key frame are of no use.
    awaits_key: bool,
    /// The place up to which it has been given.
    reached: Duration,
    /// When the last frame has been shown.
    over: MediaTime,
}

impl PlayerNode {
    pub fn new(clock: Arc<dyn Clock>, open: OpenReel, delay: Duration) -> Self {
        PlayerNode {
            clock,
            open,
            delay,
            state: PlayState::Stop,
            show: None,
            outage: Outage::default(),
            last: [MediaTime::ZERO; 2],
            floor: [MediaTime::ZERO; 2],
        }
    }

    fn command(&mut self, command: PlayerCommand, out: &mut Outbox) {
        match command {
            PlayerCommand::Play => self.play(out),
            PlayerCommand::Pause => self.pause(out),
            PlayerCommand::Stop => self.stop(out),
            PlayerCommand::Seek { to, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(self.seek(to));
            }
            PlayerCommand::Report { reply } => {
                let _ = reply.send(self.report(out.now()));
            }
        }
        self.go_on(out);
    }

    fn play(&mut self, out: &mut Outbox) {
        // Whoever is told of an outage may well order it to be played again.
        let anew = self.outage.take();
        if self.state != PlayState::Start {
            self.enter(PlayState::Start, out);
        } else if !anew {
            return;
        }
        self.load(out);
    }

    fn load(&mut self, out: &mut Outbox) {
        if self.show.is_some() || self.outage.next().is_some() {
            return;
        }
        match Projector::start(self.open.clone(), Interrupt::new(self.clock.clone())) {
            Ok(projector) => self.show = Some(Show::new(projector)),
            Err(why) => self.fail(FilmError::from(why), out),
        }
    }

    /// From the stop it opens the film and shows nothing yet.
    fn pause(&mut self, out: &mut Outbox) {
        if self.state == PlayState::Pause {
            return;
        }
        self.enter(PlayState::Pause, out);
        self.load(out);
        if let Some(show) = &mut self.show {
            show.place = show.position(out.now());
            show.point = None;
        }
    }

    fn stop(&mut self, out: &mut Outbox) {
        if self.state != PlayState::Stop {
            self.enter(PlayState::Stop, out);
        }
        self.show = None;
        self.outage = Outage::default();
    }

    fn seek(&mut self, to: Duration) -> bool {
        let Some(show) = self.show.as_mut().filter(|_| self.state != PlayState::Stop) else { return false };
        let Some(info) = show.info.as_ref().filter(|info| info.seekable && !info.live) else { return false };
        if info.duration.is_some_and(|duration| to > duration) {
            return false;
        }
        if !show.projector.seek(to, show.run + 1) {
            return false;
        }
        show.run += 1;
        (show.next, show.ended, show.point) = (None, false, None);
        (show.place, show.reached) = (to, to);
        show.peeks = self.state == PlayState::Pause && info.video.is_some();
        show.held.clear();
        show.cut = true;
        (show.astray, show.awaits_key) = (false, false);
        true
    }

    fn report(&self, now: MediaTime) -> PlayerReport {
        let info = self.show.as_ref().and_then(|show| show.info.clone());
        let position = self.show.as_ref().map_or(Duration::ZERO, |show| show.position(now));
        PlayerReport { info, position, state: self.state }
    }

    fn enter(&mut self, state: PlayState, out: &mut Outbox) {
        self.state = state;
        out.tell(PlayerEvent::State(state));
    }

    fn fail(&mut self, why: FilmError, out: &mut Outbox) {
        let info = self.show.as_ref().and_then(|show| show.info.as_ref());
        let opened = info.is_some() || self.outage.is_away();
        match self.outage.plan(info.is_some_and(|info| info.endless), &why, out.now()) {
            Plan::Again { news } => {
                tracing::warn!(news, "a stream broke off, and is opened anew: {why}");
                self.show = None;
                if news {
                    out.tell(PlayerEvent::BrokeOff { why });
                }
            }
            Plan::GiveUp => {
                tracing::warn!(opened, "a film cannot be played: {why}");
                out.tell(PlayerEvent::Failed { opened, why });
                self.stop(out);
            }
        }
    }

    /// Gives everything that is due, and sleeps until the next frame is.
    fn go_on(&mut self, out: &mut Outbox) {
        let paused = self.state == PlayState::Pause;
        let mut given = 0;
        let wake = loop {
            if self.outage.next().is_some_and(|next| next <= out.now()) && self.outage.take() {
                self.load(out);
            }
            let Some(show) = &mut self.show else { break self.outage.next() };
            let lets_pass = paused && show.is_live();
            match show.look() {
                Look::Nothing if lets_pass => break Some(out.now() + LET_PASS),
                Look::Nothing => break Some(out.now() + LOOK_AGAIN),
                Look::Failed(why) => self.fail(why, out),
                Look::Frame { .. } if lets_pass => show.let_pass(),
                Look::Frame { .. } if show.peeks => self.peek(out),
                _ if paused => break None,
                Look::End => {
                    if show.over > out.now() {
                        break Some(show.over);
                    }
                    self.stop(out);
                    out.tell(PlayerEvent::End);
                }
                Look::Frame { decoded } => {
                    if show.point.is_none() {
                        self.floor = self.last;
                    }
                    let free = self.last[0].max(self.last[1]);
                    let due = show.due(decoded, self.delay, free, out.now());
                    if due > out.now() {
                        // What is live is shown earlier if more comes than there should be.
                        break Some(if show.is_live() { due.min(out.now() + LET_PASS) } else { due });
                    }
                    if given == AT_ONCE {
                        break Some(out.now() + BREATH);
                    }
                    given += 1;
                    self.give(out);
                }
            }
        };
        out.wake_at(wake);
    }

    /// Shows the picture at which a paused film stands, without going on.
    fn peek(&mut self, out: &mut Outbox) {
        let Some(show) = &mut self.show else { return };
        let picture = show.next.as_ref().is_some_and(|frame| frame.kind == MediaKind::Video);
        show.peeks = !picture && show.held.len() < MOST_HELD;
        if !picture {
            show.held.extend(show.next.take());
        } else if let Some(frame) = &show.next {
            show.point = Some((frame.at, out.now()));
            self.floor = self.last;
            self.give(out);
            self.show.iter_mut().for_each(|show| show.point = None);
        }
    }

    fn give(&mut self, out: &mut Outbox) {
        let Some(show) = &mut self.show else { return };
        let (Some(frame), Some((place, time)), Some(info)) = (show.next.take(), show.point, &show.info) else { return };
        let Some((port, caps)) = described(&frame, info) else { return };
        let at = if frame.at >= place { time + (frame.at - place) } else { time - (place - frame.at) };
        // What is decoded before others and shown after them stands where it stands.
        let last = if is_reordered(&caps) { &mut self.floor[port] } else { &mut self.last[port] };
        let at = if at <= *last { *last + STEP } else { at };
        if !is_reordered(&caps) || at == *last + STEP {
            *last = at;
        }
        self.last[port] = self.last[port].max(at);
        let lasts = frame.duration.min(GAP);
        show.reached = show.reached.max(frame.at + lasts);
        show.over = show.over.max(at + lasts);
        self.outage.is_over(out.now());
        let key = frame.key || frame.kind == MediaKind::Audio;
        if let Some(body) = body(frame.content, at) {
            let mut packet = Packet::new(caps, body, out.now()).key(key).frame_end(true);
            packet.discontinuity = frame.kind == MediaKind::Video && std::mem::take(&mut show.cut);
            out.media(port, packet);
        }
    }
}

/// Where a frame leaves, and as what.
fn described(frame: &Frame, info: &ReelInfo) -> Option<(usize, Caps)> {
    let (port, caps) = if frame.kind == MediaKind::Audio { (0, &info.audio) } else { (1, &info.video) };
    let caps = if matches!(frame.content, Content::Coded(_)) { caps.clone() } else { raw(frame.kind) };
    caps.map(|caps| (port, caps))
}

/// What stands before the player.
enum Look {
    Nothing,
    Failed(FilmError),
    End,
    Frame { decoded: Duration },
}

impl Show {
    fn new(projector: Projector) -> Self {
        Show {
            projector,
            info: None,
            run: 0,
            next: None,
            ended: false,
            starved: false,
            point: None,
            place: Duration::ZERO,
            cut: false,
            peeks: false,
            held: VecDeque::new(),
            astray: false,
            awaits_key: false,
            reached: Duration::ZERO,
            over: MediaTime::ZERO,
        }
    }

    fn is_live(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.live)
    }

    /// What is live goes on while it is paused: what follows is joined at a key frame.
    fn let_pass(&mut self) {
        self.next = None;
        self.awaits_key = self.info.as_ref().is_some_and(|info| info.video.is_some());
    }

    fn look(&mut self) -> Look {
        if self.next.is_none() && !self.peeks {
            self.next = self.held.pop_front();
        }
        while self.next.is_none() && !self.ended {
            match self.projector.take() {
                None => {
                    self.starved = true;
                    return Look::Nothing;
                }
                Some(Reading::Opened(info)) => self.info = Some(info),
                Some(Reading::Frame { run, frame }) if run == self.run => {
                    self.awaits_key &= frame.kind != MediaKind::Video || !frame.key;
                    self.next = Some(frame).filter(|frame| !self.awaits_key || frame.kind != MediaKind::Video);
                }
                Some(Reading::Astray { run }) if run == self.run => self.astray = true,
                Some(Reading::End { run }) if run == self.run => self.ended = true,
                Some(Reading::Frame { .. } | Reading::Astray { .. } | Reading::End { .. }) => {}
                Some(Reading::Failed(why)) => return Look::Failed(why),
            }
        }
        match &self.next {
            Some(frame) => Look::Frame { decoded: frame.decoded },
            None => Look::End,
        }
    }

    /// When the frame is due that is decoded at this place. The first one after a pause or a seek ties the film to the clock.
    /// `free`: all that left before has been shown by then.
    fn due(&mut self, decoded: Duration, delay: Duration, free: MediaTime, now: MediaTime) -> MediaTime {
        let live = self.is_live();
        let delay = if live { delay } else { Duration::ZERO };
        let early = delay.saturating_sub(SLACK);
        // A stream that is joined begins where it is.
        let joins = std::mem::take(&mut self.astray) || live;
        // What is decoded before others and shown after them has left early.
        let begin = (if joins { decoded } else { self.place }, if live { now + early } else { now.max(free) });
        let (place, time) = *self.point.get_or_insert(begin);
        let planned = if decoded >= place { time + (decoded - place) } else { time - (place - decoded) };
        let late = now.since(planned);
        let held_up = std::mem::take(&mut self.starved) && late > HELD_UP;
        let jumped = if live { late > delay + JUMP } else { planned.since(now) > GAP };
        let due = if held_up || jumped { now + early } else { planned };
        // What came last, at this moment or before, is not to be shown later than the delay says.
        let ahead = if live { self.projector.newest().saturating_sub(decoded) } else { Duration::ZERO };
        let too_late = (due + ahead).since(now + delay);
        let due = if live && !too_late.is_zero() { due - too_late - (delay - early) } else { due };
        if due != planned {
            self.point = Some((decoded, due));
        }
        due
    }

    fn position(&self, now: MediaTime) -> Duration {
        let Some((place, time)) = self.point else { return self.place };
        let position = if now >= time { place + now.since(time) } else { place.saturating_sub(time.since(now)) };
        // While a slow disk is waited for it stands.
        let waits = self.starved && self.next.is_none() && !self.ended;
        let position = if waits { position.min(self.reached.max(place)) } else { position };
        let duration = self.info.as_ref().and_then(|info| info.duration);
        duration.map_or(position, |duration| position.min(duration))
    }
}

fn body(content: Content, at: MediaTime) -> Option<Body> {
    Some(match content {
        Content::Coded(data) => Body::Coded(Arc::new(Coded { data, at })),
        Content::Picture(picture) => Body::Picture(Arc::new(rivero_engine::Picture { at, ..picture })),
        Content::Sound(sound) => Body::Sound(Arc::new(rivero_engine::Sound { at, ..sound })),
        Content::Nothing => return None,
    })
}

impl Node for PlayerNode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Command(command) => match command.downcast::<PlayerCommand>() {
                Ok(command) => self.command(*command, out),
                Err(_) => debug_assert!(false, "a player is told to play, pause, stop, seek or report"),
            },
            Input::Deadline => self.go_on(out),
            // A film has the key frames that it has, and the bitrate.
            Input::Feedback { .. } | Input::Media { .. } => {}
        }
    }
}
