//! What did not come back for good where a stretch in band says otherwise: a service that relapsed, and operations that are
//! asked too seldom to be seen in the band of their shape, or of a shape that has none.
//!
//! Owns which; what it makes of a return is for `recovery` and `returns`.

use std::ops::Range;

use super::recovery::relapses;
use super::stretch::{Seen, Stretch};
use super::view::View;
use crate::sample::OpId;
use crate::stats;
use crate::timeline::phases;
use crate::timeline::trigger::Trigger;
use crate::timeline::{Cells, Tally};
use crate::units::{Micros, clock, grouped};

/// What relapses no later after a trigger, or than so many times as long as it was in force, may be its doing (X in
/// VERDICTS.md 3).
const SOON: Micros = Micros::secs(120);
const SOON_TIMES: i64 = 10;
/// Of more load than so many times the baseline's a relapse may come.
const MORE_LOAD: f64 = 1.1;

/// Fewer that failed are no proof, nor is a share that is less.
const LEAST: u64 = 3;
const MOST: f64 = 0.5;
/// Fewer operations in the baseline tell nothing of what is usual.
const KNOWN: u64 = 5;

/// Operations of a shape that were well before the first trigger, and of which most fail from this time until the end of
/// what was watched, and in its last stretch, too; what is told of the first of them.
pub(super) fn gone(view: &View, shape: usize, trigger: &Trigger, since: Micros) -> Option<String> {
    let timeline = view.timeline;
    let judge = &timeline.outline().judge;
    let outline = &timeline.outline().shapes[shape];
    let horizon = view.frame().horizon(trigger).at();
    // What is near to the next trigger may be that one's doing.
    let deadline = if horizon < timeline.load_end() {
        timeline.outline().deadline_of(&outline.name)
    } else {
        Micros::ZERO
    };
    let until = view.watched(&outline.name, trigger).min(horizon - deadline);
    let last = until - judge.stretch;
    if last < since || view.frame().outlasting(trigger).is_some() {
        return None;
    }
    let cells = |from: Micros| (timeline.cell_of(from)..timeline.cell_of(until)).collect::<Cells>();
    let (all, last) = (cells(since), cells(last));
    let baseline = phases::baseline(timeline, &view.triggers);
    let usual = |op: OpId| {
        let tally = view.tally(op, &baseline);
        let well = tally.intended >= KNOWN && tally.good_share()? >= judge.goodput;
        well.then(|| own(&tally))
    };
    let is_gone = |(op, name): (OpId, &str)| {
        let (usual, (bad, n)) = (usual(op)?, own(&view.tally(op, &all)));
        let fails = |(bad, n): (u64, u64)| bad as f64 > MOST * n as f64;
        let is = bad >= LEAST && fails((bad, n)) && fails(own(&view.tally(op, &last)));
        let told = || {
            format!(
                "{name} did not come back: of {} from {} on {} failed",
                grouped(n),
                clock(since),
                grouped(bad)
            )
        };
        (is && stats::exceeds_sample((bad, n), usual)).then(told)
    };
    let planned = || as_planned(view, timeline.cell_of(since)..timeline.cell_of(until));
    timeline.steps_of(shape).find_map(|(op, o)| is_gone((op, &o.name))).filter(|_| planned())
}

/// Those that failed, of those that were reached.
fn own(tally: &Tally) -> (u64, u64) {
    let unreached = tally.of_kind(crate::sample::Kind::Unreached);
    (tally.bad() - unreached.min(tally.bad()), tally.intended - unreached.min(tally.intended))
}

/// It relapsed after it was `last` well, and was not again for as long as that would have taken, nor for as long as it had been
/// since the trigger; unless much later, or with more load.
pub(super) fn relapsed(
    view: &View,
    stretch: &Stretch,
    (windows, last): (&[Seen], usize),
    (effective, clear): (Micros, Micros),
) -> bool {
    let soon = clear + SOON.max((clear - effective) * SOON_TIMES);
    let start = |cell: u32| view.timeline.cell_start(cell);
    relapses(windows, last).any(|i| {
        let rest = &windows[i..];
        let cells = rest[0].0.from..rest[rest.len() - 1].0.to;
        let (since, until) = (start(cells.start), start(cells.end));
        let lasts = rest.len() >= stretch.windows && until - since >= since - clear;
        lasts && since <= soon && as_planned(view, cells)
    })
}

/// No shape was planned to bring more load in these cells than in the baseline: what is lost in them may come of that.
fn as_planned(view: &View, after: Range<u32>) -> bool {
    let timeline = view.timeline;
    let baseline = view.frame().baseline();
    let before = timeline.cell_of(baseline.start)..timeline.cell_of(baseline.end);
    let (from, to) = (timeline.cell_start(after.start), timeline.cell_start(after.end));
    timeline.outline().shapes.iter().enumerate().all(|(index, shape)| {
        if shape.closed {
            return shape.start < baseline.end || shape.start >= to || shape.end <= from;
        }
        let planned =
            |cells: &Range<u32>| cells.clone().map(|cell| timeline.planned(index, cell)).sum::<u64>();
        let usual = planned(&before) as f64 * after.len() as f64 / before.len().max(1) as f64;
        planned(&after) as f64 <= MORE_LOAD * usual + 3.0 * usual.max(1.0).sqrt()
    })
}
