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

/// The latest wake of this thread: it was idle before, or its processor was taken away while it worked, as other
/// programs want it, or its container has used up its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Counts up.
    number: u64,
    /// How long the thread had waited for a processor since the wake before.
    late: Micros,
    /// It was at work.
    at_work: bool,
    /// How late the wake before was, if the thread was at work between them: what it came for may lie there yet.
    earlier: Micros,
}

impl Wake {
    /// How long what went on in `before` and goes on in this wake was held up between them. What a thread without rest
    /// has waited for a processor before that was while others were at work, as the target is.
    pub fn held_since(self, before: Wake) -> Micros {
        match self.number - before.number {
            0 => Micros::ZERO,
            1 => self.late,
            _ => self.late + self.earlier,
        }
    }

    /// The one after it.
    fn then(self, late: Micros, at_work: bool) -> Wake {
        let earlier = if at_work || self.at_work { self.late } else { Micros::ZERO };
        Wake { number: self.number + 1, late, at_work, earlier }
    }
}

struct Wakes {
    schedstat: File,
    /// Nanoseconds waited in all, and when that was last asked for.
    waited: u64,
    asked: Instant,
    latest: Wake,
}

impl Wakes {
    /// How long the thread has waited since this was last asked.
    #[allow(clippy::disallowed_methods, reason = "the thread's own time, of which a virtual world has none")]
    fn ask(&mut self) -> Micros {
        self.asked = Instant::now();
        let waited = ran_and_waited(&self.schedstat).map_or(self.waited, |(_, waited)| waited);
        let before = std::mem::replace(&mut self.waited, waited);
        Micros((waited.saturating_sub(before) / 1_000) as i64)
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
        let late = wakes.ask();
        wakes.latest = wakes.latest.then(late, false);
    });
}

pub(super) fn latest() -> Wake {
    WAKES.with_borrow_mut(|wakes| {
        let Some(wakes) = wakes else { return Wake::default() };
        if wakes.asked.elapsed() >= AWAKE {
            let late = wakes.ask();
            if late > Micros::ZERO {
                wakes.latest = wakes.latest.then(late, true);
            }
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
        let idle = Wake::default();
        let before = idle.then(Micros(7), false);
        let during = before.then(Micros(95), true);
        let after = during.then(Micros(1), false);
        assert_eq!(during.held_since(before), Micros(95), "its turn came after");
        assert_eq!(during.held_since(idle), Micros(102), "it was woken, and its turn came after");
        assert_eq!(after.held_since(before), Micros(96), "its answer lay there");
        assert_eq!(after.held_since(during), Micros(1), "it began after");
        assert_eq!(after.then(Micros(2), false).held_since(before), Micros(2), "its answer came later");
    }

    /// A thread with more to do than it can, beside another program on its core, waits for half of all time: of the
    /// 300 ms that a target takes for an answer, too.
    #[test]
    fn what_a_thread_without_rest_waited_while_the_target_was_at_work_held_nothing_up() {
        let before = Wake::default().then(Micros::ZERO, false);
        let slices = (0..40).fold(before, |wake, _| wake.then(Micros::millis(4), true));
        assert_eq!(slices.held_since(before), Micros::millis(8));
    }

    #[test]
    fn a_thread_that_works_is_busy_and_one_that_sleeps_is_not() {
        watch();
        let Some(before) = busy() else {
            eprintln!("skipped: this kernel keeps no count of what a thread ran");
            return;
        };
        std::thread::sleep(Duration::from_millis(100));
        let slept = busy().unwrap();
        assert!(slept - before < Micros::millis(100), "{} of 100 ms asleep", slept - before);
        // However long the machine below this one takes to give it so much.
        let began = Instant::now();
        while busy().unwrap() - slept < Micros::millis(100) {
            assert!(began.elapsed() < Duration::from_secs(60), "{} in a minute", busy().unwrap() - slept);
            // The kernel adds up what a thread ran at its ticks.
            std::thread::yield_now();
        }
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
