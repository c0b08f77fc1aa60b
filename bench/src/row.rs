//! One line of the report: a server under a load, and what came of it.

use crate::figures::{percentile, ratio};
use crate::measure::Size;
use crate::swarm::{Status, Window};
use serde_json::{Value, json};

/// A client thread that was busier than this part of its time was the limit itself.
const TOO_BUSY: f64 = 0.85;

/// Who sees whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One publisher, so many viewers.
    OneTo(usize),
    /// Rooms of so many members, and how many rooms.
    Rooms(usize, usize),
}

impl Shape {
    pub fn publishers(self) -> usize {
        match self {
            Shape::OneTo(_) => 1,
            Shape::Rooms(members, rooms) => members * rooms,
        }
    }

    /// Viewers of each publisher.
    pub fn audience(self) -> usize {
        match self {
            Shape::OneTo(viewers) => viewers,
            Shape::Rooms(members, _) => members - 1,
        }
    }

    /// Streams that leave the server.
    pub fn consumers(self) -> usize {
        self.publishers() * self.audience()
    }

    pub fn name(self) -> String {
        match self {
            Shape::OneTo(viewers) => format!("1 to {viewers}"),
            Shape::Rooms(members, rooms) => format!("{rooms} x room of {members}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Load {
    pub shape: Shape,
    pub bitrate: String,
    pub speed: f64,
    /// Packets of video that leave together, on average.
    pub mean_burst: f64,
}

impl Load {
    /// Whether two rows can be compared.
    pub fn same(&self, other: &Load) -> bool {
        self.shape == other.shape && self.bitrate == other.bitrate && (self.speed - other.speed).abs() < 1e-9
    }
}

/// What was read before and after.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    pub window: Window,
    pub status: Status,
    /// CPU time of the server in the window, in ns.
    pub server_cpu_ns: u64,
    /// Of the thread that negotiates, in the window.
    pub own_cpu_ns: u64,
    /// The server with its publishers, and with all viewers.
    pub before: Size,
    pub after: Size,
    /// While viewers joined: how long, and the server's CPU time, in ns; packets that viewers received meanwhile.
    pub join_wall_ns: u64,
    pub join_cpu_ns: u64,
    pub join_packets: u64,
    pub idle_percent: f64,
    pub stolen_percent: f64,
    pub seal_ns: u64,
    /// Of the bare loop: packets a system call.
    pub packets_a_call: Option<f64>,
    /// Viewers that left and joined again in the window.
    pub churned: usize,
    /// Datagrams that found a socket's buffer full in the window.
    pub full_buffers: u64,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub server: String,
    pub load: Load,
    pub suite: String,
    /// Packets a second that were published, and that reached viewers.
    pub published: f64,
    pub rate: f64,
    pub server_cpu_percent: f64,
    /// The figure that matters.
    pub packets_a_cpu_second: Option<f64>,
    /// The lowest and the highest of the repetitions of which this row is the median.
    pub spread: Option<[f64; 2]>,
    pub percent_of_plain: Option<f64>,
    pub percent_of_gso: Option<f64>,
    /// Percent of what the server numbered that did not come.
    pub lost: f64,
    /// Percent of what was published, times viewers, that came.
    pub delivered: f64,
    /// ms: median, 99 and 99.9 percent.
    pub latency: Option<[f64; 3]>,
    pub latency_samples: usize,
    pub resident_mib: f64,
    /// Not of the bare loop, which is no process and has no sessions; the same holds for what joining costs.
    pub kib_a_consumer: Option<f64>,
    pub threads: u64,
    pub descriptors: u64,
    /// ms to the first whole key frame: median and worst.
    pub join: Option<[u32; 2]>,
    pub joins_a_second: Option<f64>,
    /// ms of server CPU for each join, less what forwarding cost meanwhile.
    pub join_cpu_ms: Option<f64>,
    /// ns that sealing one packet of 1,100 bytes took just before: how fast the machine was.
    pub seal_ns: u64,
    pub key_frame_requests: u64,
    pub tool_percent: [f64; 2],
    pub published_late_ms: f64,
    pub idle_percent: f64,
    pub stolen_percent: f64,
    pub packets_a_call: Option<f64>,
    pub churned: usize,
    pub full_buffers: u64,
    /// Viewers without media at the end: with churn, those that had only just come.
    pub unserved: usize,
    /// Why the row says nothing about the server.
    pub void: Option<String>,
}

impl Row {
    pub fn new(server: &str, load: &Load, mut readings: Readings) -> Self {
        let window = &mut readings.window;
        let seconds = window.wall_ns as f64 / 1e9;
        let received = window.received as f64;
        let cpu = readings.server_cpu_ns as f64 / 1e9;
        let consumers = load.shape.consumers().max(1) as f64;
        let packets_a_cpu_second = ratio(received, cpu);
        let forwarding = packets_a_cpu_second.map_or(0.0, |rate| readings.join_packets as f64 / rate);
        let lost = window.numbered.saturating_sub(window.received) as f64;
        let ms = |part, values: &mut [u32]| percentile(values, part).map(|us| f64::from(us) / 1000.0);
        let latencies = &mut window.latencies_us;
        let latency = match (ms(0.5, latencies), ms(0.99, latencies), ms(0.999, latencies)) {
            (Some(a), Some(b), Some(c)) => Some([a, b, c]),
            _ => None,
        };
        let joins = &mut readings.status.joins_ms;
        // The bare loop is given away by what only it can tell.
        let sessions = |value: f64| readings.packets_a_call.is_none().then_some(value);
        let join = percentile(joins, 0.5).zip(percentile(joins, 1.0)).map(|(median, worst)| [median, worst]);
        let busy = window.cpu_ns as f64 / window.wall_ns.max(1) as f64;
        let own = readings.own_cpu_ns as f64 / window.wall_ns.max(1) as f64;
        let void = if window.received == 0 {
            Some("no media".to_owned())
        } else {
            (busy.max(own) > TOO_BUSY).then(|| format!("the tool was {:.0} % busy", busy.max(own) * 100.0))
        };
        Row {
            server: server.to_owned(),
            load: load.clone(),
            suite: if readings.status.suites.is_empty() { "-".to_owned() } else { readings.status.suites.join("+") },
            published: window.published as f64 / seconds.max(1e-9),
            rate: received / seconds.max(1e-9),
            server_cpu_percent: cpu * 100.0 / seconds.max(1e-9),
            packets_a_cpu_second,
            spread: None,
            percent_of_plain: None,
            percent_of_gso: None,
            lost: ratio(lost * 100.0, window.numbered as f64).unwrap_or(0.0),
            delivered: ratio(received * 100.0, window.expected as f64).unwrap_or(0.0),
            latency,
            latency_samples: window.latencies_us.len(),
            resident_mib: readings.after.resident as f64 / 1024.0,
            kib_a_consumer: sessions(
                readings.after.resident.saturating_sub(readings.before.resident) as f64 / consumers,
            ),
            threads: readings.after.threads,
            descriptors: readings.after.descriptors,
            join,
            joins_a_second: sessions(consumers / (readings.join_wall_ns.max(1) as f64 / 1e9)),
            join_cpu_ms: sessions((readings.join_cpu_ns as f64 / 1e9 - forwarding).max(0.0) * 1000.0 / consumers),
            seal_ns: readings.seal_ns,
            key_frame_requests: window.key_frame_requests,
            tool_percent: [busy * 100.0, own * 100.0],
            published_late_ms: window.latest_us as f64 / 1000.0,
            idle_percent: readings.idle_percent,
            stolen_percent: readings.stolen_percent,
            packets_a_call: readings.packets_a_call,
            churned: readings.churned,
            full_buffers: readings.full_buffers,
            unserved: window.unserved,
            void,
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "server": self.server, "load": self.load.shape.name(), "publishers": self.load.shape.publishers(),
            "consumers": self.load.shape.consumers(), "bitrate": self.load.bitrate, "speed": self.load.speed,
            "mean_burst": self.load.mean_burst, "srtp": self.suite, "twcc": false, "rtx": false,
            "published_per_second": self.published, "packets_per_second": self.rate, "server_cpu_percent": self.server_cpu_percent,
            "packets_per_cpu_second": self.packets_a_cpu_second,
            "packets_per_cpu_second_least_most": self.spread, "calibration_seal_ns": self.seal_ns,
            "percent_of_plain_limit": self.percent_of_plain,
            "percent_of_gso_limit": self.percent_of_gso, "lost_percent": self.lost, "delivered_percent": self.delivered,
            "latency_ms_p50_p99_p999": self.latency, "latency_samples": self.latency_samples,
            "resident_mib": self.resident_mib, "kib_per_consumer": self.kib_a_consumer, "threads": self.threads,
            "descriptors": self.descriptors, "join_ms_median_worst": self.join, "joins_per_second": self.joins_a_second,
            "server_cpu_ms_per_join": self.join_cpu_ms, "key_frame_requests": self.key_frame_requests,
            "tool_cpu_percent_clients_main": self.tool_percent, "published_late_ms": self.published_late_ms,
            "machine_idle_percent": self.idle_percent, "machine_stolen_percent": self.stolen_percent,
            "packets_per_call": self.packets_a_call, "churned": self.churned, "full_socket_buffers": self.full_buffers, "unserved_viewers": self.unserved, "void": self.void,
        })
    }
}

/// Of rows of one server under one load, the one with the median rate, with the spread of all. Void ones count only when there are
/// no others; of an even number the lower of the two in the middle is taken.
pub fn median(rows: Vec<Row>) -> Option<Row> {
    let (mut valid, void): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.void.is_none());
    let rate = |row: &Row| row.packets_a_cpu_second.unwrap_or(0.0);
    valid.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    let spread = [rate(valid.first().or(void.first())?), valid.last().map_or(0.0, rate)];
    let middle = valid.len().saturating_sub(1) / 2;
    let mut row = valid.into_iter().chain(void).nth(middle)?;
    row.spread = Some(spread).filter(|[least, most]| least < most);
    Some(row)
}

