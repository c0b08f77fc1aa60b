//! The binary: reads the command line and the configuration, assembles the floors, waits for the word to stop.
//!
//! Nothing else happens here. What it prints and how it exits is what Kurento's scripts and service files expect.

mod assemble;
mod cli;
mod log;
mod metrics;
mod pages;
mod recordings;
mod signals;

use assemble::{Assembly, StartError};
use cli::{Command, Options};
use recordings::Place;
use rivero_rpc::config;
use rivero_rpc::config::settings::{ElementSettings, ServerSettings};
use signals::StopSignals;
use std::process::ExitCode;

/// What clients and scripts are told: the version of the API that is served in full.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1), std::env::vars_os()) {
        Command::Help => print!("{}", cli::help_text()),
        Command::Version => {
            let modules = assemble::modules();
            print!("{}", cli::version_text(VERSION, modules.iter().map(|name| (*name, VERSION))));
        }
        Command::List => print!("{}", cli::list_text(assemble::factories().iter().map(String::as_str))),
        Command::UsageError(text) => {
            eprintln!("Error : {text}");
            return ExitCode::FAILURE;
        }
        Command::Run(options) => {
            if let Err(why) = run(&options) {
                tracing::error!(target: "KurentoMediaServer", "{why}");
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs until a signal comes, and leaves nothing behind.
fn run(options: &Options) -> Result<(), StartError> {
    log::start(&log::LogOptions::new(options, |name| std::env::var(name).ok())).map_err(StartError::new)?;
    tracing::info!(target: "KurentoMediaServer", "Kurento Media Server version: {VERSION} (Rivero)");
    let (server, elements, recordings) = configure(options)?;
    // JSON may nest a thousand levels deep, and is read by recursion.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(server.websocket.threads.min(cores()))
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .map_err(StartError::new)?;
    runtime.block_on(async {
        let mut signals = StopSignals::install().map_err(StartError::new)?;
        let assembly = Assembly::start(server, elements, recordings).await?;
        tracing::info!(target: "KurentoMediaServer", "Kurento Media Server started");
        let why = tokio::select! {
            signal = signals.wait() => signal,
            () = assembly.exhausted() => "killLimit reached",
        };
        tracing::info!(target: "KurentoMediaServer", "{why}: releasing everything");
        assembly.stop().await;
        tracing::info!(target: "KurentoMediaServer", "Kurento Media Server stopped");
        Ok(())
    })
}

/// Reads the configuration and says what was read.
fn configure(options: &Options) -> Result<(ServerSettings, ElementSettings, Option<Place>), StartError> {
    let load = if options.conf_file_given { config::load } else { config::load_if_present };
    let loaded = load(&options.conf_file, &options.modules_config_path).map_err(|error| {
        error.lines.iter().for_each(log::say);
        StartError::new(error)
    })?;
    let mut lines = loaded.lines;
    let server = ServerSettings::read(&loaded.tree, &mut lines);
    let elements = ElementSettings::read(&loaded.tree, &mut lines);
    lines.iter().for_each(log::say);
    let server = server.map_err(StartError::new)?;
    let recordings = Place::choose(&server, loaded.built_in, |name| std::env::var_os(name));
    Ok((server, elements, recordings))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2)
}
