//! The command line: which servers, which loads, how long. Enters: words. Leaves: [`Options`], or why not.

use crate::srtp::Suite;
use std::path::PathBuf;

pub const HELP: &str = "\
Drives media servers with WebRTC clients and says what a forwarded packet costs them.

rivero-bench [option value]...
  --servers LIST     bare, bare-gso, rivero, janus, janus-loops, kurento (all but kurento)
  --n LIST           viewers of one publisher (1,10,50,100,200,500)
  --rooms LIST       rooms in which all see all, by members (none)
  --room-count N     rooms of each size at a time (1)
  --bitrate LIST     recordings: 600k, 2m (both)
  --seconds N        length of each measurement (10)
  --repeat N         measurements of each row, of which the report shows the median (1)
  --speed X          pace of the replay against the recording (1); 'auto' slows a load down that two cores cannot carry
  --wake             receive as soon as something comes, instead of a thousand times a second: on one machine the
                     sender's CPU time then includes waking the receivers
  --suite NAME       what the bare loop seals with: gcm128, gcm256 (gcm256, as Rivero and these clients agree on)
  --sampled N        viewers that open their packets and measure latency (10)
  --churn N          viewers that leave and join again a second while it is measured (0)
  --workers N        Rivero's media workers (1)
  --placement P      Rivero's placement: pipeline, spread (pipeline)
  --binary FILE      Rivero (the one beside this tool)
  --janus FILE       Janus (janus, from the path)
  --kurento URL      a running Kurento Media Server, with --kurento-pid N; implies --here
  --fixtures DIR     where the recordings are (fixtures/rtp)
  --out DIR          where the report goes (target/bench-sfu)
  --label TEXT       a word on this run for the report
  --here             stay on loopback instead of a network namespace of the tool's own; Janus cannot run then
";

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub servers: Vec<Server>,
    pub viewers: Vec<usize>,
    pub rooms: Vec<usize>,
    pub room_count: usize,
    pub bitrates: Vec<String>,
    pub seconds: u64,
    pub repeat: usize,
    /// `None` chooses by load.
    pub speed: Option<f64>,
    pub wake: bool,
    pub suite: Suite,
    pub sampled: usize,
    pub churn: usize,
    pub workers: usize,
    pub placement: String,
    pub binary: Option<PathBuf>,
    pub janus: PathBuf,
    pub kurento: Option<String>,
    pub kurento_pid: u32,
    pub fixtures: PathBuf,
    pub out: PathBuf,
    pub label: String,
    pub here: bool,
    /// Set by the tool itself, in its namespace.
    pub inside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Bare,
    BareGso,
    Rivero,
    Janus,
    JanusLoops,
    Kurento,
}

impl Server {
    pub const ALL: [Server; 6] =
        [Server::Bare, Server::BareGso, Server::Rivero, Server::Janus, Server::JanusLoops, Server::Kurento];

    pub fn name(self) -> &'static str {
        match self {
            Server::Bare => "bare",
            Server::BareGso => "bare-gso",
            Server::Rivero => "rivero",
            Server::Janus => "janus",
            Server::JanusLoops => "janus-loops",
            Server::Kurento => "kurento",
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            servers: Server::ALL[..5].to_vec(),
            viewers: vec![1, 10, 50, 100, 200, 500],
            rooms: Vec::new(),
            room_count: 1,
            bitrates: vec!["600k".to_owned(), "2m".to_owned()],
            seconds: 10,
            repeat: 1,
            speed: Some(1.0),
            wake: false,
            suite: Suite::Gcm256,
            sampled: 10,
            churn: 0,
            workers: 1,
            placement: "pipeline".to_owned(),
            binary: None,
            janus: "janus".into(),
            kurento: None,
            kurento_pid: 0,
            fixtures: "fixtures/rtp".into(),
            out: "target/bench-sfu".into(),
            label: String::new(),
            here: false,
            inside: false,
        }
    }
}

