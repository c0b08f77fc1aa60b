//! JSON text to values and back, with the habits of Kurento's JSON library.
//!
//! What enters: one text frame. What leaves: one `serde_json::Value`, or its text. What it must never know: what the values
//! mean.
//!
//! Reading: comments are skipped, whatever follows the first value is ignored, and a text is refused that nests deeper than
//! [`MAX_DEPTH`] or holds more than [`MAX_VALUES`] values (a few bytes of text become some hundred bytes of memory, so the
//! size of the text alone protects nobody). The reader itself recurses: threads that call [`read`] need 2 MiB of stack or more.
//!
//! Writing: compact, members in byte order (the map of `serde_json` is a `BTreeMap` here; a test holds that), everything
//! beyond ASCII as `\uXXXX`, floating point numbers with up to 17 significant digits.

use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt::Write;

/// Arrays and objects inside one another.
pub const MAX_DEPTH: usize = 1000;
/// Longest text, in bytes.
pub const MAX_LENGTH: usize = 32_000_000;
/// Values (numbers, strings, objects and so on) in one text, roughly.
pub const MAX_VALUES: usize = 1_000_000;

/// The text is not JSON, or more than this server is ready to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not readable as JSON")]
pub struct Unreadable;

/// Reads the first value of a text.
pub fn read(text: &str) -> Result<Json, Unreadable> {
    let text = clean(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    reader.disable_recursion_limit(); // `clean` has set a limit of its own.
    reader.into_iter().next().ok_or(Unreadable)?.map_err(|_| Unreadable)
}

/// Takes the comments out, counts depth and values, and cuts after the first array or object.
fn clean(text: &str) -> Result<Cow<'_, str>, Unreadable> {
    if text.len() > MAX_LENGTH {
        return Err(Unreadable);
    }
    let bytes = text.as_bytes();
    let (mut depth, mut values, mut at) = (0usize, 0usize, 0usize);
    let mut without_comments: Option<String> = None;
    let mut copied = 0; // up to here the text is in `without_comments`, once there is one
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'/' => {
                let end = end_of_comment(bytes, at)?;
                let kept = without_comments.get_or_insert_default();
                kept.push_str(&text[copied..at]);
                kept.push(' '); // a comment separates
                (at, copied) = (end, end);
                continue;
            }
            b'[' | b'{' => {
                (depth, values) = (depth + 1, values + 1);
                if depth > MAX_DEPTH {
                    return Err(Unreadable);
                }
            }
            b']' | b'}' => {
                depth = depth.checked_sub(1).ok_or(Unreadable)?;
                if depth == 0 {
                    at += 1;
                    break;
                }
            }
            b',' => values += 1,
            _ => {}
        }
        if values > MAX_VALUES {
            return Err(Unreadable);
        }
        at += 1;
    }
    let end = at.min(bytes.len());
    Ok(match without_comments {
        None => Cow::Borrowed(&text[..end]),
        Some(mut kept) => {
            kept.push_str(&text[copied..end]);
            Cow::Owned(kept)
        }
    })
}

/// Where the string that opens at `start` has its closing quote (or the last byte of a text that lacks one).
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the text goes on after the comment that opens at `start`.
fn end_of_comment(bytes: &[u8], start: usize) -> Result<usize, Unreadable> {
    let rest = &bytes[start..];
    match rest.get(1) {
        Some(b'/') => Ok(rest.iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| start + n)),
        Some(b'*') => rest[2..].windows(2).position(|w| w == b"*/").map(|n| start + 2 + n + 2).ok_or(Unreadable),
        _ => Err(Unreadable),
    }
}

/// Writes a value the way Kurento does.
pub fn write(value: &Json) -> String {
    let mut out = String::with_capacity(128);
    put(&mut out, value);
    out
}

fn put(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() => out.push_str(&real(value)),
            _ => put_plain(out, format_args!("{number}")),
        },
        Json::String(text) => put_string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                put(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (n, (name, member)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                put_string(out, name);
                out.push(':');
                put(out, member);
            }
            out.push('}');
        }
    }
}

fn put_plain(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

fn put_string(out: &mut String, text: &str) {
    out.push('"');
    let plain = |b: u8| (0x20..0x80).contains(&b) && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| put_char(out, c));
    }
    out.push('"');
}

fn put_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        ' '..='\u{7f}' => out.push(c),
        _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| put_plain(out, format_args!("\\u{unit:04x}"))),
    }
}

/// A floating point number as C's `%.17g` writes it, with `.0` behind a whole one.
pub fn real(value: f64) -> String {
    if !value.is_finite() {
        return "null".into();
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the e format has an e");
    let exponent: i32 = exponent.parse().expect("the e format ends in an integer");
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if !(-4..17).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let places = usize::try_from(16 - exponent).expect("the exponent is at most 16 here");
    let fixed = trim(&format!("{value:.places$}"));
    if fixed.contains('.') { fixed } else { fixed + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn skips_comments_outside_strings() {
        assert_eq!(read("{/* a */\"x\": 1 // b\n, \"y\": \"/* kept */\"}"), Ok(json!({"x": 1, "y": "/* kept */"})));
        assert_eq!(read("{\"a\":1} /* tail"), Ok(json!({"a": 1})));
        assert_eq!(read("[1 /* open"), Err(Unreadable));
        assert_eq!(read("[1 / 2]"), Err(Unreadable));
    }

    #[test]
    fn ignores_what_follows_the_first_value() {
        assert_eq!(read("{\"a\":1} xyz"), Ok(json!({"a": 1})));
        assert_eq!(read("42 43"), Ok(json!(42)));
        assert_eq!(read("\"x\" ]"), Err(Unreadable));
    }

    #[test]
    fn limits_depth_and_count() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(read(&nested(1000)).is_ok());
        assert_eq!(read(&nested(1001)), Err(Unreadable));
        let wide = |n: usize| format!("[{}0]", "0,".repeat(n));
        assert!(read(&wide(1000)).is_ok());
        assert_eq!(read(&wide(MAX_VALUES)), Err(Unreadable));
        assert_eq!(read(&" ".repeat(MAX_LENGTH + 1)), Err(Unreadable));
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", " ", "hello", "{\"id\":1,\"method\":\"ping\"", "{]", "]", "\"open", "\"\\", "/", "/*"] {
            assert_eq!(read(text), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn writes_members_in_byte_order_and_ascii_only() {
        let value = read(r#"{"result":{"b":"ñ€😀","a":"a/b\"c\\d\u0001\t"},"id":7}"#).unwrap();
        assert_eq!(write(&value), r#"{"id":7,"result":{"a":"a/b\"c\\d\u0001\t","b":"\u00f1\u20ac\ud83d\ude00"}}"#);
    }

    #[test]
    fn writes_numbers_as_c_does() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.5, "1.5"),
            (0.1, "0.10000000000000001"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (-240000.0, "-240000.0"),
            (12345678901234567890123.0, "1.2345678901234568e+22"),
            (1e-7, "9.9999999999999995e-08"),
            (0.0001, "0.0001"),
            (1e16, "10000000000000000.0"),
        ] {
            assert_eq!(real(value), text);
        }
        assert_eq!(write(&json!([1, -2, 2147483648u64, 2.0])), "[1,-2,2147483648,2.0]");
    }
}
