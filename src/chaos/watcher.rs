//! squall's look at its keeper, once a second: one that stood still, has more to do than it can, or is gone is squall's own
//! failure, not the target's.

use std::cell::Cell;
use std::rc::Rc;

use super::Port;
use super::keeper::Keeper;
use crate::proxy::{Ask, Reply, Vitals};
use crate::record::{KeeperEvent, Record};
use crate::recorder::Recorder;
use crate::units::Micros;
use crate::world::World;

/// Between two looks; and how long an answer may take before the keeper is called silent.
const EVERY: Micros = Micros::SECOND;
/// Beats that are later than this are told.
const TOLD: Micros = Micros::millis(50);
/// When squall itself wakes up so late, it knows nothing of the keeper.
const FROZEN: Micros = Micros::millis(100);

/// Records what is wrong with the keeper.
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

    /// One look more, at the end of a run, which waits no longer than it takes to see that the keeper is silent.
    pub async fn look(&self) {
        if let Port::Keeper(keeper) = &*self.port {
            let _ = self.world.timeout(EVERY + FROZEN, self.look_at(keeper)).await;
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