/// Reads the words after the program's name; `Ok(None)` asks for help.
///
/// Errors: a sentence for the user.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--wake" => options.wake = true,
            "--here" => options.here = true,
            "--inside" => options.inside = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                set(&mut options, &word, &value)?;
            }
        }
    }
    if options.servers.contains(&Server::Kurento) {
        if options.kurento.is_none() || options.kurento_pid == 0 {
            return Err("the server kurento needs --kurento URL and --kurento-pid N".to_owned());
        }
        options.here = true;
    }
    Ok(Some(options))
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), String> {
    match name {
        "--servers" => options.servers = value.split(',').map(server).collect::<Result<_, _>>()?,
        "--n" => options.viewers = numbers(name, value)?,
        "--rooms" => options.rooms = numbers(name, value)?,
        "--room-count" => options.room_count = positive(name, value)?,
        "--bitrate" => options.bitrates = value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        "--seconds" => options.seconds = positive(name, value)? as u64,
        "--repeat" => options.repeat = positive(name, value)?,
        "--speed" if value == "auto" => options.speed = None,
        "--speed" => options.speed = Some(speed(value)?),
        "--suite" if value == "gcm128" => options.suite = Suite::Gcm128,
        "--suite" if value == "gcm256" => options.suite = Suite::Gcm256,
        "--sampled" => options.sampled = number(name, value)?,
        "--churn" => options.churn = number(name, value)?,
        "--workers" => options.workers = positive(name, value)?,
        "--placement" if ["pipeline", "spread"].contains(&value) => options.placement = value.to_owned(),
        "--binary" => options.binary = Some(value.into()),
        "--janus" => options.janus = value.into(),
        "--kurento" => options.kurento = Some(value.to_owned()),
        "--kurento-pid" => options.kurento_pid = number(name, value)? as u32,
        "--fixtures" => options.fixtures = value.into(),
        "--out" => options.out = value.into(),
        "--label" => options.label = value.to_owned(),
        _ => return Err(format!("{name} {value} is not understood; --help lists the options")),
    }
    Ok(())
}

fn server(name: &str) -> Result<Server, String> {
    let known = Server::ALL.into_iter().find(|server| server.name() == name);
    known.ok_or_else(|| format!("there is no server {name}"))
}

fn number(name: &str, text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{name} wants a number, not {text}"))
}

fn positive(name: &str, text: &str) -> Result<usize, String> {
    number(name, text).and_then(|n| if n > 0 { Ok(n) } else { Err(format!("{name} wants more than nothing")) })
}

/// An empty list is one: `--n ''` with `--rooms 4` measures rooms only.
fn numbers(name: &str, text: &str) -> Result<Vec<usize>, String> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| positive(name, part)).collect()
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (0.01..=10.0).contains(speed));
    speed.ok_or_else(|| format!("--speed wants a number from 0.01 to 10, not {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Options>, String> {
        parse(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned))
    }

    #[test]
    fn nothing_said_is_the_whole_programme() {
        assert_eq!(read(""), Ok(Some(Options::default())));
        assert_eq!(read("--n 5 --help"), Ok(None));
    }

    #[test]
    fn lists_and_numbers_are_read() {
        let options = read("--servers rivero,bare-gso --n 10,20 --speed 0.5 --seconds 3 --here").unwrap().unwrap();
        assert_eq!(options.servers, [Server::Rivero, Server::BareGso]);
        assert_eq!((options.viewers, options.speed, options.seconds), (vec![10, 20], Some(0.5), 3));
        assert!(options.here);
        assert_eq!(read("--speed auto").unwrap().unwrap().speed, None);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("--n x", "x"),
            ("--n 0", "--n"),
            ("--servers kms", "kms"),
            ("--placement left", "left"),
            ("--speed 0", "0"),
            ("--workers", "--workers"),
            ("--servers kurento", "--kurento-pid"),
            ("--cows 3", "--cows"),
        ] {
            assert!(read(text).unwrap_err().contains(word), "{text}");
        }
    }
}
