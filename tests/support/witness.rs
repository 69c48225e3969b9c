//! A witness of a stall: asks a process for its health every other millisecond, and says how long it was
//! stopped and whether the machine left everybody else in peace.

use std::net::SocketAddr;
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

#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The longest time without an answer; to within the 2 ms between two questions.
    pub stall: Duration,
    /// The second longest wait for an answer, or the longest oversleeping between two questions.
    pub else_late: Duration,
}

impl Witness {
    pub fn of(address: SocketAddr) -> Witness {
        let (stop, stopped) = channel();
        Witness { stop, thread: std::thread::spawn(move || watch(address, &stopped)) }
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
    let mut answered = Instant::now();
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
        answered = Instant::now();
    }
    seen
}
