//! Where files may lie. Enters: a path from a client. Leaves: an open file below one of the directories that were allowed, or
//! nothing. Links are followed, but not out of there; whoever moves directories and links about meanwhile gains nothing, as the way
//! from the allowed directory to the file is gone step by step, without following any link. It must never know what files are for.

use super::FilmError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Directories that files must lie below.
#[derive(Clone, Debug, Default)]
pub struct Roots(Option<Arc<[PathBuf]>>);

impl Roots {
    /// Files may lie wherever the system allows.
    pub fn anywhere() -> Self {
        Roots(None)
    }

    /// Below these directories only, links resolved. Without any, nowhere.
    pub fn below(directories: Vec<PathBuf>) -> Self {
        Roots(Some(directories.into()))
    }

    /// Opens a regular file for reading; what blocks on opening (a pipe) is refused. Relative paths begin at the first root.
    pub(super) fn open(&self, path: &Path) -> Result<File, FilmError> {
        // What is no regular file shall not keep anybody waiting.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match &self.0 {
            None => {
                // Some devices do something on being opened.
                regular(&path.metadata()?)?;
                openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from)?
            }
            Some(roots) => {
                let path = absolute(path, roots)?.canonicalize()?;
                let (directory, name) = walk(roots, &path, false)?;
                regular(&path.metadata()?)?;
                openat(&directory, &name, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(told)?
            }
        };
        let file = File::from(file);
        regular(&file.metadata()?)?;
        Ok(file)
    }

    /// Creates a file, or empties the one that is there; the directories that lead to it are made, below a root only.
    pub(super) fn create(&self, path: &Path) -> Result<File, FilmError> {
        let Some(roots) = &self.0 else {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            return Ok(File::create(path)?);
        };
        let (directory, name) = walk(roots, &resolve(&absolute(path, roots)?)?, true)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        Ok(File::from(openat(&directory, &name, flags, mode).map_err(told)?))
    }
}

fn regular(metadata: &Metadata) -> Result<(), FilmError> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(FilmError::Unsupported("what is not a regular file".to_owned())),
    }
}

fn absolute(path: &Path, roots: &[PathBuf]) -> Result<PathBuf, FilmError> {
    Ok(roots.first().ok_or(FilmError::Outside)?.join(path))
}

/// Without links and steps back, as far as the path exists; what does not must have none.
fn resolve(path: &Path) -> Result<PathBuf, FilmError> {
    let mut missing: Vec<&OsStr> = Vec::new();
    let mut here = path;
    loop {
        match here.canonicalize() {
            Ok(there) => return Ok(missing.into_iter().rev().fold(there, |path, name| path.join(name))),
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why.into()),
            Err(_) => {}
        }
        missing.push(here.file_name().ok_or(FilmError::Outside)?);
        here = here.parent().ok_or(FilmError::Outside)?;
    }
}

