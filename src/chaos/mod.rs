//! Chaos: the timeline of faults, carried out and proven.
//!
//! The controller owns when; one driver per kind of thing owns how: undo recipe, inject, effect, heal.

mod driver;
pub mod exec;
pub mod heal;
pub mod journal;
pub mod keeper;
mod on_link;
mod on_service;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use crate::experiment::Experiment;
use crate::outline::FaultOutline;
use crate::proxy::{Ask, Links, Reply};
use crate::record::{FaultEvent, FaultStage, Record, Touched};
use crate::recorder::Recorder;
use crate::redact::redact;
use crate::service::Service;
use crate::units::Micros;
use crate::world::World;
use driver::Driver;
use journal::Journal;
use keeper::Keeper;

/// How long a fault without a window, or with a short one, has to show its effect; and how long its
/// removal has to show.
const PROOF: Micros = Micros::secs(5);
/// How long before a fault its driver looks at the state to compare with.
const LOOK_BEFORE: Micros = Micros::millis(500);
/// Between two looks.
const LOOK: Micros = Micros::millis(20);

/// Where links are carried: in the keeper, or beside everything else in virtual time.
pub enum Port {
    Keeper(Box<Keeper>),
    Local(Links),
}

impl Port {
    pub async fn ask(&self, ask: Ask) -> Reply {
        match self {
            Port::Keeper(keeper) => keeper.ask(ask).await,
            Port::Local(links) => links.handle(ask).await,
        }
    }
}

/// What drivers act on.
#[derive(Clone)]
pub struct Reach {
    pub world: World,
    pub port: Rc<Port>,
    pub services: Rc<BTreeMap<String, Rc<Service>>>,
    pub journal: Rc<Journal>,
}

/// Carries out an experiment's faults.
pub struct Controller {
    reach: Reach,
    experiment: Arc<Experiment>,
    recorder: Recorder,
    /// Turns true when every fault must be healed now and none injected any more.
    heal: watch::Receiver<bool>,
    not_undone: Cell<bool>,
}

impl Controller {
    pub fn new(
        reach: Reach,
        experiment: Arc<Experiment>,
        recorder: Recorder,
        heal: watch::Receiver<bool>,
    ) -> Rc<Controller> {
        let not_undone = Cell::new(false);
        Rc::new(Controller { reach, experiment, recorder, heal, not_undone })
    }

    /// Runs all faults at their times; returns when the last one is healed and links are back. Whether
    /// everything could be undone.
    pub async fn run(self: Rc<Controller>) -> bool {
        let tasks: Vec<_> = (0..self.experiment.faults.len())
            .map(|index| self.reach.world.spawn(self.clone().fault(index)))
            .collect();
        for task in tasks {
            if task.await.is_err() {
                self.not_undone.set(true);
            }
        }
        !self.not_undone.get()
    }

    /// After the load: links that were failed over go back, unless they stay.
    pub async fn go_back(&self) {
        for fault in &self.experiment.faults {
            if let Err(error) = driver::go_back(&self.reach, &self.experiment, fault).await {
                let text = format!("a link could not go back to its first upstream: {error}");
                self.recorder.note(Record::Note { at: self.reach.world.now(), text });
            }
        }
    }

    /// Once a second, until dropped: what the keeper's own machine refused it is no fault of the target's.
    pub async fn watch_the_keeper(self: Rc<Controller>) {
        let Port::Keeper(keeper) = &*self.reach.port else { return };
        let world = &self.reach.world;
        let (mut before, mut from) = (0, world.now());
        loop {
            world.sleep(Micros::SECOND).await;
            if let Reply::Refused { n } = keeper.ask(Ask::Refused).await {
                let at = world.now();
                if n > before {
                    self.recorder.note(Record::Refused { from, at, n: n - before });
                }
                (before, from) = (n, at);
            }
        }
    }

    fn tell(&self, outline: &FaultOutline, at: Micros, stage: FaultStage, detail: impl Into<String>) {
        let (fault, detail) = (outline.name.clone(), redact(&detail.into(), &self.experiment.secrets));
        self.recorder.note(Record::Fault(FaultEvent { at, fault, stage, detail, touched: None }));
    }

