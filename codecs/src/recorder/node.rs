//! The worker half of a recorder.

use super::gaps::{GapFix, Gaps, length};
use super::profile::{Profile, fits, track};
use super::scribe::{Failure, Line, OpenTarget, Refused, Scribe};
use super::{AUDIO, RecorderCommand, RecorderEvent, RecorderReport, VIDEO};
use crate::convert::is_reordered;
use crate::film::{FilmError, WriterOptions};
use crate::player::PlayState;
use rivero_engine::{Body, Caps, Feedback, Input, MediaKind, MediaTime, Node, Outbox, Packet};
use std::time::Duration;
use tokio::sync::oneshot;

/// While nothing comes the file is told the time this often; while it is completed the node looks this often whether it is.
const TICK: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(10);
/// A key frame that does not come is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// So long what comes waits for the other track: what a track holds is settled when the file begins, and sound goes on with the picture.
const PATIENCE: Duration = Duration::from_secs(2);
/// Frames that wait for that at most.
const MOST_EARLY: usize = 512;
/// What goes on after a pause follows what was before by this.
const SEAM: Duration = Duration::from_millis(40);

pub struct RecorderNode {
    profile: Profile,
    open: OpenTarget,
    options: WriterOptions,
    /// As told; a recording that waits for its first frame is still what it was before.
    state: PlayState,
    wanted: PlayState,
    scribe: Option<Scribe>,
    stopped: bool,
    replies: Vec<oneshot::Sender<()>>,
    /// What came last at each input.
    caps: [Option<Caps>; 2],
    /// By input: the number of the track in the file, and what it holds.
    tracks: [Option<(usize, Caps)>; 2],
    /// Cut out of the time line so far, and since when it is paused.
    cut: Duration,
    paused: Option<MediaTime>,
    /// No picture is taken before a key frame.
    waits: bool,
    /// Until then sound waits for the picture with which it begins, or goes on after a pause. Where pictures are missing in the midst
    /// nothing of the sound is lost.
    patient_until: MediaTime,
    /// Where what is recorded now goes on: sound from before the pause that comes only now is not wanted.
    resumed: MediaTime,
    asked: Option<MediaTime>,
    left_out: u64,
    /// What waits for the file to begin.
    early: Vec<(usize, Packet)>,
    /// When what was recorded last is shown or heard, by input.
    newest: [Option<MediaTime>; 2],
    gaps: GapFix,
}

impl RecorderNode {
    pub fn new(profile: Profile, open: OpenTarget, options: WriterOptions, gaps: Gaps) -> Self {
        RecorderNode {
            profile,
            open,
            options,
            state: PlayState::Stop,
            wanted: PlayState::Stop,
            scribe: None,
            stopped: false,
            replies: Vec::new(),
            caps: [None, None],
            tracks: [None, None],
            cut: Duration::ZERO,
            paused: None,
            waits: true,
            patient_until: MediaTime::ZERO,
            resumed: MediaTime::ZERO,
            asked: None,
            left_out: 0,
            early: Vec::new(),
            newest: [None; 2],
            gaps: GapFix::new(gaps),
        }
    }

    fn command(&mut self, command: RecorderCommand, out: &mut Outbox) {
        match command {
            RecorderCommand::Record if !self.stopped => self.record(out),
            RecorderCommand::Pause if !self.stopped => self.pause(out),
            RecorderCommand::Record | RecorderCommand::Pause => {
                tracing::error!("a recorder that was stopped records nothing more");
            }
            RecorderCommand::Stop { reply } => self.stop(reply, out),
            RecorderCommand::Report { reply } => {
                // Whoever asked may have gone.
                let waiting = self.scribe.as_ref().map_or(0, Scribe::waiting);
                let _ = reply.send(RecorderReport { state: self.state, waiting, left_out: self.left_out });
            }
        }
    }

    fn record(&mut self, out: &mut Outbox) {
        if self.wanted == PlayState::Start {
            return;
        }
        self.wanted = PlayState::Start;
        self.waits = true;
        // A file that has no pictures yet does not wait for any.
        let shows = self.profile.video && self.caps[VIDEO].is_some();
        self.patient_until = if shows { out.now() + PATIENCE } else { out.now() };
        self.ask(out);
        out.wake_at(Some(out.now() + TICK));
    }

