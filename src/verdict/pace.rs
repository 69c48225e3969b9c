//! How slow a window of a shape was: a quantile of all its operations together, or what each one's median says.
//!
//! The median of a fast and a slow operation together lies at either, as chance has it, and one step of three may become
//! a hundred times slower without it: where a shape has several operations, it is the geometric mean of their medians,
//! by their shares of the load. So it is where a higher quantile would lie between two of them.

use super::judgement::EachMedian;
use super::view::View;
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::Micros;

/// Between what chance alone makes of a quantile in one window and the next there may be so many times as much.
const APART: f64 = 4.0;
/// And so much at least.
const FLOOR: Micros = Micros::millis(2);
/// Fewer operations of a window have no median to speak of.
const FEW: u64 = 3;

/// The medians that a shape's latency is made of; none where a quantile of all is what it is.
pub(super) fn each_median(
    timeline: &Timeline,
    shape: usize,
    (cells, width): (&Cells, u32),
    quantile: f64,
) -> Vec<EachMedian> {
    let tally = |op| timeline.tally(op, cells);
    let all: Vec<_> = timeline.steps_of(shape).map(|(op, o)| (op, o, tally(op))).collect();
    let asked: u64 = all.iter().map(|(.., tally)| tally.intended).sum();
    let each = all.iter().filter_map(|(op, o, tally)| {
        Some(EachMedian {
            op: *op,
            operation: o.name.clone(),
            share: tally.intended as f64 / asked.max(1) as f64,
            median: (tally.successes.quantile(0.5)?.0 as f64).max(1.0),
        })
    });
    let each: Vec<EachMedian> = each.collect();
    let merged = timeline.shape_tally(shape, cells, Count::Seen);
    let in_window = asked as f64 * f64::from(width) / cells.len().max(1) as f64;
    let by_chance = quantile == 0.5 || lies_between(&merged, quantile, in_window);
    if each.len() > 1 && by_chance { each } else { Vec::new() }
}

/// Whether what is two deviations of chance above the quantile is far from what is two below.
fn lies_between(merged: &Tally, quantile: f64, n: f64) -> bool {
    let off = 2.0 * (quantile * (1.0 - quantile) / n.max(1.0)).sqrt();
    let at = |q: f64| merged.successes.quantile(q.clamp(1e-6, 1.0));
    let far = |(low, high): (Micros, Micros)| high - low > FLOOR && high.0 as f64 > APART * low.0 as f64;
    at(quantile - off).zip(at(quantile + off)).is_some_and(far)
}

/// Of a window, microseconds; `merged` is all of it.
pub(super) fn latency(
    view: &View,
    each: &[EachMedian],
    (cells, merged): (&Cells, &Tally),
    quantile: f64,
) -> Option<f64> {
    if each.is_empty() || merged.intended == 0 {
        return merged.quantile(quantile).map(|v| v.value);
    }
    let now = |one: &EachMedian| {
        let tally = view.tally(one.op, cells);
        let median = tally.quantile(0.5).filter(|_| tally.intended >= FEW);
        median.map_or(one.median, |v| v.value.max(1.0))
    };
    Some(mean(each, now))
}

/// What it would be, if each took so much longer than usual.
pub(super) fn with_all_later(each: &[EachMedian], by: f64) -> f64 {
    mean(each, |one| one.median + by)
}

fn mean(each: &[EachMedian], of: impl Fn(&EachMedian) -> f64) -> f64 {
    let shares: f64 = each.iter().map(|one| one.share).sum();
    (each.iter().map(|one| one.share * of(one).ln()).sum::<f64>() / shares).exp()
}

/// Operations of these cells that were slower than a limit; each by its own part of it.
pub(super) fn slower(view: &View, shape: usize, each: &[EachMedian], (cells, limit): (&Cells, f64)) -> u64 {
    if each.is_empty() {
        return view.shape_tally(shape, cells).above(Micros(limit as i64));
    }
    let ratio = limit / with_all_later(each, 0.0);
    each.iter().map(|one| view.tally(one.op, cells).above(Micros((one.median * ratio) as i64))).sum()
}
