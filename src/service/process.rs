//! Operating-system processes by identity: a pid alone may have been given to somebody else.

use std::fs;

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
            Some((state, start)) if start == self.start && self.boot == boot() => match state {
                'T' | 't' => State::Stopped,
                'Z' | 'X' => State::Gone,
                _ => State::Running,
            },
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

    /// The same for it and everything that it started; it must lead a process group of its own, as
    /// every process does that squall starts.
    ///
    /// # Errors
    /// In words: gone, or not permitted.
    pub fn signal_group(&self, signal: Signal) -> Result<(), String> {
        if self.state() == State::Gone {
            return Err(format!("process {} is gone", self.pid));
        }
        let pid = Pid::from_raw(self.pid).ok_or("0 is no process")?;
        kill_process_group(pid, signal).map_err(|e| format!("process {} cannot be signalled: {e}", self.pid))
    }

    /// Ends what is left of its group after it has gone. Only for whoever has just seen it go: its
    /// number is not given to anybody else while the group has members, but later it may be.
    pub fn end_rest(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // Most often nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// State letter and start time from `/proc/PID/stat` (proc(5), fields 3 and 22). The command's name
/// may hold spaces and brackets, so fields count from its last closing bracket.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_recognised_stopped_continued_and_gone() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap();
        let wait_for = |state| while process.state() != state {};
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
