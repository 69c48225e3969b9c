//! Phases: which cells of the run each trigger's before, during and after are (SEMANTICS.md).
//!
//! Owns the clock arithmetic. Whether and when the service recovered is handed in by the judge.

use super::{Cells, Timeline};
use crate::objective::PhaseName;
use crate::outline::{FaultOutline, ShapeOutline};
use crate::record::{FaultEvent, FaultStage};
use crate::units::Micros;

/// A fault or a shape that phases are named after, with its times as they came to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `X`, or `X#2`.
    pub name: String,
    /// `X`.
    pub trigger: String,
    pub shape: bool,
    pub one_shot: bool,
    pub settle: Micros,
    pub t_inject: Micros,
    /// None: never proven to be in force.
    pub t_effective: Option<Micros>,
    /// None: never proven to be removed.
    pub t_clear: Option<Micros>,
}

/// What is known of the service's return after a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// r.
    At(Micros),
    Never,
    /// What was watched may be the beginning of a recovery, and is too short for one.
    TooShort,
    /// Nothing was there to tell: no shape has a band.
    Unknown,
}

/// A phase and its cells; empty if it never came.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseCells {
    pub name: PhaseName,
    pub cells: Cells,
}

/// All triggers that came to pass, by time of injection.
pub fn triggers(timeline: &Timeline) -> Vec<Trigger> {
    let outline = timeline.outline();
    let shapes = outline.shapes.iter().enumerate().filter(|(_, s)| s.trigger);
    let shapes = shapes.filter_map(|(index, s)| of_shape(timeline, index, s));
    let faults = outline.faults.iter().filter_map(|f| of_fault(&timeline.faults, f));
    let mut all: Vec<Trigger> = shapes.chain(faults).collect();
    all.sort_by_key(|t| t.t_inject);
    all
}

/// A shape as a trigger is in force from its first planned arrival to the end of its window, or to the last
/// intended start of one of its operations where that comes later, to the cell.
fn of_shape(timeline: &Timeline, index: usize, shape: &ShapeOutline) -> Option<Trigger> {
    let first = shape.first.unwrap_or(shape.start);
    let last = timeline.last_intended(index).map_or(first, |cell| timeline.cell_start(cell + 1));
    let clear = shape.end.max(last).min(timeline.load_end());
    (first < clear).then(|| Trigger {
        name: shape.name.clone(),
        trigger: shape.name.clone(),
        shape: true,
        one_shot: false,
        settle: Micros::ZERO,
        t_inject: first,
        t_effective: Some(first),
        t_clear: Some(clear),
    })
}

fn of_fault(events: &[FaultEvent], fault: &FaultOutline) -> Option<Trigger> {
    let t_inject = first(events, &fault.name, FaultStage::Asked)?;
    let t_effective = first(events, &fault.name, FaultStage::Effective);
    let one_shot = fault.length.is_none();
    let verified = first(events, &fault.name, FaultStage::Verified);
    // A failover is a one-shot that is over only when the other upstream answers.
    let just_happens = one_shot && first(events, &fault.name, FaultStage::Clearing).is_none();
    Some(Trigger {
        name: fault.name.clone(),
        trigger: fault.trigger.clone(),
        shape: false,
        one_shot,
        settle: fault.settle,
        t_inject,
        t_effective,
        t_clear: if just_happens { t_effective } else { verified },
    })
}

/// When a fault reached a stage for the first time.
pub fn first(events: &[FaultEvent], fault: &str, stage: FaultStage) -> Option<Micros> {
    events.iter().find(|e| e.fault == fault && e.stage == stage).map(|e| e.at)
}

/// When the next trigger after this one begins, or the load ends; at once where another one that began later is
/// still in force when this one is over.
pub fn horizon(timeline: &Timeline, triggers: &[Trigger], of: &Trigger) -> Micros {
    let over = of.t_clear.or(of.t_effective).unwrap_or(of.t_inject);
    let later = || triggers.iter().filter(|t| t.t_inject > of.t_inject);
    let in_force =
        |t: &Trigger| t.t_inject < over && !t.one_shot && t.t_clear.is_none_or(|clear| clear > over);
    if later().any(in_force) {
        return over.min(timeline.load_end());
    }
    let next = later().map(|t| t.t_inject).filter(|&at| at >= over).min();
    next.unwrap_or(Micros::MAX).min(timeline.load_end())
}

