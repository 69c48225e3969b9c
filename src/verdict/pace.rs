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

/// Between what chance alone makes of a quantile in one window and the next there may be so many times as much; and of
/// the median of one operation, as one that jumps is worse than an average.
const APART: f64 = 4.0;
const ONE_APART: f64 = SLOWER * SLOWER;
/// And so much at least.
const FLOOR: Micros = Micros::millis(2);
/// Of fewer operations of a window one that failed is no median: how long the others took is.
const FEW: u64 = 3;
/// Of which an average is made.
const TENTHS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];
/// So much more is no change, and so many times as much (VERDICTS.md 3).
pub(super) const LEEWAY: f64 = 2_000.0;
pub(super) const SLOWER: f64 = 1.25;
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
    let flows = flows(timeline, shape, cells, timeline.cell_start(width));
    let each = medians(timeline, shape, (cells, width), flows);
    // Of one operation that is slow now and then nothing tells its two kinds apart.
    let apart = are_apart(&each);
    let goes_by_chance = |q: f64| lies_between(&merged, (q, APART), (cells, width), f64::INFINITY);
    // What failed has no time of its own.
    let answered =
        |q: f64| q + off((q, &merged), (cells, width), f64::INFINITY) <= merged.good_share().unwrap_or(1.0);
    let good = |q: f64| answered(q) && !(apart && goes_by_chance(q));
    let mut lower = QUANTILES.into_iter().filter(|q| *q <= wanted);
    match lower.find(|q| good(*q)) {
        Some(quantile) => (quantile, Vec::new()),
        None => (0.5, each),
    }
}

fn are_apart(each: &[UsualTime]) -> bool {
    let medians = || each.iter().map(|one| one.usual);
    medians().fold(0.0, f64::max) > APART * medians().fold(f64::MAX, f64::min)
}

/// Of how many flows at once so long a window of these cells hears on average: those in flight, or those that end in it.
pub(super) fn flows(timeline: &Timeline, shape: usize, cells: &Cells, length: Micros) -> f64 {
    let flow = timeline.operations().find(|(_, o)| o.shape == shape && o.flow);
    let ended = flow.map_or(0, |(op, _)| timeline.tally(op, cells).intended);
    let (n, windows) =
        (cells.len().max(1) as f64, timeline.cell_start(1).as_secs_f64() / length.as_secs_f64());
    let flying: f64 = cells.iter().filter_map(|&cell| timeline.in_flight(shape, cell)).sum();
    (flying / n).max(ended as f64 / (n * windows))
}

/// Of each operation, where there are several, or where the median of the only one jumps: half of it comes of a cache, or
/// now a tenant with a long list asks, and now one without. Such a one is told by its average.
fn medians(timeline: &Timeline, shape: usize, (cells, width): (&Cells, u32), flows: f64) -> Vec<UsualTime> {
    let all: Vec<_> = timeline.steps_of(shape).map(|(op, o)| (op, o, timeline.tally(op, cells))).collect();
    let asked: u64 = all.iter().map(|(.., tally)| tally.intended).sum();
    let leeway = LEEWAY * timeline.outline().cell.as_secs_f64();
    let each = all.iter().filter_map(|(op, o, tally)| {
        let quantile = Some(0.5).filter(|q| !lies_between(tally, (*q, ONE_APART), (cells, width), flows));
        let usual = of_one(quantile, |q| tally.successes.quantile(q).map(|v| v.0 as f64))?;
        let share = tally.intended as f64 / asked.max(1) as f64;
        Some(UsualTime { op: *op, operation: o.name.clone(), share, quantile, usual, leeway })
    });
    let each: Vec<UsualTime> = each.collect();
    let several = all.iter().filter(|(.., tally)| tally.intended > 0).count() > 1;
    let jumps = each.iter().any(|one| one.quantile.is_none());
    if several || jumps { each } else { Vec::new() }
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
/// Those of one flow may be alike, as of a tenant with a long list.
fn lies_between(
    all: &Tally,
    (quantile, apart): (f64, f64),
    (cells, width): (&Cells, u32),
    flows: f64,
) -> bool {
    let off = off((quantile, all), (cells, width), flows);
    let at = |q: f64| all.successes.quantile(q.clamp(1e-6, 1.0));
    let far = |(low, high): (Micros, Micros)| high - low > FLOOR && high.0 as f64 > apart * low.0 as f64;
    at(quantile - off).zip(at(quantile + off)).is_some_and(far)
}

/// Two deviations of chance of a quantile in one window, as a share.
fn off((quantile, all): (f64, &Tally), (cells, width): (&Cells, u32), flows: f64) -> f64 {
    let n = (all.intended as f64 * f64::from(width) / cells.len().max(1) as f64).min(flows);
    2.0 * (quantile * (1.0 - quantile) / n.max(1.0)).sqrt()
}

/// How slow a window was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Microseconds; none without operations. Of each operation by itself it is what is usual of them together, as often as
    /// each takes longer than usual.
    pub(super) latency: Option<f64>,
    /// The same without leeways, by which one tells how much it varies; what is shorter than its leeway does not below it.
    pub(super) varies: Option<f64>,
}

/// Of a window; `merged` is all of it.
pub(super) fn pace(
    view: &View,
    (shape, each): (usize, &[UsualTime]),
    (cells, merged): (&Cells, &Tally),
    quantile: f64,
) -> Pace {
    if each.is_empty() || merged.intended == 0 {
        let latency = merged.quantile(quantile).map(|v| v.value);
        return Pace { latency, varies: latency };
    }
    let all = usual(each);
    let (mut sum, mut plain, mut asked) = (0.0, 0.0, 0.0);
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
            let n = weight(tally.intended);
            let varies = |one: &UsualTime| match one.usual < one.leeway {
                true => now.max(one.leeway) / one.leeway,
                false => now / one.usual,
            };
            // Nobody came to it before.
            sum += n * own.map_or(now / all, |one| one.times(now)).ln();
            plain += n * own.map_or(now / all, varies).ln();
            asked += n;
        }
    }
    let of = |sum: f64| Some(all * if asked > 0.0 { (sum / asked).exp() } else { 1.0 });
    Pace { latency: of(sum), varies: of(plain) }
}

/// A heartbeat that is asked thirty times as often as a log-in tells more, and does not hide it.
fn weight(asked: u64) -> f64 {
    (asked as f64).sqrt()
}

impl UsualTime {
    /// How many times as long as usual it took, beyond its leeway.
    pub(super) fn times(&self, now: f64) -> f64 {
        let beyond = (now - self.usual).abs() - self.leeway;
        (self.usual + beyond.max(0.0).copysign(now - self.usual)).max(1.0) / self.usual
    }

    /// What so many times as long is, beyond its leeway; microseconds.
    pub(super) fn at(&self, times: f64) -> f64 {
        self.usual * times + self.leeway
    }
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
            Some(one) => one.at(times),
            None if is_known(view, op) => return 0,
            None => limit,
        };
        view.tally(op, cells).above(Micros(limit as i64))
    };
    view.timeline.steps_of(shape).map(above).sum()
}
