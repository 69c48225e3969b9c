//! The keeper's pulse: it beats every 10 ms beside the links that it carries, and says how that went since squall looked
//! last.

use std::cell::Cell;
use std::rc::Rc;

use crate::proxy::Vitals;
use crate::units::Micros;
use crate::world::World;

const HEARTBEAT: Micros = Micros::millis(10);
/// Who has something to do for more than this share of the time has more to do than it can: what comes queues.
const SATURATED: f64 = 0.95;

/// The latest beat since the last look, and what the keeper had to do.
pub struct Pulse {
    world: World,
    due: Cell<Micros>,
    /// How late it was, and when it came.
    worst: Cell<(Micros, Micros)>,
    /// When it was looked at, and for how long it had had something to do by then.
    looked: Cell<(Micros, Option<Micros>)>,
}

impl Pulse {
    pub fn new(world: World) -> Rc<Pulse> {
        let due = Cell::new(world.now() + HEARTBEAT);
        let looked = Cell::new((world.now(), world.busy()));
        Rc::new(Pulse { world, due, worst: Cell::default(), looked })
    }

    /// Beats until dropped.
    pub async fn beat(self: Rc<Pulse>) {
        loop {
            self.world.sleep_until(self.due.get()).await;
            self.note(self.world.now());
        }
    }

    fn note(&self, now: Micros) {
        let due = self.due.get();
        if now < due {
            return;
        }
        if now - due > self.worst.get().0 {
            self.worst.set((now - due, now));
        }
        // A beat that comes late is one late beat; those it swallowed are not made up.
        self.due.set((due + HEARTBEAT).max(now));
    }

    /// How it was since the last look.
    pub fn take(&self) -> Vitals {
        let now = self.world.now();
        // One that is overdue just now counts as well.
        self.note(now);
        let (late, at) = self.worst.take();
        let busy = self.world.busy();
        let (looked, before) = self.looked.replace((now, busy));
        let busy_for = before.zip(busy).map(|(before, busy)| busy - before);
        Vitals { late, ago: now - at, saturated: busy_for.is_some_and(|busy| saturated(busy, now - looked)) }
    }
}

/// `busy` of a time of `watched`.
fn saturated(busy: Micros, watched: Micros) -> bool {
    busy.as_secs_f64() > SATURATED * watched.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Origin, run_real, run_virtual};

    #[test]
    fn the_latest_beat_since_the_last_look_is_told_also_one_that_is_overdue() {
        run_virtual(|world| async move {
            let pulse = Pulse::new(world.clone());
            let beating = world.spawn(pulse.clone().beat());
            world.sleep(Micros::millis(105)).await;
            assert_eq!(pulse.take().late, Micros::ZERO, "all in time");
            beating.abort();
            world.sleep(Micros::millis(305)).await;
            let vitals = Vitals { late: Micros::millis(300), ..Vitals::default() };
            assert_eq!(pulse.take(), vitals, "due at 110 ms");
            let beating = world.spawn(pulse.clone().beat());
            world.sleep(Micros::millis(100)).await;
            assert_eq!(pulse.take().late, Micros::ZERO, "and told once");
            beating.abort();
        });
    }

    #[test]
    fn more_than_95_percent_of_the_time_is_saturated() {
        assert!(!saturated(Micros::millis(285), Micros::millis(300)));
        assert!(saturated(Micros::millis(286), Micros::millis(300)));
        assert!(!saturated(Micros::ZERO, Micros::ZERO), "two looks at once");
    }

    /// What the machine below this one takes away is no time of the thread's: some look of a minute finds it at work.
    #[test]
    fn a_keeper_that_always_has_something_to_do_is_saturated_and_one_that_rests_is_not() {
        run_real(Origin::now(), async |world| {
            if world.busy().is_none() {
                eprintln!("skipped: this kernel keeps no count of what a thread ran");
                return;
            }
            let pulse = Pulse::new(world.clone());
            world.sleep(Micros::millis(200)).await;
            assert!(!pulse.take().saturated);
            let began = world.now();
            loop {
                let looked = world.now();
                while world.now() - looked < Micros::millis(300) {}
                // The kernel adds up what a thread ran at its ticks.
                std::thread::yield_now();
                if pulse.take().saturated {
                    break;
                }
                assert!(world.now() - began < Micros::secs(60), "never saturated");
            }
        });
    }
}
