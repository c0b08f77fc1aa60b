//! The laws of the house, read off its own files: which floor may import which, where libraries that churn may be seen,
//! and that every room says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates by floor. One imports only what lies below it; those of one floor never import one another.
/// The load tool stands above everything and imports nothing.
const FLOORS: [&[&str]; 5] = [&["engine"], &["codecs", "transport", "filters"], &["rpc"], &["."], &["bench"]];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor(name: &str) -> usize {
    FLOORS.iter().position(|crates| crates.contains(&name)).unwrap_or_else(|| panic!("{name} lives on no floor"))
}

/// The crates of the house that a manifest names among its dependencies.
fn imports(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_dependencies = matches!(line, "[dependencies]" | "[dev-dependencies]" | "[build-dependencies]");
        } else if in_dependencies && let Some(name) = line.strip_prefix("rivero-") {
            let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
            found.push(name[..end].to_owned());
        }
    }
    found
}

/// Rust sources of a crate.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.expect("a folder can be read").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn all_sources() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for name in FLOORS.concat() {
        let mut found = Vec::new();
        sources(&root().join(name).join("src"), &mut found);
        all.extend(found.into_iter().map(|path| (name.to_owned(), path)));
    }
    assert!(all.len() > 50, "the sources were found");
    all
}

#[test]
fn no_import_climbs() {
    let mut seen = 0;
    for name in FLOORS.concat() {
        let Ok(manifest) = fs::read_to_string(root().join(name).join("Cargo.toml")) else { continue };
        for import in imports(&manifest) {
            assert!(floor(&import) < floor(name), "{name} imports {import}, which does not lie below it");
            seen += 1;
        }
    }
    assert!(seen >= 5, "the manifests were read");
}

#[test]
fn every_crate_of_the_workspace_lives_on_a_floor() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let members = manifest.lines().find(|line| line.starts_with("members")).expect("it lists members");
    for member in members.split('"').skip(1).step_by(2) {
        floor(member);
    }
}

/// str0m changes its interface at nearly every minor version; JSON is the business of the top floor; the graph knows neither
/// files nor sockets. The load tool is a client with both.
#[test]
fn libraries_stay_in_their_rooms() {
    for (name, path) in all_sources() {
        let text = fs::read_to_string(&path).expect("a source can be read");
        let shown = path.strip_prefix(root()).expect("below the root").display().to_string();
        let uses = |library: &str| text.contains(&format!("{library}::"));
        if uses("str0m") {
            let rooms = ["transport/src/webrtc/", "transport/src/net/demux.rs", "bench/src/"];
            assert!(rooms.iter().any(|room| shown.starts_with(room)), "{shown} sees str0m");
        }
        assert!(!uses("serde_json") || name == "rpc" || name == "bench", "{shown} knows JSON");
        assert!(!uses("ffmpeg_next") || name == "codecs", "{shown} sees FFmpeg");
        if name == "engine" {
            for foreign in ["std::net", "tokio::net", "std::fs", "std::process"] {
                assert!(!text.contains(foreign), "{shown} reaches for {foreign}");
            }
        }
    }
}

#[test]
fn every_room_says_what_it_is_for() {
    for (_, path) in all_sources() {
        let text = fs::read_to_string(&path).expect("a source can be read");
        assert!(text.starts_with("//!"), "{} does not open with its purpose", path.display());
    }
}
