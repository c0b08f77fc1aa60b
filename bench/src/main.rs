//! The load tool: drives media servers with real WebRTC clients, all on one thread, and reports what forwarding a packet costs
//! each of them, beside the physical limit in the same run.
//!
//! Enters: a command line (`--help`) and the recordings below `fixtures/rtp`. Leaves: a table on stdout, `report.json` and
//! `plot.svg`. It must never know anything of Rivero but its binary: it is a client like any other.
//!
//! A row is a fresh server process. SRTP suite and mean burst length are part of every row; RTX and transport-wide congestion
//! control are never negotiated. Latency is from the publisher's send call to the kernel's reception at a sampled viewer.
//! Counting viewers send no receiver reports.
//!
//! Clients are served a thousand times a second and never wait for a packet, so that on one machine the server does not pay for
//! waking them, as it would not with clients elsewhere; `--wake` has it the other way.

mod args;
mod bare;
mod clock;
mod count;
mod crypto;
mod figures;
mod measure;
mod namespace;
mod payload;
mod peer;
mod plot;
mod progress;
mod publish;
mod row;
mod run;
mod sample;
mod schedule;
mod sdp;
mod sfu;
mod socket;
mod srtp;
mod swarm;
mod table;

use args::{Options, Server};
use clock::Clock;
use progress::Progress;
use row::{Load, Row, Shape};
use run::{Place, Run};
use schedule::Schedule;
use serde_json::json;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

/// Packets a second that `--speed auto` asks of a server at most.
const CARRIED: f64 = 75_000.0;
/// Percent of what was published below which a server is taken to be saturated, and spared larger loads.
const SATURATED: f64 = 90.0;

fn main() -> ExitCode {
    raise_descriptor_limit();
    let options = match args::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => return fail(&why),
    };
    if !options.here && !options.inside {
        match namespace::run_inside() {
            Ok(Some(status)) if status.success() => return ExitCode::SUCCESS,
            Ok(Some(_)) => return ExitCode::FAILURE,
            Ok(None) => eprintln!("No network namespace may be made here: the run stays on loopback, without Janus."),
            Err(why) => return fail(&why.to_string()),
        }
    }
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

/// A thousand viewers are a thousand sockets, here and in some servers, which inherit this limit.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // Where it may not be raised, a run that needs more says which client had none.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
}

fn fail(why: &str) -> ExitCode {
    eprintln!("rivero-bench: {why}");
    ExitCode::FAILURE
}

fn bench(options: &Options) -> Result<(), String> {
    let place = place(options)?;
    let schedules = options.bitrates.iter().map(|name| Ok((name.clone(), schedule(options, name)?)));
    let schedules: Vec<(String, Schedule)> = schedules.collect::<Result<_, String>>()?;
    let progress = Progress::new();
    let loads = loads(options, &schedules);
    let servers: Vec<Server> = options.servers.iter().copied().filter(|server| runs_here(*server, options)).collect();
    let run = Run { options, place: &place, progress: &progress };
    let mut report = Report { options, rows: Vec::new(), broken: Vec::new() };
    let total = loads.len() * servers.len() * options.repeat;
    let mut number = 0;
    for load in &loads {
        let schedule = &schedules.iter().find(|(name, _)| *name == load.bitrate).ok_or("a load has no recording")?.1;
        let mut repetitions: Vec<Vec<Row>> = vec![Vec::new(); servers.len()];
        // Servers take turns, so that a slow minute of the machine is nobody's alone.
        for _ in 0..options.repeat {
            for (server, rows) in servers.iter().zip(&mut repetitions) {
                number += 1;
                progress.begin(number, total, &what(*server, load));
                report.measure(&run, *server, load, schedule, rows);
            }
        }
        report.rows.extend(repetitions.into_iter().filter_map(row::median));
        row::compare(&mut report.rows);
        // What is finished survives whatever happens to the rest.
        report.write()?;
    }
    progress.note("");
    print!("{}", report.text());
    if report.rows.is_empty() { Err("nothing was measured".to_owned()) } else { Ok(()) }
}

fn what(server: Server, load: &Load) -> String {
    format!("{}, {}, {}", server.name(), load.shape.name(), load.bitrate)
}

fn place(options: &Options) -> Result<Place, String> {
    let (ip, interface) = if options.inside {
        (IpAddr::from(namespace::ADDRESS), namespace::INTERFACE)
    } else {
        (IpAddr::V4(Ipv4Addr::LOCALHOST), "lo")
    };
    let folder = options.out.join("servers");
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let folder = folder.canonicalize().map_err(|why| why.to_string())?;
    let beside = || std::env::current_exe().map(|own| own.with_file_name("rivero"));
    let binary: PathBuf = match &options.binary {
        Some(binary) => binary.clone(),
        None => beside().map_err(|why| why.to_string())?,
    };
    Ok(Place { clock: Clock::new(), ip, interface: interface.to_owned(), folder, binary, suite: options.suite })
}

fn schedule(options: &Options, name: &str) -> Result<Schedule, String> {
    let file = options.fixtures.join(format!("vp8-{name}.txt"));
    let text = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    Schedule::parse(&text).map_err(|why| format!("{}: {why}", file.display()))
}

