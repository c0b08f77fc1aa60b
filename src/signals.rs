//! Waiting for the word to stop: SIGTERM or SIGINT.
//!
//! Nothing comes in but signals; the first of them ends the wait. The handlers stay installed for the life of the
//! process, so that further ones change nothing while it shuts down. SIGPIPE is ignored by Rust's start-up already, and
//! SIGHUP keeps its default action, as with Kurento: there is no reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The installed handlers. Install them before the doors open, so that no early signal is lost.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Installs the handlers. Must be called within a tokio runtime that drives I/O.
    pub fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal and names it.
    pub async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn send(name: &str) {
        let pid = std::process::id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(status.expect("a shell").success());
    }

    /// One test for both signals: handlers belong to the process, and a second test would hear the first one's.
    #[tokio::test]
    async fn either_signal_ends_the_wait_and_the_process_lives_on() {
        let mut stop = StopSignals::install().expect("handlers");
        send("TERM");
        assert_eq!(stop.wait().await, "SIGTERM");
        send("INT");
        assert_eq!(stop.wait().await, "SIGINT");
    }
}
