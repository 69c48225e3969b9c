//! How slow a window of a shape was: a quantile of all its operations together, or what each one's median says.
//!
//! A quantile that lies between fast and slow operations is at either, as chance has it: the next lower one that does not
//! is taken. The median of all does not see that one step of three became a hundred times slower: where a shape has several
//! operations, it is told by how many times as long as usual each takes, in the geometric mean over those that were asked.

use super::judgement::UsualTime;
use super::view::View;
use crate::sample::OpId;
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::Micros;

/// Between what chance alone makes of a quantile in one window and the next there may be so many times as much.
const APART: f64 = 4.0;
/// And so much at least.
const FLOOR: Micros = Micros::millis(2);
/// Of fewer operations of a window one that failed is no median: how long the others took is.
const FEW: u64 = 3;
/// Of one operation, in this order.
const OWN_QUANTILES: [f64; 4] = [0.5, 0.75, 0.25, 0.9];
/// Of which an average is made.
const TENTHS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];
/// So much more or less of one operation is no change (VERDICTS.md 3).
pub(super) const LEEWAY: f64 = 2_000.0;
/// From the highest.
const QUANTILES: [f64; 9] = [0.99, 0.98, 0.97, 0.96, 0.95, 0.9, 0.85, 0.8, 0.75];

/// Which quantile of all operations together tells how slow a window is, one lower than `wanted` at need; or the median,
/// and those that it is made of where there are several.
pub(super) fn choose(
    timeline: &Timeline,
    shape: usize,
    (cells, width): (&Cells, u32),
    wanted: f64,
) -> (f64, Vec<UsualTime>) {
    let merged = timeline.shape_tally(shape, cells, Count::Seen);
    let each = medians(timeline, shape, (cells, width));
    // Of one operation that is slow now and then nothing tells its two kinds apart.
    if wanted > 0.5 && !are_apart(&each) {
        return (wanted, Vec::new());
    }
    let mut lower = QUANTILES.into_iter().filter(|q| *q <= wanted);
    match lower.find(|q| !lies_between(&merged, *q, (cells, width))) {
        Some(quantile) => (quantile, Vec::new()),
        None => (0.5, each),
    }
}

fn are_apart(each: &[UsualTime]) -> bool {
    let medians = || each.iter().map(|one| one.usual);
    medians().fold(0.0, f64::max) > APART * medians().fold(f64::MAX, f64::min)
}

/// Of each operation, where there are several. One that is slow now and then by itself is told by another quantile of
/// its own, or by the average.
fn medians(timeline: &Timeline, shape: usize, (cells, width): (&Cells, u32)) -> Vec<UsualTime> {
    let all: Vec<_> = timeline.steps_of(shape).map(|(op, o)| (op, o, timeline.tally(op, cells))).collect();
    let asked: u64 = all.iter().map(|(.., tally)| tally.intended).sum();
    let leeway = LEEWAY * timeline.outline().cell.as_secs_f64();
    let each = all.iter().filter_map(|(op, o, tally)| {
        let quantile = OWN_QUANTILES.into_iter().find(|q| !lies_between(tally, *q, (cells, width)));
        let usual = of_one(quantile, |q| tally.successes.quantile(q).map(|v| v.0 as f64))?;
        let share = tally.intended as f64 / asked.max(1) as f64;
        Some(UsualTime { op: *op, operation: o.name.clone(), share, quantile, usual, leeway })
    });
    let each: Vec<UsualTime> = each.collect();
    if all.iter().filter(|(.., tally)| tally.intended > 0).count() > 1 { each } else { Vec::new() }
}

/// Of one operation at its quantile, or the geometric mean.
fn of_one(quantile: Option<f64>, at: impl Fn(f64) -> Option<f64>) -> Option<f64> {
    let at = |q: f64| at(q).map(|v| v.max(1.0));
    let Some(quantile) = quantile else {
        let logs: Option<Vec<f64>> = TENTHS.into_iter().map(|q| at(q).map(f64::ln)).collect();
        return logs.map(|logs| (logs.iter().sum::<f64>() / logs.len() as f64).exp());
    };
    at(quantile)
}

/// Whether what two deviations of chance in one window put above the quantile is far from what two put below.
fn lies_between(all: &Tally, quantile: f64, (cells, width): (&Cells, u32)) -> bool {
    let n = all.intended as f64 * f64::from(width) / cells.len().max(1) as f64;
    let off = 2.0 * (quantile * (1.0 - quantile) / n.max(1.0)).sqrt();
    let at = |q: f64| all.successes.quantile(q.clamp(1e-6, 1.0));
    let far = |(low, high): (Micros, Micros)| high - low > FLOOR && high.0 as f64 > APART * low.0 as f64;
    at(quantile - off).zip(at(quantile + off)).is_some_and(far)
}

/// Of a window, microseconds; `merged` is all of it. Of several operations it is what is usual of them together, as often
/// as each takes longer than usual; of one that nobody asked for before, than all.
pub(super) fn latency(
    view: &View,
    (shape, each): (usize, &[UsualTime]),
    (cells, merged): (&Cells, &Tally),
    quantile: f64,
) -> Option<f64> {
    if each.is_empty() || merged.intended == 0 {
        return merged.quantile(quantile).map(|v| v.value);
    }
    let all = usual(each);
    let (mut sum, mut asked) = (0.0, 0.0);
    for (op, _) in view.timeline.steps_of(shape) {
        let tally = view.tally(op, cells);
        let own = each.iter().find(|one| one.op == op);
        // All of it failed before.
        if own.is_none() && is_known(view, op) {
            continue;
        }
        let seen = |q: f64| match tally.intended >= FEW {
            true => tally.quantile(q).map(|v| v.value),
            false => tally.successes.quantile(q).map(|v| v.0 as f64),
        };
        if let Some(now) = of_one(own.map_or(Some(0.5), |one| one.quantile), seen) {
            // Nobody came to it before.
            let times = own.map_or(now / all, |one| one.times(now));
            sum += tally.intended as f64 * times.ln();
            asked += tally.intended as f64;
        }
    }
    Some(if asked > 0.0 { all * (sum / asked).exp() } else { all })
}

/// Flows came to it before the first trigger.
fn is_known(view: &View, op: OpId) -> bool {
    let first = view.timeline.first_intended(op);
    let trigger = view.triggers.iter().map(|t| t.t_inject).min();
    first.zip(trigger).is_some_and(|(first, trigger)| view.timeline.cell_start(first) < trigger)
}

/// What is usual of all together, the geometric mean.
fn usual(each: &[UsualTime]) -> f64 {
    let shares: f64 = each.iter().map(|one| one.share).sum();
    (each.iter().map(|one| one.share * one.usual.ln()).sum::<f64>() / shares).exp()
}

/// Operations of these cells that were slower than a limit; each by its own part of it.
pub(super) fn slower(view: &View, shape: usize, each: &[UsualTime], (cells, limit): (&Cells, f64)) -> u64 {
    if each.is_empty() {
        return view.shape_tally(shape, cells).above(Micros(limit as i64));
    }
    let times = limit / usual(each);
    let above = |(op, _)| {
        let one = each.iter().find(|one| one.op == op);
        let limit = match one {
            Some(one) => one.usual * times + one.leeway,
            None if is_known(view, op) => return 0,
            None => limit,
        };
        view.tally(op, cells).above(Micros(limit as i64))
    };
    view.timeline.steps_of(shape).map(above).sum()
}
