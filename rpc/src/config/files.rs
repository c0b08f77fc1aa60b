//! Finding, reading and merging the files: one main file, then every module file below the given directories.
//!
//! Paths come in; a merged tree and the lines for the log go out, in the order in which things happened. A fault in the
//! main file ends the start; a fault in a module file costs that file and a warning, as in Kurento 7.3.
//! This room must never know what the keys mean, except for the secrets that no log may show.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::Tree;
use super::{Format, Line, MAX_FILE_BYTES};

/// Directories below a modules directory are followed this deep; Kurento's own tree is one deep.
const MAX_DIRECTORY_DEPTH: usize = 16;

/// The configuration in effect, and what to log about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub tree: Tree,
    pub lines: Vec<Line>,
    /// No main file was there: [`load_if_present`] put the defaults in its place.
    pub built_in: bool,
}

/// The main file cannot be used. The process should log this text, print it on stderr, and exit with 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error reading configuration: {why}")]
pub struct ConfigError {
    pub why: String,
    /// What was to be logged before it failed.
    pub lines: Vec<Line>,
}

/// Reads the main file and the module files. `main_file` must exist.
pub fn load(main_file: &Path, modules_dirs: &[PathBuf]) -> Result<Loaded, ConfigError> {
    let mut lines = vec![Line::info(format!("Reading configuration from: {}", main_file.display()))];
    let read = read_file(main_file).map_err(|fault| match fault {
        Fault::Name(why) => why,
        Fault::Content(why) => format!("{}{why}", main_file.display()),
    });
    let mut tree = match read {
        Ok(tree) => tree,
        Err(why) => return Err(ConfigError { why, lines }),
    };
    tree.insert("configPath", Tree::leaf(text_of(directory_of(main_file))));
    load_modules(&mut tree, modules_dirs, &mut lines);
    Ok(finish(tree, lines))
}

/// Like [`load`], for a main file that nobody asked for by name: when it does not exist, built-in defaults stand in for
/// it (WebSocket on port 8888, path `kurento`), so that a fresh container starts without any file.
pub fn load_if_present(main_file: &Path, modules_dirs: &[PathBuf]) -> Result<Loaded, ConfigError> {
    match fs::metadata(main_file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let notice = format!("No configuration at {}: built-in defaults are used", main_file.display());
            let mut lines = vec![Line::info(notice)];
            let mut tree = built_in_defaults();
            tree.insert("configPath", Tree::leaf(text_of(directory_of(main_file))));
            load_modules(&mut tree, modules_dirs, &mut lines);
            Ok(Loaded { built_in: true, ..finish(tree, lines) })
        }
        _ => load(main_file, modules_dirs),
    }
}

fn built_in_defaults() -> Tree {
    let mut websocket = Tree::new();
    websocket.insert("port", Tree::leaf("8888"));
    websocket.insert("path", Tree::leaf("kurento"));
    let mut net = Tree::new();
    net.insert("websocket", websocket);
    let mut server = Tree::new();
    server.insert("net", net);
    let mut tree = Tree::new();
    tree.insert("mediaServer", server);
    tree
}

fn finish(tree: Tree, mut lines: Vec<Line>) -> Loaded {
    lines.push(Line::info("Configuration loaded successfully"));
    lines.push(Line::info(format!("Loaded config in effect:\n{}", printable(&tree).to_pretty_json())));
    Loaded { tree, lines, built_in: false }
}

/// The tree as a log may show it: without the dummy members that stand for comments, and without secrets.
fn printable(tree: &Tree) -> Tree {
    let mut shown = tree.without_keys(|key| key.starts_with("//"));
    let password = "mediaServer.net.websocket.secure.password";
    if shown.text(password).is_some_and(|text| !text.is_empty()) {
        shown.insert_at(password, Tree::leaf("****")).expect("the path is short");
    }
    let turn = "modules.kurento.WebRtcEndpoint.turnURL";
    if let Some((_, server)) = shown.text(turn).and_then(|url| url.rsplit_once('@')) {
        let masked = Tree::leaf(format!("<user:password>@{server}"));
        shown.insert_at(turn, masked).expect("the path is short");
    }
    shown
}

fn load_modules(tree: &mut Tree, modules_dirs: &[PathBuf], lines: &mut Vec<Line>) {
    for dir in modules_dirs {
        lines.push(Line::info(format!("Looking for config files in {}", dir.display())));
        if !dir.is_dir() {
            let text = format!("Unable to load config files from: {}, it is not a directory", dir.display());
            lines.push(Line::warning(text));
            continue;
        }
        load_directory(tree, dir, &mut Vec::new(), lines);
    }
}

