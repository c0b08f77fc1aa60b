//! INI: lines of `key=value`, sections in brackets, comments after `;` or `#` at the start of a line.
//!
//! A text comes in, a tree goes out. Dots in section names and keys nest; the value is everything after the first `=`,
//! since TURN addresses contain more of them. A key that comes twice takes its last value.

use super::ParseError;
use super::tree::Tree;

pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let mut tree = Tree::new();
    let mut section = String::new();
    for (at, line) in text.lines().enumerate() {
        let fail = |why: &str| ParseError { line: at + 1, why: why.to_owned() };
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| fail("unmatched '['"))?.trim();
            if name.is_empty() {
                return Err(fail("a section without a name"));
            }
            section = format!("{name}.");
            // A section without keys exists all the same: `[mediaServer.net.websocket]` alone opens the door.
            tree.insert_at(name, Tree::new()).map_err(|e| fail(&e.to_string()))?;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| fail("'=' character not found in line"))?;
        let key = key.trim_end();
        if key.is_empty() {
            return Err(fail("key expected"));
        }
        tree.insert_at(&format!("{section}{key}"), Tree::leaf(value.trim_start())).map_err(|e| fail(&e.to_string()))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_values_comments_and_sections() {
        let text = "; a comment\n# another\n\nminPort = 40000\r\nturnURL=u:p@192.0.2.1:3478?transport=udp\n\
                    empty=\n[mediaServer.net.websocket]\nport=8888\nport = 9999\n[a]\nb.c=1 ; kept\n";
        let tree = parse(text).expect("parses");
        assert_eq!(tree.text("minPort"), Some("40000"));
        assert_eq!(tree.text("turnURL"), Some("u:p@192.0.2.1:3478?transport=udp"));
        assert_eq!(tree.text("empty"), Some(""));
        assert_eq!(tree.text("mediaServer.net.websocket.port"), Some("9999"));
        assert_eq!(tree.text("a.b.c"), Some("1 ; kept"));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, why) in [
            ("a=1\nnonsense", "(2): '=' character not found in line"),
            ("[open\n", "(1): unmatched '['"),
            (" = 1", "(1): key expected"),
            ("[]\n", "(1): a section without a name"),
        ] {
            assert_eq!(parse(text).expect_err(text).to_string(), why);
        }
    }

    #[test]
    fn an_empty_section_still_exists() {
        assert!(parse("[mediaServer.net.websocket]").expect("parses").at("mediaServer.net.websocket").is_some());
    }
}
