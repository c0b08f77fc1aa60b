//! XML, as little as a configuration needs: elements, text, CDATA, comments, and the five named entities.
//!
//! A text comes in, a tree goes out: the document's elements are the members of the root, and there may be several.
//! Attributes are read over. Children that all share one name, twice or more, are the items of a list. Document types
//! are refused, and with them every entity that could grow or read a file.

use super::tree::Tree;
use super::{Cursor, MAX_DEPTH, ParseError};

pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let mut cursor = Cursor::new(text);
    let tree = content(&mut cursor, 0)?;
    if cursor.peek().is_some() {
        return Err(cursor.error("a closing tag has no opening one"));
    }
    match tree.value() {
        Some(_) => Err(cursor.error("text stands outside of the elements")),
        None => Ok(tree),
    }
}

/// Reads text and elements up to the end or a closing tag, which it leaves.
fn content(cursor: &mut Cursor<'_>, depth: usize) -> Result<Tree, ParseError> {
    if depth > MAX_DEPTH {
        return Err(cursor.error("the data nests too deeply"));
    }
    let mut entries: Vec<(String, Tree)> = Vec::new();
    let mut text = String::new();
    loop {
        let raw = cursor.take_while(|c| c != '<');
        decode(cursor, raw, &mut text)?;
        if cursor.peek().is_none() || cursor.rest().starts_with("</") {
            return Ok(gather(entries, text.trim()));
        }
        if cursor.eat("<!--") {
            cursor.take_until("-->").ok_or_else(|| cursor.error("a comment does not end"))?;
        } else if cursor.eat("<![CDATA[") {
            let raw = cursor.take_until("]]>").ok_or_else(|| cursor.error("a CDATA section does not end"))?;
            text.push_str(raw);
        } else if cursor.eat("<?") {
            cursor.take_until("?>").ok_or_else(|| cursor.error("a processing instruction does not end"))?;
        } else if cursor.rest().starts_with("<!") {
            return Err(cursor.error("document types are not supported"));
        } else {
            cursor.eat("<");
            entries.push(element(cursor, depth)?);
        }
    }
}

/// Reads an element whose `<` is already taken.
fn element(cursor: &mut Cursor<'_>, depth: usize) -> Result<(String, Tree), ParseError> {
    let name = name(cursor)?;
    if skip_attributes(cursor)? {
        return Ok((name, Tree::leaf("")));
    }
    let tree = content(cursor, depth + 1)?;
    if !cursor.eat("</") {
        return Err(cursor.error(format!("the element '{name}' does not end")));
    }
    if self::name(cursor)? != name {
        return Err(cursor.error(format!("another element ends inside of '{name}'")));
    }
    cursor.take_while(char::is_whitespace);
    if !cursor.eat(">") {
        return Err(cursor.error("'>' is expected"));
    }
    Ok((name, tree))
}

fn name(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let found = cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
    if found.is_empty() {
        return Err(cursor.error("a name is expected"));
    }
    Ok(found.to_owned())
}

/// Reads over the attributes and the end of the tag; true when the tag closes itself.
fn skip_attributes(cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
    loop {
        cursor.take_while(char::is_whitespace);
        if cursor.eat("/>") {
            return Ok(true);
        }
        if cursor.eat(">") {
            return Ok(false);
        }
        name(cursor)?;
        cursor.take_while(char::is_whitespace);
        if !cursor.eat("=") {
            return Err(cursor.error("'=' is expected after an attribute's name"));
        }
        cursor.take_while(char::is_whitespace);
        let quote = match cursor.next() {
            Some('"') => "\"",
            Some('\'') => "'",
            _ => return Err(cursor.error("an attribute's value needs quotes")),
        };
        cursor.take_until(quote).ok_or_else(|| cursor.error("an attribute's value does not end"))?;
    }
}

fn decode(cursor: &Cursor<'_>, raw: &str, text: &mut String) -> Result<(), ParseError> {
    let mut parts = raw.split('&');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (entity, after) = part.split_once(';').ok_or_else(|| cursor.error("'&' starts no entity"))?;
        let found = match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => entity.strip_prefix('#').and_then(numbered),
        };
        text.push(found.ok_or_else(|| cursor.error("an entity is unknown"))?);
        text.push_str(after);
    }
    Ok(())
}

fn numbered(digits: &str) -> Option<char> {
    let code = match digits.strip_prefix('x') {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
        None => digits.parse().ok()?,
    };
    char::from_u32(code)
}

fn gather(entries: Vec<(String, Tree)>, text: &str) -> Tree {
    if entries.len() > 1 && entries.iter().all(|(name, _)| *name == entries[0].0) {
        return Tree::list(entries.into_iter().map(|(_, tree)| tree).collect());
    }
    let mut tree = Tree::new();
    for (name, child) in entries {
        tree.insert(&name, child);
    }
    if !text.is_empty() {
        tree.set_value(text.to_owned());
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_text_entities_and_lists() {
        let text = "<?xml version=\"1.0\"?>\n<!-- top -->\n<mediaServer a='1>2'>\n <net><websocket>\n  \
                    <port unit=\"tcp\"> 8888 </port><path>a&amp;b&#x41;&#66;</path><off/>\n </websocket></net>\n</mediaServer>\n\
                    <codecs><codec><name>VP8/90000</name></codec><codec><name><![CDATA[<&>]]></name></codec></codecs>";
        let tree = parse(text).expect("parses");
        assert_eq!(tree.text("mediaServer.net.websocket.port"), Some("8888"));
        assert_eq!(tree.text("mediaServer.net.websocket.path"), Some("a&bAB"));
        assert_eq!(tree.text("mediaServer.net.websocket.off"), Some(""));
        let names: Vec<_> = tree.list_at("codecs").expect("there").iter().map(|c| c.text("name")).collect();
        assert_eq!(names, [Some("VP8/90000"), Some("<&>")]);
    }

    #[test]
    fn what_is_not_plain_xml_is_refused() {
        for (text, why) in [
            ("<a>\n<b></a>", "(2): another element ends inside of 'b'"),
            ("<a>", "(1): the element 'a' does not end"),
            ("</a>", "(1): a closing tag has no opening one"),
            ("x", "(1): text stands outside of the elements"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]>", "(1): document types are not supported"),
            ("<a>&x;</a>", "(1): an entity is unknown"),
            ("<a>&x</a>", "(1): '&' starts no entity"),
            ("<a b></a>", "(1): '=' is expected after an attribute's name"),
            ("<a b=c></a>", "(1): an attribute's value needs quotes"),
            ("<a></a >x</a>", "(1): a closing tag has no opening one"),
        ] {
            assert_eq!(parse(text).expect_err(text).to_string(), why);
        }
    }
}