/// `names` are the directories between the modules directory and this one.
fn load_directory(tree: &mut Tree, dir: &Path, names: &mut Vec<String>, lines: &mut Vec<Line>) {
    let mut entries: Vec<PathBuf> = match fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(error) => return lines.push(failed(dir, &error.to_string())),
    };
    // Kurento takes the file system's order; a fixed one makes two machines agree.
    entries.sort();
    for path in entries {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        // Editors and mounted ConfigMaps keep their own files under hidden names.
        if name.starts_with('.') {
            continue;
        }
        let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if path.is_dir() {
            // A linked directory could lead back here; a linked file cannot.
            if !is_link && names.len() < MAX_DIRECTORY_DEPTH {
                names.push(name);
                load_directory(tree, &path, names, lines);
                names.pop();
            }
        } else if path.is_file() {
            match load_module(tree, &path, names) {
                Ok(()) => lines.push(Line::info(format!("Loaded module config: {}", path.display()))),
                Err(why) => lines.push(failed(&path, &why)),
            }
        }
    }
}

fn failed(path: &Path, why: &str) -> Line {
    let text = format!("Error loading config: {}, {why}", path.display());
    Line { on_stderr: true, ..Line::warning(text) }
}

fn load_module(tree: &mut Tree, path: &Path, names: &[String]) -> Result<(), String> {
    let mut module = read_file(path).map_err(|fault| match fault {
        Fault::Name(why) | Fault::Content(why) => why,
    })?;
    module.insert("configPath", Tree::leaf(text_of(directory_of(path))));
    let base = path.file_stem().map(Path::new).and_then(Path::file_stem).map(|base| base.to_string_lossy());
    let mut key = String::from("modules");
    for name in names.iter().map(String::as_str).chain(base.as_deref()) {
        key.push('.');
        key.push_str(name);
    }
    tree.insert_at(&key, module).map_err(|error| error.to_string())
}

/// What is wrong with a file: its name, or something inside, which boost's readers report after the name.
enum Fault {
    Name(String),
    Content(String),
}

