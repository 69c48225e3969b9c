//! A service as the operating system sees it: all of its processes, whatever session or group they moved to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::process::{Entry, ProcessId, State, carries, table};

/// The process that squall started, and the mark that all it has started since inherits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    pub leader: ProcessId,
    /// None for processes of the sandbox, which start nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// How many processes of a family run, and how many are stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub running: usize,
    pub stopped: usize,
}

impl Census {
    /// Nobody is left.
    pub fn is_empty(self) -> bool {
        self == Census::default()
    }
}

impl Family {
    /// Who belongs to it now: the leader with its group, what carries the mark, and all that any of these has
    /// started. What waits to be collected does not count.
    ///
    /// # Errors
    /// In words: the system does not let squall look. Nobody knows then whether any is left.
    pub fn members(&self) -> Result<Vec<(ProcessId, State)>, String> {
        self.look().map_err(|error| format!("its processes cannot be seen in /proc: {error}"))
    }

    fn look(&self) -> io::Result<Vec<(ProcessId, State)>> {
        let (table, boot) = (table()?, super::process::boot()?);
        if !table.contains_key(&self.leader.pid) && self.leader.state() == State::Unseen {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the system hides them (`hidepid`)"));
        }
        // A group outlives its leader, and while one of it is left no other process gets its number.
        let leads = table.get(&self.leader.pid).is_none_or(|e| e.start == self.leader.start);
        let leads = leads && boot == self.leader.boot;
        let marked = |pid: i32| self.mark.as_ref().map_or(Ok(false), |mark| carries(pid, mark));
        let mut first = BTreeSet::new();
        for (pid, entry) in &table {
            let its = *pid == self.leader.pid || entry.group == self.leader.pid;
            if leads && its && entry.start >= self.leader.start || marked(*pid)? {
                first.insert(*pid);
            }
        }
        let all = with_descendants(&table, first).into_iter();
        let alive = all.filter_map(|pid| Some((pid, table.get(&pid).filter(|e| e.state != State::Gone)?)));
        let process = |pid, start| ProcessId { pid, start, boot: boot.clone() };
        Ok(alive.map(|(pid, entry)| (process(pid, entry.start), entry.state)).collect())
    }

    /// # Errors
    /// In words: the system does not let squall look.
    pub fn census(&self) -> Result<Census, String> {
        let members = self.members()?;
        let count = |state| members.iter().filter(|(_, its)| *its == state).count();
        Ok(Census { running: count(State::Running), stopped: count(State::Stopped) })
    }

    /// Signals every member that is in this state now.
    ///
    /// # Errors
    /// In words: one that is still there may not be signalled, or nobody can be seen.
    pub fn signal(&self, in_state: &[State], signal: Signal) -> Result<(), String> {
        let picked = self.members()?.into_iter().filter(|(_, state)| in_state.contains(state));
        let mut failed = Ok(());
        for (process, _) in picked {
            // One that has gone meanwhile needs no signal.
            if let Err(why) = process.signal(signal)
                && process.state() != State::Gone
            {
                failed = Err(why);
            }
        }
        failed
    }

    /// SIGKILL to whoever is left of it and of `known`, who belonged to it before its leader went; whether
    /// that was nobody: who cannot be seen may be there.
    pub fn end(&self, known: &[ProcessId]) -> bool {
        let known = known.iter().filter(|process| process.state() != State::Gone).cloned();
        let mut left: Vec<ProcessId> = known.collect();
        let members = self.members();
        left.extend(members.iter().flatten().map(|(process, _)| process.clone()));
        for process in &left {
            // One that has gone meanwhile needs no signal; one that may not be signalled stays.
            let _ = process.signal(Signal::KILL);
        }
        left.is_empty() && members.is_ok()
    }
}

/// These and whatever they have started, by the parents that the table names.
fn with_descendants(table: &BTreeMap<i32, Entry>, mut all: BTreeSet<i32>) -> BTreeSet<i32> {
    loop {
        let born = table.iter().filter(|(pid, entry)| !all.contains(pid) && all.contains(&entry.parent));
        let born: Vec<i32> = born.map(|(pid, _)| *pid).collect();
        if born.is_empty() {
            return all;
        }
        all.extend(born);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::super::patience::wait_until;
    use super::super::process::{MARK, new_mark};
    use super::*;

    /// Ends what a failed test would leave: stopped processes end by nothing else.
    struct Ends(Family);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.end(&[]);
        }
    }

    #[test]
    fn a_family_has_its_group_what_left_it_and_what_lost_its_parent() {
        let mark = new_mark();
        // One in the group, one in a session of its own, and one whose parent is gone, in a session of its own.
        let script = "sleep 30 & setsid sleep 30 & (setsid sleep 30 &); wait";
        let mut leader = Command::new("sh");
        leader
            .args(["-c", script])
            .env(MARK, &mark)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut leader = leader.spawn().unwrap();
        let process = ProcessId::of(leader.id() as i32).unwrap().unwrap();
        let ends = Ends(Family { leader: process.clone(), mark: Some(mark) });
        let family = &ends.0;
        wait_until("four to run", || family.census() == Ok(Census { running: 4, stopped: 0 }));
        // One that is just being born is not in the list yet.
        wait_until("four to be stopped", || {
            family.signal(&[State::Running], Signal::STOP).unwrap();
            family.census() == Ok(Census { running: 0, stopped: 4 })
        });
        let other = ProcessId { start: process.start + 1, ..process.clone() };
        let other = Family { leader: other, mark: None };
        assert!(other.census().unwrap().is_empty(), "the same pid, another process");
        // The system itself ends stopped members of a group that has lost its leader.
        family.signal(&[State::Stopped], Signal::CONT).unwrap();
        wait_until("four to run", || family.census() == Ok(Census { running: 4, stopped: 0 }));
        process.signal(Signal::KILL).unwrap();
        leader.wait().unwrap();
        assert_eq!(family.census().unwrap().running, 3, "found without their leader");
        wait_until("all to end", || family.end(&[]));
    }

    #[test]
    fn who_wrote_over_the_mark_is_found_in_the_group_of_a_leader_that_is_gone() {
        let mark = new_mark();
        let mut leader = Command::new("sh");
        leader.args(["-c", "env -i sleep 30 & sleep 30"]).env(MARK, &mark).process_group(0);
        let mut leader = leader.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let process = ProcessId::of(leader.id() as i32).unwrap().unwrap();
        let ends = Ends(Family { leader: process.clone(), mark: Some(mark) });
        let family = &ends.0;
        wait_until("three to run", || family.census().unwrap().running == 3);
        process.signal(Signal::KILL).unwrap();
        leader.wait().unwrap();
        assert_eq!(family.census().unwrap().running, 2, "one with the mark, one without");
        let later = ProcessId { start: process.start + 1_000_000, ..process };
        let later = Family { leader: later, mark: None };
        assert!(later.census().unwrap().is_empty(), "a group that is older than its leader is another's");
        wait_until("all to end", || family.end(&[]));
    }
}
