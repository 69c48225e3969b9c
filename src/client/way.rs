//! An attempt's way to a connection: how far it has come, and for how long squall itself kept it from one. It is kept
//! beside the attempt, so that it is known also where a timeout cuts that off.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use crate::units::Micros;
use crate::world::{Turns, World};

/// How far it has come.
#[derive(Clone, Copy, Default)]
pub enum Stage {
    /// It waits for a free one, or for room to open one.
    #[default]
    Waiting,
    Dialling(SocketAddr),
    Connected(SocketAddr),
}

pub struct Way {
    stage: Cell<Stage>,
    /// Those of the flow that is on it.
    turns: Turns,
    /// Since when it waits for its turn to dial, and for how long the target had kept dials waiting by then.
    queues: Cell<Option<(Micros, Micros)>>,
    /// For how long it did before that: in squall, and not for the target.
    queued: Cell<Micros>,
    for_files: Cell<Micros>,
    /// The target keeps its own dial waiting.
    kept: RefCell<Option<Kept>>,
}

impl Way {
    pub fn new(world: &World) -> Way {
        Way {
            stage: Cell::default(),
            turns: Turns::of(world),
            queues: Cell::default(),
            queued: Cell::default(),
            for_files: Cell::default(),
            kept: RefCell::default(),
        }
    }

    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(super) fn comes_to(&self, stage: Stage) {
        self.turns.goes_on();
        if !matches!(stage, Stage::Dialling(_)) {
            self.kept.take();
        }
        self.stage.set(stage);
    }

    /// It waits for its turn from now on, if it does not already.
    pub(super) fn queues(&self, dials: &Dials) {
        self.queues.set(Some(self.queues.get().unwrap_or((dials.world.now(), dials.kept()))));
    }

    /// Its turn to dial has come, or it waits no more. When its thread came to it is part of that.
    pub(super) fn goes_on(&self, dials: &Dials) {
        let Some((since, kept)) = self.queues.take() else { return };
        self.turns.goes_on();
        self.turns.take_waited();
        let waited = dials.world.now() - since - (dials.kept() - kept);
        self.queued.set(self.queued.get() + waited.max(Micros::ZERO));
    }

    /// Squall may open no further file: it waited for one that another gives up, and for some of that time for squall. When
    /// its thread came to it is part of that.
    pub(super) fn was_kept_from_a_file(&self, by_squall: Micros, waited: Micros) {
        self.for_files.set(self.for_files.get() + waited);
        if by_squall > Micros::ZERO {
            self.turns.goes_on();
            self.turns.take_waited();
            self.queued.set(self.queued.get() + by_squall);
        }
    }

    /// For how long it has waited for files.
    pub fn for_files(&self) -> Micros {
        self.for_files.get()
    }

    /// Its dial takes longer than it may by squall's own doing; once it is taken, squall may be too busy to come to it.
    pub(super) fn is_kept(&self, dials: &Rc<Dials>) {
        if matches!(self.stage(), Stage::Dialling(_)) {
            self.kept.replace(Some(dials.keep()));
        }
    }

    /// For how long it has waited for its turn since this was last asked.
    pub(super) fn take_queued(&self, dials: &Dials) -> Micros {
        self.goes_on(dials);
        self.queued.take()
    }
}

/// For how long the target has kept at least one dial waiting so far: who waits for a turn meanwhile waits for the
/// target.
pub(super) struct Dials {
    world: World,
    /// How many it keeps now, and since when.
    keeps: Cell<(usize, Micros)>,
    before: Cell<Micros>,
}

impl Dials {
    pub(super) fn new(world: &World) -> Rc<Dials> {
        Rc::new(Dials { world: world.clone(), keeps: Cell::default(), before: Cell::default() })
    }

    fn kept(&self) -> Micros {
        let now = match self.keeps.get() {
            (0, _) => Micros::ZERO,
            (_, since) => self.world.now() - since,
        };
        self.before.get() + now
    }

    fn keep(self: &Rc<Dials>) -> Kept {
        let (n, since) = self.keeps.get();
        self.keeps.set((n + 1, if n == 0 { self.world.now() } else { since }));
        Kept(self.clone())
    }
}

/// A dial that the target keeps waiting.
struct Kept(Rc<Dials>);

impl Drop for Kept {
    fn drop(&mut self) {
        let kept = self.0.kept();
        let (n, since) = self.0.keeps.get();
        self.0.keeps.set((n - 1, since));
        if n == 1 {
            self.0.before.set(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::run_virtual;

    #[test]
    fn while_the_target_keeps_a_dial_waiting_whoever_waits_for_a_turn_waits_for_the_target() {
        run_virtual(|world| async move {
            let (dials, way, slow) = (Dials::new(&world), Way::new(&world), Way::new(&world));
            let after = |n| world.sleep(Micros::millis(n));
            way.queues(&dials);
            after(300).await;
            slow.is_kept(&dials);
            after(100).await;
            slow.comes_to(Stage::Dialling(([127, 0, 0, 1], 80).into()));
            slow.is_kept(&dials);
            after(50).await;
            assert_eq!(way.take_queued(&dials), Micros::millis(400), "it dialled for the last 50 ms only");
            way.queues(&dials);
            after(10).await;
            drop(slow);
            after(20).await;
            assert_eq!(way.take_queued(&dials), Micros::millis(20));
        });
    }
}
