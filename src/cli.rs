//! The command line, as Kurento's: options, their environment variables, and what is silently read over.
//!
//! Arguments and environment come in as plain iterators, a [`Command`] goes out; nothing is printed or read here, and
//! the lists for `--list` and `--version` are the caller's. Written by hand, because Kurento ignores what it does not
//! know: stray words, options of GLib and GStreamer, and the one empty argument that its container passes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the main file is when nobody names one.
pub const DEFAULT_CONF_FILE: &str = "/etc/kurento/kurento.conf.json";

/// What the process was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Run(Options),
    /// Print [`help_text`] on stdout, exit 0.
    Help,
    /// Print [`version_text`] on stdout, exit 0.
    Version,
    /// Print [`list_text`] on stdout, exit 0.
    List,
    /// Print `Error : <text>` on stderr, exit 1.
    UsageError(String),
}

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Directories to look for modules in; kept for compatibility, Rivero's modules are built in.
    pub modules_path: Vec<PathBuf>,
    pub conf_file: PathBuf,
    /// Whether somebody named the file. Only a file that nobody named may be missing.
    pub conf_file_given: bool,
    /// The directory of rotating log files; `None` logs to the console.
    pub logs_path: Option<PathBuf>,
    /// Directories of module files, by default `modules` beside the main file.
    pub modules_config_path: Vec<PathBuf>,
    /// The largest log file, in MiB.
    pub log_file_size: u64,
    /// The number of log files whose size together bounds what is kept.
    pub number_log_files: u64,
    /// `--gst-debug`, `--gst-debug-level` and `--gst-debug-disable` together, as a text in the syntax of `GST_DEBUG`.
    pub gst_debug: Option<String>,
    /// `--gst-debug-no-color`.
    pub gst_debug_no_color: bool,
}

struct Known {
    long: &'static str,
    short: char,
    takes_value: bool,
    help: &'static str,
}

const HELP: usize = 0;
const VERSION: usize = 1;
const LIST: usize = 2;
const MODULES_PATH: usize = 3;
const CONF_FILE: usize = 4;
const LOGS_PATH: usize = 5;
const MODULES_CONFIG_PATH: usize = 6;
const LOG_FILE_SIZE: usize = 7;
const NUMBER_LOG_FILES: usize = 8;

const KNOWN: [Known; 9] = [
    Known { long: "help", short: 'h', takes_value: false, help: "show this text" },
    Known { long: "version", short: 'v', takes_value: false, help: "show the versions of the server and its modules" },
    Known { long: "list", short: 'l', takes_value: false, help: "show the factories of all modules" },
    Known { long: "modules-path", short: 'p', takes_value: true, help: "directories of modules, with ':' between" },
    Known { long: "conf-file", short: 'f', takes_value: true, help: "the main configuration file" },
    Known { long: "logs-path", short: 'd', takes_value: true, help: "the directory of rotating log files" },
    Known {
        long: "modules-config-path",
        short: 'c',
        takes_value: true,
        help: "directories of module configuration files, with ':' between",
    },
    Known { long: "log-file-size", short: 's', takes_value: true, help: "the largest log file, in MB (100)" },
    Known { long: "number-log-files", short: 'n', takes_value: true, help: "log files to keep (10)" },
];

/// Options of GStreamer that take their value from the next argument if none is attached.
const GST_WITH_VALUE: [&str; 5] =
    ["gst-debug", "gst-debug-level", "gst-debug-color-mode", "gst-plugin-path", "gst-plugin-load"];

/// The values found so far, by position in [`KNOWN`]; a flag has an empty value.
#[derive(Default)]
struct Found {
    values: [Option<String>; KNOWN.len()],
    gst_debug: Option<String>,
    gst_level: Option<String>,
    gst_disabled: bool,
    gst_no_color: bool,
}

/// Reads the arguments (without the program's name) and then the environment, which never overrides an argument.
pub fn parse<A, E>(args: A, env: E) -> Command
where
    A: IntoIterator<Item = OsString>,
    E: IntoIterator<Item = (OsString, OsString)>,
{
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut found = Found::default();
    let read = found.read_arguments(&args).and_then(|()| found.read_environment(env)).and_then(|()| found.command());
    read.unwrap_or_else(Command::UsageError)
}

impl Found {
    fn read_arguments(&mut self, args: &[String]) -> Result<(), String> {
        let mut at = 0;
        while let Some(arg) = args.get(at) {
            at += 1;
            let next = args.get(at).map(String::as_str);
            if arg == "--" {
                break;
            } else if let Some(long) = arg.strip_prefix("--") {
                at += usize::from(self.read_long(long, next)?);
            } else if let Some(shorts) = arg.strip_prefix('-') {
                at += usize::from(self.read_shorts(shorts, next)?);
            }
        }
        Ok(())
    }

