//! What a process costs: its processor time, and the instructions that it executed where the kernel counts them (`perf stat`).

use crate::Outcome;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User and system, in seconds.
    pub cpu: f64,
    /// Outside the kernel.
    pub instructions: Option<u64>,
}

impl Cost {
    /// Each figure by itself.
    pub fn median(costs: Vec<Cost>) -> Cost {
        let mut cpu: Vec<f64> = costs.iter().map(|cost| cost.cpu).collect();
        cpu.sort_by(f64::total_cmp);
        let mut instructions: Vec<_> = costs.iter().map(|cost| cost.instructions).collect();
        instructions.sort();
        Cost { cpu: cpu[cpu.len() / 2], instructions: instructions[instructions.len() / 2] }
    }

    /// How many times the other's it is: by instructions if they were counted, for they do not depend on what else runs.
    pub fn of(self, other: Cost) -> f64 {
        match (self.instructions, other.instructions) {
            (Some(one), Some(other)) => one as f64 / other.max(1) as f64,
            _ => self.cpu / other.cpu.max(0.001),
        }
    }
}

/// Runs processes and says what they cost.
pub struct Counter {
    /// Where `perf` writes, if it works here.
    notes: Option<PathBuf>,
}

impl Counter {
    pub fn find(folder: &Path) -> Self {
        let mut counter = Counter { notes: Some(folder.join("perf.csv")) };
        let tried = counter.run(Command::new("true").stderr(Stdio::null()));
        if !tried.is_ok_and(|cost| cost.instructions.is_some()) {
            counter.notes = None;
        }
        counter
    }

    /// Whether instructions are counted.
    pub fn is_exact(&self) -> bool {
        self.notes.is_some()
    }

    pub fn run(&self, command: &mut Command) -> Outcome<Cost> {
        let before = children()?;
        match &self.notes {
            None => {
                command.stdout(Stdio::null());
                crate::ffmpeg::run(command)?;
            }
            Some(notes) => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x,", "-e", "instructions:u", "-o"]).arg(notes).arg("--");
                perf.arg(command.get_program()).args(command.get_args());
                perf.stdin(Stdio::null()).stdout(Stdio::null());
                crate::ffmpeg::run(&mut perf)?;
            }
        }
        let cpu = children()? - before;
        let instructions = self.notes.as_ref().and_then(|notes| std::fs::read_to_string(notes).ok());
        Ok(Cost { cpu, instructions: instructions.as_deref().and_then(counted) })
    }
}

/// The first field of the line that names the event.
fn counted(notes: &str) -> Option<u64> {
    let line = notes.lines().find(|line| line.contains("instructions"))?;
    line.split(',').next()?.parse().ok()
}

/// Seconds of all processes that have ended.
fn children() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
