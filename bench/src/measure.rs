//! What the system says of a process and of the machine. Enters: files of `/proc`. Leaves: numbers.

use std::fs;

/// Resident memory and threads of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// KiB.
    pub resident: u64,
    pub threads: u64,
    pub descriptors: u64,
}

/// Zeroes for a process that is gone.
pub fn size(pid: u32) -> Size {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
    Size { resident: field(&status, "VmRSS:"), threads: field(&status, "Threads:"), descriptors }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The machine's time so far, in ticks: all, and idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    all: u64,
    idle: u64,
    stolen: u64,
}

impl Machine {
    pub fn now() -> Self {
        parse_machine(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// Percent of all cores' time since `before` that nobody used, and that the hypervisor took.
    pub fn idle_and_stolen_since(&self, before: &Machine) -> (f64, f64) {
        let all = (self.all - before.all).max(1) as f64 / 100.0;
        ((self.idle - before.idle) as f64 / all, (self.stolen - before.stolen) as f64 / all)
    }
}

fn parse_machine(text: &str) -> Machine {
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_ascii_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    Machine { all: ticks.iter().sum(), idle: at(3) + at(4), stolen: at(7) }
}

/// Datagrams that found their socket's buffer full so far, in this network namespace.
pub fn full_buffers() -> u64 {
    parse_full_buffers(&fs::read_to_string("/proc/net/snmp").unwrap_or_default())
}

fn parse_full_buffers(text: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(name, _)| *name == "RcvbufErrors").and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// The processor's name and how many there are, for the head of the report.
pub fn machine_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut names =
        text.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|pair| pair.1);
    let name = names.next().unwrap_or("unknown processor").to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} x {name}, Linux {}", names.count() + 1, kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_their_files() {
        let status = "Name:\trivero\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:"), field(status, "VmHWM:")), (12_345, 7, 0));
        let before = parse_machine("cpu  100 0 100 700 50 0 0 50 0 0\ncpu0 1\n");
        let after = parse_machine("cpu  150 0 150 770 60 0 0 70 0 0\n");
        assert_eq!(after.idle_and_stolen_since(&before), (40.0, 10.0));
        let snmp =
            "Tcp: a b\nTcp: 1 2\nUdp: InDatagrams RcvbufErrors X\nUdp: 5 7 9\nUdpLite: RcvbufErrors\nUdpLite: 3\n";
        assert_eq!((parse_full_buffers(snmp), parse_full_buffers("")), (7, 0));
        let own = size(std::process::id());
        assert!(own.resident > 0 && own.threads > 0 && own.descriptors > 0);
    }
}
