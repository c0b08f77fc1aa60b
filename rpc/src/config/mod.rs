//! The configuration: files shaped like Kurento's `/etc/kurento` come in, typed settings go out.
//!
//! Three steps, one room each: a parser per format turns bytes into a [`tree::Tree`] of texts, [`load`] merges the main
//! file and the module files by Kurento's rules, and [`settings`] reads the tree into types with units and defaults.
//! Nothing here prints or logs: what should be said is handed back as [`Line`]s, in order, and the caller says it.
//! This room must never know a session, a socket or a media element.

mod files;
mod info;
mod ini;
mod json;
pub mod settings;
pub mod tree;
mod xml;

pub use files::{ConfigError, Loaded, load, load_if_present};

/// How serious a [`Line`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One thing to tell the operator, in the words that Kurento's tools look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub severity: Severity,
    pub text: String,
    /// Kurento prints failures of module files on stderr as well, where the service's `errors.log` keeps them.
    pub on_stderr: bool,
}

impl Line {
    pub(crate) fn info(text: impl Into<String>) -> Self {
        Self { severity: Severity::Info, text: text.into(), on_stderr: false }
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, text: text.into(), on_stderr: false }
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, text: text.into(), on_stderr: false }
    }
}

/// The largest file that any parser of this room looks at, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// The deepest nesting that a file may have. Trees are walked by recursion, so this also bounds the stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// Why a text is not a configuration: the line, counted from one, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("({line}): {why}")]
pub struct ParseError {
    pub line: usize,
    pub why: String,
}

/// The four formats of Kurento, told apart by the outer extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Info,
    Ini,
    Xml,
}

impl Format {
    /// Reads a whole file of this format. Bytes that are not UTF-8 are replaced, since Kurento does not look at them.
    pub fn parse(self, bytes: &[u8]) -> Result<tree::Tree, ParseError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(ParseError { line: 1, why: "the file is larger than 16 MiB".to_owned() });
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Json => json::parse(&text),
            Self::Info => info::parse(&text),
            Self::Ini => ini::parse(&text),
            Self::Xml => xml::parse(&text),
        }
    }
}

/// Walks a text by character and knows its line. The three nested formats share it.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at += found.len_utf8();
        if found == '\n' {
            self.line += 1;
        }
        Some(found)
    }

    /// Steps over `prefix` if the text goes on with it.
    pub(crate) fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.skip_bytes(prefix.len());
        }
        found
    }

    /// Takes characters as long as `wanted` holds.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.skip_bytes(taken);
        &rest[..taken]
    }

    /// Takes the text before `end` and steps over `end` too; nothing moves when `end` does not come.
    pub(crate) fn take_until(&mut self, end: &str) -> Option<&'a str> {
        let rest = self.rest();
        let found = rest.find(end)?;
        self.skip_bytes(found + end.len());
        Some(&rest[..found])
    }

    fn skip_bytes(&mut self, count: usize) {
        let passed = &self.rest()[..count];
        self.line += passed.bytes().filter(|b| *b == b'\n').count();
        self.at += count;
    }

    pub(crate) fn error(&self, why: impl Into<String>) -> ParseError {
        ParseError { line: self.line, why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMATS: [Format; 4] = [Format::Json, Format::Info, Format::Ini, Format::Xml];

    #[test]
    fn a_file_over_the_bound_is_refused() {
        let bytes = vec![b' '; MAX_FILE_BYTES + 1];
        for format in FORMATS {
            assert!(format.parse(&bytes).expect_err("too large").why.contains("16 MiB"), "{format:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_foreign_bytes_are_tolerated() {
        let tree = Format::Ini.parse(b"\xEF\xBB\xBF; caf\xE9\nminPort=40000\n").expect("parses");
        assert_eq!(tree.text("minPort"), Some("40000"));
    }

    #[test]
    fn hostile_nesting_is_an_error_and_not_a_full_stack() {
        let deep = 200_000;
        let cases = [
            (Format::Json, "{\"a\":".repeat(deep)),
            (Format::Json, format!("{{\"a\":{}", "[".repeat(deep))),
            (Format::Info, "a {\n".repeat(deep)),
            (Format::Ini, format!("[{}]\nk=v", "a.".repeat(deep))),
            (Format::Ini, format!("{}=v", "a.".repeat(deep))),
            (Format::Xml, "<a>".repeat(deep)),
        ];
        for (format, text) in cases {
            assert!(format.parse(text.as_bytes()).is_err(), "{format:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for format in FORMATS {
                let _outcome = format.parse(&bytes);
            }
        }

        #[test]
        fn no_text_of_markup_makes_a_parser_panic(
            text in r#"([{}\[\]:,"'\\/*<>!?&;=#. \n\ta-c0-9é-]|<!--|-->|]]>|<!\[CDATA\[|true|\\u00e9|\\ud83d|&#x41;|//|/\*|\*/){0,60}"#
        ) {
            for format in FORMATS {
                let _outcome = format.parse(text.as_bytes());
            }
        }
    }
}
