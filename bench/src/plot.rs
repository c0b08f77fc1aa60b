//! The report as a picture: packets a CPU-second over the number of viewers, one panel a bitrate, one line a server (SVG 1.1).

use crate::row::{Row, Shape};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const COLOURS: [&str; 6] = ["#888888", "#222222", "#0072b2", "#e69f00", "#d55e00", "#009e73"];

/// Draws the rows of one to N; void rows and rooms are left out.
pub fn plot(rows: &[Row]) -> String {
    let points: Vec<(&str, &str, usize, f64)> = rows.iter().filter_map(point).collect();
    let distinct = |mut names: Vec<String>| {
        let mut seen = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        names
    };
    let bitrates = distinct(points.iter().map(|p| p.1.to_owned()).collect());
    let servers = distinct(points.iter().map(|p| p.0.to_owned()).collect());
    let mut viewers: Vec<usize> = points.iter().map(|p| p.2).collect();
    viewers.sort_unstable();
    viewers.dedup();
    let top = ceiling(points.iter().map(|p| p.3).fold(0.0, f64::max));
    let total = (LEFT + WIDTH + 30.0) * bitrates.len().max(1) as f64;
    let bottom = TOP + HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        bottom + 80.0
    );
    for (panel, bitrate) in bitrates.iter().enumerate() {
        let left = LEFT + panel as f64 * (LEFT + WIDTH + 30.0);
        let x = |n: usize| {
            let place = viewers.iter().position(|known| *known == n).unwrap_or(0) as f64 + 0.5;
            left + place * WIDTH / viewers.len() as f64
        };
        let y = |rate: f64| bottom - rate / top * HEIGHT;
        axes(&mut svg, &Frame { left, bottom, bitrate }, &viewers, top, &x);
        for (server, colour) in servers.iter().zip(COLOURS.iter().cycle()) {
            let mut line: Vec<_> =
                points.iter().filter(|p| p.0 == server && p.1 == bitrate).map(|p| (p.2, p.3)).collect();
            line.sort_by_key(|(n, _)| *n);
            let path: Vec<String> = line.iter().map(|(n, rate)| format!("{:.1},{:.1}", x(*n), y(*rate))).collect();
            let dash = if server.starts_with("bare") { " stroke-dasharray=\"6 4\"" } else { "" };
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
                path.join(" ")
            );
            for (n, rate) in line {
                let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(n), y(rate));
            }
        }
    }
    for (index, (server, colour)) in servers.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let at = LEFT + index as f64 * 110.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{at}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{server}</text>",
            bottom + 58.0,
            at + 20.0,
            bottom + 64.0
        );
    }
    svg + "</svg>\n"
}

struct Frame<'a> {
    left: f64,
    bottom: f64,
    bitrate: &'a str,
}

fn axes(svg: &mut String, frame: &Frame<'_>, viewers: &[usize], top: f64, x: &impl Fn(usize) -> f64) {
    let Frame { left, bottom, bitrate } = frame;
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" font-size=\"14\">VP8 {bitrate} and Opus: thousand packets a CPU-second, by viewers</text>",
        TOP - 16.0
    );
    for step in 0..=4 {
        let (rate, y) = (top * f64::from(step) / 4.0, bottom - HEIGHT * f64::from(step) / 4.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#dddddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0}</text>",
            left + WIDTH,
            left - 6.0,
            y + 4.0,
            rate / 1000.0
        );
    }
    for n in viewers {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{n}</text>", x(*n), bottom + 20.0);
    }
}

/// Server, bitrate, viewers, packets a CPU-second.
fn point(row: &Row) -> Option<(&str, &str, usize, f64)> {
    match row.load.shape {
        Shape::OneTo(n) if row.void.is_none() => Some((&row.server, &row.load.bitrate, n, row.packets_a_cpu_second?)),
        _ => None,
    }
}

/// The next of 1, 2, 4, 8 times a power of ten, at least 1,000.
fn ceiling(rate: f64) -> f64 {
    let mut power = 1000.0;
    loop {
        for step in [1.0, 2.0, 4.0, 8.0] {
            if rate <= power * step || power > 1e12 {
                return power * step;
            }
        }
        power *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn every_valid_row_is_a_point() {
        let mut rows: Vec<Row> = [1, 10, 100].map(|n| row("rivero", n, 50_000, 1_000_000_000)).to_vec();
        rows.push(row("bare", 10, 100_000, 1_000_000_000));
        rows.push(row("bare", 100, 100_000, 1_000_000_000));
        rows[4].void = Some("busy".to_owned());
        let svg = plot(&rows);
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (4, 2));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(plot(&[]).ends_with("</svg>\n"));
    }

    #[test]
    fn the_scale_holds_the_highest() {
        assert_eq!((ceiling(0.0), ceiling(55_000.0), ceiling(80_000.0), ceiling(90_000.0)), (1e3, 8e4, 8e4, 1e5));
    }
}
