//! How many threads and files this process may use, and whether it is near the end of them.
//!
//! What enters: `/proc/self`, and the fraction of the system's limits that the configuration allows. What leaves: a refusal
//! for `create`. What it must never know: what needs the threads and files.

use crate::error::Error;
use crate::objects::lock;
use std::fs;
use std::sync::Mutex;
use std::time::Duration;

/// `/proc` is read at most this often.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// A number of threads and of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub threads: u64,
    pub files: u64,
}

/// Where the numbers come from.
pub trait Probe: Send + Sync {
    /// What the system allows; `u64::MAX` where it sets no limit.
    fn allowed(&self) -> Count;
    fn used(&self) -> Count;
}

/// The running process, by `/proc`. What cannot be read counts as unlimited or unused.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisProcess;

impl Probe for ThisProcess {
    fn allowed(&self) -> Count {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let system = fs::read_to_string("/proc/sys/kernel/threads-max").ok();
        let system = system.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
        Count {
            threads: soft_limit(&limits, "Max processes").min(system),
            files: soft_limit(&limits, "Max open files"),
        }
    }

    fn used(&self) -> Count {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Count {
            threads: status_field(&status, "Threads:").unwrap_or(0),
            files: u64::try_from(files).unwrap_or(u64::MAX),
        }
    }
}

/// The first number behind a row's name in `/proc/self/limits`.
fn soft_limit(limits: &str, row: &str) -> u64 {
    let rest = limits.lines().find_map(|line| line.strip_prefix(row));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
}

/// The number behind a row's name in `/proc/self/status`; memory rows are in KiB.
pub(crate) fn status_field(status: &str, row: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(row))?.split_whitespace().next()?.parse().ok()
}

pub struct Limits {
    probe: Box<dyn Probe>,
    /// What may be used before new objects are refused.
    most: Count,
    last: Mutex<Option<(Duration, Count)>>,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |n: u64| if n == u64::MAX { "unlimited".to_owned() } else { n.to_string() };
        write!(f, "{} threads, {} files", number(self.threads), number(self.files))
    }
}

impl Limits {
    /// Refuses above `fraction` (0 to 1) of what the system allows.
    pub fn new(probe: Box<dyn Probe>, fraction: f64) -> Self {
        let allowed = probe.allowed();
        Limits {
            most: Count { threads: part(allowed.threads, fraction), files: part(allowed.files, fraction) },
            probe,
            last: Mutex::new(None),
        }
    }

    /// What the system allows, for the log.
    pub fn allowed(&self) -> Count {
        self.probe.allowed()
    }

    /// # Errors
    /// [`Error::NotEnoughResources`] when the process uses too many threads or files.
    pub fn check(&self, now: Duration) -> Result<(), Error> {
        let used = self.used(now);
        for (what, used, most) in [("threads", used.threads, self.most.threads), ("files", used.files, self.most.files)]
        {
            if used > most {
                return Err(Error::NotEnoughResources(format!("Reached KMS {what} limit: {most}")));
            }
        }
        Ok(())
    }

    /// Whether more than `fraction` of what the system allows is in use.
    pub fn exceeds(&self, fraction: f64, now: Duration) -> bool {
        let (used, allowed) = (self.used(now), self.probe.allowed());
        used.threads > part(allowed.threads, fraction) || used.files > part(allowed.files, fraction)
    }

    fn used(&self, now: Duration) -> Count {
        let mut last = lock(&self.last);
        match *last {
            Some((at, used)) if now.saturating_sub(at) < FRESH_FOR => used,
            _ => {
                let used = self.probe.used();
                *last = Some((now, used));
                used
            }
        }
    }
}

fn part(limit: u64, fraction: f64) -> u64 {
    match limit {
        u64::MAX => u64::MAX,
        limit => (limit as f64 * fraction) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Fixed {
        files: Arc<AtomicU64>,
        asked: Arc<AtomicU64>,
    }

    impl Probe for Fixed {
        fn allowed(&self) -> Count {
            Count { threads: u64::MAX, files: 100 }
        }

        fn used(&self) -> Count {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Count { threads: 1000, files: self.files.load(Ordering::Relaxed) }
        }
    }

    #[test]
    fn refuses_above_the_fraction_and_looks_every_100_ms() {
        let (files, asked) = (Arc::new(AtomicU64::new(80)), Arc::new(AtomicU64::new(0)));
        let limits = Limits::new(Box::new(Fixed { files: files.clone(), asked: asked.clone() }), 0.8);
        assert_eq!(limits.check(Duration::ZERO), Ok(()));
        files.store(81, Ordering::Relaxed);
        assert_eq!(limits.check(Duration::from_millis(99)), Ok(()), "not looked at again yet");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let refused = limits.check(Duration::from_millis(100)).unwrap_err();
        assert_eq!(refused.to_string(), "Reached KMS files limit: 80");
        assert_eq!(refused.code(), 40009);
    }

    #[test]
    fn reads_the_tables_of_proc() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             unlimited            unlimited            processes \n\
                      Max open files            1024                 4096                 files     \n";
        assert_eq!(soft_limit(limits, "Max open files"), 1024);
        assert_eq!(soft_limit(limits, "Max processes"), u64::MAX);
        assert_eq!(status_field("Name:\tx\nThreads:\t7\nVmRSS:\t  812 kB\n", "VmRSS:"), Some(812));
        assert!(ThisProcess.used().threads >= 1);
    }
}
