//! Time series of one operation, as charts need them: one point per cell, or per few cells in a long run.
//!
//! Owns the binning; numbers come from the timeline, pixels are `chart`'s.

use super::hurt;
use crate::quantity::Quantity;
use crate::sample::OpId;
use crate::stats::n_min;
use crate::timeline::{Cells, Tally, Timeline};
use crate::units::Micros;
use crate::verdict::{JudgedObjective, Judgement, OperationPhase, Phase, Word};

/// Points beyond this many are merged: a line has no more pixels.
const MAX_POINTS: usize = 300;

/// One operation over the cells [from, to).
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) intended: u64,
    pub(super) good: u64,
    /// None where nothing was intended.
    pub(super) p50: Option<Quantity>,
    pub(super) p95: Option<Quantity>,
    pub(super) p99: Option<Quantity>,
    pub(super) max: Option<Quantity>,
}

/// The line above the median: the highest quantile that most points have operations enough for, else the maximum,
/// named as what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upper {
    pub(super) name: &'static str,
    pub(super) value: fn(&Point) -> Option<Quantity>,
}

/// What to draw above the median of these points.
pub(super) fn upper(points: &[Point]) -> Upper {
    let mut n: Vec<u64> = points.iter().map(|p| p.intended).filter(|n| *n > 0).collect();
    n.sort_unstable();
    match n.get(n.len() / 2).copied().unwrap_or(0) {
        n if n >= n_min(0.99) => Upper { name: "p99", value: |p| p.p99 },
        n if n >= n_min(0.95) => Upper { name: "p95", value: |p| p.p95 },
        _ => Upper { name: "max", value: |p| p.max },
    }
}

impl Point {
    pub(super) fn middle(&self) -> Micros {
        Micros((self.from.0 + self.to.0) / 2)
    }

    pub(super) fn per_second(&self, n: u64) -> f64 {
        n as f64 / (self.to - self.from).as_secs_f64().max(1e-6)
    }

    /// good / intended; none where nothing was intended.
    pub(super) fn good_share(&self) -> Option<f64> {
        (self.intended > 0).then(|| self.good as f64 / self.intended as f64)
    }
}

/// The operation from the start to the end of the load.
pub(super) fn points(timeline: &Timeline, op: OpId) -> Vec<Point> {
    let width = timeline.outline().cell.0.max(1);
    let cells = u32::try_from((timeline.load_end().0 + width - 1) / width).unwrap_or(0);
    let bin = bin(timeline, op, cells);
    (0..cells).step_by(bin).map(|from| point(timeline, op, from, (from + bin as u32).min(cells))).collect()
}

/// Cells in one point: whole periods of a shape that comes in bursts, and few enough points.
fn bin(timeline: &Timeline, op: OpId, cells: u32) -> usize {
    let outline = timeline.outline();
    let shape = outline.operations.get(usize::from(op.0)).and_then(|o| outline.shapes.get(o.shape));
    let period = shape.and_then(|s| s.period).map_or(1, |p| (p.0 / outline.cell.0.max(1)).max(1) as usize);
    period * (cells as usize).div_ceil(MAX_POINTS * period).max(1)
}

fn point(timeline: &Timeline, op: OpId, from: u32, to: u32) -> Point {
    let tally = timeline.tally(op, &(from..to).collect());
    Point {
        from: timeline.cell_start(from),
        to: timeline.cell_start(to),
        intended: tally.intended,
        good: tally.good(),
        p50: tally.quantile(0.5),
        p95: tally.quantile(0.95),
        p99: tally.quantile(0.99),
        max: tally.quantile(1.0),
    }
}

/// One operation over a phase.
pub(super) fn over(timeline: &Timeline, op: OpId, phase: &Phase) -> Tally {
    timeline.tally(op, &cells(timeline, phase))
}

/// The cells of a phase.
pub(super) fn cells(timeline: &Timeline, phase: &Phase) -> Cells {
    let width = timeline.outline().cell.0.max(1);
    let index = |at: Micros| u32::try_from(at.0.max(0) / width).unwrap_or(u32::MAX);
    phase.spans.iter().flat_map(|s| index(s.from)..index(s.to)).collect()
}

/// Operations to show, the worst first: the one that decided the worst objective (of those that hold, the one closest to
/// its limit); where one about a trigger alone fails, the one that the trigger hurt most; then by what users felt.
/// A flow of one operation says nothing that the operation does not.
pub(super) fn worst_first(timeline: &Timeline, judgement: &Judgement) -> Vec<OpId> {
    let outline = timeline.outline();
    let mut all: Vec<(OpId, bool)> = Vec::new();
    for (op, o) in timeline.operations().filter(|(_, o)| !o.flow || !outline.one_operation(o.shape)) {
        all.push((op, o.flow));
    }
    let deciding = judgement.objectives.iter().filter(|o| decides(timeline, o.decided.as_deref()));
    let nearness = |o: &JudgedObjective| (o.word, o.closeness());
    let worst = deciding.reduce(|a, b| if nearness(b) > nearness(a) { b } else { a });
    let failed = worst.filter(|o| o.word == Word::Fail);
    let by_trigger = || hurt::most(timeline, judgement);
    let decided = |o: Option<&'_ JudgedObjective>| o.and_then(|o| o.decided.clone());
    let blamed = decided(failed).or_else(by_trigger).or_else(|| decided(worst));
    all.sort_by(|a, b| {
        let key = |(op, flow): &(OpId, bool)| {
            let (bad, p99) = felt(judgement, &outline.operations[usize::from(op.0)].name, *flow);
            let named = blamed.as_deref() == Some(outline.operations[usize::from(op.0)].name.as_str());
            (!named, *flow, -bad, -p99)
        };
        key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    all.into_iter().map(|(op, _)| op).collect()
}

fn decides(timeline: &Timeline, name: Option<&str>) -> bool {
    timeline.outline().operations.iter().any(|o| !o.flow && Some(o.name.as_str()) == name)
}

/// The largest share of bad operations and the largest p99 in any phase.
fn felt(judgement: &Judgement, name: &str, flow: bool) -> (f64, f64) {
    let tables = judgement.operations.iter().filter(|o| o.name == name && o.flow == flow);
    let phases: Vec<&OperationPhase> = tables.flat_map(|o| &o.phases).collect();
    let largest = |of: fn(&OperationPhase) -> f64| phases.iter().map(|p| of(p)).fold(0.0, f64::max);
    (largest(|p| p.bad), largest(|p| p.p99.value))
}
