//! The tree that every configuration format becomes: named members or a list of items, and texts at the leaves.
//!
//! Parsers and the merge of files come in; settings read from it. Every value is a text, because Kurento's files quote
//! numbers or not as they please; the readers of this file say which texts mean a number or a truth.
//! The tree must never know which keys exist or what they mean.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::MAX_DEPTH;

/// A node: a text, or members in the order of their first appearance, or items, or (INFO, XML) a text with members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    text: Option<String>,
    branches: Branches,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Branches {
    Members(Members),
    Items(Vec<Tree>),
}

/// The index keeps a file of a million keys from costing a million squared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Members {
    entries: Vec<(String, Tree)>,
    index: BTreeMap<String, usize>,
}

impl Default for Branches {
    fn default() -> Self {
        Self::Members(Members::default())
    }
}

/// A value that is there but cannot be read as what it should be. The text is the line that Kurento logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error deserializing '{key}' from config: '{found}' is not {expected}")]
pub struct ValueError {
    /// The dotted path from the root.
    pub key: String,
    pub found: String,
    pub expected: &'static str,
}

/// The path has more segments than any configuration may nest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key nests more than {MAX_DEPTH} levels")]
pub struct TooDeep;

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn leaf(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), branches: Branches::default() }
    }

    pub fn list(items: Vec<Tree>) -> Self {
        Self { text: None, branches: Branches::Items(items) }
    }

    /// The node's own text.
    pub fn value(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(crate) fn set_value(&mut self, text: String) {
        self.text = Some(text);
    }

    pub fn child(&self, key: &str) -> Option<&Tree> {
        match &self.branches {
            Branches::Members(members) => members.index.get(key).map(|at| &members.entries[*at].1),
            Branches::Items(_) => None,
        }
    }

    /// The named members, in the order in which the files first name them; none for a list.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Tree)> {
        let entries = match &self.branches {
            Branches::Members(members) => members.entries.as_slice(),
            Branches::Items(_) => &[],
        };
        entries.iter().map(|(key, tree)| (key.as_str(), tree))
    }

    /// The children whatever their names: the items of a list, or the members of an object, since Kurento reads a list
    /// from both.
    pub fn items(&self) -> Vec<&Tree> {
        match &self.branches {
            Branches::Members(members) => members.entries.iter().map(|(_, tree)| tree).collect(),
            Branches::Items(items) => items.iter().collect(),
        }
    }

    /// Puts `tree` under one literal key. What is there already is merged with it.
    pub fn insert(&mut self, key: &str, tree: Tree) {
        self.member(key).merge(tree);
    }

    /// Puts `tree` at a dotted path below this node, making the nodes between.
    pub fn insert_at(&mut self, path: &str, tree: Tree) -> Result<(), TooDeep> {
        if path.split('.').nth(MAX_DEPTH).is_some() {
            return Err(TooDeep);
        }
        let mut node = self;
        for key in path.split('.') {
            node = node.member(key);
        }
        node.merge(tree);
        Ok(())
    }

    /// The member of that name, made if missing; a list becomes an object, as a later source replaces it.
    fn member(&mut self, key: &str) -> &mut Tree {
        if matches!(self.branches, Branches::Items(_)) {
            self.branches = Branches::default();
        }
        let Branches::Members(members) = &mut self.branches else { unreachable!("lists were replaced just above") };
        let at = match members.index.get(key) {
            Some(at) => *at,
            None => {
                members.entries.push((key.to_owned(), Tree::new()));
                members.index.insert(key.to_owned(), members.entries.len() - 1);
                members.entries.len() - 1
            }
        };
        &mut members.entries[at].1
    }

    /// Lays `later` over this tree: objects merge member by member, texts and lists are replaced by the later ones.
    pub fn merge(&mut self, later: Tree) {
        let replaces = later.is_list() || later.text.is_some();
        if self.is_blank() || (replaces && later.is_without_members()) || self.is_list() {
            *self = later;
            return;
        }
        // A text that meets an object goes; a text that came with its own members (INFO, XML) stays with them.
        self.text = later.text;
        if let Branches::Members(members) = later.branches {
            for (key, tree) in members.entries {
                self.insert(&key, tree);
            }
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.branches, Branches::Items(_))
    }

    fn is_without_members(&self) -> bool {
        match &self.branches {
            Branches::Members(members) => members.entries.is_empty(),
            Branches::Items(_) => true,
        }
    }

    fn is_blank(&self) -> bool {
        self.text.is_none() && !self.is_list() && self.is_without_members()
    }

    /// The node at a dotted path such as `mediaServer.net.websocket.port`.
    pub fn at(&self, path: &str) -> Option<&Tree> {
        path.split('.').try_fold(self, |node, key| node.child(key))
    }

    /// The text at a dotted path, without the blanks around it.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.value().map(str::trim)
    }

    /// Any type that reads itself from a text; `expected` completes "is not ..." in the error.
    pub fn parsed<T: FromStr>(&self, path: &str, expected: &'static str) -> Result<Option<T>, ValueError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| wrong(path, text, expected))
    }

    pub fn u16(&self, path: &str) -> Result<Option<u16>, ValueError> {
        self.parsed(path, "a number from 0 to 65535")
    }

    /// A fraction or any other finite decimal number.
    pub fn float(&self, path: &str) -> Result<Option<f64>, ValueError> {
        match self.parsed::<f64>(path, "a number")? {
            Some(number) if !number.is_finite() => {
                Err(wrong(path, self.text(path).unwrap_or_default(), "a finite number"))
            }
            found => Ok(found),
        }
    }

    /// A truth in the main file: `true`, `false`, `1` or `0`.
    pub fn bool(&self, path: &str) -> Result<Option<bool>, ValueError> {
        match self.text(path) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(text) => Err(wrong(path, text, "true, false, 1 or 0")),
        }
    }

    /// A truth in a module file: `1` or `0` only. Kurento reads a stream there, to which `true` is an error.
    pub fn flag(&self, path: &str) -> Result<Option<bool>, ValueError> {
        match self.text(path) {
            None => Ok(None),
            Some("1") => Ok(Some(true)),
            Some("0") => Ok(Some(false)),
            Some(text) => Err(wrong(path, text, "1 or 0")),
        }
    }

    /// The children at a path, see [`Tree::items`]; `None` when the path does not exist.
    pub fn list_at(&self, path: &str) -> Option<Vec<&Tree>> {
        self.at(path).map(Tree::items)
    }

    /// A copy without the members whose key `unwanted` names, at any depth.
    pub fn without_keys(&self, unwanted: impl Fn(&str) -> bool + Copy) -> Tree {
        match &self.branches {
            Branches::Items(items) => Tree::list(items.iter().map(|item| item.without_keys(unwanted)).collect()),
            Branches::Members(_) => {
                let mut copy = Tree { text: self.text.clone(), branches: Branches::default() };
                for (key, tree) in self.members().filter(|(key, _)| !unwanted(key)) {
                    *copy.member(key) = tree.without_keys(unwanted);
                }
                copy
            }
        }
    }

    /// The tree as indented JSON, every value a text, four blanks a level.
    pub fn to_pretty_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, 0);
        out
    }

    fn write_json(&self, out: &mut String, level: usize) {
        let inner = "    ".repeat(level + 1);
        let (open, close, empty) = match &self.branches {
            Branches::Items(items) => ('[', ']', items.is_empty()),
            Branches::Members(members) => ('{', '}', members.entries.is_empty()),
        };
        if empty {
            match (&self.text, open) {
                (Some(text), _) => out.push_str(&quoted(text)),
                (None, '[') => out.push_str("[]"),
                (None, _) => out.push_str("{}"),
            }
            return;
        }
        out.push(open);
        match &self.branches {
            Branches::Items(items) => {
                for (at, tree) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "\n" } else { ",\n" });
                    out.push_str(&inner);
                    tree.write_json(out, level + 1);
                }
            }
            Branches::Members(members) => {
                for (at, (key, tree)) in members.entries.iter().enumerate() {
                    out.push_str(if at == 0 { "\n" } else { ",\n" });
                    out.push_str(&inner);
                    out.push_str(&quoted(key));
                    out.push_str(": ");
                    tree.write_json(out, level + 1);
                }
            }
        }
        out.push('\n');
        out.push_str(&"    ".repeat(level));
        out.push(close);
    }
}

