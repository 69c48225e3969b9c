//! The keeper's pulse: it beats every 10 ms beside the links that it carries, and squall looks once a second.
//! A keeper that stood still, has more to do than it can, or is gone is squall's own failure, not the target's.

use std::cell::Cell;
use std::rc::Rc;

use super::Port;
use super::keeper::Keeper;
use crate::proxy::{Ask, Reply, Vitals};
use crate::record::{KeeperEvent, Record};
use crate::recorder::Recorder;
use crate::units::Micros;
use crate::world::World;

const HEARTBEAT: Micros = Micros::millis(10);
/// Between two looks; and how long an answer may take before the keeper is called silent.
const EVERY: Micros = Micros::SECOND;
/// Beats that are later than this are told.
const TOLD: Micros = Micros::millis(50);
/// When squall itself wakes up so late, it knows nothing of the keeper.
const FROZEN: Micros = Micros::millis(100);

/// Who has something to do for more than this share of the time has more to do than it can: what comes queues.
const SATURATED: f64 = 0.95;

/// The keeper's own side: the latest beat since the last look, and what it had to do.
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
        let share = before
            .zip(busy)
            .map(|(before, busy)| (busy - before).as_secs_f64() / (now - looked).as_secs_f64());
        Vitals { late, ago: now - at, saturated: share.is_some_and(|share| share > SATURATED) }
    }
}

/// squall's side: looks at the keeper and records what is wrong with it.
pub struct Watcher {
    world: World,
    port: Rc<Port>,
    recorder: Recorder,
    /// What its own machine had refused the keeper, and until when.
    refused: Cell<(u64, Micros)>,
    /// Its last sign of life.
    alive: Cell<Micros>,
    silent: Cell<bool>,
}

impl Watcher {
    pub fn new(world: World, port: Rc<Port>, recorder: Recorder) -> Rc<Watcher> {
        let now = world.now();
        let (refused, alive, silent) = (Cell::new((0, now)), Cell::new(now), Cell::new(false));
        Rc::new(Watcher { world, port, recorder, refused, alive, silent })
    }

    /// Once a second, until dropped or until the keeper is gone.
    pub async fn watch(self: Rc<Watcher>) {
        let Port::Keeper(keeper) = &*self.port else { return };
        let mut at = self.world.now();
        let looks = async {
            loop {
                at = (at + EVERY).max(self.world.now());
                self.world.sleep_until(at).await;
                self.look_at(keeper).await;
            }
        };
        tokio::select! {
            biased;
            () = keeper.gone() => self.tell(KeeperEvent::Gone { at: self.world.now() }),
            () = looks => {}
        }
    }

    /// One look more, at the end of a run.
    pub async fn look(&self) {
        if let Port::Keeper(keeper) = &*self.port {
            self.look_at(keeper).await;
        }
    }

    async fn look_at(&self, keeper: &Keeper) {
        let asking = keeper.ask(Ask::Look);
        tokio::pin!(asking);
        let reply = loop {
            let deadline = self.world.now() + EVERY;
            match self.world.timeout_at(deadline, &mut asking).await {
                Ok(reply) => break reply,
                Err(_) if self.world.now() - deadline > FROZEN => {}
                Err(_) => self.is_silent(),
            }
        };
        if let Reply::Look { refused, vitals: Vitals { late, ago, saturated } } = reply {
            let (from, to) = (self.alive.get(), self.world.now());
            self.is_alive();
            self.is_refused(refused);
            // A look that comes soon after another sees too little.
            if saturated && (to - from) * 2 >= EVERY {
                self.tell(KeeperEvent::Saturated { from, to });
            }
            let at = to - ago;
            if late > TOLD {
                self.tell(KeeperEvent::Beats { from: at - late, at, late });
            }
        }
    }

    fn is_silent(&self) {
        if !self.silent.replace(true) {
            self.tell(KeeperEvent::Silent { from: self.alive.get(), to: None });
        }
    }

    fn is_alive(&self) {
        let (from, at) = (self.alive.replace(self.world.now()), self.world.now());
        if self.silent.replace(false) {
            self.tell(KeeperEvent::Silent { from, to: Some(at) });
        }
    }

    /// What the keeper's own machine refused it is no fault of the target's.
    fn is_refused(&self, n: u64) {
        let at = self.world.now();
        let (before, from) = self.refused.replace((n, at));
        if n > before {
            self.recorder.note(Record::Refused { from, at, n: n - before });
        }
    }

    fn tell(&self, event: KeeperEvent) {
        self.recorder.note(Record::Keeper(event));
    }
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
    fn a_keeper_that_always_has_something_to_do_is_saturated_and_one_that_rests_is_not() {
        run_real(Origin::now(), async |world| {
            let pulse = Pulse::new(world.clone());
            world.sleep(Micros::millis(200)).await;
            assert!(!pulse.take().saturated);
            let began = world.now();
            while world.now() - began < Micros::millis(300) {}
            let counted = world.busy().is_some();
            assert_eq!(pulse.take().saturated, counted);
        });
    }
}
