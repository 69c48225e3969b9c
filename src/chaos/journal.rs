//! The undo journal: what must be undone is on the disk before anything is done.
//!
//! One JSON object a line, synced; `squall heal` and the keeper need nothing else.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::service::process::ProcessId;

/// How one thing is undone, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// The keeper heals its links when squall ends; without a keeper a link carries nothing.
    Link { link: String, fault: String },
    /// SIGCONT.
    Continue { service: String, process: ProcessId },
    /// A service that squall started ends with it.
    End { service: String, process: ProcessId },
    /// Run `undo`; `check` then must say that the fault is gone (exit other than 0).
    Exec { fault: String, undo: Vec<String>, check: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// First line: whose journal it is.
    Run {
        squall: ProcessId,
    },
    Keeper {
        process: ProcessId,
    },
    Open {
        id: u64,
        undo: Undo,
    },
    Closed {
        id: u64,
    },
}

/// A journal being written. In virtual time there is nothing outside to undo, and none is kept.
pub struct Journal {
    file: RefCell<Option<File>>,
    next: Cell<u64>,
}

impl Journal {
    pub fn none() -> Journal {
        Journal { file: RefCell::new(None), next: Cell::new(0) }
    }

    /// # Errors
    /// The file cannot be made or synced.
    pub fn create(path: &Path) -> io::Result<Journal> {
        let file = File::options().create_new(true).append(true).open(path)?;
        let journal = Journal { file: RefCell::new(Some(file)), next: Cell::new(0) };
        if let Some(squall) = ProcessId::of(std::process::id() as i32) {
            journal.append(&Entry::Run { squall })?;
        }
        Ok(journal)
    }

    /// Goes on with an existing journal, to close what is open in it.
    pub fn reopen(path: &Path) -> io::Result<Journal> {
        let mut file = File::options().append(true).open(path)?;
        // A torn last line must not swallow what is written next.
        file.write_all(b"\n")?;
        Ok(Journal { file: RefCell::new(Some(file)), next: Cell::new(u64::MAX) })
    }

    /// Writes an entry and waits until it is on the disk.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut file = self.file.borrow_mut();
        let Some(file) = file.as_mut() else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Opens an entry; returns its id.
    pub fn open(&self, undo: Undo) -> io::Result<u64> {
        let id = self.next.replace(self.next.get() + 1);
        self.append(&Entry::Open { id, undo })?;
        Ok(id)
    }

    pub fn close(&self, id: u64) -> io::Result<()> {
        self.append(&Entry::Closed { id })
    }
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Contents {
    pub squall: Option<ProcessId>,
    pub keeper: Option<ProcessId>,
    /// Entries that are not closed, the latest first: undone in reverse.
    pub open: Vec<(u64, Undo)>,
}

/// Reads a journal; a torn line was never acted on and is left out.
pub fn read(path: &Path) -> io::Result<Contents> {
    let mut contents = Contents::default();
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str(&line?) {
            Ok(Entry::Run { squall }) => contents.squall = Some(squall),
            Ok(Entry::Keeper { process }) => contents.keeper = Some(process),
            Ok(Entry::Open { id, undo }) => contents.open.insert(0, (id, undo)),
            Ok(Entry::Closed { id }) => contents.open.retain(|(open, _)| *open != id),
            Err(_) => {}
        }
    }
    Ok(contents)
}
