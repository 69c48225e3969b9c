//! A witness of a stall: asks a process for its health every other millisecond, and says how long it was
//! stopped and whether the machine left everybody else in peace.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http::Connection;

const PAUSE: Duration = Duration::from_millis(2);

/// Asks until it is questioned.
pub struct Witness {
    stop: Sender<()>,
    thread: JoinHandle<Seen>,
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The longest time without an answer; to within the 2 ms between two questions.
    pub stall: Duration,
    /// The second longest wait for an answer, or the longest oversleeping between two questions.
    pub else_late: Duration,
    /// Since when it waited for each answer and for how long, and how long it watched.
    waits: Vec<(Duration, Duration)>,
    watched: Duration,
}

impl Seen {
    /// The share of the time in which whoever came would have waited for longer than `limit`: whoever comes
    /// during a wait waits for what is left of it.
    pub fn slow(&self, limit: Duration) -> f64 {
        self.beyond(limit).as_secs_f64() / self.watched.as_secs_f64()
    }

    /// The same of the time besides the stall.
    pub fn slow_besides(&self, limit: Duration) -> f64 {
        let besides = self.beyond(limit) - self.stall.saturating_sub(PAUSE / 2 + limit);
        besides.as_secs_f64() / (self.watched - self.stall).as_secs_f64()
    }

    fn beyond(&self, limit: Duration) -> Duration {
        self.waits.iter().map(|(_, wait)| wait.saturating_sub(limit)).sum()
    }

    /// By how much the p95 of the waits of the slowest two seconds is above that of the median ones.
    pub fn moved(&self) -> Duration {
        let windows = self.waits.chunk_by(|(a, _), (b, _)| a.as_secs() / 2 == b.as_secs() / 2);
        let p95 = |window: &[(Duration, Duration)]| {
            let mut waits: Vec<_> = window.iter().map(|(_, wait)| *wait).collect();
            waits.sort();
            waits[waits.len() * 95 / 100]
        };
        let mut p95s: Vec<_> = windows.map(p95).collect();
        p95s.sort();
        p95s.last().map_or(Duration::ZERO, |slowest| *slowest - p95s[p95s.len() / 2])
    }
}

impl Witness {
    pub fn of(address: SocketAddr) -> Witness {
        let (stop, stopped) = channel();
        Witness { stop, thread: std::thread::spawn(move || watch(address, &stopped)) }
    }

    /// One that gets this core before everybody else, where the system lets it: what it waits for is the target, or
    /// the machine below this one.
    pub fn first_on(core: &str, address: SocketAddr) -> Witness {
        let (stop, stopped) = channel();
        let core = core.to_owned();
        let thread = std::thread::spawn(move || {
            let me = std::fs::read_link("/proc/thread-self").unwrap();
            let me = me.file_name().unwrap();
            let did = |command: &mut Command| command.arg(me).output().is_ok_and(|out| out.status.success());
            if did(Command::new("chrt").args(["-f", "-p", "50"])) {
                assert!(did(Command::new("taskset").args(["-p", "-c", &core])));
            }
            watch(address, &stopped)
        });
        Witness { stop, thread }
    }

    pub fn question(self) -> Seen {
        // It may have given up when the process ended.
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }
}

fn watch(address: SocketAddr, stopped: &Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::open(address, Duration::from_secs(10)).unwrap();
    let began = Instant::now();
    let mut answered = began;
    while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let asked = Instant::now();
        if connection.ask("GET", "/livez", "").is_err() {
            break;
        }
        let (waited, slept) = (asked.elapsed(), asked - answered);
        seen.else_late = seen.else_late.max(slept.saturating_sub(PAUSE));
        if waited > seen.stall {
            // It stopped at some time of the pause, in the mean in the middle.
            seen.else_late = seen.else_late.max(seen.stall);
            seen.stall = waited + PAUSE / 2;
        } else {
            seen.else_late = seen.else_late.max(waited);
        }
        seen.waits.push((asked - began, waited));
        answered = Instant::now();
    }
    seen.watched = began.elapsed();
    seen
}
