//! JSON as Kurento's files write it: with `//` and `/* */` comments, repeated keys and numbers that stay texts.
//!
//! A text comes in, a tree goes out. Repeated keys merge: the last text or list wins, objects gain members. Numbers are
//! kept as they are written, so that `"0.80"` and `0.80` are one. This room must never know the JSON of the wire.

use super::tree::Tree;
use super::{Cursor, MAX_DEPTH, ParseError};

/// Reads one JSON object. Anything but blanks and comments after it is an error.
pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let mut cursor = Cursor::new(text);
    skip_blanks(&mut cursor)?;
    if cursor.peek() != Some('{') {
        return Err(cursor.error("an object is expected"));
    }
    let tree = value(&mut cursor, 0)?;
    skip_blanks(&mut cursor)?;
    match cursor.peek() {
        None => Ok(tree),
        Some(_) => Err(cursor.error("garbage after the data")),
    }
}

fn skip_blanks(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    loop {
        cursor.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
        if cursor.eat("//") {
            cursor.take_while(|c| c != '\n');
        } else if cursor.rest().starts_with("/*") {
            cursor.eat("/*");
            if cursor.take_until("*/").is_none() {
                return Err(cursor.error("a comment does not end"));
            }
        } else {
            return Ok(());
        }
    }
}

fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Tree, ParseError> {
    if depth >= MAX_DEPTH {
        return Err(cursor.error("the data nests too deeply"));
    }
    match cursor.peek() {
        Some('{') => object(cursor, depth),
        Some('[') => array(cursor, depth),
        Some('"') => Ok(Tree::leaf(string(cursor)?)),
        Some('-' | '0'..='9') => Ok(Tree::leaf(number(cursor)?)),
        _ => {
            for word in ["true", "false", "null"] {
                if cursor.eat(word) {
                    return Ok(Tree::leaf(word));
                }
            }
            Err(cursor.error("a value is expected"))
        }
    }
}

fn object(cursor: &mut Cursor<'_>, depth: usize) -> Result<Tree, ParseError> {
    let mut tree = Tree::new();
    cursor.eat("{");
    skip_blanks(cursor)?;
    if cursor.eat("}") {
        return Ok(tree);
    }
    loop {
        skip_blanks(cursor)?;
        if cursor.peek() != Some('"') {
            return Err(cursor.error("a key in quotes is expected"));
        }
        let key = string(cursor)?;
        skip_blanks(cursor)?;
        if !cursor.eat(":") {
            return Err(cursor.error("':' is expected"));
        }
        skip_blanks(cursor)?;
        let member = value(cursor, depth + 1)?;
        tree.insert(&key, member);
        skip_blanks(cursor)?;
        if cursor.eat("}") {
            return Ok(tree);
        }
        if !cursor.eat(",") {
            return Err(cursor.error("'}' or ',' is expected"));
        }
    }
}

fn array(cursor: &mut Cursor<'_>, depth: usize) -> Result<Tree, ParseError> {
    let mut items = Vec::new();
    cursor.eat("[");
    skip_blanks(cursor)?;
    if cursor.eat("]") {
        return Ok(Tree::list(items));
    }
    loop {
        skip_blanks(cursor)?;
        items.push(value(cursor, depth + 1)?);
        skip_blanks(cursor)?;
        if cursor.eat("]") {
            return Ok(Tree::list(items));
        }
        if !cursor.eat(",") {
            return Err(cursor.error("']' or ',' is expected"));
        }
    }
}

/// The number as written, checked against JSON's grammar.
fn number(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let text = cursor.take_while(|c| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
    if is_number(text) { Ok(text.to_owned()) } else { Err(cursor.error("a number is malformed")) }
}

fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

fn string(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    cursor.eat("\"");
    let mut text = String::new();
    loop {
        text.push_str(cursor.take_while(|c| c != '"' && c != '\\' && c >= ' '));
        match cursor.next() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escape(cursor)?),
            Some(_) => return Err(cursor.error("a control character stands in a string")),
            None => return Err(cursor.error("a string does not end")),
        }
    }
}

