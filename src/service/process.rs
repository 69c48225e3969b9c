//! Operating-system processes by identity: a pid alone may have been given to somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process that can be recognised later: pid, start time (clock ticks since boot) and boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// 0 of one that the system has hidden: it is unseen until it is gone.
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
    /// The system did not let squall look, or hides it: it may be anything.
    Unseen,
}

impl ProcessId {
    /// The process that has this pid now; none if there is none.
    ///
    /// # Errors
    /// The system does not let squall look.
    pub fn of(pid: i32) -> io::Result<Option<ProcessId>> {
        let start = match stat(pid)? {
            Some((_, start)) => start,
            None if is_there(pid) => 0,
            None => return Ok(None),
        };
        Ok(Some(ProcessId { pid, start, boot: boot()? }))
    }

    pub fn state(&self) -> State {
        self.as_seen(stat(self.pid), is_there(self.pid))
    }

    fn as_seen(&self, stat: io::Result<Option<(State, u64)>>, is_there: bool) -> State {
        match (stat, boot()) {
            (Ok(None), Ok(boot)) if is_there && boot == self.boot => State::Unseen,
            (Ok(None), _) => State::Gone,
            (Ok(Some((state, start))), Ok(boot)) => {
                if start == self.start && boot == self.boot {
                    state
                } else {
                    State::Gone
                }
            }
            _ => State::Unseen,
        }
    }

