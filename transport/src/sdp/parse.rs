//! Text to model. What enters: one session description in the grammar of RFC 8866 §9, with LF, CR LF or CR line
//! ends. What leaves: a [`SessionDescription`], or the first [`SdpError`]. It must not know what attributes mean.
//!
//! It is as tolerant as the parsers that peers were tested with: unknown lines, lines without `=` and unreadable `o=`,
//! `c=` and `b=` lines are skipped, order within a section does not matter, the last line need not end. Only an `m=`
//! line must be readable, because everything after it depends on it. All input is bounded.

use super::error::SdpError;
use super::model::{Attribute, Bandwidth, Connection, Media, Origin, SessionDescription};

/// The longest text that is read, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// The most media sections that are read.
pub const MAX_MEDIA: usize = 256;
/// The most lines that are read in the session section and in each media section.
pub const MAX_LINES_PER_SECTION: usize = 4096;

/// Reads a session description.
///
/// # Errors
///
/// [`SdpError::Empty`] for an empty text, [`SdpError::Invalid`] without a `v=` line in the session section, and
/// [`SdpError::Parse`] for an unreadable `m=` line, a NUL character, or a text beyond the limits of this module.
pub fn parse(text: &str) -> Result<SessionDescription, SdpError> {
    if text.is_empty() {
        return Err(SdpError::Empty);
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(SdpError::Parse { line: 1, why: "the text is longer than 1 MiB" });
    }
    let mut session = SessionDescription::default();
    let mut versioned = false;
    let mut named = false;
    let mut timed = false;
    let mut section_lines = 0;
    for (index, line) in lines(text).enumerate() {
        let number = index + 1;
        if line.contains('\0') {
            return Err(SdpError::Parse { line: number, why: "the line contains a NUL character" });
        }
        let Some((kind, value)) = split_line(line) else { continue };
        section_lines += 1;
        if section_lines > MAX_LINES_PER_SECTION {
            return Err(SdpError::Parse { line: number, why: "the section has more than 4096 lines" });
        }
        if kind == 'm' {
            if session.media.len() == MAX_MEDIA {
                return Err(SdpError::Parse { line: number, why: "there are more than 256 media sections" });
            }
            session.media.push(read_media(value).map_err(|why| SdpError::Parse { line: number, why })?);
            section_lines = 0;
        } else if let Some(media) = session.media.last_mut() {
            read_media_line(media, kind, value);
        } else {
            match kind {
                'v' => versioned = true,
                's' if !named && !value.is_empty() => {
                    session.name = value.to_owned();
                    named = true;
                }
                't' if !timed && !value.is_empty() => {
                    session.timing = value.to_owned();
                    timed = true;
                }
                _ => read_session_line(&mut session, kind, value),
            }
        }
    }
    if versioned { Ok(session) } else { Err(SdpError::Invalid) }
}

/// The lines of a text whose lines end with LF, CR LF or CR. A line end is never part of a value, so that what is echoed
/// to a peer cannot smuggle in a line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Splits `x=value`; `None` for anything else. White space before the letter is skipped.
fn split_line(line: &str) -> Option<(char, &str)> {
    let line = line.trim_ascii_start();
    let mut chars = line.chars();
    let kind = chars.next()?;
    Some((kind, chars.as_str().strip_prefix('=')?))
}

fn read_session_line(session: &mut SessionDescription, kind: char, value: &str) {
    match kind {
        'o' if session.origin.is_none() => session.origin = read_origin(value),
        'c' if session.connection.is_none() => session.connection = read_connection(value),
        'b' => session.bandwidth.extend(read_bandwidth(value)),
        'a' => session.attributes.push(read_attribute(value)),
        _ => {}
    }
}

fn read_media_line(media: &mut Media, kind: char, value: &str) {
    match kind {
        'c' if media.connection.is_none() => media.connection = read_connection(value),
        'b' => media.bandwidths.extend(read_bandwidth(value)),
        'a' => media.attributes.push(read_attribute(value)),
        _ => {}
    }
}

fn read_origin(value: &str) -> Option<Origin> {
    let mut words = value.split_ascii_whitespace().map(str::to_owned);
    Some(Origin {
        username: words.next()?,
        session_id: words.next()?,
        session_version: words.next()?,
        net_type: words.next()?,
        addr_type: words.next()?,
        address: words.next()?,
    })
}

/// Reads the three words of a `c=` line, or of what follows the port in an `a=rtcp` line (RFC 3605 §2.1).
pub(super) fn read_connection(value: &str) -> Option<Connection> {
    let mut words = value.split_ascii_whitespace().map(str::to_owned);
    Some(Connection { net_type: words.next()?, addr_type: words.next()?, address: words.next()? })
}

fn read_bandwidth(value: &str) -> Option<Bandwidth> {
    let (kind, value) = value.split_once(':')?;
    Some(Bandwidth { kind: kind.to_owned(), value: value.trim_ascii().parse().ok()? })
}

fn read_attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((key, value)) => Attribute::value(key, value),
        None => Attribute::flag(value),
    }
}

fn read_media(value: &str) -> Result<Media, &'static str> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().ok_or("the m= line is empty")?;
    let port = words.next().ok_or("the m= line has no port")?;
    let port = port.split('/').next().unwrap_or(port);
    let port = port.parse().map_err(|_| "the port of the m= line is not a number up to 65535")?;
    let proto = words.next().ok_or("the m= line has no protocol")?;
    Ok(Media {
        kind: kind.to_owned(),
        port,
        proto: proto.to_owned(),
        formats: words.map(str::to_owned).collect(),
        ..Media::default()
    })
}
