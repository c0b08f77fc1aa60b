//! Log files that follow each other: `<directory>/<date>T<time>.<count>.pid<pid>.log`.
//!
//! Records come in, one a write; files go out. A new file begins when the next record would outgrow this one, and at
//! local midnight. The oldest files of any earlier process are deleted so that all together stay within the bound. A
//! record that no file takes goes to the console instead.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::zone::LocalTime;

/// Bounds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub file: u64,
    /// All files together, the open one counted as if it were full.
    pub total: u64,
}

impl Limits {
    /// From the size of a file in MiB and the number of files. Neither may be less than one.
    pub fn new(file_size: u64, number_of_files: u64) -> Self {
        let file = file_size.max(1).saturating_mul(1024 * 1024);
        Self { file, total: file.saturating_mul(number_of_files.max(1)) }
    }
}

/// The open file and the memory of those before it.
pub struct RotatingFile<C> {
    directory: PathBuf,
    pid: u32,
    limits: Limits,
    clock: C,
    /// How many files this process has begun.
    count: u32,
    open: Open,
    /// Finished files with their sizes, oldest first.
    past: VecDeque<(PathBuf, u64)>,
    console: Box<dyn Write + Send>,
    has_complained: bool,
}

struct Open {
    path: PathBuf,
    file: File,
    written: u64,
    date: (i32, u8, u8),
}

impl<C: Fn() -> LocalTime> RotatingFile<C> {
    /// Makes the directory if need be, counts the files in it, and opens the first file of this process.
    pub fn create(directory: &Path, pid: u32, limits: Limits, clock: C) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let past = earlier_files(directory)?;
        let mut count = 0;
        let open = begin(directory, pid, &mut count, clock())?;
        let console = Box::new(io::stderr());
        let directory = directory.to_owned();
        let mut file = Self { directory, pid, limits, clock, count, open, past, console, has_complained: false };
        file.delete_oldest();
        Ok(file)
    }

    fn write_record(&mut self, record: &[u8]) -> io::Result<()> {
        let now = (self.clock)();
        let size = record.len() as u64;
        let is_full = self.open.written > 0 && self.open.written.saturating_add(size) > self.limits.file;
        if is_full || self.open.date != now.date {
            self.rotate(now)?;
        }
        let written = match self.open.file.write_all(record) {
            // A full disk may have room again once an old log has gone.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.delete_one() => {
                self.open.file.write_all(record)
            }
            other => other,
        };
        self.open.written += size;
        written
    }

    fn rotate(&mut self, now: LocalTime) -> io::Result<()> {
        let next = begin(&self.directory, self.pid, &mut self.count, now)?;
        let done = std::mem::replace(&mut self.open, next);
        self.past.push_back((done.path, done.written));
        self.delete_oldest();
        Ok(())
    }

    fn delete_oldest(&mut self) {
        let room = self.limits.total.saturating_sub(self.limits.file);
        let mut kept: u64 = self.past.iter().map(|(_, size)| *size).sum();
        while kept > room {
            kept -= self.past.front().map_or(kept, |(_, size)| *size);
            self.delete_one();
        }
    }

    /// Forgets the oldest file even if it does not go: it must not be tried for ever.
    fn delete_one(&mut self) -> bool {
        self.past.pop_front().is_some_and(|(path, _)| fs::remove_file(path).is_ok())
    }
}

impl<C: Fn() -> LocalTime> Write for RotatingFile<C> {
    /// Takes one whole record. Never fails: the console takes what the files do not.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.write_record(record) {
            if !self.has_complained {
                self.has_complained = true;
                writeln!(self.console, "Boost.Log runtime error: {error}")?;
            }
            self.console.write_all(record)?;
        }
        Ok(record.len())
    }

    /// Nothing is held back: each record is with the system when its write returns.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the next file whose name is free.
fn begin(directory: &Path, pid: u32, count: &mut u32, now: LocalTime) -> io::Result<Open> {
    let ((year, month, day), (hour, minute, second)) = (now.date, now.time);
    loop {
        let name = format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}{minute:02}{second:02}.{:05}.pid{pid}.log",
            *count % 100_000
        );
        *count = count.wrapping_add(1);
        let path = directory.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok(Open { path, file, written: 0, date: now.date }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && *count < 100_000 => {}
            Err(error) => return Err(error),
        }
    }
}

/// The logs that are there already, oldest first: their names sort by time.
fn earlier_files(directory: &Path) -> io::Result<VecDeque<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_log_name(&entry.file_name().to_string_lossy())
            && let Ok(about) = entry.metadata()
            && about.is_file()
        {
            found.push((entry.path(), about.len()));
        }
    }
    found.sort();
    Ok(found.into())
}

