//! A server as a child process: started with a log file of its own, ready when its port accepts, ended when dropped.

use super::SfuError;
use crate::clock::Clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(6);
const STEP: Duration = Duration::from_millis(20);

pub struct Process {
    child: Child,
    clock: Clock,
}

impl Process {
    /// Starts `command` and waits until `port` accepts connections.
    pub fn start(mut command: Command, address: SocketAddr, log: &Path, clock: Clock) -> Result<Self, SfuError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |why: String| SfuError::NotStarted(name.clone(), why);
        let file = File::create(log).map_err(|why| failed(format!("{}: {why}", log.display())))?;
        let second = file.try_clone().map_err(|why| failed(why.to_string()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        let child = command.spawn().map_err(|why| failed(why.to_string()))?;
        let mut process = Process { child, clock };
        let end = clock.now() + START.as_nanos() as u64;
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(failed(format!("it ended with {status}; see {}", log.display())));
            }
            if clock.now() > end {
                return Err(failed(format!("nothing listens at {address}; see {}", log.display())));
            }
            clock.sleep(STEP);
        }
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and makes it end when it does not.
    pub fn stop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // It may have ended just now.
        let _ = kill(pid, Signal::SIGTERM);
        let end = self.clock.now() + STOP.as_nanos() as u64;
        while matches!(self.child.try_wait(), Ok(None)) {
            if self.clock.now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            self.clock.sleep(STEP);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A TCP port that nobody holds at this moment.
pub fn free_port(ip: IpAddr) -> Result<u16, SfuError> {
    let listener = TcpListener::bind((ip, 0))?;
    Ok(listener.local_addr()?.port())
}
