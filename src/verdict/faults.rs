//! What became of each fault, and what follows where one was not proven, not removed, or where what it hit did
//! not come back.

use super::judgement::{JudgedFault, Span, Word};
use super::ruling::Ruling;
use super::view::View;
use crate::outline::FaultOutline;
use crate::record::{FaultEvent, FaultStage, How, Touched};
use crate::timeline::{Timeline, trigger};
use crate::units::Micros;

/// A ruling for every fault that something is the matter with.
pub(super) fn judge(view: &View) -> Vec<Ruling> {
    view.faults.iter().filter_map(ruling).collect()
}

fn ruling(fault: &JudgedFault) -> Option<Ruling> {
    let name = || Some(fault.name.clone());
    if let Some(words) = &fault.not_back {
        let sentence = format!("What {} hit did not come back: {words}.", fault.name);
        return Some(Ruling::new(Word::Fail, name(), sentence).over(span(fault)));
    }
    let problem = fault.problem.as_ref()?;
    Some(Ruling::new(Word::Invalid, name(), format!("Nothing is proven: {problem}.")).over(span(fault)))
}

/// From when it was asked for until it was proven to be gone, or was to be.
fn span(fault: &JudgedFault) -> Option<Span> {
    let from = fault.injected?;
    Some(Span { from, to: fault.verified.or(fault.cleared).unwrap_or(from) })
}

/// Every fault of the plan with its times.
pub(super) fn table(timeline: &Timeline) -> Vec<JudgedFault> {
    timeline.outline().faults.iter().map(|f| of(timeline, f)).collect()
}

/// The run was lived to its end.
pub(super) fn complete(timeline: &Timeline) -> bool {
    timeline.end.as_ref().is_some_and(|end| end.how == How::Complete)
}

/// Whether the last word on a fault's removal is that it failed.
fn is_stuck(timeline: &Timeline, name: &str) -> bool {
    let removal = |e: &&FaultEvent| matches!(e.stage, FaultStage::Verified | FaultStage::NotCleared);
    let last = timeline.faults.iter().rfind(|e| e.fault == name && removal(e));
    last.is_some_and(|e| e.stage == FaultStage::NotCleared)
}

/// From when on a fault that could not be undone spoils everything: since its end was asked for.
pub(super) fn spoilt_from(timeline: &Timeline) -> Option<(Micros, String)> {
    let stuck = timeline.outline().faults.iter().filter(|f| is_stuck(timeline, &f.name));
    let since = |name: &str| {
        let of = |e: &&FaultEvent| {
            e.fault == name && matches!(e.stage, FaultStage::Clearing | FaultStage::NotCleared)
        };
        timeline.faults.iter().find(of).map(|e| e.at)
    };
    stuck.filter_map(|f| Some((since(&f.name)?, f.name.clone()))).min()
}

fn of(timeline: &Timeline, fault: &FaultOutline) -> JudgedFault {
    let events: Vec<&FaultEvent> = timeline.faults.iter().filter(|e| e.fault == fault.name).collect();
    let at = |stage| trigger::first(&timeline.faults, &fault.name, stage);
    let proof: Vec<&str> = events
        .iter()
        .filter(|e| !matches!(e.stage, FaultStage::Asked | FaultStage::Clearing))
        .map(|e| e.detail.as_str())
        .filter(|d| !d.is_empty())
        .collect();
    let touched = events.iter().rev().find_map(|e| e.touched.clone());
    let is_smoke = timeline.outline().smoke.is_some();
    let not_back = events.iter().find(|e| e.stage == FaultStage::NotBack).map(|e| e.detail.clone());
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
        problem: problem(fault, &events, touched.as_ref(), (complete(timeline), is_smoke))
            .filter(|_| not_back.is_none()),
        not_back,
        touched,
    }
}

/// Why the fault's phases prove nothing. A run that was cut short owes no fault; one that is complete
/// does.
fn problem(
    fault: &FaultOutline,
    events: &[&FaultEvent],
    touched: Option<&Touched>,
    (complete, smoke): (bool, bool),
) -> Option<String> {
    let name = &fault.name;
    let has = |stage| events.iter().find(|e| e.stage == stage);
    let because =
        |e: &FaultEvent| if e.detail.is_empty() { String::new() } else { format!(" ({})", e.detail) };
    let windowed = fault.length.is_some();
    if has(FaultStage::Effective).is_none() {
        let failed = has(FaultStage::NotEffective)
            .map(|e| format!("{name} was not proven to be in force{}", because(e)));
        let why = has(FaultStage::Skipped).map(|e| because(e)).unwrap_or_default();
        return failed.or_else(|| complete.then(|| format!("{name} was never seen in force{why}")));
    }
    // Something that belongs to it was not: the upstream that a failover leads to, an action inside of it.
    if let Some(e) = has(FaultStage::NotEffective) {
        return Some(format!("{name} was not proven in all that it does{}", because(e)));
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
        // In so little time of a smoke run nobody need have come by.
        (false, false) if windowed && !smoke => Some(format!(
            "{name} was in force but touched no traffic (`expect: no_traffic` if that is meant)"
        )),
        (true, true) => {
            Some(format!("{name} touched traffic where none was expected (`expect: no_traffic`)"))
        }
        _ => None,
    }
}

/// Faults of a smoke run that no traffic met.
pub(super) fn met_nobody(timeline: &Timeline) -> Option<String> {
    timeline.outline().smoke?;
    let outlines = &timeline.outline().faults;
    let alone = outlines.iter().filter(|fault| fault.length.is_some() && !fault.expect_no_traffic);
    let met_nobody = |name: &str| {
        let touched =
            timeline.faults.iter().rev().filter(|e| e.fault == name).find_map(|e| e.touched.as_ref());
        touched.is_some_and(untouched)
    };
    let names: Vec<&str> = alone.map(|fault| fault.name.as_str()).filter(|name| met_nobody(name)).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("In so short a run nobody came by while {names} was in force: only that it came and went was seen.")
    })
}

fn untouched(t: &Touched) -> bool {
    t.connections + t.chunks + t.bytes + t.dropped_bytes + t.closed_connections == 0
}
