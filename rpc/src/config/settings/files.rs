//! Where clients' URIs may lead, and how surely a recording is on the disk: keys of our own.

use super::Section;
use crate::config::Line;
use crate::config::tree::Tree;
use std::path::PathBuf;

/// `mediaServer.media`, as far as it is about files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSettings {
    /// Directories that `file:` URIs must lie below; `None` is anywhere, as in Kurento. A list without anything usable is nowhere.
    pub roots: Option<Vec<PathBuf>>,
    /// Whether recordings are brought to the disk while they are made, at least once a second, so that they survive a power cut.
    pub sync: bool,
}

impl FileSettings {
    pub(super) fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::new(tree, "mediaServer.media", lines);
        Self { roots: roots(&mut section), sync: section.bool("recordingSync").unwrap_or(false) }
    }
}

fn roots(section: &mut Section<'_>) -> Option<Vec<PathBuf>> {
    let path = section.path("fileRoots");
    let node = section.tree.at(&path)?;
    let texts: Vec<String> = match node.value() {
        Some(one) => vec![one.to_owned()],
        None => section.texts_at("fileRoots").iter().filter_map(|item| item.value().map(str::to_owned)).collect(),
    };
    let mut roots = Vec::new();
    for text in texts {
        let root = PathBuf::from(&text);
        if !root.is_absolute() {
            section.warn(format!("{path}: '{text}' is no absolute path; no file is allowed for it"));
        } else {
            if !root.is_dir() {
                section.warn(format!("{path}: there is no directory {text} yet"));
            }
            roots.push(root);
        }
    }
    if roots.is_empty() {
        section.warn(format!("{path} names no directory: no file can be played or recorded"));
    }
    Some(roots)
}