    /// Reads `name` or `name=value`; true when it took the next argument.
    fn read_long(&mut self, text: &str, next: Option<&str>) -> Result<bool, String> {
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.starts_with("gst-") {
            let value = attached.or(next.filter(|_| GST_WITH_VALUE.contains(&name)));
            self.read_gst(name, value);
            return Ok(attached.is_none() && value.is_some());
        }
        let Some(option) = KNOWN.iter().position(|known| known.long == name) else { return Ok(false) };
        match attached {
            Some("") if KNOWN[option].takes_value => Err(format!("the argument for option '--{name}' is empty")),
            Some(value) => self.set(option, value).map(|()| false),
            None => self.set_from(option, next),
        }
    }

    /// Reads letters such as `-hv`, `-s5` or `-s 5`; true when it took the next argument.
    fn read_shorts(&mut self, text: &str, next: Option<&str>) -> Result<bool, String> {
        for (at, letter) in text.char_indices() {
            // As far as letters are known; the rest belongs to somebody else.
            let Some(option) = KNOWN.iter().position(|known| known.short == letter) else { return Ok(false) };
            let rest = &text[at + letter.len_utf8()..];
            if !KNOWN[option].takes_value {
                self.set(option, "")?;
            } else if rest.is_empty() {
                return self.set_from(option, next);
            } else {
                return self.set(option, rest).map(|()| false);
            }
        }
        Ok(false)
    }

    fn set_from(&mut self, option: usize, next: Option<&str>) -> Result<bool, String> {
        if !KNOWN[option].takes_value {
            return self.set(option, "").map(|()| false);
        }
        match next.filter(|value| !is_known_option(value)) {
            Some(value) => self.set(option, value).map(|()| true),
            None => Err(format!("the required argument for option '--{}' is missing", KNOWN[option].long)),
        }
    }

    fn set(&mut self, option: usize, value: &str) -> Result<(), String> {
        let Known { long, takes_value, .. } = KNOWN[option];
        if !takes_value && !value.is_empty() {
            return Err(format!("option '--{long}' does not take any arguments"));
        }
        if self.values[option].is_some() {
            return Err(format!("option '--{long}' cannot be specified more than once"));
        }
        self.values[option] = Some(value.to_owned());
        Ok(())
    }

    fn read_gst(&mut self, name: &str, value: Option<&str>) {
        match name {
            "gst-debug" => self.gst_debug = value.map(str::to_owned),
            "gst-debug-level" => self.gst_level = value.map(str::to_owned),
            "gst-debug-no-color" => self.gst_no_color = true,
            "gst-debug-disable" => self.gst_disabled = true,
            _ => {}
        }
    }

    /// `KURENTO_CONF_FILE` stands for `--conf-file`, and so on. An empty value is no value, except for flags.
    fn read_environment<E>(&mut self, env: E) -> Result<(), String>
    where
        E: IntoIterator<Item = (OsString, OsString)>,
    {
        for (name, value) in env {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            let Some(name) = name.strip_prefix("KURENTO_") else { continue };
            let name = name.to_lowercase().replace('_', "-");
            let Some(option) = KNOWN.iter().position(|known| known.long == name) else { continue };
            let is_empty = KNOWN[option].takes_value && value.is_empty();
            if self.values[option].is_none() && !is_empty {
                self.set(option, &value)?;
            }
        }
        Ok(())
    }

    fn command(&self) -> Result<Command, String> {
        let options = self.options()?;
        let asked = |option: usize| self.values[option].is_some();
        Ok(match () {
            () if asked(HELP) => Command::Help,
            () if asked(VERSION) => Command::Version,
            () if asked(LIST) => Command::List,
            () => Command::Run(options),
        })
    }

    fn options(&self) -> Result<Options, String> {
        let path = |option: usize| self.values[option].as_ref().map(PathBuf::from);
        let conf_file = path(CONF_FILE);
        let conf_file_given = conf_file.is_some();
        let conf_file = conf_file.unwrap_or_else(|| PathBuf::from(DEFAULT_CONF_FILE));
        let beside = conf_file.parent().unwrap_or(Path::new("")).join("modules");
        let modules_config_path = self.values[MODULES_CONFIG_PATH].as_deref().map_or_else(|| vec![beside], directories);
        Ok(Options {
            modules_path: self.values[MODULES_PATH].as_deref().map(directories).unwrap_or_default(),
            conf_file,
            conf_file_given,
            logs_path: path(LOGS_PATH),
            modules_config_path,
            log_file_size: self.number(LOG_FILE_SIZE, 100)?,
            number_log_files: self.number(NUMBER_LOG_FILES, 10)?,
            gst_debug: self.gst_spec(),
            gst_debug_no_color: self.gst_no_color,
        })
    }

