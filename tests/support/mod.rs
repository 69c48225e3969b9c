//! What tests on real processes share: folders, processes, a server and a client of their own.
//!
//! Every process that a test starts inherits a mark in its environment, so that all of its descendants
//! are found again, and ended by pid when the test is over, however it went.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

pub mod http;
pub mod witness;

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use squall::histogram::Hist;
use squall::record::Record;

const MARK: &str = "SQUALL_TEST_MARK";

/// How runs of seconds are judged.
pub const JUDGE: &str =
    "judge: { warmup: 200ms, baseline: 500ms, windows: 1, stretch: 1s, stretch_windows: 1 }";

/// The profile of a light load: twenty requests a second, for so long.
pub fn light_load(target: &str, duration: &str) -> String {
    format!(
        "target: {target}\nduration: {duration}\nshapes:\n  load:\n    arrival: {{ constant: {{ rate: 20/s }} }}\n    \
         timeout: 500ms\n    probes: false\n    flow: [{{ get: /livez, as: look }}]\nobjectives: [count(look) >= 1]\n"
    )
}

/// A folder of one test and everything that was started in it; both go when it is dropped.
pub struct Bench {
    pub folder: PathBuf,
    mark: String,
}

impl Bench {
    pub fn new(name: &str) -> Bench {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("squall-test-{mark}"));
        fs::create_dir_all(&folder).unwrap();
        Bench { folder, mark }
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn reports(&self) -> PathBuf {
        self.folder.join("reports")
    }

    /// The folder of the one run so far.
    pub fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> = listed(&self.reports());
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    pub fn has_run(&self) -> bool {
        !listed(&self.reports()).is_empty()
    }

    /// Any program, marked as this test's.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env(MARK, &self.mark).stdin(Stdio::null()).current_dir(root());
        command.env_remove("SQUALL_ALLOW_TARGET").env("TMPDIR", &self.folder);
        command
    }

    /// squall with these words.
    pub fn squall<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_squall"));
        command.args(words);
        command
    }

    /// `squall run PROFILE [--chaos PLAN] --reports ...`.
    pub fn run(&self, profile: &Path, chaos: Option<&Path>) -> Command {
        let mut command = self.squall(["run"]);
        command.arg(profile).arg("--reports").arg(self.reports());
        if let Some(chaos) = chaos {
            command.arg("--chaos").arg(chaos);
        }
        command
    }

    /// squall with a light load, and this plan below the judge's line.
    pub fn light_run(&self, target: &str, duration: &str, plan: &str) -> Command {
        let profile = self.file("load.yaml", &light_load(target, duration));
        let plan = self.file("plan.yaml", &format!("{JUDGE}\n{plan}"));
        self.run(&profile, Some(&plan))
    }

    /// Starts a command; what it says goes to files in the folder.
    pub fn start(&self, mut command: Command) -> Running {
        let out = fs::File::create(self.folder.join("stdout")).unwrap();
        let err = fs::File::create(self.folder.join("stderr")).unwrap();
        let child = command.stdout(out).stderr(err).spawn().unwrap();
        Running { child, folder: self.folder.clone() }
    }

    /// Pids of everything that was started in this test and still runs.
    pub fn processes(&self) -> Vec<i32> {
        let wanted = format!("{MARK}={}", self.mark);
        let pids = listed(Path::new("/proc")).into_iter();
        let pids = pids.filter_map(|path| path.file_name()?.to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        pids.filter(ours).collect()
    }

    /// The keeper that a run's journal names.
    pub fn keeper(&self) -> i32 {
        let journal = fs::read_to_string(self.run_folder().join("journal.jsonl")).unwrap();
        let lines = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut pids = lines.filter_map(|line| line["keeper"]["process"]["pid"].as_i64());
        pids.next_back().expect("the journal names the keeper") as i32
    }

    /// Waits until the run's history holds all of `words` on one line.
    pub fn wait_for_history(&self, words: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let run = listed(&self.reports()).into_iter().next().unwrap_or_default();
            let history = fs::read_to_string(run.join("history.jsonl")).unwrap_or_default();
            if history.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
            let said = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
            let going_on = Instant::now() < deadline && !said.contains("error:");
            assert!(going_on, "{words:?} did not come into the history; squall said {said:?}");
            std::thread::sleep(LOOK);
        }
    }

    pub fn verdict(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.run_folder().join("verdict.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Service times of the requests and how late squall's heartbeats were, warm-up left out, from the history.
    pub fn services_and_heartbeats(&self) -> (Hist, Hist) {
        let history = fs::read_to_string(self.run_folder().join("history.jsonl")).unwrap();
        let (mut services, mut heartbeats) = (Hist::default(), Hist::default());
        for line in history.lines() {
            match serde_json::from_str(line).unwrap() {
                Record::Done(done) if done.cell > 0 => services.merge(&done.service),
                Record::Happened(seen) if seen.cell > 0 => heartbeats.merge(&seen.heartbeat),
                _ => {}
            }
        }
        (services, heartbeats)
    }

    /// Every file of the folder with its bytes.
    pub fn every_file(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for path in listed(&folder) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    files.push((path, bytes));
                }
            }
        }
        files
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in self.processes() {
            signal(pid, Signal::KILL);
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A started command; killed when dropped.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal_: Signal) {
        signal(self.pid(), signal_);
    }

    /// SIGKILL, and the moment of it.
    pub fn kill(&mut self) -> Instant {
        let at = Instant::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at
    }

    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, at most so long.
    pub fn end(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "waited {within:?} for its end; it said {}", self.said());
            std::thread::sleep(LOOK);
        }
    }

    /// Standard output and standard error so far.
    pub fn said(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        format!("{}\n{}", read("stdout"), read("stderr"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOOK: Duration = Duration::from_millis(20);

/// Polls until there is something, at most so long.
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} for {what}");
        std::thread::sleep(LOOK);
    }
}

