//! How late a thread wakes: the time that it waited for a processor while there was something to do.
//!
//! An answer that comes in while the thread waits lies unread for so long, and no timer shows it: a timer's
//! wake finds the thread rested, an answer's finds it just after it ran. The kernel counts these waits per
//! thread (run_delay of `/proc/thread-self/schedstat`, sched-stats.rst); where it does not, they are zero and
//! the heartbeat alone tells.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::units::Micros;

thread_local! {
    static WAKES: RefCell<Option<Wakes>> = const { RefCell::new(None) };
}

/// A thread that has been awake for longer than this may have waited again meanwhile, and the kernel is asked once more.
const AWAKE: Duration = Duration::from_millis(1);

/// The latest wake of this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Counts up.
    number: u64,
    /// How long the thread had waited for a processor since the wake before.
    late: Micros,
    /// How long it has since, as one does whose processor is taken away while it works: other programs want it, or
    /// its container has used up its share.
    again: Micros,
}

impl Wake {
    /// How long what went on in `before` and goes on in this wake was held up between them.
    pub fn held_since(self, before: Wake) -> Micros {
        // What it had waited through by then lies in the next wake's lateness, too.
        match self.number - before.number {
            0 => self.again - before.again,
            1 => (self.late - before.again).max(Micros::ZERO) + self.again,
            _ => self.late + self.again,
        }
    }
}

struct Wakes {
    schedstat: File,
    /// Nanoseconds waited in all, by the latest wake.
    waited: u64,
    /// When that was last asked for.
    asked: Instant,
    latest: Wake,
}

impl Wakes {
    /// Since the latest wake, as the kernel says now.
    #[allow(clippy::disallowed_methods, reason = "the thread's own time, of which a virtual world has none")]
    fn ask(&mut self) -> (u64, Micros) {
        self.asked = Instant::now();
        let waited = ran_and_waited(&self.schedstat).map_or(self.waited, |(_, waited)| waited);
        (waited, Micros((waited.saturating_sub(self.waited) / 1_000) as i64))
    }
}

/// From here on `note` keeps count on this thread.
#[allow(clippy::disallowed_methods, reason = "the thread's own time, of which a virtual world has none")]
pub(super) fn watch() {
    let Ok(schedstat) = File::open("/proc/thread-self/schedstat") else { return };
    let Some((_, waited)) = ran_and_waited(&schedstat) else { return };
    WAKES.set(Some(Wakes { schedstat, waited, asked: Instant::now(), latest: Wake::default() }));
}

/// The runtime has just woken.
pub(super) fn note() {
    WAKES.with_borrow_mut(|wakes| {
        let Some(wakes) = wakes else { return };
        let (waited, late) = wakes.ask();
        wakes.waited = waited;
        wakes.latest = Wake { number: wakes.latest.number + 1, late, again: Micros::ZERO };
    });
}

pub(super) fn latest() -> Wake {
    WAKES.with_borrow_mut(|wakes| {
        let Some(wakes) = wakes else { return Wake::default() };
        if wakes.asked.elapsed() >= AWAKE {
            wakes.latest.again = wakes.ask().1;
        }
        wakes.latest
    })
}

/// For how long this thread has had something to do so far: it ran, or waited for a processor.
pub(super) fn busy() -> Option<Micros> {
    let numbers = WAKES.with_borrow(|wakes| ran_and_waited(&wakes.as_ref()?.schedstat));
    numbers.map(|(ran, waited)| Micros(((ran + waited) / 1_000) as i64))
}

/// The first two of the file's three numbers, in nanoseconds.
fn ran_and_waited(schedstat: &File) -> Option<(u64, u64)> {
    let mut text = [0; 64];
    let length = schedstat.read_at(&mut text, 0).ok()?;
    let mut numbers = std::str::from_utf8(text.get(..length)?).ok()?.split_ascii_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "they hold up a real thread")]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_later_in_a_wake_was_held_up_by_what_took_the_processor_away_in_it() {
        let wake = |number, late, again| Wake { number, late: Micros(late), again: Micros(again) };
        let (before, during, after) = (wake(4, 7, 0), wake(4, 7, 95), wake(5, 96, 0));
        assert_eq!(during.held_since(before), Micros(95), "its turn came after");
        assert_eq!(during.held_since(wake(3, 0, 0)), Micros(102), "it was woken, and its turn came after");
        assert_eq!(after.held_since(before), Micros(96), "its answer lay there");
        assert_eq!(after.held_since(during), Micros(1), "it began after");
        assert_eq!(wake(6, 2, 0).held_since(before), Micros(2), "its answer came later");
    }

    #[test]
    fn a_thread_that_works_is_busy_and_one_that_sleeps_is_not() {
        watch();
        let Some(before) = busy() else { return };
        std::thread::sleep(Duration::from_millis(100));
        let asleep = busy().unwrap() - before;
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(100) {}
        // The kernel adds up what a thread ran at its ticks.
        std::thread::yield_now();
        let awake = busy().unwrap() - before - asleep;
        assert!(awake >= Micros::millis(80), "{awake} of 100 ms of work");
        assert!(asleep < awake, "{asleep} of 100 ms asleep");
    }

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
