//! The evidence: everything that is worked out once per history before any objective is judged.
//!
//! Owns putting it together and what became of each fault; the rules lie in the modules it calls.

use std::collections::BTreeMap;

use super::baseline::{self, Series};
use super::judgement::JudgedFault;
use super::recovery::{self, Aftermath, Allowance};
use super::soundness::Soundness;
use crate::objective::PhaseName;
use crate::outline::FaultOutline;
use crate::record::{FaultEvent, FaultStage, How, Touched};
use crate::timeline::phases::{self, PhaseCells, Return, Trigger};
use crate::timeline::{Cells, Timeline};
use crate::units::{Micros, clock};

pub(super) struct Evidence<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) sound: Soundness,
    pub(super) triggers: Vec<Trigger>,
    pub(super) series: Vec<Series>,
    /// One for each trigger.
    pub(super) aftermaths: Vec<Aftermath>,
    pub(super) phases: Vec<PhaseCells>,
    pub(super) faults: Vec<JudgedFault>,
    /// By trigger: why what is measured in its phases is INVALID.
    pub(super) problems: BTreeMap<String, String>,
}

impl Evidence<'_> {
    /// `(at 0:41.00: squall sent up to 4.9 s late)`: what squall did wrong in cells, or soon after.
    pub(super) fn blame(&self, cells: &Cells) -> String {
        let at = |(cell, why): (u32, &str)| format!(" (at {}: {why})", clock(self.timeline.cell_start(cell)));
        let later = || self.sound.unsound.iter().find(|(c, _)| cells.last().is_some_and(|last| *c > last));
        let found = self.sound.why(cells).or_else(|| later().map(|(&c, why)| (c, why.as_str())));
        found.map_or(String::new(), at)
    }

    pub(super) fn of(timeline: &Timeline) -> Evidence<'_> {
        let triggers = phases::triggers(timeline);
        let series = baseline::series(timeline, &triggers);
        let whole = Allowance::default();
        let look = |t: &Trigger| recovery::aftermath(timeline, &series, &triggers, t, &whole);
        let aftermaths: Vec<Aftermath> = triggers.iter().map(look).collect();
        let returns: Vec<Return> = aftermaths.iter().map(|a| a.back).collect();
        let faults: Vec<JudgedFault> = timeline.outline().faults.iter().map(|f| judge(timeline, f)).collect();
        let mut problems = BTreeMap::new();
        for fault in &faults {
            if let Some(problem) = &fault.problem {
                problems.entry(fault.trigger.clone()).or_insert_with(|| problem.clone());
            }
        }
        Evidence {
            sound: Soundness::of(timeline),
            phases: phases::phases(timeline, &triggers, &returns),
            timeline,
            triggers,
            series,
            aftermaths,
            faults,
            problems,
        }
    }

    /// The cells of a phase; empty if there is no such phase or it never came.
    pub(super) fn cells(&self, phase: &PhaseName) -> Cells {
        self.phases.iter().find(|p| p.name == *phase).map(|p| p.cells.clone()).unwrap_or_default()
    }

    /// Those of the cells in which load was planned, and how much of it: what flows do after its end is
    /// none of a rate's.
    pub(super) fn loaded(&self, cells: &Cells) -> (Cells, Micros) {
        let (timeline, end) = (self.timeline, self.timeline.load_end());
        let cells: Cells = cells.iter().copied().filter(|&c| timeline.cell_start(c) < end).collect();
        let cut = cells
            .last()
            .map_or(Micros::ZERO, |&last| (timeline.cell_start(last + 1) - end).max(Micros::ZERO));
        let length = self.length(&cells) - cut;
        (cells, length)
    }

    /// The time that cells cover.
    pub(super) fn length(&self, cells: &Cells) -> Micros {
        self.timeline.outline().cell * cells.len() as i64
    }
}

/// The run was lived to its end.
pub(super) fn complete(timeline: &Timeline) -> bool {
    timeline.end.as_ref().is_some_and(|end| end.how == How::Complete)
}

fn judge(timeline: &Timeline, fault: &FaultOutline) -> JudgedFault {
    let events: Vec<&FaultEvent> = timeline.faults.iter().filter(|e| e.fault == fault.name).collect();
    let at = |stage| phases::first(&timeline.faults, &fault.name, stage);
    let proof: Vec<&str> = events
        .iter()
        .filter(|e| !matches!(e.stage, FaultStage::Asked | FaultStage::Clearing))
        .map(|e| e.detail.as_str())
        .filter(|d| !d.is_empty())
        .collect();
    let touched = events.iter().rev().find_map(|e| e.touched.clone());
    JudgedFault {
        name: fault.name.clone(),
        trigger: fault.trigger.clone(),
        what: fault.what.clone(),
        on: fault.on.clone(),
        planned: fault.at,
        injected: at(FaultStage::Asked),
        effective: at(FaultStage::Effective),
        cleared: at(FaultStage::Clearing),
        verified: at(FaultStage::Verified),
        detail: proof.join("; "),
        problem: problem(fault, &events, touched.as_ref(), complete(timeline)),
        touched,
    }
}

/// Why the fault's phases prove nothing. A run that was cut short owes no fault; one that is complete
/// does.
fn problem(
    fault: &FaultOutline,
    events: &[&FaultEvent],
    touched: Option<&Touched>,
    complete: bool,
) -> Option<String> {
    let name = &fault.name;
    let has = |stage| events.iter().find(|e| e.stage == stage);
    let because =
        |e: &FaultEvent| if e.detail.is_empty() { String::new() } else { format!(" ({})", e.detail) };
    let windowed = fault.length.is_some();
    if has(FaultStage::Effective).is_none() {
        let failed = has(FaultStage::NotEffective)
            .map(|e| format!("{name} was not proven to be in force{}", because(e)));
        return failed.or_else(|| complete.then(|| format!("{name} was never seen in force")));
    }
    if has(FaultStage::Verified).is_none() {
        if let Some(e) = has(FaultStage::NotCleared) {
            return Some(format!("{name} was not proven to be removed{}", because(e)));
        }
        if windowed && complete {
            return Some(format!("the removal of {name} was never verified"));
        }
    }
    let met = !untouched(touched?);
    match (fault.expect_no_traffic, met) {
        (false, false) if windowed => Some(format!(
            "{name} was in force but touched no traffic (`expect: no_traffic` if that is meant)"
        )),
        (true, true) => {
            Some(format!("{name} touched traffic where none was expected (`expect: no_traffic`)"))
        }
        _ => None,
    }
}

fn untouched(t: &Touched) -> bool {
    t.connections + t.chunks + t.bytes + t.dropped_bytes + t.closed_connections == 0
}
