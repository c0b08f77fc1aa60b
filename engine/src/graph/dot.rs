//! Draws the live graph for Graphviz: one box an element, one arrow a link, labelled with what flows.
//! The text is made of quoted strings only, so that no name can break it.

use super::element::Inner as ElementInner;
use super::topology::Connection;
use crate::shard::{LinkReport, NodeReport};
use std::fmt::Write;
use std::sync::Arc;

pub(super) fn draw(label: &str, elements: &[(Arc<ElementInner>, NodeReport)], connections: &[Connection]) -> String {
    let mut dot = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(dot, "digraph {} {{", quote(label));
    let _ = writeln!(dot, "  rankdir=LR;");
    let _ = writeln!(dot, "  node [shape=box, style=rounded, fontname=\"sans-serif\"];");
    let _ = writeln!(dot, "  edge [fontname=\"sans-serif\", fontsize=10];");
    for (element, report) in elements {
        let name = element.label.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let mut text = format!("{}\n{name}\nworker {}", element.class, element.node.worker);
        for output in report.outputs.iter().filter(|output| output.packets > 0) {
            let caps = output.caps.as_ref().map(ToString::to_string).unwrap_or_default();
            let _ = write!(text, "\n{} {caps} out {}", output.kind, output.packets);
        }
        let _ = writeln!(dot, "  \"e{}\" [label={}];", element.id.0, quote(&text));
    }
    for connection in connections {
        let link = find_link(connection, elements);
        let mut text = connection.kind.to_string();
        match &link {
            Some((caps, link)) => {
                let _ = write!(text, " {caps}\n{} packets, {} dropped", link.packets, link.dropped);
                if link.gated {
                    text.push_str("\nwaits for a key frame");
                }
            }
            None => text.push_str("\n(no such port)"),
        }
        let style = if link.is_some() { "solid" } else { "dotted" };
        let _ = writeln!(
            dot,
            "  \"e{}\" -> \"e{}\" [label={}, style={style}];",
            connection.source.0,
            connection.sink.0,
            quote(&text)
        );
    }
    dot.push_str("}\n");
    dot
}

/// The link that carries a connection, with the name of what flows at its source.
fn find_link<'a>(
    connection: &Connection,
    elements: &'a [(Arc<ElementInner>, NodeReport)],
) -> Option<(String, &'a LinkReport)> {
    let (source, report) = elements.iter().find(|(element, _)| element.id == connection.source)?;
    let (sink, _) = elements.iter().find(|(element, _)| element.id == connection.sink)?;
    let (_, output) = source.output(connection)?;
    let (to, port) = sink.input(connection)?;
    let output = report.outputs.get(output)?;
    let link = output.links.iter().find(|link| link.to == to && link.port == port)?;
    Some((output.caps.as_ref().map(ToString::to_string).unwrap_or_default(), link))
}

/// A DOT string: quotes and backslashes escaped, line breaks as `\n`, other control characters left out.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn no_name_can_break_the_drawing() {
        assert_eq!(quote("a\"b\\c\nd\u{7}"), r#""a\"b\\c\nd""#);
    }
}
