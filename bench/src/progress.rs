//! The line on stderr that shows how far the run has come. On a terminal it is rewritten in place; elsewhere only rows show.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};

pub struct Progress {
    terminal: bool,
    row: RefCell<String>,
    shown: RefCell<String>,
}

impl Progress {
    pub fn new() -> Self {
        Progress { terminal: std::io::stderr().is_terminal(), row: RefCell::default(), shown: RefCell::default() }
    }

    /// The row that begins.
    pub fn begin(&self, number: usize, of: usize, what: &str) {
        let filled = (number - 1) * 20 / of.max(1);
        *self.row.borrow_mut() = format!("[{}{}] {number}/{of} {what}", "#".repeat(filled), ".".repeat(20 - filled));
        if !self.terminal {
            eprintln!("{}", self.row.borrow());
        }
    }

    /// What is being done about it.
    pub fn say(&self, what: &str) {
        let line = format!("{}: {what}", self.row.borrow());
        if self.terminal && *self.shown.borrow() != line {
            let mut stderr = std::io::stderr();
            // A terminal that is gone needs no progress.
            let _ = write!(stderr, "\r\x1b[K{line}");
            let _ = stderr.flush();
            *self.shown.borrow_mut() = line;
        }
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{text}");
    }
}