/// Tells of what a test lets pass: a measurement made again, a service that is not there. Past the harness, which
/// keeps what tests print that do not fail; `make nightly` counts these lines.
pub fn forgiven(what: &str) {
    // A test without anybody who reads is no worse a test.
    let _ = writeln!(std::io::stderr(), "forgiven: {what}");
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // One that has gone meanwhile needs none.
        let _ = kill_process(pid, signal);
    }
}

/// The state letter of a process (proc(5)); none if it is gone or waits to be collected.
pub fn state(pid: i32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.trim().chars().next().filter(|state| !"ZX".contains(*state))
}

pub fn is_gone(pid: i32) -> bool {
    state(pid).is_none()
}

/// Where a process listens: the inodes of its sockets, looked up among the sockets that listen (proc(5)).
pub fn listens_at(pid: i32) -> Option<SocketAddr> {
    let links = listed(&PathBuf::from(format!("/proc/{pid}/fd"))).into_iter();
    let links = links.filter_map(|path| Some(fs::read_link(path).ok()?.to_str()?.to_owned()));
    let inodes: Vec<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let port = u16::from_str_radix(local.split(':').nth(1)?, 16).ok()?;
        let listening = *state == "0A" && inodes.iter().any(|ours| ours == inode);
        listening.then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// A loopback address that nobody listens on now. Below the ranges that outgoing connections and sandboxes
/// take their ports from, so that none of them takes it before squall does; above LiveKit's.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id() * 16 % 4_000;
    (0..4_000)
        .map(|_| (8_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000) as u16)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

/// A listener that takes no connection any more: those that wait for it, and are let go with it, are all that it has room for.
pub struct Full {
    pub address: SocketAddr,
    _kept: (TcpListener, Vec<std::net::TcpStream>),
}

pub fn full() -> Full {
    let address = free_address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        socket.listen(1).unwrap().into_std().unwrap()
    });
    let connect = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let waiting: Vec<_> = (0..10).map_while(connect).collect();
    assert!(waiting.len() < 10, "it takes connections");
    Full { address, _kept: (listener, waiting) }
}

/// A program that listens there and answers everything with 200, as words of a shell.
pub fn serve(address: SocketAddr) -> String {
    format!("{} bench-server --listen {address}", env!("CARGO_BIN_EXE_squall"))
}

/// Exit code and everything that was said.
pub fn code_and_text(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap_or(-1), said)
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// 50 requests a second; `more` holds further keys.
pub fn profile(target: &str, duration: &str, objective: &str, more: &str) -> String {
    format!(
        "target: {target}\nduration: {duration}\nshapes:\n  load:\n    arrival: {{ constant: {{ rate: 50/s }} }}\n    \
         timeout: 500ms\n    probes: false\n    flow: [{{ get: /look, as: look }}]\n\
         objectives: [\"{objective}\"]\n{more}\n"
    )
}

/// One sentence that says what is wrong, with all of `words`.
#[track_caller]
pub fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
    assert_eq!(said.matches("error:").count(), 1, "one sentence: {said}");
}