    /// Sends a signal, if it is still the same process.
    ///
    /// # Errors
    /// In words: gone, not to be seen, or not permitted.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        match self.state() {
            State::Gone => return Err(format!("process {} is gone", self.pid)),
            State::Unseen => return Err(format!("process {} cannot be seen in /proc", self.pid)),
            State::Running | State::Stopped => {}
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
    let start = stat(pid).ok().flatten().map_or(0, |(_, start)| start);
    format!("{pid}-{start}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Every process that carries the mark. Programs that write over their environment are not found.
///
/// # Errors
/// The system does not let squall look.
pub fn marked(mark: &str) -> io::Result<Vec<ProcessId>> {
    let mut marked = Vec::new();
    for pid in pids()? {
        if carries(pid, mark)? {
            marked.extend(ProcessId::of(pid)?);
        }
    }
    Ok(marked)
}

/// Whether a process has the mark in its environment.
///
/// # Errors
/// The system does not let squall look.
pub fn carries(pid: i32, mark: &str) -> io::Result<bool> {
    let mut environment = environ(&format!("/proc/{pid}"))?;
    if environment.is_empty()
        && let Some(thread) = thread_that_is_left(pid)?
    {
        environment = environ(&thread)?;
    }
    let value =
        |entry: &[u8]| Some(entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")? == mark.as_bytes());
    Ok(environment.split(|byte| *byte == 0).any(|entry| value(entry) == Some(true)))
}

fn environ(of: &str) -> io::Result<Vec<u8>> {
    Ok(if_there(fs::read(format!("{of}/environ")))?.unwrap_or_default())
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
///
/// # Errors
/// The system does not let squall look: nobody knows who is there.
pub fn table() -> io::Result<BTreeMap<i32, Entry>> {
    let entry = |fields: &[String], state| {
        let number = |n: usize| fields.get(n)?.parse().ok();
        Some(Entry { state, parent: number(1)?, group: number(2)?, start: fields.get(19)?.parse().ok()? })
    };
    let mut table = BTreeMap::new();
    for pid in pids()? {
        let Some(fields) = fields(&format!("/proc/{pid}"))? else { continue };
        let state = meaning(pid, &fields)?;
        table.extend(entry(&fields, state).map(|entry| (pid, entry)));
    }
    Ok(table)
}

/// Every process of this machine.
///
/// # Errors
/// The system does not let squall look.
pub fn pids() -> io::Result<Vec<i32>> {
    let listed = fs::read_dir("/proc")?.collect::<io::Result<Vec<_>>>()?;
    Ok(listed.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// What was read of a process; none if there is no such process, or none that this user may see. Any other error (no file
/// is left to read with) says nothing of it.
fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    let gone = |error: &io::Error| {
        let hidden = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        hidden || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
    };
    match read {
        Err(error) if gone(&error) => Ok(None),
        read => read.map(Some),
    }
}

/// Whether there is such a process, be it hidden from this user (`hidepid`, a program with capabilities).
fn is_there(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The state that the letter of proc(5) stands for: of a process whose first thread has ended, that of one that is left.
fn meaning(pid: i32, its: &[String]) -> io::Result<State> {
    let state = match letter(its) {
        Some('T' | 't') => State::Stopped,
        Some('Z' | 'X') => match thread_that_is_left(pid)? {
            Some(thread) => match fields(&thread)?.as_deref().and_then(letter) {
                Some('T' | 't') => State::Stopped,
                None | Some('Z' | 'X') => State::Gone,
                Some(_) => State::Running,
            },
            None => State::Gone,
        },
        _ => State::Running,
    };
    Ok(state)
}

/// The folder of a thread that has not ended, of a process whose first one has; none of any other.
fn thread_that_is_left(pid: i32) -> io::Result<Option<String>> {
    let has_ended = |its: &[String]| matches!(letter(its), Some('Z' | 'X'));
    let first = fields(&format!("/proc/{pid}"))?;
    let threads = |its: &Vec<String>| its.get(17).and_then(|n| n.parse().ok()).unwrap_or(1_u64);
    if !first.is_some_and(|its| has_ended(&its) && threads(&its) > 1) {
        return Ok(None);
    }
    let Some(listed) = if_there(fs::read_dir(format!("/proc/{pid}/task")))? else { return Ok(None) };
    for thread in listed {
        let Some(thread) = if_there(thread)? else { break };
        let thread = format!("/proc/{pid}/task/{}", thread.file_name().display());
        if fields(&thread)?.is_some_and(|its| !has_ended(&its)) {
            return Ok(Some(thread));
        }
    }
    Ok(None)
}

fn letter(fields: &[String]) -> Option<char> {
    fields.first()?.chars().next()
}

/// Which boot of the machine this is; empty where the system does not say.
///
/// # Errors
/// The system does not let squall look.
pub fn boot() -> io::Result<String> {
    let id = if_there(fs::read_to_string("/proc/sys/kernel/random/boot_id"))?;
    Ok(id.unwrap_or_default().trim().to_owned())
}

/// State and start time (fields 3 and 22); none of what is not there, or hidden.
fn stat(pid: i32) -> io::Result<Option<(State, u64)>> {
    let Some(fields) = fields(&format!("/proc/{pid}"))? else { return Ok(None) };
    let start = fields.get(19).and_then(|start| start.parse().ok());
    start.map(|start| Ok((meaning(pid, &fields)?, start))).transpose()
}

/// `stat` in the folder of a process or thread, from its third field on (proc(5)). The command's name may hold spaces and
/// brackets, so fields count from its last closing bracket.
fn fields(of: &str) -> io::Result<Option<Vec<String>>> {
    // A name may be no UTF-8.
    let text = if_there(fs::read(format!("{of}/stat")))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let fields = |(_, rest): (&str, &str)| rest.split_whitespace().map(str::to_owned).collect();
    Ok(text.rsplit_once(')').map(fields))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::super::family::{Census, Family};
    use super::super::patience::wait_until;
    use super::*;

    #[test]
    fn a_process_is_recognised_stopped_continued_and_gone() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap().unwrap();
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

    /// Its first thread has ended, another one waits.
    const HEADLESS: &str = "#include <pthread.h>\n#include <unistd.h>\nstatic void *wait_on(void *none) { sleep(60); return none; }\n\
        int main(void) { pthread_t other; pthread_create(&other, 0, wait_on, 0); pthread_exit(0); }\n";

    #[test]
    fn a_process_whose_first_thread_has_ended_runs() {
        let folder = std::env::temp_dir().join(format!("squall-headless-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (source, program) = (folder.join("headless.c"), folder.join("headless"));
        fs::write(&source, HEADLESS).unwrap();
        let made = Command::new("cc").arg("-pthread").arg("-o").args([&program, &source]).status().unwrap();
        assert!(made.success());
        let mark = new_mark();
        let mut child = Command::new(&program).env(MARK, &mark).spawn().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap().unwrap();
        let family = Family { leader: process.clone(), mark: Some(mark.clone()) };
        wait_until("its first thread to end", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
            stat.contains(") Z ")
        });
        let seen = (process.state(), family.census().unwrap().running, marked(&mark).unwrap());
        assert_eq!(seen, (State::Running, 1, vec![process.clone()]));
        process.signal(Signal::STOP).unwrap();
        wait_until("all of it to be stopped", || family.census() == Ok(Census { running: 0, stopped: 1 }));
        assert_eq!(process.state(), State::Stopped);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(process.state(), State::Gone);
    }

    #[test]
    fn who_is_hidden_is_not_gone() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let pid = child.id() as i32;
        let process = ProcessId::of(pid).unwrap().unwrap();
        let there = [is_there(1), is_there(pid), is_there(std::process::id() as i32)];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((there, is_there(pid)), ([true; 3], false));
        let hidden = |is_there| process.as_seen(Ok(None), is_there);
        assert_eq!((hidden(true), hidden(false)), (State::Unseen, State::Gone));
        let before = ProcessId { boot: "another".to_owned(), ..process.clone() };
        assert_eq!(before.as_seen(Ok(None), true), State::Gone, "its number is another's");
    }

    #[test]
    fn what_cannot_be_read_is_not_gone() {
        let read = |error: Errno| if_there::<()>(Err(error.into())).map_err(|e| e.raw_os_error());
        for gone in [Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM] {
            assert_eq!(read(gone), Ok(None), "{gone}");
        }
        for unseen in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert_eq!(read(unseen), Err(Some(unseen.raw_os_error())), "{unseen}");
        }
    }

    /// Runs the test below in a process of its own, whose files it may take away.
    #[test]
    fn without_a_file_to_look_with_nobody_is_taken_for_gone() {
        let test = "service::process::tests::without_a_file_to_look_with";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let said = alone.args(["--exact", test, "--ignored", "--test-threads=1"]).output().unwrap();
        let words = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success() && words.contains("1 passed"), "{words}");
    }

    #[test]
    #[ignore = "takes away the files of the process that it runs in: started by the test above"]
    fn without_a_file_to_look_with() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let process = ProcessId::of(child.id() as i32).unwrap().unwrap();
        let family = Family { leader: process.clone(), mark: None };
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        let seen = (table().is_err(), pids().is_err(), process.state(), family.census().is_err());
        let marks = (marked("1-2-3").is_err(), carries(process.pid, "1-2-3").is_err(), boot().is_err());
        let sent = (family.signal(&[State::Running], Signal::STOP).is_err(), family.end(&[]));
        setrlimit(Resource::Nofile, limit).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, (true, true, State::Unseen, true));
        assert_eq!(marks, (true, true, true));
        assert_eq!(sent, (true, false));
    }
}
