//! Model to text. What enters: a [`SessionDescription`]. What leaves: its lines in the order of RFC 8866 §5, each ended
//! by CR LF. It must not add, drop or interpret anything.

use std::fmt::Write;

use super::model::{Attribute, Bandwidth, Connection, SessionDescription};

/// Writes a session description. [`parse`](super::parse) reads the same model back as long as no field contains a
/// line end, and no word of a line of several words contains white space; nothing that the parser makes does.
pub fn write(session: &SessionDescription) -> String {
    let mut text = String::with_capacity(4096);
    push(&mut text, format_args!("v=0"));
    if let Some(o) = &session.origin {
        push(
            &mut text,
            format_args!(
                "o={} {} {} {} {} {}",
                o.username, o.session_id, o.session_version, o.net_type, o.addr_type, o.address
            ),
        );
    }
    push(&mut text, format_args!("s={}", session.name));
    push_section(
        &mut text,
        session.connection.as_ref(),
        &session.bandwidth,
        Some(&session.timing),
        &session.attributes,
    );
    for media in &session.media {
        let _ = write!(text, "m={} {} {}", media.kind, media.port, media.proto);
        for format in &media.formats {
            let _ = write!(text, " {format}");
        }
        text.push_str("\r\n");
        push_section(&mut text, media.connection.as_ref(), &media.bandwidths, None, &media.attributes);
    }
    text
}

/// Writes the lines that the session and the media sections share, and `t=` where it belongs among them.
fn push_section(
    text: &mut String,
    connection: Option<&Connection>,
    bandwidths: &[Bandwidth],
    timing: Option<&str>,
    attributes: &[Attribute],
) {
    if let Some(c) = connection {
        push(text, format_args!("c={} {} {}", c.net_type, c.addr_type, c.address));
    }
    for b in bandwidths {
        push(text, format_args!("b={}:{}", b.kind, b.value));
    }
    if let Some(t) = timing {
        push(text, format_args!("t={t}"));
    }
    for a in attributes {
        match &a.value {
            Some(value) => push(text, format_args!("a={}:{value}", a.key)),
            None => push(text, format_args!("a={}", a.key)),
        }
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(line);
    text.push_str("\r\n");
}