fn read_file(path: &Path) -> Result<Tree, Fault> {
    let format = format_of(path).map_err(Fault::Name)?;
    let size = fs::metadata(path).map_err(|error| Fault::Content(format!(": cannot open file ({error})")))?.len();
    if size > MAX_FILE_BYTES as u64 {
        return Err(Fault::Content(": the file is larger than 16 MiB".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| Fault::Content(format!(": cannot read file ({error})")))?;
    format.parse(&bytes).map_err(|error| Fault::Content(error.to_string()))
}

/// The format by name: `<base>.conf.<json|info|ini|xml>`.
fn format_of(path: &Path) -> Result<Format, String> {
    let name = path.file_name().unwrap_or_default();
    let is_conf = path.file_stem().map(Path::new).and_then(Path::extension).is_some_and(|inner| inner == "conf");
    if !is_conf {
        return Err(format!("Unknown file type: {}", name.to_string_lossy()));
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    match extension.as_ref() {
        "json" => Ok(Format::Json),
        "info" => Ok(Format::Info),
        "ini" => Ok(Format::Ini),
        "xml" => Ok(Format::Xml),
        other => Err(format!("Unknown conf format: .{other}")),
    }
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;

    /// A directory of its own that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let dir = std::env::temp_dir().join(format!("rivero-config-{}", uuid::Uuid::new_v4()));
            fs::create_dir_all(&dir).expect("a scratch directory");
            Self(dir)
        }

        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("inside the scratch")).expect("a directory");
            fs::write(&path, content).expect("a file");
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn module_files_stand_below_their_directories_and_merge() {
        let scratch = Scratch::new();
        let main = scratch.write("kurento.conf.json", r#"{"mediaServer":{"net":{"websocket":{"port":1}}}}"#);
        scratch.write("modules/kurento/WebRtcEndpoint.conf.ini", "stunServerPort=1\niceTcp=0\n");
        scratch.write("modules/kurento/WebRtcEndpoint.conf.json", r#"{"stunServerPort":"2"}"#);
        scratch.write("modules/chroma/deep/ChromaFilter.conf.xml", "<a>1</a>");
        scratch.write("modules/Top.conf.info", "b 2");
        scratch.write("modules/.hidden", "nothing");
        let modules = scratch.0.join("modules");
        let loaded = load(&main, std::slice::from_ref(&modules)).expect("loads");
        assert!(!loaded.built_in);
        let tree = &loaded.tree;
        assert_eq!(tree.text("modules.kurento.WebRtcEndpoint.stunServerPort"), Some("2"));
        assert_eq!(tree.text("modules.kurento.WebRtcEndpoint.iceTcp"), Some("0"));
        assert_eq!(tree.text("modules.chroma.deep.ChromaFilter.a"), Some("1"));
        assert_eq!(tree.text("modules.Top.b"), Some("2"));
        assert_eq!(tree.text("configPath"), scratch.0.to_str());
        assert_eq!(tree.text("modules.kurento.WebRtcEndpoint.configPath"), modules.join("kurento").to_str());

        let lines = texts(&loaded.lines);
        let shown = |name: &str| format!("Loaded module config: {}", modules.join(name).display());
        assert_eq!(lines[0], format!("Reading configuration from: {}", main.display()));
        assert_eq!(lines[1], format!("Looking for config files in {}", modules.display()));
        assert_eq!(lines[2], shown("Top.conf.info"));
        assert_eq!(lines[3], shown("chroma/deep/ChromaFilter.conf.xml"));
        assert_eq!(lines[4], shown("kurento/WebRtcEndpoint.conf.ini"));
        assert_eq!(lines[6], "Configuration loaded successfully");
        assert!(lines[7].starts_with("Loaded config in effect:\n{\n    \"mediaServer\": {"), "{}", lines[7]);
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn faults_in_module_files_are_warnings() {
        let scratch = Scratch::new();
        let main = scratch.write("kurento.conf.ini", "[mediaServer.net.websocket]\nport=1\n");
        let bad = scratch.write("modules/Bad.conf.json", "{\n\"a\"}");
        let note = scratch.write("modules/README.md", "words");
        let yaml = scratch.write("modules/X.conf.yaml", "a: 1");
        let missing = scratch.0.join("nowhere");
        let loaded = load(&main, &[scratch.0.join("modules"), missing.clone()]).expect("loads");
        let warnings: Vec<_> = loaded.lines.iter().filter(|line| line.severity == Severity::Warning).collect();
        let expected = [
            format!("Error loading config: {}, (2): ':' is expected", bad.display()),
            format!("Error loading config: {}, Unknown file type: README.md", note.display()),
            format!("Error loading config: {}, Unknown conf format: .yaml", yaml.display()),
            format!("Unable to load config files from: {}, it is not a directory", missing.display()),
        ];
        assert_eq!(warnings.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(warnings.iter().map(|line| line.on_stderr).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn faults_in_the_main_file_end_the_start() {
        let scratch = Scratch::new();
        let missing = scratch.0.join("none.conf.json");
        let text = load(&missing, &[]).expect_err("missing").to_string();
        assert!(text.starts_with(&format!("Error reading configuration: {}: cannot open file", missing.display())));
        let broken = scratch.write("broken.conf.json", "{\n");
        assert_eq!(
            load(&broken, &[]).expect_err("broken").to_string(),
            format!("Error reading configuration: {}(2): a key in quotes is expected", broken.display())
        );
        let other = scratch.write("kurento.json", "{}");
        let error = load(&other, &[]).expect_err("no .conf");
        assert_eq!(error.to_string(), "Error reading configuration: Unknown file type: kurento.json");
        assert_eq!(texts(&error.lines), [format!("Reading configuration from: {}", other.display())]);
    }

    #[test]
    fn without_the_default_file_built_in_defaults_stand_in() {
        let scratch = Scratch::new();
        let missing = scratch.0.join("kurento.conf.json");
        let loaded = load_if_present(&missing, &[]).expect("defaults");
        assert_eq!(loaded.tree.u16("mediaServer.net.websocket.port"), Ok(Some(8888)));
        assert_eq!(loaded.tree.text("mediaServer.net.websocket.path"), Some("kurento"));
        assert!(loaded.lines[0].text.contains("built-in defaults are used"));
        assert!(loaded.built_in);
        let broken = scratch.write("kurento.conf.json", "{");
        assert!(load_if_present(&broken, &[]).is_err(), "a file that exists must be right");
    }

    #[test]
    fn the_log_shows_no_secret() {
        let scratch = Scratch::new();
        let main = scratch.write(
            "kurento.conf.json",
            r#"{"//":"note","mediaServer":{"net":{"websocket":{"secure":{"password":"hunter2"}}}}}"#,
        );
        scratch.write("modules/kurento/WebRtcEndpoint.conf.ini", "turnURL=me:hunter2@192.0.2.1:3478\n");
        let loaded = load(&main, &[scratch.0.join("modules")]).expect("loads");
        let shown = &loaded.lines.last().expect("lines").text;
        assert!(shown.contains("<user:password>@192.0.2.1:3478") && shown.contains("****"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("//\""), "{shown}");
        assert_eq!(loaded.tree.text("mediaServer.net.websocket.secure.password"), Some("hunter2"));
    }
}
