//! Triggers: the faults and shapes that phases are named after, with their times as they came to be, or as they are planned.

use std::collections::HashMap;

use super::Timeline;
use crate::outline::{FaultOutline, ShapeOutline};
use crate::record::{FaultEvent, FaultStage};
use crate::units::Micros;

/// A fault or a shape that phases are named after, with its times as they came to be, or as they are planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// `X`, or `X#2`.
    pub name: String,
    /// `X`.
    pub trigger: String,
    pub shape: bool,
    pub one_shot: bool,
    pub settle: Micros,
    /// When it is to begin by the plan.
    pub planned: Micros,
    pub t_inject: Micros,
    /// None: never proven to be in force.
    pub t_effective: Option<Micros>,
    /// None: never proven to be removed.
    pub t_clear: Option<Micros>,
}

impl Trigger {
    /// A shape, which is in force as soon as it begins.
    pub fn of_shape(shape: &ShapeOutline, first: Micros, clear: Micros) -> Trigger {
        Trigger {
            name: shape.name.clone(),
            trigger: shape.name.clone(),
            shape: true,
            one_shot: false,
            settle: Micros::ZERO,
            planned: shape.start,
            t_inject: first,
            t_effective: Some(first),
            t_clear: Some(clear),
        }
    }

    /// When it is over, as far as is known.
    pub fn over(&self) -> Micros {
        self.t_clear.or(self.t_effective).unwrap_or(self.t_inject)
    }

    /// When `after` a one-shot begins at the earliest.
    pub fn settled(&self) -> Micros {
        let settled = self.t_effective.unwrap_or(self.t_inject) + self.settle;
        settled.max(self.t_clear.unwrap_or(settled))
    }
}

/// All triggers that came to pass, by time of injection.
pub fn triggers(timeline: &Timeline) -> Vec<Trigger> {
    let outline = timeline.outline();
    let shapes = outline.shapes.iter().enumerate().filter(|(_, s)| s.trigger);
    let shapes = shapes.filter_map(|(index, s)| of_shape(timeline, index, s));
    let events = by_fault(&timeline.faults);
    let faults = outline.faults.iter().filter_map(|f| of_fault(events.get(f.name.as_str())?, f));
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
    (first < clear).then(|| Trigger::of_shape(shape, first, clear))
}

/// The events of each fault, in their order: to look for each of hundreds among all takes long.
fn by_fault(events: &[FaultEvent]) -> HashMap<&str, Vec<&FaultEvent>> {
    let mut all: HashMap<&str, Vec<&FaultEvent>> = HashMap::new();
    for event in events {
        all.entry(&event.fault).or_default().push(event);
    }
    all
}

fn of_fault(events: &[&FaultEvent], fault: &FaultOutline) -> Option<Trigger> {
    let first = |stage| events.iter().find(|e| e.stage == stage).map(|e| e.at);
    let t_inject = first(FaultStage::Asked)?;
    let t_effective = first(FaultStage::Effective);
    let one_shot = fault.length.is_none();
    // A failover is a one-shot that is over only when the other upstream answers.
    let just_happens = one_shot && first(FaultStage::Clearing).is_none();
    Some(Trigger {
        name: fault.name.clone(),
        trigger: fault.trigger.clone(),
        shape: false,
        one_shot,
        settle: fault.settle,
        planned: fault.at,
        t_inject,
        t_effective,
        t_clear: if just_happens { t_effective } else { first(FaultStage::Verified) },
    })
}

/// When a fault reached a stage for the first time.
pub fn first(events: &[FaultEvent], fault: &str, stage: FaultStage) -> Option<Micros> {
    events.iter().find(|e| e.fault == fault && e.stage == stage).map(|e| e.at)
}
