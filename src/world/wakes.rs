//! How late a thread wakes: the time that it waited for a processor while there was something to do.
//!
//! An answer that comes in while the thread waits lies unread for so long, and no timer shows it: a timer's
//! wake finds the thread rested, an answer's finds it just after it ran. The kernel counts these waits per
//! thread (run_delay of `/proc/thread-self/schedstat`, sched-stats.rst); where it does not, they are zero and
//! the heartbeat alone tells.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::units::Micros;

thread_local! {
    static WAKES: RefCell<Option<Wakes>> = const { RefCell::new(None) };
}

/// The latest wake of this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Counts up.
    pub number: u64,
    /// How long the thread had waited for a processor since the wake before.
    pub late: Micros,
}

struct Wakes {
    schedstat: File,
    /// Nanoseconds waited in all.
    waited: u64,
    latest: Wake,
}

/// From here on `note` keeps count on this thread.
pub(super) fn watch() {
    let Ok(schedstat) = File::open("/proc/thread-self/schedstat") else { return };
    let Some(waited) = waited(&schedstat) else { return };
    WAKES.set(Some(Wakes { schedstat, waited, latest: Wake::default() }));
}

/// The runtime has just woken.
pub(super) fn note() {
    WAKES.with_borrow_mut(|wakes| {
        let Some(wakes) = wakes else { return };
        let waited = waited(&wakes.schedstat).unwrap_or(wakes.waited);
        let late = Micros((waited.saturating_sub(wakes.waited) / 1_000) as i64);
        wakes.waited = waited;
        wakes.latest = Wake { number: wakes.latest.number + 1, late };
    });
}

pub(super) fn latest() -> Wake {
    WAKES.with_borrow(|wakes| wakes.as_ref().map_or(Wake::default(), |wakes| wakes.latest))
}

/// The second of the file's three numbers.
fn waited(schedstat: &File) -> Option<u64> {
    let mut text = [0; 64];
    let length = schedstat.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel keeps no count there is nothing to note, and nothing is late.
    #[test]
    fn every_wake_is_counted_where_the_kernel_counts() {
        watch();
        let counts = WAKES.with_borrow(Option::is_some);
        note();
        assert_eq!(latest().number, u64::from(counts));
        note();
        assert_eq!(latest().number, 2 * u64::from(counts));
    }
}
