//! Chaos: the timeline of faults, carried out and proven.
//!
//! The controller owns when; one driver per kind of thing owns how: undo recipe, inject, effect, heal.

mod action;
mod driver;
pub mod exec;
pub mod heal;
pub mod journal;
pub mod keeper;
mod on_link;
mod on_service;
mod pulse;
pub mod takeover;
mod watcher;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::experiment::Experiment;
use crate::experiment::fault::PROOF;
use crate::outline::FaultOutline;
use crate::proxy::{Ask, Links, Reply};
use crate::record::{FaultEvent, FaultStage, Record, Touched};
use crate::recorder::Recorder;
use crate::redact::redact;
use crate::service::Service;
#[cfg(test)]
use crate::toxic::{Direction, Toxic};
use crate::units::Micros;
use crate::world::World;
use action::Acted;
use driver::{Driver, NotHealed};
use journal::Journal;
use keeper::Keeper;
pub use watcher::Watcher;

/// Between two looks.
const LOOK: Micros = Micros::millis(20);
/// How long before its end a fault is looked at once more: somebody else may have taken it back. At most a quarter
/// of its length.
const LAST_LOOK: Micros = Micros::millis(500);
/// Between two tries to heal.
const AGAIN: Micros = Micros::millis(200);

/// Where links are carried: in the keeper, or beside everything else in virtual time.
pub enum Port {
    Keeper(Box<Keeper>),
    Local(Links),
    /// Says yes to every injection and does nothing: what proofs must find out.
    #[cfg(test)]
    Deaf(Links),
    /// Notes every injection and does nothing.
    #[cfg(test)]
    InNameOnly(Links),
}

impl Port {
    pub async fn ask(&self, ask: Ask) -> Reply {
        match self {
            Port::Keeper(keeper) => keeper.ask(ask).await,
            Port::Local(links) => links.handle(ask).await,
            #[cfg(test)]
            Port::Deaf(links) => match ask {
                Ask::Inject { .. } => Reply::Done,
                ask => links.handle(ask).await,
            },
            #[cfg(test)]
            Port::InNameOnly(links) => match ask {
                Ask::Inject { link, fault, .. } => {
                    let (latency, jitter, direction) = (Micros::ZERO, Micros::ZERO, Direction::Both);
                    let toxic = Toxic::Latency { latency, jitter, direction };
                    links.handle(Ask::Inject { link, fault, toxic }).await
                }
                ask => links.handle(ask).await,
            },
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

/// What is asked of the controller while a run goes on: ever more, never less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Faults at their times.
    None,
    /// Every fault must be healed now, and none injected any more.
    Heal,
    /// And nothing waited for that ends with squall anyway.
    Leave,
}

/// Carries out an experiment's faults.
pub struct Controller {
    reach: Reach,
    experiment: Arc<Experiment>,
    recorder: Recorder,
    urgency: watch::Receiver<Urgency>,
    /// Whether the service has been seen in its steady state: before that, nothing is injected.
    steady: watch::Receiver<bool>,
    not_undone: Cell<bool>,
    /// Links that a failover has led elsewhere: fault, link and entry in the journal.
    away: RefCell<Vec<(FaultOutline, String, u64)>>,
    /// What was done about faults and must be taken back.
    acted: RefCell<Vec<Acted>>,
}

impl Controller {
    pub fn new(
        reach: Reach,
        experiment: Arc<Experiment>,
        recorder: Recorder,
        urgency: watch::Receiver<Urgency>,
        steady: watch::Receiver<bool>,
    ) -> Rc<Controller> {
        let (not_undone, away, acted) = (Cell::new(false), RefCell::default(), RefCell::default());
        Rc::new(Controller { reach, experiment, recorder, urgency, steady, not_undone, away, acted })
    }

    /// Runs all faults at their times; returns when the last one is healed.
    pub async fn run(self: Rc<Controller>) {
        let tasks: Vec<_> = (0..self.experiment.faults.len())
            .map(|index| self.reach.world.spawn(self.clone().fault(index)))
            .collect();
        for task in tasks {
            if task.await.is_err() {
                self.not_undone.set(true);
            }
        }
    }

    /// Whether everything could be undone so far.
    pub fn undone(&self) -> bool {
        !self.not_undone.get()
    }

    /// After the load: what was done about faults is taken back, and links that were failed over go back, unless
    /// they stay.
    pub async fn go_back(self: &Rc<Controller>) {
        self.take_back().await;
        for (outline, link, entry) in self.away.take() {
            match self.reach.port.ask(Ask::GoBack { link }).await {
                // An entry that stays open is merely undone again.
                Reply::Done => drop(self.reach.journal.close(entry)),
                other => {
                    let why = if let Reply::Failed { error } = other { error } else { format!("{other:?}") };
                    self.not_undone.set(true);
                    let detail = format!("the link could not go back to its first upstream: {why}");
                    self.tell(&outline, self.reach.world.now(), FaultStage::NotCleared, detail);
                }
            }
        }
    }

    fn tell(&self, outline: &FaultOutline, at: Micros, stage: FaultStage, detail: impl Into<String>) {
        let (fault, detail) = (outline.name.clone(), redact(&detail.into(), &self.experiment.secrets));
        self.recorder.note(Record::Fault(FaultEvent { at, fault, stage, detail, touched: None }));
    }

    fn must_heal(&self) -> bool {
        *self.urgency.borrow() >= Urgency::Heal
    }

    async fn asked(&self, wanted: Urgency) {
        // The sender lives as long as the run.
        let _ = self.urgency.clone().wait_for(|urgency| *urgency >= wanted).await;
    }

    /// What comes of `future`; none if every fault must be healed first.
    async fn unless_healed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.asked(Urgency::Heal) => None,
            done = future => Some(done),
        }
    }