/// Whether another trigger, which began no later, is still in force when this one is over: from then on what is out
/// of order may be that one's doing.
pub fn is_outlasted(triggers: &[Trigger], of: &Trigger) -> bool {
    let over = of.t_clear.or(of.t_effective).unwrap_or(of.t_inject);
    let lasts = |t: &&Trigger| !t.one_shot && t.t_clear.is_none_or(|clear| clear > over);
    triggers.iter().filter(lasts).any(|t| t.t_inject <= of.t_inject && t.name != of.name)
}

/// The cells of the baseline: [end of warm-up, first t_inject - D).
pub fn baseline(timeline: &Timeline, triggers: &[Trigger]) -> Cells {
    let first = triggers.iter().map(|t| t.t_inject - timeline.outline().largest_deadline()).min();
    let to = first.unwrap_or(Micros::MAX).min(timeline.load_end());
    inward(timeline, timeline.outline().judge.warmup, to)
}

/// All phases, in the order in which they are told. `returns` belongs to `triggers`, one for one. Of a run that
/// still goes on only the cells that are kept of it.
pub fn phases(timeline: &Timeline, triggers: &[Trigger], returns: &[Return]) -> Vec<PhaseCells> {
    let warmup = outward(timeline, Micros::ZERO, timeline.outline().judge.warmup);
    let mut all: Cells = outward(timeline, Micros::ZERO, timeline.load_end());
    all.extend(timeline.all_cells());
    let run = all.difference(&warmup).copied().collect();
    let names = planned_names(timeline);
    let mut phases = vec![PhaseCells { name: PhaseName::Warmup, cells: warmup }];
    if !names.is_empty() {
        phases.push(PhaseCells { name: PhaseName::Baseline, cells: baseline(timeline, triggers) });
    }
    for name in names {
        let (mut during, mut after) = (Cells::new(), Cells::new());
        for (trigger, &back) in triggers.iter().zip(returns).filter(|(t, _)| t.trigger == name) {
            let next = horizon(timeline, triggers, trigger);
            let end = end_of_during(trigger, back, next);
            during.extend(outward(timeline, trigger.t_inject, end.unwrap_or(next)));
            after.extend(end.map(|end| inward(timeline, end, next)).unwrap_or_default());
        }
        phases.push(PhaseCells { name: PhaseName::During(name.clone()), cells: during });
        phases.push(PhaseCells { name: PhaseName::After(name), cells: after });
    }
    phases.push(PhaseCells { name: PhaseName::Run, cells: run });
    phases
}

/// When `during` ends and `after` begins; none if it never did.
fn end_of_during(trigger: &Trigger, back: Return, next: Micros) -> Option<Micros> {
    if !trigger.one_shot {
        return trigger.t_clear;
    }
    let settled = settled(trigger);
    match back {
        Return::At(r) => Some(r.max(settled)),
        Return::Unknown => Some(settled.min(next)),
        Return::Never | Return::TooShort => None,
    }
}

/// When `after` a one-shot begins at the earliest.
pub fn settled(trigger: &Trigger) -> Micros {
    let settled = trigger.t_effective.unwrap_or(trigger.t_inject) + trigger.settle;
    settled.max(trigger.t_clear.unwrap_or(settled))
}

/// Names of all planned triggers, each once, by planned time.
fn planned_names(timeline: &Timeline) -> Vec<String> {
    let outline = timeline.outline();
    let shapes = outline.shapes.iter().filter(|s| s.trigger).map(|s| (s.start, s.name.clone()));
    let faults = outline.faults.iter().map(|f| (f.at, f.trigger.clone()));
    let mut planned: Vec<(Micros, String)> = shapes.chain(faults).collect();
    planned.sort_by_key(|(at, _)| *at);
    let mut names: Vec<String> = Vec::new();
    for (_, name) in planned {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn outward(timeline: &Timeline, from: Micros, to: Micros) -> Cells {
    let width = timeline.outline().cell.0.max(1);
    cells(timeline, from.0.div_euclid(width), -(-to.0).div_euclid(width))
}

fn inward(timeline: &Timeline, from: Micros, to: Micros) -> Cells {
    let width = timeline.outline().cell.0.max(1);
    cells(timeline, -(-from.0).div_euclid(width), to.0.div_euclid(width))
}

/// Those of [from, to) that the timeline has kept.
fn cells(timeline: &Timeline, from: i64, to: i64) -> Cells {
    let cell = |at: i64| u32::try_from(at.max(0)).unwrap_or(u32::MAX);
    (cell(from).max(timeline.oldest())..cell(to)).collect()
}
