//! The report as text: a table in Markdown, with its columns aligned.

use crate::row::Row;

const HEAD: [&str; 18] = [
    "server",
    "load",
    "video",
    "burst",
    "pkt/s",
    "CPU %",
    "k pkt/CPU-s",
    "% plain",
    "% GSO",
    "lost %",
    "delivered %",
    "latency p50/99/99.9 ms",
    "KiB a viewer",
    "threads",
    "join ms p50/max",
    "joins/s",
    "CPU ms a join",
    "tool %",
];

/// Writes the rows, and below them what was full and what makes some of them void.
pub fn table(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = vec![HEAD.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0..=2 => format!(" {cell:<width$} "),
            _ => format!(" {cell:>width$} "),
        });
        text += &format!("|{}|\n", cells.collect::<Vec<_>>().join("|"));
        if number == 0 {
            let rule = widths.iter().enumerate().map(|(column, width)| match column {
                0..=2 => "-".repeat(width + 2),
                _ => format!("{}:", "-".repeat(width + 1)),
            });
            text += &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
        }
    }
    for row in rows {
        let Row { server, load, full_buffers: full, .. } = row;
        if *full > 0 {
            text += &format!(
                "{server}, {}, {}: {full} packets found a socket's buffer full.\n",
                load.shape.name(),
                load.bitrate
            );
        }
        if let Some(why) = &row.void {
            text += &format!("VOID: {}, {}, {}: {why}.\n", row.server, row.load.shape.name(), row.load.bitrate);
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let some = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let speed = if (row.load.speed - 1.0).abs() < 1e-9 { String::new() } else { format!(" x{}", row.load.speed) };
    let void = if row.void.is_some() { " VOID" } else { "" };
    vec![
        format!("{}{void}", row.server),
        row.load.shape.name(),
        format!("{}{speed}", row.load.bitrate),
        match row.packets_a_call {
            Some(sent) => format!("{:.1} ({sent:.1} a call)", row.load.mean_burst),
            None => format!("{:.1}", row.load.mean_burst),
        },
        format!("{:.0}", row.rate),
        format!("{:.1}", row.server_cpu_percent),
        match row.spread {
            Some([least, most]) => format!(
                "{} ({:.0}-{:.0})",
                some(row.packets_a_cpu_second.map(|rate| rate / 1000.0), 0),
                least / 1000.0,
                most / 1000.0
            ),
            None => some(row.packets_a_cpu_second.map(|rate| rate / 1000.0), 1),
        },
        some(row.percent_of_plain, 0),
        some(row.percent_of_gso, 0),
        format!("{:.2}", row.lost),
        format!("{:.1}", row.delivered),
        row.latency.map_or("-".to_owned(), |[a, b, c]| format!("{a:.2} / {b:.1} / {c:.1}")),
        some(row.kib_a_consumer, 0),
        row.threads.to_string(),
        row.join.map_or("-".to_owned(), |[median, worst]| format!("{median} / {worst}")),
        some(row.joins_a_second, 0),
        some(row.join_cpu_ms, 1),
        format!("{:.0}", row.tool_percent[0].max(row.tool_percent[1])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn columns_are_aligned_and_void_rows_explained() {
        let mut rows = vec![row("bare", 100, 100_000, 1_000_000_000), row("rivero", 1, 5, 0)];
        rows[1].void = Some("the tool was 90 % busy".to_owned());
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        let length = lines[0].chars().count();
        assert!(lines[..4].iter().all(|line| line.chars().count() == length), "{text}");
        assert!(lines[2].contains("|       100.0 |") && lines[2].contains("0.50 / 1.0 / 1.0"), "{text}");
        assert!(lines[3].starts_with("| rivero VOID | 1 to 1 "), "{text}");
        assert_eq!(lines[4], "VOID: rivero, 1 to 1, 2m: the tool was 90 % busy.");
    }
}
