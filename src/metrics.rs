//! What a monitoring system reads at `/metrics`, in Prometheus' text format (version 0.0.4).

use rivero_rpc::Server;
use rivero_rpc::kurento::Media;
use std::fmt::Write;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. Codec names are ours and hold nothing that would have to be escaped.
pub fn write(media: &Media, server: Option<&Server>) -> String {
    let mut text = String::new();
    if let Some(server) = server {
        metric(&mut text, "rivero_objects", "gauge", "Objects by class.");
        for (class, count) in server.object_counts() {
            line(&mut text, "rivero_objects", &format!("class=\"{class}\""), count as f64);
        }
    }
    write_work(&mut text, media);
    write_films(&mut text, media);
    text
}

fn write_work(text: &mut String, media: &Media) {
    let (media_workers, coders) = media.engine.load();
    metric(text, "rivero_worker_busy_ratio", "gauge", "How busy each worker is, as a part of a core.");
    for (role, loads) in [("media", media_workers), ("coder", coders)] {
        for (number, thousandths) in loads.into_iter().enumerate() {
            let labels = format!("role=\"{role}\",worker=\"{number}\"");
            line(text, "rivero_worker_busy_ratio", &labels, f64::from(thousandths) / 1000.0);
        }
    }
    let converters = media.engine.converters();
    metric(text, "rivero_converters", "gauge", "Decoders and encoders at work.");
    for ((kind, from, to), count) in &converters {
        line(text, "rivero_converters", &labels(kind.name(), from, to), count.active as f64);
    }
    metric(text, "rivero_converters_begun_total", "counter", "Decoders and encoders begun since the start.");
    for ((kind, from, to), count) in &converters {
        line(text, "rivero_converters_begun_total", &labels(kind.name(), from, to), count.begun as f64);
    }
}

fn write_films(text: &mut String, media: &Media) {
    let films = media.films.read();
    let mut outcomes = |name, help, good: (&str, u64), bad: u64| {
        metric(text, name, "counter", help);
        for (outcome, count) in [good, ("error", bad)] {
            line(text, name, &format!("outcome=\"{outcome}\""), count as f64);
        }
    };
    let played = ("end", films.played);
    outcomes("rivero_films_played_total", "Films that were played, by how that ended.", played, films.not_played);
    let recorded = ("complete", films.recorded);
    outcomes("rivero_recordings_total", "Recordings that have ended, by how.", recorded, films.not_recorded);
    metric(text, "rivero_films_broke_off_total", "counter", "Times that a live source broke off and was opened again.");
    line(text, "rivero_films_broke_off_total", "", films.broke_off as f64);
    metric(text, "rivero_recorded_bytes_total", "counter", "Bytes of the complete ones.");
    line(text, "rivero_recorded_bytes_total", "", films.recorded_bytes as f64);
    metric(
        text,
        "rivero_recordings_late_total",
        "counter",
        "Recordings that lack frames, as their place was too slow.",
    );
    line(text, "rivero_recordings_late_total", "", films.too_slow as f64);
    metric(
        text,
        "rivero_spooled_bytes",
        "gauge",
        "Bytes in temporary files, of recordings that are sent and of posts.",
    );
    for (what, room) in [("recordings", &media.recording_room), ("posts", &media.spool_room)] {
        line(text, "rivero_spooled_bytes", &format!("of=\"{what}\""), room.taken() as f64);
    }
}

fn labels(kind: &str, from: &str, to: &str) -> String {
    format!("kind=\"{}\",from=\"{from}\",to=\"{to}\"", kind.to_ascii_lowercase())
}

// Writing to a String cannot fail.
fn metric(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(text, "{name}{labels} {value}");
}