/// Says of each row what part of the bare loop's rate under the same load it reached.
pub fn compare(rows: &mut [Row]) {
    let limits: Vec<(String, Load, Option<f64>)> = rows
        .iter()
        .filter(|row| row.server.starts_with("bare") && row.void.is_none())
        .map(|row| (row.server.clone(), row.load.clone(), row.packets_a_cpu_second))
        .collect();
    for row in rows {
        let percent = |name: &str| {
            let limit = limits.iter().find(|(server, load, _)| server == name && load.same(&row.load))?.2?;
            Some(row.packets_a_cpu_second? * 100.0 / limit)
        };
        (row.percent_of_plain, row.percent_of_gso) = (percent("bare"), percent("bare-gso"));
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(server: &str, viewers: usize, packets: u64, cpu_ns: u64) -> Row {
        let load = Load { shape: Shape::OneTo(viewers), bitrate: "2m".to_owned(), speed: 1.0, mean_burst: 9.5 };
        let window = Window {
            wall_ns: 10_000_000_000,
            cpu_ns: 2_000_000_000,
            published: 3000,
            expected: 3000 * viewers as u64,
            received: packets,
            numbered: packets + packets / 99,
            latencies_us: (1..=1000).collect(),
            ..Window::default()
        };
        let status = Status { joins_ms: vec![90, 30, 60], ..Status::default() };
        let after = Size { resident: 20_480, threads: 4, descriptors: 9 };
        let before = Size { resident: 10_240, ..after };
        let readings = Readings {
            window,
            status,
            server_cpu_ns: cpu_ns,
            before,
            after,
            join_wall_ns: 2_000_000_000,
            join_cpu_ns: 300_000_000,
            join_packets: 5_000,
            ..Readings::default()
        };
        Row::new(server, &load, readings)
    }

    #[test]
    fn a_row_is_what_was_read() {
        let row = row("rivero", 100, 297_000, 5_940_000_000);
        assert_eq!(row.packets_a_cpu_second, Some(50_000.0));
        assert_eq!((row.rate, row.server_cpu_percent.round()), (29_700.0, 59.0));
        assert_eq!((row.lost, row.delivered), (1.0, 99.0));
        assert_eq!(row.latency, Some([0.5, 0.99, 0.999]));
        assert_eq!((row.kib_a_consumer, row.resident_mib), (Some(102.4), 20.0));
        assert_eq!((row.join, row.joins_a_second), (Some([60, 90]), Some(50.0)));
        assert!((row.join_cpu_ms.unwrap() - 2.0).abs() < 1e-9, "300 ms less 100 ms of forwarding, over a hundred");
        assert_eq!((row.tool_percent[0], row.void), (20.0, None));
    }

    #[test]
    fn a_tool_at_its_limit_voids_the_row() {
        let load = Load { shape: Shape::OneTo(1), bitrate: "2m".to_owned(), speed: 1.0, mean_burst: 9.5 };
        let window = Window { wall_ns: 100, cpu_ns: 86, received: 1, ..Window::default() };
        let readings = Readings { window, ..Readings::default() };
        assert!(Row::new("x", &load, readings).void.unwrap().contains("86 %"));
        assert!(Row::new("x", &load, Readings::default()).void.is_some());
    }

    #[test]
    fn rows_are_compared_under_the_same_load_only() {
        let mut rows = vec![
            row("bare", 100, 100_000, 1_000_000_000),
            row("bare-gso", 100, 200_000, 1_000_000_000),
            row("rivero", 100, 80_000, 1_000_000_000),
            row("rivero", 50, 80_000, 1_000_000_000),
        ];
        compare(&mut rows);
        assert_eq!((rows[2].percent_of_plain, rows[2].percent_of_gso), (Some(80.0), Some(40.0)));
        assert_eq!((rows[3].percent_of_plain, rows[3].percent_of_gso), (None, None));
    }

    #[test]
    fn the_median_of_repetitions_stands_for_all() {
        let rates = [50, 90, 70].map(|rate| row("x", 1, rate, 1_000_000_000));
        let chosen = median(rates.to_vec()).unwrap();
        assert_eq!((chosen.packets_a_cpu_second, chosen.spread), (Some(70.0), Some([50.0, 90.0])));
        let mut two = rates[..2].to_vec();
        two[1].void = Some("busy".to_owned());
        let chosen = median(two.clone()).unwrap();
        assert_eq!((chosen.packets_a_cpu_second, chosen.spread, chosen.void), (Some(50.0), None, None));
        assert!(median(vec![two[1].clone()]).unwrap().void.is_some());
        assert!(median(Vec::new()).is_none());
    }

    #[test]
    fn shapes_are_counted() {
        assert_eq!((Shape::OneTo(50).publishers(), Shape::OneTo(50).consumers()), (1, 50));
        let rooms = Shape::Rooms(4, 3);
        assert_eq!((rooms.publishers(), rooms.audience(), rooms.consumers()), (12, 3, 36));
        assert_eq!(rooms.name(), "3 x room of 4");
    }
}