    fn number(&self, option: usize, default: u64) -> Result<u64, String> {
        let Some(text) = &self.values[option] else { return Ok(default) };
        text.trim()
            .parse()
            .map_err(|_| format!("the argument ('{text}') for option '--{}' is invalid", KNOWN[option].long))
    }

    fn gst_spec(&self) -> Option<String> {
        if self.gst_disabled {
            return Some("0".to_owned());
        }
        match (&self.gst_level, &self.gst_debug) {
            (Some(level), Some(spec)) => Some(format!("{level},{spec}")),
            (level, spec) => level.clone().or_else(|| spec.clone()),
        }
    }
}

/// Whether an argument is one of our options, and so cannot be the value of another.
fn is_known_option(arg: &str) -> bool {
    if let Some(long) = arg.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        return KNOWN.iter().any(|known| known.long == name);
    }
    let letter = arg.strip_prefix('-').and_then(|rest| rest.chars().next());
    letter.is_some_and(|letter| KNOWN.iter().any(|known| known.short == letter))
}

fn directories(text: &str) -> Vec<PathBuf> {
    text.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from).collect()
}

/// The answer to `--help`. Its first line is the one that scripts look for.
pub fn help_text() -> String {
    let mut text = String::from("kurento-media-server usage:\n");
    for known in &KNOWN {
        let value = if known.takes_value { " arg" } else { "" };
        let option = format!("-{} [ --{} ]{value}", known.short, known.long);
        text.push_str(&format!("  {option:<36} {}\n", known.help));
    }
    text.push_str("\nEach option may also come from the environment, such as KURENTO_CONF_FILE for --conf-file.\n");
    text.push_str("The log follows GST_DEBUG, GST_DEBUG_NO_COLOR and GST_DEBUG_FILE.\n");
    text
}

/// The answer to `--version`; `modules` are pairs of name and version.
pub fn version_text<'a>(version: &str, modules: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("Kurento Media Server version: {version}\nFound modules:\n");
    for (name, version) in modules {
        text.push_str(&format!("\t'{name}' version {version}\n"));
    }
    text
}

