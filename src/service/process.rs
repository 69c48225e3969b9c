//! Operating-system processes by identity: a pid alone may have been given to somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// A process that can be recognised later: pid, start time (clock ticks since boot) and boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    pub start: u64,
    pub boot: String,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Stopped,
    /// Gone, or ended and not yet collected by its parent.
    Gone,
}

impl ProcessId {
    /// The process that has this pid now; none if there is none.
    pub fn of(pid: i32) -> Option<ProcessId> {
        let (_, start) = stat(pid)?;
        Some(ProcessId { pid, start, boot: boot() })
    }

    pub fn state(&self) -> State {
        match stat(self.pid) {
            Some((letter, start)) if start == self.start && self.boot == boot() => meaning(letter),
            _ => State::Gone,
        }
    }

    /// Sends a signal, if it is still the same process.
    ///
    /// # Errors
    /// In words: gone, or not permitted.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        if self.state() == State::Gone {
            return Err(format!("process {} is gone", self.pid));
        }
        let pid = Pid::from_raw(self.pid).ok_or("0 is no process")?;
        kill_process(pid, signal).map_err(|e| format!("process {} cannot be signalled: {e}", self.pid))
    }
}

/// A process group that ends when this is dropped: with the task that looks after it, when squall panics,
/// when it is time to leave. Its leader must not have been collected yet.
#[must_use]
pub struct Group(Option<Pid>);

impl Group {
    /// The group of a child that was started as its leader.
    pub fn led_by(pid: i32) -> Group {
        Group(Pid::from_raw(pid))
    }

    /// Its leader has ended by itself: its number may soon be somebody else's.
    pub fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // One that has gone meanwhile needs nothing.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The variable by which everything is found again that a program of the user's has started, also what
/// left its process group; and the program itself, if squall had no time to write its pid down.
pub const MARK: &str = "SQUALL_MARK";

/// A mark that nothing else on this machine has, until it is started anew.
pub fn new_mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id() as i32;
    let start = stat(pid).map_or(0, |(_, start)| start);
    format!("{pid}-{start}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Every process that carries the mark. Programs that write over their environment are not found.
pub fn marked(mark: &str) -> Vec<ProcessId> {
    pids().filter(|pid| carries(*pid, mark)).filter_map(ProcessId::of).collect()
}

/// Whether a process has the mark in its environment.
pub fn carries(pid: i32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let value =
        |entry: &[u8]| Some(entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")? == mark.as_bytes());
    environment.split(|byte| *byte == 0).any(|entry| value(entry) == Some(true))
}

/// What the system says of one process.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub state: State,
    pub parent: i32,
    pub group: i32,
    /// Clock ticks since boot.
    pub start: u64,
}

/// Every process of this machine, by pid.
pub fn table() -> BTreeMap<i32, Entry> {
    let entry = |pid: i32| {
        let fields = fields(pid)?;
        let number = |n: usize| fields.get(n)?.parse().ok();
        let state = meaning(fields.first()?.chars().next()?);
        Some((
            pid,
            Entry { state, parent: number(1)?, group: number(2)?, start: fields.get(19)?.parse().ok()? },
        ))
    };
    pids().filter_map(entry).collect()
}

/// Every process of this machine.
pub fn pids() -> impl Iterator<Item = i32> {
    let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
    listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The state that a letter of proc(5) stands for.
fn meaning(letter: char) -> State {
    match letter {
        'T' | 't' => State::Stopped,
        'Z' | 'X' => State::Gone,
        _ => State::Running,
    }
}

/// Which boot of the machine this is.
pub fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// State letter and start time (fields 3 and 22).
fn stat(pid: i32) -> Option<(char, u64)> {
    let fields = fields(pid)?;
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// `/proc/PID/stat` from its third field on (proc(5)). The command's name may hold spaces and brackets, so
/// fields count from its last closing bracket.
fn fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::patience::wait_until;
    use super::*;

    #[test]
    fn a_process_is_recognised_stopped_continued_and_gone() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap();
        let wait_for = |state| wait_until("its state to change", || process.state() == state);
        process.signal(Signal::STOP).unwrap();
        wait_for(State::Stopped);
        process.signal(Signal::CONT).unwrap();
        wait_for(State::Running);
        let other = ProcessId { start: process.start + 1, ..process.clone() };
        assert_eq!(other.state(), State::Gone, "the same pid, another process");
        assert!(other.signal(Signal::KILL).is_err());
        process.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(process.state(), State::Gone);
    }
}
