//! A network namespace for the run, with one address on an interface that leads nowhere: nothing of the machine's ports gets in
//! the way, and Janus, which takes no loopback interface, has one that it takes. It ends with the process.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

pub const INTERFACE: &str = "bench0";
pub const ADDRESS: [u8; 4] = [10, 99, 0, 1];

/// Not every kernel has dummy interfaces; a bridge without ports does as well.
const SET_UP: &str = "ip link set lo up && { ip link add bench0 type dummy 2>&- || ip link add bench0 type bridge; } && \
                      ip addr add 10.99.0.1/24 dev bench0 && ip link set bench0 up";

/// How this user may make one: as root, or as root of a user namespace.
fn unshare() -> Option<Command> {
    [&["--net"][..], &["--map-root-user", "--net"]].into_iter().find_map(|flags| {
        let command = || {
            let mut command = Command::new("unshare");
            command.args(flags).arg("sh").arg("-c");
            command
        };
        let tried = command().arg(SET_UP).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success()).then(command)
    })
}

/// Runs this program again in a namespace, with `--inside` before its arguments; `None` where that is not permitted.
///
/// Errors: the program cannot be started.
pub fn run_inside() -> io::Result<Option<ExitStatus>> {
    let Some(mut command) = unshare() else { return Ok(None) };
    let own = std::env::current_exe()?;
    command
        .arg(format!("{SET_UP} && exec \"$@\""))
        .arg("sh")
        .arg(own)
        .arg("--inside")
        .args(std::env::args_os().skip(1));
    command.status().map(Some)
}
