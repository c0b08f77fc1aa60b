//! Boost's INFO format: `key value` on a line, `{ }` around children, `;` comments, quotes around texts with blanks.
//!
//! A text comes in, a tree goes out. Children without a name (`""`) are the items of a list. Including other files is
//! refused: a configuration reads only what the operator named.

use super::tree::Tree;
use super::{Cursor, MAX_DEPTH, ParseError};

pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let mut cursor = Cursor::new(text);
    let tree = children(&mut cursor, 0)?;
    match cursor.peek() {
        None => Ok(tree),
        Some(_) => Err(cursor.error("unmatched '}'")),
    }
}

/// Reads entries up to the end or a `}`, which it leaves.
fn children(cursor: &mut Cursor<'_>, depth: usize) -> Result<Tree, ParseError> {
    if depth > MAX_DEPTH {
        return Err(cursor.error("the data nests too deeply"));
    }
    let mut entries: Vec<(String, Tree)> = Vec::new();
    loop {
        skip_blanks(cursor, true);
        match cursor.peek() {
            None | Some('}') => return Ok(gather(entries)),
            Some('{') => return Err(cursor.error("unexpected '{'")),
            Some('#') => return Err(cursor.error("#include is not supported")),
            Some(_) => {}
        }
        let key = word(cursor)?;
        let mut tree = Tree::new();
        skip_blanks(cursor, false);
        if !matches!(cursor.peek(), None | Some('\n' | '{' | '}')) {
            tree.set_value(data(cursor)?);
        }
        skip_blanks(cursor, true);
        if cursor.eat("{") {
            let own_text = tree.value().map(str::to_owned);
            tree = children(cursor, depth + 1)?;
            if let Some(text) = own_text {
                tree.set_value(text);
            }
            if !cursor.eat("}") {
                return Err(cursor.error("unmatched '{'"));
            }
        } else if tree.value().is_none() {
            // A key alone has the empty text, as in Boost.
            tree.set_value(String::new());
        }
        entries.push((key, tree));
    }
}

fn gather(entries: Vec<(String, Tree)>) -> Tree {
    if !entries.is_empty() && entries.iter().all(|(key, _)| key.is_empty()) {
        return Tree::list(entries.into_iter().map(|(_, tree)| tree).collect());
    }
    let mut tree = Tree::new();
    for (key, child) in entries {
        tree.insert(&key, child);
    }
    tree
}

/// Blanks and comments, across lines only when `lines` is set.
fn skip_blanks(cursor: &mut Cursor<'_>, lines: bool) {
    loop {
        cursor.take_while(|c| matches!(c, ' ' | '\t' | '\r') || (lines && c == '\n'));
        if cursor.peek() != Some(';') {
            return;
        }
        cursor.take_while(|c| c != '\n');
    }
}

/// A bare word or a quoted text.
fn word(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    if cursor.eat("\"") {
        return quoted(cursor);
    }
    let bare = cursor.take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '"' | '{' | '}'));
    if bare.is_empty() {
        return Err(cursor.error("a word is expected"));
    }
    unescaped(cursor, bare)
}

/// Like a word, but a quoted text goes on in the next line after a `\`.
fn data(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    if cursor.peek() != Some('"') {
        return word(cursor);
    }
    let mut text = word(cursor)?;
    loop {
        skip_blanks(cursor, false);
        if !cursor.eat("\\") {
            return Ok(text);
        }
        skip_blanks(cursor, true);
        if !cursor.eat("\"") {
            return Err(cursor.error("a continued text is expected"));
        }
        text.push_str(&quoted(cursor)?);
    }
}

fn quoted(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let mut text = String::new();
    loop {
        text.push_str(cursor.take_while(|c| !matches!(c, '"' | '\\' | '\n')));
        match cursor.next() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escape(cursor.next()).ok_or_else(|| cursor.error("unknown escape sequence"))?),
            _ => return Err(cursor.error("unexpected end of line in a text")),
        }
    }
}

fn unescaped(cursor: &Cursor<'_>, bare: &str) -> Result<String, ParseError> {
    let mut text = String::with_capacity(bare.len());
    let mut characters = bare.chars();
    while let Some(found) = characters.next() {
        text.push(match found {
            '\\' => escape(characters.next()).ok_or_else(|| cursor.error("unknown escape sequence"))?,
            other => other,
        });
    }
    Ok(text)
}

fn escape(letter: Option<char>) -> Option<char> {
    Some(match letter? {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        same @ ('"' | '\'' | '\\') => same,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_texts_children_and_comments() {
        let text = "; comment\nmediaServer\n{\n  net {\n    websocket\n    {\n      port 8888 ; here too\n      \
                    path \"kur ento\"\n    }\n  }\n  note \"one \" \\\n \"two\\n\"\n}\nbare\nlist { \"\" 1\n \"\" { name x } }\n\
                    both text { child 1 }\n";
        let tree = parse(text).expect("parses");
        assert_eq!(tree.text("mediaServer.net.websocket.port"), Some("8888"));
        assert_eq!(tree.text("mediaServer.net.websocket.path"), Some("kur ento"));
        assert_eq!(tree.at("mediaServer.note").and_then(Tree::value), Some("one two\n"));
        assert_eq!(tree.text("bare"), Some(""));
        let list = tree.list_at("list").expect("there");
        assert_eq!((list[0].value(), list[1].text("name")), (Some("1"), Some("x")));
        assert_eq!((tree.text("both"), tree.text("both.child")), (Some("text"), Some("1")));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, why) in [
            ("a {\n b 1\n", "(3): unmatched '{'"),
            ("a 1\n}", "(2): unmatched '}'"),
            ("{", "(1): unexpected '{'"),
            ("#include \"x\"", "(1): #include is not supported"),
            ("a \"x\n\"", "(2): unexpected end of line in a text"),
            ("a \"\\q\"", "(1): unknown escape sequence"),
        ] {
            assert_eq!(parse(text).expect_err(text).to_string(), why);
        }
    }
}
