//! Where clients' URIs may lead, and how surely a recording is on the disk: keys of our own.

use super::Section;
use crate::config::Line;
use crate::config::tree::Tree;
use std::path::PathBuf;

/// `mediaServer.media`, as far as it is about files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Directories that `file:` URIs must lie below; `None` is anywhere, as in Kurento. A list without anything usable is nowhere.
    pub roots: Option<Vec<PathBuf>>,
    /// Whether recordings are brought to the disk while they are made, at least once a second, so that they survive a power cut.
    pub sync: bool,
    /// Bytes of temporary files for recordings that are sent to a server, of all together; one of them may have a quarter.
    pub spool: u64,
}

impl Default for FileSettings {
    fn default() -> Self {
        FileSettings { roots: None, sync: false, spool: 16 << 30 }
    }
}

impl FileSettings {
    pub(super) fn read(tree: &Tree, lines: &mut Vec<Line>) -> Self {
        let mut section = Section::new(tree, "mediaServer.media", lines);
        let usual = Self::default();
        let spool = section.at_least("recordingSpool", 1, "a number of MiB from 1");
        Self {
            roots: roots(&mut section),
            sync: section.bool("recordingSync").unwrap_or(usual.sync),
            spool: spool.map_or(usual.spool, |mib| (mib as u64).saturating_mul(1 << 20)),
        }
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
