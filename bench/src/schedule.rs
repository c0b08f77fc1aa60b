//! The packets of a recorded encoder: when each is ready to leave, how long it is, where frames end and which are key frames.
//! Enters: the text of a file below `fixtures/rtp`. Leaves: a schedule that can be replayed round and round.

/// One packet of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// µs since the first frame.
    pub at_us: u64,
    /// Bytes of RTP payload.
    pub bytes: usize,
    /// The last packet of its frame.
    pub last: bool,
    pub key: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub lines: Vec<Line>,
    /// µs after which it begins again: one mean distance of frames after the last frame.
    pub period_us: u64,
    pub frames: usize,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScheduleError {
    #[error("line {0} is not 'milliseconds bytes flags'")]
    Line(usize),
    #[error("line {0} goes back in time")]
    Order(usize),
    #[error("fewer than two frames")]
    Short,
}

impl Schedule {
    /// Reads lines of `milliseconds bytes flags`; `#` begins a comment.
    ///
    /// Errors: [`ScheduleError`], with the number of the line.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut lines: Vec<Line> = Vec::new();
        for (number, text) in (1..).zip(text.lines()) {
            if text.starts_with('#') || text.trim().is_empty() {
                continue;
            }
            let line = parse_line(text).ok_or(ScheduleError::Line(number))?;
            if lines.last().is_some_and(|before| before.at_us > line.at_us) {
                return Err(ScheduleError::Order(number));
            }
            lines.push(line);
        }
        let frames = lines.iter().filter(|line| line.last).count();
        let last = lines.last().map_or(0, |line| line.at_us);
        if frames < 2 {
            return Err(ScheduleError::Short);
        }
        Ok(Schedule { lines, period_us: last + last / (frames as u64 - 1), frames })
    }

    /// Packets that leave together, on average.
    pub fn mean_burst(&self) -> f64 {
        self.lines.len() as f64 / self.frames as f64
    }

    /// Packets a second.
    pub fn rate(&self) -> f64 {
        self.lines.len() as f64 * 1e6 / self.period_us as f64
    }
}

fn parse_line(text: &str) -> Option<Line> {
    let mut words = text.split_ascii_whitespace();
    let at: f64 = words.next()?.parse().ok()?;
    let bytes = words.next()?.parse().ok()?;
    let flags = words.next()?;
    let known = flags == "-" || flags.chars().all(|flag| matches!(flag, 'm' | 'k'));
    if !known || words.next().is_some() || !(0.0..1e9).contains(&at) {
        return None;
    }
    let at_us = (at * 1000.0).round() as u64;
    Some(Line { at_us, bytes, last: flags.contains('m'), key: flags.contains('k') })
}

/// Where a replay stands.
#[derive(Clone, Debug)]
pub struct Cursor {
    next: usize,
    round: u64,
    /// ns at which the first round began.
    start_ns: u64,
    /// How much slower than recorded.
    stretch: f64,
}

impl Cursor {
    pub fn new(start_ns: u64, speed: f64) -> Self {
        Cursor { next: 0, round: 0, start_ns, stretch: 1.0 / speed }
    }

    /// When the next packet is due, in ns.
    pub fn due(&self, schedule: &Schedule) -> u64 {
        self.start_ns + (self.media_us(schedule) as f64 * 1000.0 * self.stretch) as u64
    }

    /// The next packet's place on the media's own time line, in µs, over all rounds.
    pub fn media_us(&self, schedule: &Schedule) -> u64 {
        self.round * schedule.period_us + schedule.lines[self.next].at_us
    }

    /// The next packet, once.
    pub fn take(&mut self, schedule: &Schedule) -> Line {
        let line = schedule.lines[self.next];
        self.next += 1;
        if self.next == schedule.lines.len() {
            self.next = 0;
            self.round += 1;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\n0.0 1087 k\n0.0 1088 mk\n\n40.5 300 m\n";

    #[test]
    fn lines_are_read_and_the_period_is_one_frame_longer() {
        let schedule = Schedule::parse(TEXT).unwrap();
        assert_eq!(schedule.lines[1], Line { at_us: 0, bytes: 1088, last: true, key: true });
        assert_eq!(schedule.lines[2], Line { at_us: 40_500, bytes: 300, last: true, key: false });
        assert_eq!((schedule.frames, schedule.period_us), (2, 81_000));
        assert!((schedule.mean_burst() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn broken_texts_are_refused_with_their_line() {
        assert_eq!(Schedule::parse("0 1 m\nx 1 m"), Err(ScheduleError::Line(2)));
        assert_eq!(Schedule::parse("0 1 q"), Err(ScheduleError::Line(1)));
        assert_eq!(Schedule::parse("5 1 m\n4 1 m"), Err(ScheduleError::Order(2)));
        assert_eq!(Schedule::parse("0 1 m"), Err(ScheduleError::Short));
    }

    #[test]
    fn a_replay_goes_round_at_its_speed() {
        let schedule = Schedule::parse(TEXT).unwrap();
        let mut cursor = Cursor::new(1_000, 0.5);
        let mut dues = Vec::new();
        for _ in 0..5 {
            dues.push(cursor.due(&schedule));
            cursor.take(&schedule);
        }
        assert_eq!(dues, [1_000, 1_000, 81_001_000, 162_001_000, 162_001_000]);
    }

    #[test]
    fn the_recordings_are_what_their_names_say() {
        for (name, kbps, burst) in [("600k", 600.0, 3.0), ("2m", 2000.0, 9.5)] {
            let file = format!("{}/../fixtures/rtp/vp8-{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let schedule = Schedule::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
            let bits: usize = schedule.lines.iter().map(|line| line.bytes * 8).sum();
            let rate = bits as f64 * 1000.0 / schedule.period_us as f64;
            assert!((rate / kbps - 1.0).abs() < 0.05, "{name}: {rate} kbps");
            assert!((schedule.mean_burst() - burst).abs() < 0.5, "{name}: {}", schedule.mean_burst());
            assert!(schedule.lines[0].key && schedule.lines.iter().all(|line| line.bytes <= 1100));
        }
    }
}
