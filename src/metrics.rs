//! What a monitoring system reads at `/metrics`, in Prometheus' text format (version 0.0.4).

use rivero_engine::Engine;
use rivero_rpc::Server;
use std::fmt::Write;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. Codec names are ours and hold nothing that would have to be escaped.
pub fn write(engine: &Engine, server: Option<&Server>) -> String {
    let mut text = String::new();
    if let Some(server) = server {
        metric(&mut text, "rivero_objects", "gauge", "Media objects that clients have.");
        line(&mut text, "rivero_objects", "", server.object_count() as f64);
    }
    let (media, coders) = engine.load();
    metric(&mut text, "rivero_worker_busy_ratio", "gauge", "How busy each worker is, as a part of a core.");
    for (role, loads) in [("media", media), ("coder", coders)] {
        for (number, thousandths) in loads.into_iter().enumerate() {
            let labels = format!("role=\"{role}\",worker=\"{number}\"");
            line(&mut text, "rivero_worker_busy_ratio", &labels, f64::from(thousandths) / 1000.0);
        }
    }
    let converters = engine.converters();
    metric(&mut text, "rivero_converters", "gauge", "Decoders and encoders at work.");
    for ((kind, from, to), count) in &converters {
        line(&mut text, "rivero_converters", &labels(kind.name(), from, to), count.active as f64);
    }
    metric(&mut text, "rivero_converters_begun_total", "counter", "Decoders and encoders begun since the start.");
    for ((kind, from, to), count) in &converters {
        line(&mut text, "rivero_converters_begun_total", &labels(kind.name(), from, to), count.begun as f64);
    }
    text
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
