//! The log: thresholds from `GST_DEBUG`, lines in Kurento's columns, on the console or in rotating files.
//!
//! Options come in once, at the start; from then on everything that the floors say through `tracing` is filtered, put
//! into a line and written. A log that cannot be written falls back to the console and never stops the server. This
//! room must never know what is said.
//!
//! | GST_DEBUG category | what it sets in Rivero |
//! |---|---|
//! | `KurentoMediaServer`, `KurentoResourceManager`, `KurentoModuleManager` | `rivero` |
//! | `KurentoWebSocket*`, `KurentoServerMethods`, other server categories | `rivero_rpc` |
//! | `KurentoLoadConfig` | `rivero_rpc::config` |
//! | `webrtcendpoint`, `rtpendpoint`, `kmsiceniceagent`, `kmswebrtcsession`, `kmsremb` ... | `rivero_transport` |
//! | `agnosticbin`, `kmselement`, `playerendpoint`, `KurentoMediaElementImpl` ... | `rivero_engine` |
//! | any other name | the tracing target of that name |

mod levels;
mod line;
mod rotate;
mod zone;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;

use rivero_rpc::config::{Line, Severity};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use self::levels::LogSpec;
use self::line::KurentoLine;
use self::rotate::{Limits, RotatingFile};
use self::zone::Zone;
use crate::cli::Options;

/// What the log is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Thresholds, in the syntax of `GST_DEBUG`.
    pub spec: Option<String>,
    /// `GST_DEBUG_NO_COLOR`: no colours, even on a terminal.
    pub no_color: bool,
    /// `GST_DEBUG_FILE`: a file instead of stderr.
    pub file: Option<PathBuf>,
    /// The directory of rotating files, which goes before `file`.
    pub logs_path: Option<PathBuf>,
    /// MiB.
    pub file_size: u64,
    pub number_of_files: u64,
    /// The text of `TZ`; `None` reads the system's local time.
    pub time_zone: Option<String>,
}

impl LogOptions {
    /// Joins the command line with the environment, of which `variable` reads one.
    pub fn new(options: &Options, variable: impl Fn(&str) -> Option<String>) -> Self {
        let spec = match (variable("GST_DEBUG").filter(|spec| !spec.is_empty()), options.gst_debug.clone()) {
            // GStreamer reads the environment first and the command line after it: later entries win.
            (Some(environment), Some(argument)) => Some(format!("{environment},{argument}")),
            (environment, argument) => argument.or(environment),
        };
        Self {
            spec,
            no_color: options.gst_debug_no_color || variable("GST_DEBUG_NO_COLOR").is_some(),
            file: variable("GST_DEBUG_FILE").filter(|file| !file.is_empty()).map(PathBuf::from),
            logs_path: options.logs_path.clone(),
            file_size: options.log_file_size,
            number_of_files: options.number_log_files,
            time_zone: variable("TZ"),
        }
    }
}

/// Something else already receives what is said.
#[derive(Debug)]
pub struct AlreadyStarted;

impl std::fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the log was started already")
    }
}

impl std::error::Error for AlreadyStarted {}

/// Starts the log for the whole process. A file that cannot be opened is an error line on the console, no more.
pub fn start(options: &LogOptions) -> Result<(), AlreadyStarted> {
    let (writer, on_console, fault) = match open(options) {
        Ok(Some(writer)) => (writer, false, None),
        Ok(None) => (BoxMakeWriter::new(io::stderr), true, None),
        Err(error) => (BoxMakeWriter::new(io::stderr), true, Some(error)),
    };
    let spec = LogSpec::parse(options.spec.as_deref().unwrap_or_default());
    let zone = Zone::named(options.time_zone.as_deref());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(on_console && !options.no_color && io::stderr().is_terminal())
        .event_format(KurentoLine::new(std::process::id(), move || zone.now()))
        .with_writer(writer)
        .with_filter(spec.targets());
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadyStarted)?;
    if let Some(error) = fault {
        tracing::error!(target: "KurentoMediaServer", "Boost.Log runtime error: {error}");
    }
    Ok(())
}

/// The file to write to, or `None` for the console.
fn open(options: &LogOptions) -> io::Result<Option<BoxMakeWriter>> {
    if let Some(dir) = &options.logs_path {
        let limits = Limits::new(options.file_size, options.number_of_files);
        let zone = Zone::named(options.time_zone.as_deref());
        let file = RotatingFile::create(dir, std::process::id(), limits, move || zone.now())?;
        return Ok(Some(BoxMakeWriter::new(Mutex::new(file))));
    }
    match &options.file {
        Some(path) => Ok(Some(BoxMakeWriter::new(Mutex::new(File::create(path)?)))),
        None => Ok(None),
    }
}

/// Says a line of the configuration, and prints it on stderr as well where Kurento does.
pub fn say(line: &Line) {
    match line.severity {
        Severity::Info => tracing::info!(target: "KurentoLoadConfig", "{}", line.text),
        Severity::Warning => tracing::warn!(target: "KurentoLoadConfig", "{}", line.text),
        Severity::Error => tracing::error!(target: "KurentoLoadConfig", "{}", line.text),
    }
    if line.on_stderr {
        eprintln!("{}", line.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn options(args: &[&str], env: &[(&str, &str)]) -> LogOptions {
        let Command::Run(options) = parse(args.iter().map(std::ffi::OsString::from), []) else {
            panic!("the arguments are valid")
        };
        LogOptions::new(&options, |wanted| {
            env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_command_line_and_the_environment_meet() {
        let plain = options(&[], &[]);
        assert_eq!((plain.spec, plain.no_color, plain.file, plain.logs_path), (None, false, None, None));
        let env = [("GST_DEBUG", "2,a:4"), ("GST_DEBUG_NO_COLOR", ""), ("GST_DEBUG_FILE", "/f"), ("TZ", "UTC0")];
        let set = options(&["-d", "/logs", "-s", "1", "-n", "2", "--gst-debug=a:5"], &env);
        assert_eq!(set.spec.as_deref(), Some("2,a:4,a:5"));
        assert!(set.no_color);
        assert_eq!((set.file, set.logs_path), (Some("/f".into()), Some("/logs".into())));
        assert_eq!((set.file_size, set.number_of_files, set.time_zone.as_deref()), (1, 2, Some("UTC0")));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_for_the_console() {
        let under_a_file = options(&["-d", "/dev/null/logs"], &[]);
        assert!(open(&under_a_file).is_err());
        assert!(open(&options(&[], &[])).expect("the console").is_none());
    }
}
