//! The outline of an experiment: all that a reader of its history must know to judge it.
//!
//! Written into the history's header when the run begins, so that a report needs nothing else.
//! Pure data; how the run is done (flows, templates, processes) lies in `experiment`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::objective::Objective;
use crate::units::Micros;

/// All that a reader needs to judge a history, besides what happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Profile's name, without folder and ending.
    pub profile: String,
    /// Chaos plan's name; none without one.
    pub chaos: Option<String>,
    /// Target as the user named it, secrets taken out.
    pub target: String,
    /// The command that runs it again.
    pub command: String,
    pub seed: u64,
    pub virtual_time: bool,
    /// A smoke run, whose plan was made so many times shorter: it proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<f64>,
    /// Width of a cell; 1 s unless the run is scaled.
    pub cell: Micros,
    /// End of the load.
    pub duration: Micros,
    pub shapes: Vec<ShapeOutline>,
    pub operations: Vec<OperationOutline>,
    /// In order of their first injection. Repeats X#1, X#2 are entries of their own.
    pub faults: Vec<FaultOutline>,
    pub objectives: Vec<Objective>,
    pub abort: Vec<Objective>,
    pub steady: Vec<Objective>,
    pub judge: JudgeSettings,
}

impl Outline {
    /// Whether the shape's flow is one operation: the flow then says nothing that the operation does not.
    pub fn one_operation(&self, shape: usize) -> bool {
        self.operations.iter().filter(|o| o.shape == shape && !o.flow).count() == 1
    }

    /// The largest deadline of an operation, flows left out: how far ahead of a trigger its harm may
    /// reach. What a flow does again, in a `repeat` or a `for_each`, is an operation of its own each time,
    /// with its own intended start, so that once is right. Only a group around a `for_each` may take
    /// longer: nobody knows the length of the list before, and it counts as one.
    pub fn largest_deadline(&self) -> Micros {
        let deadlines = self.operations.iter().filter(|o| !o.flow).map(|o| o.deadline);
        deadlines.max().unwrap_or(Micros::ZERO)
    }

    /// The same of one shape's operations.
    pub fn deadline_of(&self, shape: &str) -> Micros {
        let of_it =
            |o: &&OperationOutline| !o.flow && self.shapes.get(o.shape).is_some_and(|s| s.name == shape);
        self.operations.iter().filter(of_it).map(|o| o.deadline).max().unwrap_or(Micros::ZERO)
    }

    /// When the first fault, or the first planned arrival of a shape that is a trigger, is to come.
    pub fn first_trigger(&self) -> Option<Micros> {
        let shapes = self.shapes.iter().filter(|shape| shape.trigger).filter_map(|shape| shape.first);
        self.faults.iter().map(|fault| fault.at).chain(shapes).min()
    }
}

/// One shape: when its flows were planned to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeOutline {
    pub name: String,
    /// One line for people: `bursts of 50 every 5 s`.
    pub arrival: String,
    pub start: Micros,
    pub end: Micros,
    /// The first planned arrival: `start` of a closed loop; none if nothing is planned.
    pub first: Option<Micros>,
    /// A trigger: phases are named after it.
    pub trigger: bool,
    /// Closed loop: the next flow starts when the last one ended, so response times hide waiting.
    pub closed: bool,
    /// Of a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Planned arrivals per cell from cell 0 on; empty for a closed loop.
    pub planned: Vec<u64>,
    /// Bursts come this far apart; windows are whole periods (VERDICTS.md 2).
    pub period: Option<Micros>,
}

/// Widths of windows to choose from, in cells (VERDICTS.md 2).
const WIDTHS: [u32; 6] = [1, 2, 5, 10, 15, 30];

/// How many cells wide a window can be, in growing order; with periodic bursts whole periods.
pub fn window_widths(period: Option<Micros>, cell: Micros) -> Vec<u32> {
    let cell = cell.0.max(1);
    let Some(period) = period.filter(|p| p.0 > 0) else { return WIDTHS.to_vec() };
    let whole = (1..=60).map(|m| period.0 * m).find(|span| span % cell == 0);
    let step = whole.map_or((period.0 + cell - 1) / cell, |span| span / cell).max(1) as u32;
    let mut widths: Vec<u32> = WIDTHS.iter().map(|w| w.div_ceil(step) * step).collect();
    widths.dedup();
    widths
}

/// One operation, or a flow as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationOutline {
    pub name: String,
    /// Index into `shapes`.
    pub shape: usize,
    /// D: within which a success is good.
    pub deadline: Micros,
    /// The flow as a whole, under its shape's name.
    pub flow: bool,
    /// As it is written and expressions call it, where operations of several shapes have that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
}

impl OperationOutline {
    /// Whether the expression speaks of it: by its name, or of all operations, of which flows as a whole are none.
    pub fn is_meant_by(&self, expression: &Objective) -> bool {
        expression.selector.as_ref().map_or(!self.flow, |selector| self.is_called(selector))
    }

    pub fn is_called(&self, name: &str) -> bool {
        self.written() == name || self.name == name
    }

    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.name)
    }
}

/// All names that expressions may call operations by.
pub fn called(operations: &[OperationOutline]) -> BTreeSet<String> {
    operations.iter().flat_map(|o| [o.written().to_owned(), o.name.clone()]).collect()
}

/// Operations of several shapes that have one name are told apart: `look of mobile`.
pub fn tell_apart(operations: &mut [OperationOutline], shapes: &[ShapeOutline]) {
    let mut of: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for step in operations.iter().filter(|o| !o.flow) {
        of.entry(step.name.clone()).or_default().insert(step.shape);
    }
    for operation in operations.iter_mut().filter(|o| !o.flow && of[&o.name].len() > 1) {
        let apart = format!("{} of {}", operation.name, shapes[operation.shape].name);
        operation.written = Some(std::mem::replace(&mut operation.name, apart));
    }
}

/// One fault as it was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultOutline {
    /// `X`, or `X#2` for the second of a repeat.
    pub name: String,
    /// `X`: what phases are named after; repeats share it.
    pub trigger: String,
    /// One line for people: `latency +250 ms ± 20 ms on api-store`.
    pub what: String,
    /// The link or service it is on; none for exec hooks.
    pub on: Option<String>,
    /// Planned injection.
    pub at: Micros,
    /// Planned length; none for one-shots.
    pub length: Option<Micros>,
    pub settle: Micros,
    /// The link should be quiet while it is in force (`expect: no_traffic`).
    pub expect_no_traffic: bool,
}

/// `judge:` of a chaos plan or a profile; defaults are VERDICTS.md 3's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeSettings {
    pub warmup: Micros,
    pub baseline: Micros,
    pub windows: u32,
    pub stretch: Micros,
    pub stretch_windows: u32,
    /// A baseline with less goodput than this is no normal to compare with.
    pub goodput: f64,
}

impl Default for JudgeSettings {
    fn default() -> JudgeSettings {
        JudgeSettings {
            warmup: Micros::secs(10),
            baseline: Micros::secs(60),
            windows: 20,
            stretch: Micros::secs(30),
            stretch_windows: 5,
            goodput: 0.9,
        }
    }
}