/// Every shape at every bitrate, small ones first.
fn loads(options: &Options, schedules: &[(String, Schedule)]) -> Vec<Load> {
    let one_to = options.viewers.iter().map(|n| Shape::OneTo(*n));
    let shapes: Vec<Shape> = one_to.chain(options.rooms.iter().map(|n| Shape::Rooms(*n, options.room_count))).collect();
    let mut loads = Vec::new();
    for (bitrate, schedule) in schedules {
        for shape in &shapes {
            let rate = (schedule.rate() + 1e6 / payload::OPUS_EVERY_US as f64) * shape.consumers() as f64;
            let speed = options.speed.unwrap_or_else(|| auto_speed(rate));
            loads.push(Load { shape: *shape, bitrate: bitrate.clone(), speed, mean_burst: schedule.mean_burst() });
        }
    }
    loads
}

/// The largest of 1, 1/2, 1/4 … with which a load is carried.
fn auto_speed(rate: f64) -> f64 {
    let mut speed = 1.0;
    while rate * speed > CARRIED && speed > 0.02 {
        speed /= 2.0;
    }
    speed
}

fn runs_here(server: Server, options: &Options) -> bool {
    let janus = matches!(server, Server::Janus | Server::JanusLoops);
    if janus && !options.inside {
        eprintln!("{} is left out: it takes no loopback interface, and there is no namespace.", server.name());
        return false;
    }
    let installed = !janus || std::process::Command::new(&options.janus).arg("--version").output().is_ok();
    if !installed {
        eprintln!("{} is left out: {} is not installed.", server.name(), options.janus.display());
    }
    installed
}

/// The smaller load of the same kind under which the server was saturated.
fn saturated(rows: &[Row], server: Server, load: &Load) -> Option<String> {
    let smaller = rows.iter().filter(|row| {
        row.server.split(' ').next() == Some(server.name())
            && row.load.bitrate == load.bitrate
            && matches!((row.load.shape, load.shape), (Shape::OneTo(a), Shape::OneTo(b)) if a < b)
            && row.load.speed <= load.speed
    });
    smaller.filter(|row| row.delivered < SATURATED).map(|row| row.load.shape.name()).next()
}

struct Report<'a> {
    options: &'a Options,
    rows: Vec<Row>,
    /// What could not be measured, and why.
    broken: Vec<String>,
}

impl Report<'_> {
    /// Measures once more, unless it would be in vain.
    fn measure(&mut self, run: &Run<'_>, server: Server, load: &Load, schedule: &Schedule, rows: &mut Vec<Row>) {
        let bare = matches!(server, Server::Bare | Server::BareGso);
        if bare && matches!(load.shape, Shape::Rooms(..)) {
            return;
        }
        let trouble = match saturated(&self.rows, server, load) {
            Some(smaller) => format!("not run, because it was saturated already at {smaller}"),
            None => match run.row(server, load, schedule) {
                Ok(row) => return rows.push(row),
                Err(why) => why.to_string(),
            },
        };
        let line = format!("{}: {trouble}", what(server, load));
        run.progress.note(&line);
        if !self.broken.contains(&line) {
            self.broken.push(line);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}. {}\n", measure::machine_name(), self.options.label);
        let mut suites: Vec<String> = self.rows.iter().map(|row| format!("{} {}", row.server, row.suite)).collect();
        suites.sort();
        suites.dedup();
        text += &format!("VP8 and Opus, no RTX, no TWCC; SRTP: {}.\n", suites.join(", "));
        let seals = || self.rows.iter().map(|row| row.seal_ns);
        let (least, most) = (seals().min().unwrap_or(0), seals().max().unwrap_or(0));
        text += &format!("'bare' is the physical limit. Sealing 1,100 bytes took {least} to {most} ns. ");
        text += if self.options.wake {
            "Senders pay for waking receivers.\n\n"
        } else {
            "Receivers are not woken by packets.\n\n"
        };
        text += &table::table(&self.rows);
        self.broken.iter().for_each(|line| text += &format!("{line}.\n"));
        text
    }

    fn write(&self) -> Result<(), String> {
        let options = self.options;
        let report = json!({
            "machine": measure::machine_name(),
            "label": options.label,
            "seconds": options.seconds,
            "repeat": options.repeat,
            "receivers_woken": options.wake,
            "sampled": options.sampled,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "not_measured": self.broken,
        });
        let files = [
            ("report.json", format!("{report:#}\n")),
            ("report.md", self.text()),
            ("plot.svg", plot::plot(&self.rows)),
        ];
        for (name, text) in files {
            let file = options.out.join(name);
            fs::write(&file, text).map_err(|why| format!("{}: {why}", file.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_two_cores_cannot_carry_is_slowed_down() {
        assert_eq!((auto_speed(30_000.0), auto_speed(145_000.0), auto_speed(160_000.0)), (1.0, 0.5, 0.25));
    }

    #[test]
    fn a_saturated_server_is_spared_larger_loads() {
        let mut small = row::tests::row("rivero 2 spread", 100, 200_000, 1_000_000_000);
        let large = Load { shape: Shape::OneTo(200), ..small.load.clone() };
        assert_eq!(saturated(std::slice::from_ref(&small), Server::Rivero, &large), Some("1 to 100".to_owned()));
        assert_eq!(saturated(std::slice::from_ref(&small), Server::Janus, &large), None);
        small.delivered = 100.0;
        assert_eq!(saturated(&[small], Server::Rivero, &large), None);
    }
}