/// Only what this room has named may be deleted by it.
fn is_log_name(name: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.split('.');
    let (Some(time), Some(count), Some(pid), Some("log"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T000000" && count.len() == 5 && digits(count) && pid.strip_prefix("pid").is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("rivero-log-{}-{number}-{name}", std::process::id()));
            let _gone = fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("the directory");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).expect("a log")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    /// A clock that the test sets: day of June 2018 and second of the minute.
    #[derive(Clone)]
    struct Hands(Arc<Mutex<(u8, u8)>>);

    impl Hands {
        fn new(day: u8, second: u8) -> Self {
            Self(Arc::new(Mutex::new((day, second))))
        }

        fn set(&self, day: u8, second: u8) {
            *self.0.lock().expect("no panic while locked") = (day, second);
        }

        fn clock(&self) -> impl Fn() -> LocalTime + use<> {
            let hands = self.clone();
            move || {
                let (day, second) = *hands.0.lock().expect("no panic while locked");
                LocalTime { date: (2018, 6, day), time: (19, 44, second), micros: 0 }
            }
        }
    }

    const LIMITS: Limits = Limits { file: 10, total: 30 };

    #[test]
    fn files_are_named_as_kurento_names_them_and_rotate_by_size() {
        let scratch = Scratch::new("size");
        let hands = Hands::new(14, 26);
        let mut log = RotatingFile::create(&scratch.0.join("deep"), 13006, LIMITS, hands.clock()).expect("opens");
        drop(log);
        log = RotatingFile::create(&scratch.0, 13006, LIMITS, hands.clock()).expect("opens");
        log.write_all(b"12345").expect("writes");
        log.write_all(b"67890").expect("writes");
        hands.set(14, 27);
        log.write_all(b"next").expect("writes");
        // Records are not buffered: they can be read while the file is open.
        assert_eq!(scratch.read("2018-06-14T194426.00000.pid13006.log"), "1234567890");
        assert_eq!(scratch.read("2018-06-14T194427.00001.pid13006.log"), "next");
    }

    #[test]
    fn a_record_larger_than_a_file_stays_whole() {
        let scratch = Scratch::new("large");
        let mut log = RotatingFile::create(&scratch.0, 1, LIMITS, Hands::new(14, 0).clock()).expect("opens");
        log.write_all(b"a record of many bytes").expect("writes");
        assert_eq!(scratch.names().len(), 1);
        assert_eq!(scratch.read(&scratch.names()[0]), "a record of many bytes");
    }

    #[test]
    fn a_new_day_begins_a_new_file() {
        let scratch = Scratch::new("midnight");
        let hands = Hands::new(14, 59);
        let mut log = RotatingFile::create(&scratch.0, 1, LIMITS, hands.clock()).expect("opens");
        log.write_all(b"old").expect("writes");
        hands.set(15, 0);
        log.write_all(b"new").expect("writes");
        assert_eq!(scratch.names(), ["2018-06-14T194459.00000.pid1.log", "2018-06-15T194400.00001.pid1.log"]);
        assert_eq!(scratch.read("2018-06-15T194400.00001.pid1.log"), "new");
    }

    #[test]
    fn the_oldest_go_first_and_only_logs_go() {
        let scratch = Scratch::new("total");
        fs::create_dir_all(&scratch.0).expect("a directory");
        let earlier = "2018-06-13T000000.00007.pid99.log";
        fs::write(scratch.0.join(earlier), "123456789").expect("a file");
        fs::write(scratch.0.join("errors.log"), "a long text of somebody else").expect("a file");
        let hands = Hands::new(14, 0);
        let mut log = RotatingFile::create(&scratch.0, 1, LIMITS, hands.clock()).expect("opens");
        assert!(scratch.names().contains(&earlier.to_owned()));
        for second in 1..=4 {
            hands.set(14, second);
            log.write_all(b"1234567890").expect("writes");
        }
        let names = scratch.names();
        let expected = [
            "2018-06-14T194402.00001.pid1.log",
            "2018-06-14T194403.00002.pid1.log",
            "2018-06-14T194404.00003.pid1.log",
            "errors.log",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_name_that_is_taken_is_not_written_over() {
        let scratch = Scratch::new("taken");
        let hands = Hands::new(14, 0);
        let first = RotatingFile::create(&scratch.0, 1, LIMITS, hands.clock()).expect("opens");
        let second = RotatingFile::create(&scratch.0, 1, LIMITS, hands.clock()).expect("opens");
        assert_ne!(first.open.path, second.open.path);
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic while locked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_no_file_takes_goes_to_the_console() {
        let scratch = Scratch::new("gone");
        let hands = Hands::new(14, 0);
        let mut log = RotatingFile::create(&scratch.0, 1, LIMITS, hands.clock()).expect("opens");
        let kept = Kept::default();
        log.console = Box::new(kept.clone());
        fs::remove_dir_all(&scratch.0).expect("removed");
        hands.set(15, 0);
        log.write_all(b"one\n").expect("the console takes it");
        log.write_all(b"two\n").expect("the console takes it");
        let text = String::from_utf8(kept.0.lock().expect("no panic while locked").clone()).expect("UTF-8");
        assert!(text.starts_with("Boost.Log runtime error: "), "{text}");
        assert!(text.ends_with("\none\ntwo\n"), "{text}");
    }

    #[test]
    fn names_are_recognised_strictly() {
        assert!(is_log_name("2018-06-14T194426.00000.pid13006.log"));
        for name in [
            "errors.log",
            "2018-06-14T194426.00000.pid13006.log.gz",
            "2018-06-14T194426.0000.pid1.log",
            "2018-06-14T194426.00000.pid.log",
            "2018-06-14 194426.00000.pid1.log",
        ] {
            assert!(!is_log_name(name), "{name}");
        }
    }

    #[test]
    fn limits_are_in_mebibytes_and_at_least_one_file() {
        assert_eq!(Limits::new(100, 10), Limits { file: 104_857_600, total: 1_048_576_000 });
        assert_eq!(Limits::new(0, 0), Limits { file: 1_048_576, total: 1_048_576 });
    }
}
