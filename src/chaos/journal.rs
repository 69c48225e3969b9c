//! The undo journal: what must be undone is on the disk before anything is done.
//!
//! One JSON object a line, synced; `squall heal` and the keeper need nothing else. The words of a hook may
//! hold secrets: they lie beside the journal, for its owner alone, and only as long as they are needed.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::service::process::{ProcessId, State};

/// How one thing is undone, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// The keeper heals its links when squall ends; without a keeper a link carries nothing.
    Link { link: String, fault: String },
    /// SIGCONT to the process and all that belongs to it.
    Continue {
        service: String,
        process: ProcessId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<String>,
    },
    /// A service that squall started ends with it.
    End { service: String, process: ProcessId },
    /// Everything ends that carries this mark in its environment. Written before the first of it starts.
    Marked {
        what: String,
        mark: String,
        /// The hook whose `run` it is: that must end before the hook is undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hook: Option<String>,
    },
    /// Run `undo` in squall's folder; `check`, if there is one, then must say that the fault is gone (exit other
    /// than 0).
    Exec {
        fault: String,
        undo: Vec<String>,
        check: Vec<String>,
        #[serde(default)]
        folder: PathBuf,
    },
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
#[derive(Default)]
pub struct Journal {
    file: RefCell<Option<File>>,
    path: PathBuf,
    next: Cell<u64>,
    /// The last line may have no end.
    torn: Cell<bool>,
}

impl Journal {
    pub fn none() -> Journal {
        Journal::default()
    }

    /// # Errors
    /// The file cannot be made or synced.
    pub fn create(path: &Path) -> io::Result<Journal> {
        let file = File::options().create_new(true).append(true).open(path)?;
        // Where files cannot be locked, its first line must do.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let journal = Journal { file: RefCell::new(Some(file)), path: path.to_owned(), ..Journal::default() };
        if let Some(squall) = ProcessId::of(std::process::id() as i32)? {
            journal.append(&Entry::Run { squall })?;
        }
        Ok(journal)
    }

    /// Goes on with an existing journal, to close what is open in it.
    pub fn reopen(path: &Path) -> io::Result<Journal> {
        let file = RefCell::new(Some(File::options().append(true).open(path)?));
        Ok(Journal { file, path: path.to_owned(), next: Cell::new(u64::MAX), torn: Cell::new(true) })
    }

    /// Writes an entry and waits until it is on the disk.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        self.write(entry)?;
        self.file.borrow().as_ref().map_or(Ok(()), File::sync_data)
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut file = self.file.borrow_mut();
        let Some(file) = file.as_mut() else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // A torn line must not swallow what is written after it.
        if self.torn.replace(true) {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        self.torn.set(false);
        Ok(())
    }

    /// Opens an entry; returns its id.
    pub fn open(&self, undo: Undo) -> io::Result<u64> {
        let id = self.next.replace(self.next.get() + 1);
        let undo = match undo {
            Undo::Exec { fault, undo, check, folder } if self.file.borrow().is_some() => {
                self.keep(id, &Words { undo, check })?;
                Undo::Exec { fault, undo: Vec::new(), check: Vec::new(), folder }
            }
            undo => undo,
        };
        self.append(&Entry::Open { id, undo })?;
        Ok(id)
    }

    fn keep(&self, id: u64, words: &Words) -> io::Result<()> {
        let path = words_of(&self.path, id);
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(words)?)?;
        file.sync_all()
    }

    /// The process of this entry is gone. Nobody waits for the disk: with the machine goes every process.
    pub fn is_over(&self, id: u64) -> io::Result<()> {
        self.write(&Entry::Closed { id })
    }

    pub fn close(&self, id: u64) -> io::Result<()> {
        self.append(&Entry::Closed { id })?;
        if self.file.borrow().is_some() {
            // Most entries have none.
            let _ = fs::remove_file(words_of(&self.path, id));
        }
        Ok(())
    }
}

/// What a hook says.
#[derive(Serialize, Deserialize)]
struct Words {
    undo: Vec<String>,
    check: Vec<String>,
}

fn words_of(journal: &Path, id: u64) -> PathBuf {
    journal.with_file_name(format!("hook-{id}.json"))
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Contents {
    pub squall: Option<ProcessId>,
    pub keeper: Option<ProcessId>,
    /// Entries that are not closed, the latest first: undone in reverse.
    pub open: Vec<(u64, Undo)>,
}

/// Whether a run goes on whose journal this is, also one in a container that shares the folder: its pid says nothing here.
pub fn goes_on(path: &Path, contents: &Contents) -> bool {
    let squall = contents.squall.as_ref();
    let held = |file: File| flock(file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    squall.is_some_and(|squall| squall.state() != State::Gone) || File::open(path).is_ok_and(held)
}

/// Reads a journal; a torn line was never acted on and is left out.
pub fn read(path: &Path) -> io::Result<Contents> {
    let mut contents = Contents::default();
    for line in fs::read(path)?.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Entry::Run { squall }) => contents.squall = Some(squall),
            Ok(Entry::Keeper { process }) => contents.keeper = Some(process),
            Ok(Entry::Open { id, undo }) => contents.open.insert(0, (id, with_words(path, id, undo))),
            Ok(Entry::Closed { id }) => contents.open.retain(|(open, _)| *open != id),
            Err(_) => {}
        }
    }
    Ok(contents)
}

/// A hook with its words, where they lie beside the journal.
fn with_words(journal: &Path, id: u64, undo: Undo) -> Undo {
    match undo {
        Undo::Exec { fault, undo, check, folder } if undo.is_empty() => {
            let kept = fs::read(words_of(journal, id)).ok();
            let words = kept.and_then(|text| serde_json::from_slice::<Words>(&text).ok());
            let Words { undo, check } = words.unwrap_or(Words { undo, check });
            Undo::Exec { fault, undo, check, folder }
        }
        undo => undo,
    }
}
