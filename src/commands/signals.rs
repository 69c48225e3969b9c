//! Ctrl-C, SIGTERM, and the end of the terminal.

use std::fs;
use std::io;
use std::process;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print::error;
use crate::units::Micros;
use crate::world::{Origin, World, run_real};

/// What comes so soon after another says the same once more: `timeout` and whoever else starts squall pass on to it what
/// its process group gets too.
const TOGETHER: Micros = Micros::millis(250);

/// When somebody last asked this process to stop.
static ASKED: Mutex<Option<Origin>> = Mutex::new(None);

/// From when it is made on, none of them ends the process by itself.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started squall wants it to go on without its terminal (`nohup`), and as soon as somebody
    /// asked to stop: of the end of one terminal several tell, its shell and the system, and it hurries nobody.
    hang_up: Option<Signal>,
}

impl Signals {
    /// # Errors
    /// The system's, where they cannot be heard.
    pub fn new() -> io::Result<Signals> {
        let hangs_up = asked().is_none() && !is_ignored(Number::HUP);
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hangs_up.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Returns when somebody asks to stop, or asks again.
    pub async fn next(&mut self) {
        loop {
            self.any().await;
            let mut last = asked();
            if last.is_none_or(|at| World::real(at).now() >= TOGETHER) {
                (*last, self.hang_up) = (Some(Origin::now()), None);
                return;
            }
        }
    }

    async fn any(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

fn asked() -> MutexGuard<'static, Option<Origin>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With what whoever asks to stop ends the process, and what that leaves undone.
static END: Mutex<(u8, Option<String>)> = Mutex::new((0, None));

/// From here on whoever asks to stop ends the process with `code`: a page may take its time, its place may be a disk that
/// hangs, and nobody may take what is left to be shown. `undone` is then told.
pub fn end_with(code: u8, undone: Option<String>) {
    static LISTENS: Once = Once::new();
    *END.lock().unwrap_or_else(PoisonError::into_inner) = (code, undone);
    LISTENS.call_once(|| {
        let (hears, heard) = channel();
        let listen = move || {
            run_real(Origin::now(), async |_| {
                if let Ok(mut signals) = Signals::new() {
                    // Whoever waits for it may have given up.
                    let _ = hears.send(());
                    signals.next().await;
                    let (code, undone) = END.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    undone.iter().for_each(|undone| error(undone));
                    process::exit(code.into());
                }
            });
        };
        // Without a thread whoever reads is waited for.
        if thread::Builder::new().name("signals".to_owned()).spawn(listen).is_ok() {
            // From now on none is lost. Without signals nobody ever hears.
            let _ = heard.recv();
        }
    });
}

/// The same, with another code.
pub fn end_with_code(code: u8) {
    END.lock().unwrap_or_else(PoisonError::into_inner).0 = code;
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: Number) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}