pub(crate) fn wrong(path: &str, found: &str, expected: &'static str) -> ValueError {
    ValueError { key: path.to_owned(), found: found.to_owned(), expected }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(json: &str) -> Tree {
        crate::config::Format::Json.parse(json.as_bytes()).expect("the test's own JSON")
    }

    #[test]
    fn a_dotted_path_reads_the_text_without_its_blanks() {
        let tree = tree(r#"{"mediaServer":{"net":{"websocket":{"port":8888,"path":" kurento "}}}}"#);
        assert_eq!(tree.u16("mediaServer.net.websocket.port"), Ok(Some(8888)));
        assert_eq!(tree.text("mediaServer.net.websocket.path"), Some("kurento"));
        assert_eq!(tree.text("mediaServer.net"), None);
        assert_eq!(tree.text("mediaServer.net.nothing.port"), None);
    }

    #[test]
    fn quoted_numbers_and_truths_read_like_bare_ones() {
        let tree = tree(r#"{"a":"8888","b":8888,"t":true,"f":"false","one":"1","zero":0,"x":"0.8","n":"nan"}"#);
        assert_eq!(tree.u16("a"), Ok(Some(8888)));
        assert_eq!(tree.u16("b"), Ok(Some(8888)));
        let truths: Vec<_> = ["t", "f", "one", "zero"].map(|key| tree.bool(key).expect("a truth")).into();
        assert_eq!(truths, [Some(true), Some(false), Some(true), Some(false)]);
        assert_eq!(tree.float("x"), Ok(Some(0.8)));
        assert!(tree.float("n").is_err());
        assert_eq!(tree.flag("one"), Ok(Some(true)));
        assert_eq!(
            tree.flag("t").expect_err("module keys know no true").to_string(),
            "Error deserializing 't' from config: 'true' is not 1 or 0"
        );
        assert!(tree.u16("x").is_err());
        assert!(tree.bool("x").is_err());
    }

    #[test]
    fn objects_merge_and_lists_and_texts_are_replaced() {
        let mut first = tree(r#"{"keep":"1","o":{"a":"1","b":"1"},"l":["1","2"],"gone":["1"],"t":"1","up":"1"}"#);
        first.merge(tree(r#"{"o":{"b":"2","c":"2"},"l":["3"],"gone":[],"t":{"now":"object"},"up":"2"}"#));
        let expected =
            tree(r#"{"keep":"1","o":{"a":"1","b":"2","c":"2"},"l":["3"],"gone":[],"t":{"now":"object"},"up":"2"}"#);
        assert_eq!(first, expected);
        first.merge(tree(r#"{"o":"text","l":{"a":"1"},"t":{}}"#));
        assert_eq!(first.text("o"), Some("text"));
        assert_eq!(first.text("o.a"), None);
        assert_eq!(first.text("l.a"), Some("1"));
        assert_eq!(first.text("t.now"), Some("object"));
    }

    #[test]
    fn insertion_by_path_is_bounded_in_depth() {
        let mut tree = Tree::new();
        tree.insert_at("modules.kurento.X.a", Tree::leaf("1")).expect("shallow");
        assert_eq!(tree.text("modules.kurento.X.a"), Some("1"));
        assert_eq!(tree.insert_at(&"a.".repeat(MAX_DEPTH), Tree::leaf("1")), Err(TooDeep));
    }

    #[test]
    fn pretty_json_is_json_with_texts_in_the_order_of_the_file() {
        let tree = tree(r#"{"b":1,"a":{"list":[{"x":true},[]],"e":{},"q":"\"\n"}}"#);
        let expected = "{\n    \"b\": \"1\",\n    \"a\": {\n        \"list\": [\n            {\n                \
                        \"x\": \"true\"\n            },\n            []\n        ],\n        \"e\": {},\n        \
                        \"q\": \"\\\"\\n\"\n    }\n}";
        assert_eq!(tree.to_pretty_json(), expected);
    }
}
