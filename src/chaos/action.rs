//! What is done about a fault besides: programs that are run once, and taken back when the run ends.

use std::rc::Rc;

use super::driver::break_it;
use super::exec;
use super::journal::Undo;
use super::{Controller, Urgency};
use crate::record::{FaultStage, Record};
use crate::redact::redact;
use crate::units::Micros;

/// What comes between the fault and the program in an action's name; no fault has it in its own.
pub(super) const THEN: &str = ", then ";

/// An action whose undo is open in the journal.
pub(super) struct Acted {
    /// Of the fault and, among its actions, of this one.
    index: usize,
    n: usize,
    entry: u64,
}

impl Controller {
    /// Runs one of a fault's actions at its time after the fault `began`. A plan that could not be carried out
    /// proves nothing.
    pub(super) async fn act(self: Rc<Controller>, index: usize, n: usize, began: Micros) {
        let outline = &self.experiment.outline.faults[index];
        let action = &self.experiment.actions[index][n];
        self.wait_until(began + action.after).await;
        if self.must_heal() {
            return;
        }
        let now = || self.reach.world.now();
        let name = format!("{}{THEN}{}", outline.name, action.run.first().map_or("", String::as_str));
        if !action.undo.is_empty() {
            let (fault, undo, check) = (name.clone(), action.undo.clone(), Vec::new());
            let folder = std::env::current_dir().unwrap_or_default();
            match self.reach.journal.open(Undo::Exec { fault, undo, check, folder }) {
                Ok(entry) => self.acted.borrow_mut().push(Acted { index, n, entry }),
                Err(error) => {
                    let detail = format!("`{name}` was not run: the undo journal cannot be written: {error}");
                    return self.tell(outline, now(), FaultStage::NotEffective, detail);
                }
            }
        }
        let ended = self.unless_healed(break_it(&self.reach, &name, &action.run)).await;
        match ended.unwrap_or_else(|| Err(format!("`{name}` had to be broken off"))) {
            Ok(()) => {
                let text =
                    format!("{}: `{}` was run {} later", outline.name, action.run.join(" "), action.after);
                let text = redact(&text, &self.experiment.secrets);
                self.recorder.note(Record::Note { at: now(), text });
            }
            Err(why) => self.tell(outline, now(), FaultStage::NotEffective, why),
        }
    }

    /// Takes back, after the load, what was done and has an undo: what was done last first, as it may stand on what was
    /// done before. Who wants to leave waits for one that fails, and the others stay in the journal.
    pub(super) async fn take_back(self: &Rc<Controller>) {
        for one in self.acted.take().into_iter().rev() {
            if self.undone() || *self.urgency.borrow() < Urgency::Leave {
                let undoing = self.reach.world.spawn(self.clone().undo(one));
                if undoing.await.is_err() {
                    self.not_undone.set(true);
                }
            }
        }
    }

    async fn undo(self: Rc<Controller>, Acted { index, n, entry }: Acted) {
        let undo = &self.experiment.actions[index][n].undo;
        let mut undone = exec::done(&self.reach.world, undo).await;
        if undone.is_err() && self.waits_to_try_again().await {
            undone = exec::done(&self.reach.world, undo).await;
        }
        match undone {
            // An entry that stays open is merely undone again.
            Ok(()) => drop(self.reach.journal.close(entry)),
            Err(why) => {
                self.not_undone.set(true);
                let outline = &self.experiment.outline.faults[index];
                self.tell(outline, self.reach.world.now(), FaultStage::NotCleared, why);
            }
        }
    }
}
