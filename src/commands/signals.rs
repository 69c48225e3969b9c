//! Ctrl-C, SIGTERM, and the end of the terminal.

use std::fs;
use std::io;
use std::process;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print::error;
use crate::units::Micros;
use crate::world::{Origin, World, run_real};

/// What comes so soon after another says the same once more: `timeout` and whoever else starts squall pass on to it what
/// its process group gets too.
const TOGETHER: Micros = Micros::millis(250);

/// From when it is made on, none of them ends the process by itself.
pub struct Signals {
    world: World,
    /// When somebody last asked.
    last: Option<Micros>,
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started squall wants it to go on without its terminal (`nohup`), and as soon as somebody
    /// asked to stop: of the end of one terminal several tell, its shell and the system, and it hurries nobody.
    hang_up: Option<Signal>,
}

impl Signals {
    /// # Errors
    /// The system's, where they cannot be heard.
    pub fn new(world: &World) -> io::Result<Signals> {
        Ok(Signals {
            world: world.clone(),
            last: None,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!is_ignored(Number::HUP)).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Returns when somebody asks to stop, or asks again.
    pub async fn next(&mut self) {
        loop {
            self.any().await;
            let now = self.world.now();
            if self.last.is_none_or(|at| now - at >= TOGETHER) {
                (self.last, self.hang_up) = (Some(now), None);
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

/// With what whoever asks to stop ends the process, and what that leaves undone.
static END: Mutex<(u8, Option<String>)> = Mutex::new((0, None));

/// From here on whoever asks to stop ends the process with `code`, as nobody may take what is left to be shown; `undone`
/// is then told.
pub fn end_with(code: u8, undone: Option<String>) {
    static LISTENS: Once = Once::new();
    *END.lock().unwrap_or_else(PoisonError::into_inner) = (code, undone);
    let listen = || {
        run_real(Origin::now(), async |world| {
            if let Ok(mut signals) = Signals::new(&world) {
                signals.next().await;
                let (code, undone) = END.lock().unwrap_or_else(PoisonError::into_inner).clone();
                undone.iter().for_each(|undone| error(undone));
                process::exit(code.into());
            }
        });
    };
    // Without a thread whoever reads is waited for.
    LISTENS.call_once(|| drop(thread::Builder::new().name("signals".to_owned()).spawn(listen)));
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: Number) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}