    fn pause(&mut self, out: &mut Outbox) {
        if self.wanted == PlayState::Pause {
            return;
        }
        self.save_early(out);
        self.wanted = PlayState::Pause;
        // What is cut out begins behind what was recorded.
        let newest = self.newest.into_iter().flatten().max().filter(|_| self.scribe.is_some());
        self.paused.get_or_insert(newest.unwrap_or(out.now()));
        self.enter(PlayState::Pause, out);
    }

    fn stop(&mut self, reply: Option<oneshot::Sender<()>>, out: &mut Outbox) {
        self.replies.extend(reply);
        if !self.stopped {
            self.save_early(out);
            self.stopped = true;
            self.wanted = PlayState::Stop;
            if self.left_out > 0 {
                tracing::warn!(frames = self.left_out, "frames are missing in a recording: its place was too slow");
            }
            if let Some(scribe) = &mut self.scribe {
                scribe.finish();
            }
        }
        self.look(out);
    }

    /// Whether the file is complete; if so that is told.
    fn look(&mut self, out: &mut Outbox) {
        let outcome = match &self.scribe {
            None => None,
            Some(scribe) => match scribe.outcome() {
                Some(outcome) => Some(outcome),
                None => return out.wake_at(Some(out.now() + LOOK)),
            },
        };
        self.scribe = None;
        let told = self.state != PlayState::Stop || outcome.is_some();
        let written = match outcome {
            Some(Ok(summary)) => Some(summary),
            Some(Err(Failure { opened, why })) => {
                // Before the state: whoever takes the end for the end of a whole recording knows better by then.
                out.tell(RecorderEvent::Failed { opened, why });
                None
            }
            None => None,
        };
        if told {
            self.enter(PlayState::Stop, out);
        }
        if let Some(summary) = written {
            out.tell(RecorderEvent::Written(summary));
        }
        for reply in self.replies.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
    }

    fn enter(&mut self, state: PlayState, out: &mut Outbox) {
        self.state = state;
        out.tell(RecorderEvent::State(state));
    }

    fn take(&mut self, port: usize, packet: Packet, out: &mut Outbox) {
        let Body::Coded(frame) = &packet.body else { return };
        if self.wanted != PlayState::Start || self.stopped {
            return;
        }
        // What is not taken has been on its way since before the engine knew.
        let taken = match &self.tracks[port] {
            Some((_, track)) => fits(track, &packet.caps),
            None => self.profile.accepts(&packet.caps),
        };
        if !taken {
            return;
        }
        if port == VIDEO && !packet.key {
            // Another source, or a gap: what follows cannot be decoded.
            self.waits |= packet.discontinuity;
            if self.waits {
                return self.ask_again(out);
            }
        }
        // Another source begins with what it sent lately, which lies before what is recorded already. Only pictures whose source says
        // so are decoded in another order than they are shown in.
        let before = self.newest[port].is_some_and(|newest| frame.at <= newest);
        if port == VIDEO && before && !is_reordered(&packet.caps) {
            self.waits = true;
            return self.ask_again(out);
        }
        let waits = self.waits && out.now() < self.patient_until;
        if port == AUDIO && (waits || before || frame.at < self.resumed) {
            return;
        }
        if port == VIDEO {
            self.waits = false;
        }
        if let Some(paused) = self.paused.take() {
            self.cut += frame.at.since(paused).saturating_sub(SEAM);
            self.resumed = frame.at;
        }
        if self.scribe.is_none() {
            // What comes in another coding before the file has begun: that is what the track will hold.
            if self.caps[port].as_ref().is_some_and(|before| !fits(before, &packet.caps)) {
                self.early.retain(|(other, _)| *other != port);
            }
            self.caps[port] = Some(packet.caps.clone());
            self.early.push((port, packet));
            return self.begin_if_ready(out);
        }
        self.caps[port] = Some(packet.caps.clone());
        self.write(port, &packet, out);
    }

    /// What came before all tracks had begun is recorded all the same.
    fn save_early(&mut self, out: &mut Outbox) {
        if !self.early.is_empty() && self.begin(out) {
            self.write_early(out);
        }
    }

    fn write_early(&mut self, out: &mut Outbox) {
        for (port, packet) in std::mem::take(&mut self.early) {
            self.write(port, &packet, out);
        }
    }

