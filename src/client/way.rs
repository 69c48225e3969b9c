//! An attempt's way to a connection: how far it has come, and for how long squall itself kept it from one. It is kept
//! beside the attempt, so that it is known also where a timeout cuts that off.

use std::cell::Cell;
use std::net::SocketAddr;

use crate::units::Micros;

/// How far it has come.
#[derive(Clone, Copy, Default)]
pub enum Stage {
    /// It waits for a free one, or for room to open one.
    #[default]
    Waiting,
    Dialling(SocketAddr),
    Connected(SocketAddr),
}

#[derive(Default)]
pub struct Way {
    stage: Cell<Stage>,
    /// Since when it waits for its turn to dial: in squall, and not for the target.
    queues: Cell<Option<Micros>>,
    /// For how long it did before that.
    queued: Cell<Micros>,
}

impl Way {
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(super) fn comes_to(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// It waits for its turn from now on, if it does not already.
    pub(super) fn queues(&self, now: Micros) {
        self.queues.set(Some(self.queues.get().unwrap_or(now)));
    }

    /// Its turn has come, or it waits no more. Until `held_up`, and after `taken`, it was the target that took nobody.
    pub(super) fn goes_on(&self, held_up: Micros, taken: Micros) {
        let waited = self.queues.take().map_or(Micros::ZERO, |since| taken - since.max(held_up));
        self.queued.set(self.queued.get() + waited.max(Micros::ZERO));
    }

    /// For how long it has waited for its turn since this was last asked.
    pub(super) fn take_queued(&self, held_up: Micros, taken: Micros) -> Micros {
        self.goes_on(held_up, taken);
        self.queued.take()
    }
}