    /// Returns when the steady state has been seen; never, where nobody looks any more.
    async fn steady(&self) {
        if self.steady.clone().wait_for(|steady| *steady).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns at `at`, or as soon as every fault must be healed.
    async fn wait_until(&self, at: Micros) {
        self.unless_healed(self.reach.world.sleep_until(at)).await;
    }

    async fn fault(self: Rc<Controller>, index: usize) {
        let outline = self.experiment.outline.faults[index].clone();
        let world = self.reach.world.clone();
        self.wait_until(outline.at).await;
        self.unless_healed(self.steady()).await;
        let driver = match Driver::new(&self.reach, &self.experiment, index) {
            Ok(driver) => driver,
            Err(error) => return self.tell(&outline, world.now(), FaultStage::NotEffective, error),
        };
        let early = self.must_heal();
        let turn = self.unless_healed(driver.turn()).await;
        if self.must_heal() {
            let why = match early {
                true => "the run ended before its time",
                false => "the run ended before what it breaks was back from the fault before it",
            };
            return self.tell(&outline, world.now(), FaultStage::Skipped, why);
        }
        self.tell(&outline, world.now(), FaultStage::Asked, "");
        let entry = match driver.undo().map(|undo| self.reach.journal.open(undo)).transpose() {
            Ok(entry) => entry,
            Err(error) => {
                let detail = format!("not injected: the undo journal cannot be written: {error}");
                return self.tell(&outline, world.now(), FaultStage::NotEffective, detail);
            }
        };
        let mut acting = Vec::new();
        let undone = self.in_force(index, &outline, &driver, &mut acting).await;
        drop(turn);
        for action in acting {
            // One that panicked ends with squall, and its undo is in the journal.
            let _ = action.await;
        }
        if !undone {
            return self.not_undone.set(true);
        }
        match (entry, driver.goes_back()) {
            (Some(entry), Some(link)) => self.away.borrow_mut().push((outline, link.to_owned(), entry)),
            // An entry that stays open is merely undone again.
            (Some(entry), None) => drop(self.reach.journal.close(entry)),
            (None, _) => {}
        }
    }

    /// From injection to the proof that it is gone; whether it is. What is to be done about it is `acting` as soon as
    /// it was injected.
    async fn in_force(
        self: &Rc<Controller>,
        index: usize,
        outline: &FaultOutline,
        driver: &Driver,
        acting: &mut Vec<JoinHandle<()>>,
    ) -> bool {
        let world = &self.reach.world;
        let began = world.now();
        let injected = match driver.may_be_broken_off() {
            true => self.unless_healed(driver.inject()).await,
            false => Some(driver.inject().await),
        };
        match injected.unwrap_or_else(|| Err("it was being injected when it had to be healed".to_owned())) {
            Err(error) => self.tell(outline, world.now(), FaultStage::NotEffective, error),
            Ok(()) => {
                // A hook's `run` may take its time: the fault lasts from when it was injected.
                let injected = world.now();
                let window = outline.length.or(driver.outage());
                let end = injected + window.unwrap_or(Micros::ZERO);
                let actions = 0..self.experiment.actions.get(index).map_or(0, Vec::len);
                acting.extend(actions.map(|n| world.spawn(self.clone().act(index, n, began))));
                let proven = self.prove(outline, driver, end.max(injected + PROOF)).await;
                if let Some(window) = window {
                    let last = LAST_LOOK.min(Micros(window.0 / 4));
                    self.wait_until(end - last).await;
                    if proven {
                        self.look_again(outline, driver, end, last).await;
                    }
                    self.wait_until(end).await;
                }
            }
        }
        self.remove(outline, driver).await
    }

    /// Whether it is seen to be in force.
    async fn prove(&self, outline: &FaultOutline, driver: &Driver, deadline: Micros) -> bool {
        let world = &self.reach.world;
        let (injected, mut why) = (world.now(), "it had to be healed before".to_owned());
        loop {
            let looked = world.now();
            match self.unless_healed(driver.effect()).await {
                Some(Ok(proof)) => {
                    let since = (looked - driver.held_back().await).max(injected);
                    self.tell(outline, since, FaultStage::Effective, proof);
                    return true;
                }
                Some(Err(_)) if outline.expect_no_traffic => {
                    let detail = "declared quiet (expect: no_traffic)";
                    self.tell(outline, looked, FaultStage::Effective, detail);
                    return true;
                }
                Some(Err(unseen)) => why = unseen,
                None => {}
            }
            if world.now() >= deadline || self.must_heal() {
                let detail = format!("no effect seen: {why}");
                self.tell(outline, world.now(), FaultStage::NotEffective, detail);
                return false;
            }
            world.sleep(LOOK).await;
        }
    }

    /// Looks within the `last` of its time whether what was in force still is; the heal waits for no look.
    async fn look_again(&self, outline: &FaultOutline, driver: &Driver, end: Micros, last: Micros) {
        let world = &self.reach.world;
        let look = self.look_until(end - Micros(last.0 / 2), async || driver.lasts().await);
        if let Some(Ok(Err(why))) = self.unless_healed(world.timeout_at(end, look)).await {
            let detail = format!("it did not last until its end: {why}");
            self.tell(outline, world.now(), FaultStage::NotEffective, detail);
        }
    }

    /// Heals and proves it, by state: a target that is unwell by itself leaves a remark. Whether it is gone.
    async fn remove(&self, outline: &FaultOutline, driver: &Driver) -> bool {
        let world = &self.reach.world;
        if outline.length.or(driver.outage()).is_some() {
            self.tell(outline, world.now(), FaultStage::Clearing, "");
        }
        let healed = tokio::select! {
            biased;
            () = self.asked(Urgency::Leave), if driver.ends_with_squall() => {
                let text = format!("{} was not waited for: squall was asked to leave at once", outline.name);
                self.recorder.note(Record::Note { at: world.now(), text });
                return true;
            }
            healed = self.heal(driver) => healed,
        };
        let (at, stage, detail) = match healed {
            Err(NotHealed::Failed(why)) => (world.now(), FaultStage::NotCleared, why),
            Err(NotHealed::NotBack(why)) => (world.now(), FaultStage::NotBack, why),
            Ok(gone) => tokio::select! {
                biased;
                () = self.asked(Urgency::Leave) => (gone, FaultStage::Verified, driver.remark()),
                seen = self.traffic(outline, driver) => match seen {
                    // Only a failover is over when the other side answers; any other fault when it is gone.
                    Ok(()) if driver.waits_for_an_answer() => (world.now(), FaultStage::Verified, driver.remark()),
                    Err(why) if driver.waits_for_an_answer() => (world.now(), FaultStage::NotEffective, why),
                    Ok(()) => (gone, FaultStage::Verified, driver.remark()),
                    Err(why) => (gone, FaultStage::Verified, format!("gone, though {why}")),
                },
            },
        };
        let touched: Option<Touched> = driver.touched().await;
        let (fault, detail) = (outline.name.clone(), redact(&detail, &self.experiment.secrets));
        self.recorder.note(Record::Fault(FaultEvent { at, fault, stage, detail, touched }));
        stage != FaultStage::NotCleared
    }

    /// Heals until it has worked and the fault is gone, or the time has come; twice at least, where that may be
    /// done again and nobody wants to leave. When the look began that saw it gone: a hook's check may take its time.
    async fn heal(&self, driver: &Driver) -> Result<Micros, NotHealed> {
        let world = &self.reach.world;
        let deadline = world.now() + PROOF;
        let mut tries = 1;
        while let Err(failed) = driver.heal().await {
            let may = matches!(failed, NotHealed::Failed(_)) && driver.heals_again();
            let again = may && (tries < 2 || world.now() < deadline);
            if !again || !self.waits_to_try_again().await {
                return Err(failed);
            }
            tries += 1;
        }
        let looked = Cell::new(world.now());
        let look = async || {
            looked.set(world.now());
            driver.cleared().await
        };
        self.look_until(looked.get() + PROOF, look).await?;
        Ok(looked.get())
    }

    /// Whether what failed is to be tried again, some time later. Nobody is held up who wants to leave: what stays in the
    /// journal is undone again.
    async fn waits_to_try_again(&self) -> bool {
        tokio::select! {
            biased;
            () = self.asked(Urgency::Leave) => false,
            () = self.reach.world.sleep(AGAIN) => true,
        }
    }

    /// Whether traffic passes again, as far as anybody can see; the other side of a failover may take as long
    /// as the fault has to settle, unless every fault must be healed meanwhile.
    async fn traffic(&self, outline: &FaultOutline, driver: &Driver) -> Result<(), String> {
        let gone = self.reach.world.now();
        let look = |patience| self.look_until(gone + patience, async || driver.passes().await);
        if driver.waits_for_an_answer()
            && let Some(seen) = self.unless_healed(look(PROOF.max(outline.settle))).await
        {
            return seen;
        }
        look(PROOF).await
    }

    /// Looks until all is well, or the time has come; what the last look saw.
    async fn look_until(
        &self,
        deadline: Micros,
        look: impl AsyncFn() -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            match look().await {
                Err(_) if self.reach.world.now() < deadline => self.reach.world.sleep(LOOK).await,
                seen => return seen,
            }
        }
    }
}

#[cfg(test)]
mod tests;