    fn begin_if_ready(&mut self, out: &mut Outbox) {
        let first = self.early.first().map_or(out.now(), |(_, packet)| packet.entered);
        let known = |port: usize, wanted: bool| !wanted || self.caps[port].is_some();
        let all = known(AUDIO, self.profile.audio) && known(VIDEO, self.profile.video);
        let enough = self.early.len() >= MOST_EARLY || out.now().since(first) >= PATIENCE;
        if all || enough {
            self.save_early(out);
        }
    }

    fn write(&mut self, port: usize, packet: &Packet, out: &mut Outbox) {
        let Body::Coded(frame) = &packet.body else { return };
        let (Some(scribe), Some((track, _))) = (&mut self.scribe, &self.tracks[port]) else { return };
        self.newest[port] = self.newest[port].max(Some(frame.at));
        let gap = self.gaps.cut(packet.kind(), frame.at - self.cut);
        if !gap.is_zero() {
            self.cut += gap;
            if port == VIDEO {
                // Sound from within the gap that comes only now has no place any more.
                self.resumed = self.resumed.max(frame.at);
            }
        }
        let at = frame.at - self.cut;
        let long = length(packet.caps.codec(), packet.caps.clock_rate(), &frame.data);
        self.gaps.note(packet.kind(), at, long);
        let line = Line::Frame { track: *track, data: frame.data.clone(), at, key: packet.key };
        match scribe.put(line, out.now()) {
            Ok(()) => {
                out.left(packet.kind(), packet.entered);
                if self.state != PlayState::Start {
                    self.enter(PlayState::Start, out);
                }
            }
            Err(Refused::Full) => {
                if self.left_out == 0 {
                    out.tell(RecorderEvent::Late);
                }
                self.left_out += 1;
                if port == VIDEO && !std::mem::replace(&mut self.waits, true) {
                    self.ask_again(out);
                }
            }
            Err(Refused::Ended) => {
                self.stopped = true;
                self.look(out);
            }
        }
    }

    /// Starts the file. What its tracks hold is settled now.
    fn begin(&mut self, out: &mut Outbox) -> bool {
        let mut tracks = Vec::new();
        for (port, kind) in [(VIDEO, MediaKind::Video), (AUDIO, MediaKind::Audio)] {
            if self.profile.has(kind) {
                let caps = self.caps[port].clone().unwrap_or_else(|| self.profile.expected(kind));
                out.takes(port, self.profile.takes_only(&caps));
                let number = tracks.len();
                tracks.push(track(&caps));
                self.tracks[port] = Some((number, caps));
            }
        }
        match Scribe::start(self.open.clone(), self.profile.format, tracks, self.options) {
            Ok(scribe) => self.scribe = Some(scribe),
            Err(why) => {
                self.stopped = true;
                self.early.clear();
                out.tell(RecorderEvent::Failed { opened: false, why: FilmError::from(why) });
            }
        }
        out.wake_at(Some(out.now() + TICK));
        self.scribe.is_some()
    }

    fn ask(&mut self, out: &mut Outbox) {
        if self.profile.video {
            self.asked = Some(out.now());
            out.feedback(VIDEO, Feedback::KeyFrame);
        }
    }

    fn ask_again(&mut self, out: &mut Outbox) {
        if self.asked.is_none_or(|asked| out.now().since(asked) >= ASK_AGAIN) {
            self.ask(out);
        }
    }

    fn tick(&mut self, out: &mut Outbox) {
        if self.stopped {
            return self.look(out);
        }
        if self.scribe.is_none() {
            self.begin_if_ready(out);
            return out.wake_at((self.wanted == PlayState::Start).then(|| out.now() + TICK));
        }
        let Some(scribe) = &mut self.scribe else { return };
        let running = self.wanted == PlayState::Start && self.paused.is_none();
        let put = if running { scribe.put(Line::Now(out.now() - self.cut), out.now()) } else { Ok(()) };
        let told = put.and(scribe.hand_over());
        // One that cannot be told now, as the disk is behind, is told with the next frame.
        if let Err(Refused::Ended) = told {
            self.stopped = true;
            return self.look(out);
        }
        out.wake_at(Some(out.now() + TICK));
    }
}

impl Node for RecorderNode {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::Media { port, packet, .. } => self.take(port, packet, out),
            Input::Command(command) => match command.downcast::<RecorderCommand>() {
                Ok(command) => self.command(*command, out),
                Err(_) => debug_assert!(false, "a recorder is told to record, pause, stop or report"),
            },
            Input::Deadline => self.tick(out),
            Input::Feedback { .. } => {}
        }
    }
}