fn escape(cursor: &mut Cursor<'_>) -> Result<char, ParseError> {
    Ok(match cursor.next() {
        Some(same @ ('"' | '\\' | '/')) => same,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return unicode_escape(cursor),
        _ => return Err(cursor.error("an escape is malformed")),
    })
}

/// RFC 8259 section 7: characters beyond the basic plane come as two escapes, a surrogate pair.
fn unicode_escape(cursor: &mut Cursor<'_>) -> Result<char, ParseError> {
    let first = four_digits(cursor)?;
    let code = if (0xD800..0xDC00).contains(&first) && cursor.eat("\\u") {
        let second = four_digits(cursor)?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(cursor.error("a surrogate pair is malformed"));
        }
        0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
    } else {
        first
    };
    char::from_u32(code).ok_or_else(|| cursor.error("a surrogate stands alone"))
}

fn four_digits(cursor: &mut Cursor<'_>) -> Result<u32, ParseError> {
    (0..4).try_fold(0, |code, _| {
        let digit = cursor.next().and_then(|c| c.to_digit(16));
        digit.map(|digit| code * 16 + digit).ok_or_else(|| cursor.error("four hexadecimal digits are expected"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn comments_and_repeated_keys_are_tolerated() {
        let text = "// first\n{ /* a \" b */ \"//\": \"one\", // two\n \"//\": \"two\",\n \"url\": \"ws://x/*no*/\",\n\
                    \"a\": {\"x\": 1}, \"a\": {\"y\": 2, \"l\": [1,2]}, \"a\": {\"l\": [3]}, \"t\": 1, \"t\": \"2\" } // end";
        let tree = parse(text).expect("parses");
        assert_eq!(tree.text("//"), Some("two"));
        assert_eq!(tree.text("url"), Some("ws://x/*no*/"));
        assert_eq!((tree.text("a.x"), tree.text("a.y"), tree.text("t")), (Some("1"), Some("2"), Some("2")));
        assert_eq!(tree.list_at("a.l").map(|l| l.len()), Some(1));
    }

    #[test]
    fn numbers_and_words_stay_as_written() {
        let tree = parse(r#"{"a":0.80,"b":-1e+3,"c":null,"d":"caf\u00e9 \ud83d\ude00"}"#).expect("parses");
        let texts: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| tree.text(key)).collect();
        assert_eq!(texts, [Some("0.80"), Some("-1e+3"), Some("null"), Some("café 😀")]);
    }

    #[test]
    fn errors_name_the_line() {
        let error = parse("{\n\"a\": 1,\n\"b\" 2\n}").expect_err("no colon");
        assert_eq!(error.to_string(), "(3): ':' is expected");
        for bad in ["", "[]", "{", "{\"a\":01}", "{\"a\":1,}", "{\"a\":\"\n\"}", "{\"a\":\"\\ud83d\"}", "{}x", "{}/*"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    /// What the tree should be, by another reader of JSON.
    fn expected(value: &Value) -> Tree {
        match value {
            Value::Object(members) => {
                let mut tree = Tree::new();
                for (key, value) in members {
                    tree.insert(key, expected(value));
                }
                tree
            }
            Value::Array(items) => Tree::list(items.iter().map(expected).collect()),
            Value::String(text) => Tree::leaf(text.clone()),
            other => Tree::leaf(other.to_string()),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_object_reads_as_serde_json_reads_it(value in values()) {
            let value = serde_json::json!({ "root": value });
            prop_assert_eq!(parse(&value.to_string()), Ok(expected(&value)));
            let pretty = serde_json::to_string_pretty(&value).expect("a value prints");
            prop_assert_eq!(parse(&pretty), Ok(expected(&value)));
        }
    }
}