    fn must_heal(&self) -> bool {
        *self.heal.borrow()
    }

    async fn heal_asked(&self) {
        // The sender lives as long as the run.
        let _ = self.heal.clone().wait_for(|heal| *heal).await;
    }

    /// Returns at `at`, or as soon as every fault must be healed.
    async fn wait_until(&self, at: Micros) {
        tokio::select! {
            biased;
            () = self.heal_asked() => {}
            () = self.reach.world.sleep_until(at) => {}
        }
    }

    async fn fault(self: Rc<Controller>, index: usize) {
        let outline = self.experiment.outline.faults[index].clone();
        let world = self.reach.world.clone();
        self.wait_until(outline.at - LOOK_BEFORE).await;
        let driver = Driver::new(&self.reach, &self.experiment, index).await;
        self.wait_until(outline.at).await;
        if self.must_heal() {
            self.tell(&outline, world.now(), FaultStage::Skipped, "the run ended before its time");
            return;
        }
        let driver = match driver {
            Ok(driver) => driver,
            Err(error) => return self.tell(&outline, world.now(), FaultStage::NotEffective, error),
        };
        self.tell(&outline, world.now(), FaultStage::Asked, "");
        let entry = match driver.undo().map(|undo| self.reach.journal.open(undo)).transpose() {
            Ok(entry) => entry,
            Err(error) => {
                let detail = format!("not injected: the undo journal cannot be written: {error}");
                return self.tell(&outline, world.now(), FaultStage::NotEffective, detail);
            }
        };
        self.in_force(&outline, &driver).await;
        if let (Some(entry), false) = (entry, self.not_undone.get()) {
            // An entry that stays open is merely undone again.
            let _ = self.reach.journal.close(entry);
        }
    }

    /// From injection to the proof that it is gone.
    async fn in_force(&self, outline: &FaultOutline, driver: &Driver) {
        let world = &self.reach.world;
        let began = world.now();
        let window = outline.length.or(driver.outage());
        let end = began + window.unwrap_or(Micros::ZERO);
        if let Err(error) = driver.inject().await {
            self.tell(outline, world.now(), FaultStage::NotEffective, error);
        } else {
            self.prove(outline, driver, end.max(began + PROOF)).await;
            if window.is_some() {
                self.wait_until(end).await;
            }
        }
        self.remove(outline, driver).await;
    }

    async fn prove(&self, outline: &FaultOutline, driver: &Driver, deadline: Micros) {
        let world = &self.reach.world;
        loop {
            let looked = world.now();
            match driver.effect().await {
                Ok(proof) => return self.tell(outline, looked, FaultStage::Effective, proof),
                Err(_) if outline.expect_no_traffic => {
                    let detail = "declared quiet (expect: no_traffic)";
                    return self.tell(outline, looked, FaultStage::Effective, detail);
                }
                Err(why) if world.now() >= deadline || self.must_heal() => {
                    let detail = format!("no effect seen: {why}");
                    return self.tell(outline, world.now(), FaultStage::NotEffective, detail);
                }
                Err(_) => world.sleep(LOOK).await,
            }
        }
    }

    async fn remove(&self, outline: &FaultOutline, driver: &Driver) {
        let world = &self.reach.world;
        if outline.length.or(driver.outage()).is_some() {
            self.tell(outline, world.now(), FaultStage::Clearing, "");
        }
        let mut result = driver.heal().await;
        let deadline = world.now() + PROOF;
        while result.is_ok() {
            match driver.cleared().await {
                Ok(()) => break,
                Err(why) if world.now() >= deadline => result = Err(why),
                Err(_) => world.sleep(LOOK).await,
            }
        }
        let touched: Option<Touched> = driver.touched().await;
        let (stage, detail) = match result {
            Ok(()) => (FaultStage::Verified, String::new()),
            Err(error) => {
                self.not_undone.set(true);
                (FaultStage::NotCleared, redact(&error, &self.experiment.secrets))
            }
        };
        let fault = outline.name.clone();
        self.recorder.note(Record::Fault(FaultEvent { at: world.now(), fault, stage, detail, touched }));
    }
}