/// The directory of what lies at `path`, which has been resolved, and its name there.
fn walk(roots: &[PathBuf], path: &Path, make: bool) -> Result<(OwnedFd, OsString), FilmError> {
    let below = |root: &PathBuf| {
        let root = root.canonicalize().ok()?;
        let rest = path.strip_prefix(&root).ok()?.to_owned();
        Some((root, rest))
    };
    let (root, rest) = roots.iter().find_map(below).ok_or(FilmError::Outside)?;
    let mut names = Vec::new();
    for component in rest.components() {
        let Component::Normal(name) = component else { return Err(FilmError::Outside) };
        names.push(name);
    }
    let name = names.pop().ok_or(FilmError::Outside)?;
    let mut directory = openat(CWD, &root, DIRECTORY, Mode::empty()).map_err(told)?;
    for step in names {
        if make && statat(&directory, step, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT) {
            match mkdirat(&directory, step, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(why) => return Err(told(why)),
            }
        }
        directory = openat(&directory, step, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(told)?;
    }
    Ok((directory, name.to_owned()))
}

/// A link that appeared since the path was resolved leads nowhere.
fn told(why: Errno) -> FilmError {
    if why == Errno::LOOP { FilmError::Outside } else { io::Error::from(why).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{RenameFlags, renameat_with};
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;

    /// `in/` is the root, `out/` is not; each has `f`.
    fn place() -> (tempfile::TempDir, PathBuf, PathBuf, Roots) {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        for directory in [&inside, &outside] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("f"), directory.to_str().unwrap()).unwrap();
        }
        // Another root that is not there does no harm, nor one whose name begins as another does.
        let roots = Roots::below(vec![inside.clone(), place.path().join("none"), place.path().join("ou")]);
        (place, inside, outside, roots)
    }

    #[test]
    fn what_is_read_lies_inside_however_it_is_called() {
        let (_place, inside, outside, roots) = place();
        symlink(inside.join("f"), inside.join("absolute")).unwrap();
        symlink("../out/f", inside.join("leads-out")).unwrap();
        symlink(&outside, inside.join("directory")).unwrap();
        std::fs::create_dir(inside.join("d")).unwrap();
        let back_in = outside.join("../in/f");
        for good in ["f", "absolute", "d/../f", back_in.to_str().unwrap()] {
            let mut text = String::new();
            roots.open(Path::new(good)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(Path::new(&text), inside, "{good}");
        }
        for bad in ["leads-out", "directory/f", "../out/f", outside.join("f").to_str().unwrap(), "/etc/hostname", "."] {
            let opened = roots.open(Path::new(bad));
            assert!(matches!(opened, Err(FilmError::Outside)), "{bad}: {opened:?}");
        }
        assert!(matches!(roots.open(Path::new("none")), Err(FilmError::NotFound)));
        assert!(matches!(roots.open(Path::new("d")), Err(FilmError::Unsupported(_))));
        assert!(matches!(Roots::below(Vec::new()).open(&inside.join("f")), Err(FilmError::Outside)));
        assert!(Roots::anywhere().open(&outside.join("f")).is_ok());
    }

    #[test]
    fn what_is_written_lies_inside_with_its_directories() {
        let (place, inside, outside, roots) = place();
        symlink(&outside, inside.join("directory")).unwrap();
        symlink(outside.join("new"), inside.join("dangling")).unwrap();
        symlink(outside.join("f"), inside.join("leads-out")).unwrap();
        symlink(inside.join("deep"), inside.join("absolute")).unwrap();
        for good in ["deep/er/a", "f", "absolute/b", inside.join("deep/c").to_str().unwrap()] {
            roots.create(Path::new(good)).unwrap().write_all(b"new").unwrap();
            assert_eq!(std::fs::read(inside.join(good)).unwrap(), b"new", "{good}");
        }
        let elsewhere = place.path().join("other/a");
        for bad in [
            "directory/a",
            "directory/deep/a",
            "dangling",
            "leads-out",
            "../out/a",
            "../other/a",
            "nothing/../../out/a",
            outside.join("a").to_str().unwrap(),
            elsewhere.to_str().unwrap(),
        ] {
            let created = roots.create(Path::new(bad));
            assert!(matches!(created, Err(FilmError::Outside)), "{bad}: {created:?}");
        }
        let names =
            |path: &Path| -> Vec<_> { path.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect() };
        assert_eq!(names(&outside), ["f"], "nothing was made outside");
        assert!(!place.path().join("other").exists());
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), outside.to_str().unwrap().as_bytes());
    }

    /// A thread turns a directory into a link out of the root and back, while another writes through it.
    #[test]
    fn a_directory_that_becomes_a_link_meanwhile_leads_nowhere() {
        let (place, inside, outside, roots) = place();
        let (way, link) = (inside.join("way"), place.path().join("link"));
        std::fs::create_dir(&way).unwrap();
        symlink(&outside, &link).unwrap();
        std::thread::scope(|scope| {
            let swaps = scope.spawn(|| {
                for _ in 0..4000 {
                    renameat_with(CWD, &way, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            while !swaps.is_finished() {
                let _ = roots.create(Path::new("way/a"));
            }
        });
        assert!(!outside.join("a").exists());
    }
}
