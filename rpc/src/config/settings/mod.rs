//! The typed view of the tree: what the server and the media elements are set to, with units and defaults.
//!
//! A merged tree comes in; plain values go out, with a line for the log for every value that could not be used. Only
//! the faults that Kurento ends the start for are errors here. This room must never open a socket or read a key file.
//!
//! Keys of Rivero alone: `mediaServer.media.workers` (the number of media worker threads, default one per core)
//! and `mediaServer.media.placement` (`pipeline`, the default: elements stay with their pipeline's worker while it has
//! room; `spread`: they go round all workers), `mediaServer.media.coders` and `mediaServer.media.convertersPerPipeline` (see
//! [`ServerSettings`]), `mediaServer.media.bitrate` (see [`ServerSettings::bitrate_policy`]) and `mediaServer.media.modern` (`true`, the default, or `false`: answers are Kurento's),
//! `mediaServer.media.fileRoots`, `recordingSync` and `recordingSpool` (see [`FileSettings`]).
//! `mediaServer.demo.recordings` is a directory (see [`ServerSettings::recordings`]).

mod element;
mod files;
mod sdp;
mod server;
mod webrtc;

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use element::{
    BaseRtpSettings, CompositeSettings, ElementSettings, GapsFix, HttpSettings, MediaElementSettings, PlayerSettings,
    RecorderSettings, UriSettings,
};
pub use files::FileSettings;
pub use sdp::{BadCodec, ConfiguredCodec, SdpSettings};
pub use server::{
    RegistrarSettings, ResourceSettings, SecureSettings, ServerSettings, SettingsError, WebSocketSettings,
};
pub use webrtc::{Dscp, WebRtcSettings};

use super::Line;
use super::tree::{Tree, ValueError, wrong};

/// Reads the keys below one path, and collects a line for each value that is no use.
struct Section<'a> {
    tree: &'a Tree,
    prefix: String,
    lines: &'a mut Vec<Line>,
}

impl<'a> Section<'a> {
    fn new(tree: &'a Tree, prefix: impl Into<String>, lines: &'a mut Vec<Line>) -> Self {
        Self { tree, prefix: prefix.into(), lines }
    }

    /// The section of a class of the module `kurento`: the class that owns the setting, not the concrete one.
    fn of_class(tree: &'a Tree, class: &str, lines: &'a mut Vec<Line>) -> Self {
        Self::new(tree, format!("modules.kurento.{class}"), lines)
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn exists(&self) -> bool {
        self.tree.at(&self.prefix).is_some()
    }

    /// A text that is there and not empty: the shipped files write `key=` for "not set".
    fn text(&self, key: &str) -> Option<String> {
        self.tree.text(&self.path(key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn texts_at(&self, key: &str) -> Vec<&'a Tree> {
        self.tree.list_at(&self.path(key)).unwrap_or_default()
    }

    fn parsed<T: FromStr>(&mut self, key: &str, expected: &'static str) -> Option<T> {
        let found = self.tree.parsed(&self.path(key), expected);
        self.usable(found)
    }

    /// Like [`Self::parsed`] for texts where empty means "not set".
    fn parsed_text<T: FromStr>(&mut self, key: &str, expected: &'static str) -> Option<T> {
        self.text(key)?;
        self.parsed(key, expected)
    }

    fn at_least<T: FromStr + PartialOrd>(&mut self, key: &str, least: T, expected: &'static str) -> Option<T> {
        let found = self.parsed::<T>(key, expected)?;
        if found >= least {
            return Some(found);
        }
        self.refuse(key, expected);
        None
    }

    fn bool(&mut self, key: &str) -> Option<bool> {
        let found = self.tree.bool(&self.path(key));
        self.usable(found)
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let found = self.tree.flag(&self.path(key));
        self.usable(found)
    }

    fn float(&mut self, key: &str) -> Option<f64> {
        let found = self.tree.float(&self.path(key));
        self.usable(found)
    }

    fn usable<T>(&mut self, found: Result<Option<T>, ValueError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.lines.push(Line::warning(error.to_string()));
            None
        })
    }

    /// Says that the value of `key` is not what it should be.
    fn refuse(&mut self, key: &str, expected: &'static str) {
        let found = self.text(key).unwrap_or_default();
        self.lines.push(Line::warning(wrong(&self.path(key), &found, expected).to_string()));
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.lines.push(Line::warning(text));
    }

    /// A file named by `key`: absolute, or relative to the directory of the file that set it.
    fn file(&self, key: &str, config_path: Option<&str>) -> Option<PathBuf> {
        self.text(key).map(|file| Path::new(config_path.unwrap_or_default()).join(file))
    }
}

#[cfg(test)]
mod tests;