/// The answer to `--list`; `factories` are the bare and the qualified names of the classes, in the order to print.
pub fn list_text<'a>(factories: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::from("Available factories:\n");
    for name in factories {
        text.push_str(&format!("\t{name}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(args: &[&str], env: &[(&str, &str)]) -> Command {
        parse(args.iter().map(OsString::from), env.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn run(args: &[&str], env: &[(&str, &str)]) -> Options {
        match with(args, env) {
            Command::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn defaults() -> Options {
        Options {
            modules_path: Vec::new(),
            conf_file: DEFAULT_CONF_FILE.into(),
            conf_file_given: false,
            logs_path: None,
            modules_config_path: vec!["/etc/kurento/modules".into()],
            log_file_size: 100,
            number_log_files: 10,
            gst_debug: None,
            gst_debug_no_color: false,
        }
    }

    #[test]
    fn nothing_given_is_the_defaults() {
        assert_eq!(run(&[], &[]), defaults());
    }

    #[test]
    fn every_option_in_each_spelling() {
        let expected = Options {
            modules_path: vec!["/a".into(), "/b".into()],
            conf_file: "/x/k.conf.ini".into(),
            conf_file_given: true,
            logs_path: Some("/logs".into()),
            modules_config_path: vec!["/c".into(), "/d".into()],
            log_file_size: 5,
            number_log_files: 3,
            ..defaults()
        };
        let attached = [
            "--modules-path=/a:/b",
            "--conf-file=/x/k.conf.ini",
            "--logs-path=/logs",
            "--modules-config-path=/c:/d",
            "--log-file-size=5",
            "--number-log-files=3",
        ];
        assert_eq!(run(&attached, &[]), expected);
        let apart: Vec<&str> = attached.iter().flat_map(|arg| arg.split('=')).collect();
        assert_eq!(run(&apart, &[]), expected);
        let short = ["-p", "/a:/b", "-f", "/x/k.conf.ini", "-d/logs", "-c", "/c:/d", "-s5", "-n", "3"];
        assert_eq!(run(&short, &[]), expected);
        let env = [
            ("KURENTO_MODULES_PATH", "/a:/b"),
            ("KURENTO_CONF_FILE", "/x/k.conf.ini"),
            ("KURENTO_LOGS_PATH", "/logs"),
            ("KURENTO_MODULES_CONFIG_PATH", "/c:/d"),
            ("KURENTO_LOG_FILE_SIZE", "5"),
            ("KURENTO_NUMBER_LOG_FILES", "3"),
            ("KURENTO_SOMETHING_ELSE", "x"),
            ("LOGS_PATH", "x"),
        ];
        assert_eq!(run(&[], &env), expected);
    }

    #[test]
    fn the_command_line_beats_the_environment() {
        let options = run(&["-s", "7"], &[("KURENTO_LOG_FILE_SIZE", "bad"), ("KURENTO_LOGS_PATH", "")]);
        assert_eq!((options.log_file_size, options.logs_path), (7, None));
    }

    #[test]
    fn the_modules_stand_beside_the_main_file() {
        assert_eq!(run(&["-f", "/x/k.conf.json"], &[]).modules_config_path, [PathBuf::from("/x/modules")]);
        assert_eq!(run(&["-f", "k.conf.json"], &[]).modules_config_path, [PathBuf::from("modules")]);
    }

    #[test]
    fn what_is_unknown_is_read_over() {
        for args in [
            &[""][..],
            &["-"],
            &["stray", "words"],
            &["--unknown", "--other=1", "-z", "-xyz"],
            &["--gst-plugin-path", "--help", "--gst-version", "--gst-fatal-warnings"],
            &["--", "--help"],
            &["  --help"],
        ] {
            assert_eq!(run(args, &[]), defaults(), "{args:?}");
        }
        assert_eq!(run(&["--unknown", "-s", "9"], &[]).log_file_size, 9);
        assert_eq!(run(&["-f", "-z"], &[]).conf_file, PathBuf::from("-z"));
    }

    #[test]
    fn gstreamers_log_options_are_kept() {
        let options = run(&["--gst-debug=3,Kurento*:5", "--gst-debug-no-color", "--gst-debug-level", "2"], &[]);
        assert_eq!(options.gst_debug.as_deref(), Some("2,3,Kurento*:5"));
        assert!(options.gst_debug_no_color);
        assert_eq!(run(&["--gst-debug", "4"], &[]).gst_debug.as_deref(), Some("4"));
        assert_eq!(run(&["--gst-debug-disable"], &[]).gst_debug.as_deref(), Some("0"));
        assert_eq!(run(&["--gst-debug"], &[]).gst_debug, None);
    }

    #[test]
    fn flags_and_their_order() {
        assert_eq!(with(&["-h"], &[]), Command::Help);
        assert_eq!(with(&["--version"], &[]), Command::Version);
        assert_eq!(with(&["-l"], &[]), Command::List);
        assert_eq!(with(&["-lv"], &[]), Command::Version);
        assert_eq!(with(&["--list", "--version", "--help"], &[]), Command::Help);
        assert_eq!(with(&[], &[("KURENTO_LIST", "")]), Command::List);
    }

    #[test]
    fn bad_values_are_usage_errors() {
        let error = |args: &[&str], env: &[(&str, &str)]| match with(args, env) {
            Command::UsageError(text) => text,
            other => panic!("{args:?}: {other:?}"),
        };
        assert_eq!(error(&["-s", "big"], &[]), "the argument ('big') for option '--log-file-size' is invalid");
        assert_eq!(error(&["-n", "-1"], &[]), "the argument ('-1') for option '--number-log-files' is invalid");
        let missing = "the required argument for option '--conf-file' is missing";
        assert_eq!(error(&["--conf-file"], &[]), missing);
        assert_eq!(error(&["-f", "--logs-path=/x"], &[]), missing);
        assert_eq!(error(&["--conf-file="], &[]), "the argument for option '--conf-file' is empty");
        assert_eq!(error(&["--help=1"], &[]), "option '--help' does not take any arguments");
        assert_eq!(error(&["-d", "a", "-d", "b"], &[]), "option '--logs-path' cannot be specified more than once");
        assert_eq!(error(&["-h"], &[("KURENTO_VERSION", "7")]), "option '--version' does not take any arguments");
        assert!(error(&[], &[("KURENTO_LOG_FILE_SIZE", "x")]).contains("('x')"));
    }

    #[test]
    fn the_texts_begin_as_scripts_expect() {
        let help = help_text();
        assert_eq!(help.lines().next(), Some("kurento-media-server usage:"));
        assert!(KNOWN.iter().all(|known| help.contains(&format!("--{} ]", known.long))));
        let version = version_text("7.3.0", [("core", "7.3.0"), ("elements", "7.3.1")]);
        let expected =
            "Kurento Media Server version: 7.3.0\nFound modules:\n\t'core' version 7.3.0\n\t'elements' version 7.3.1\n";
        assert_eq!(version, expected);
        assert_eq!(
            list_text(["MediaPipeline", "kurento.MediaPipeline"]),
            "Available factories:\n\tMediaPipeline\n\tkurento.MediaPipeline\n"
        );
    }
}
