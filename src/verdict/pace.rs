//! How slow a window of a shape was: by the average of its operations, and by a high quantile where there are enough.
//!
//! The average is how many times as long as usual operations take that succeed: each tenth of each operation against its own,
//! in the geometric mean. The median of all does not see that one step of three became a hundred times slower, or one replica
//! of four five times, and a quantile not what is asked more seldom than it leaves out. The average does not see a tail of
//! few. What became faster makes up for nothing that became slower. A quantile that lies between fast and slow operations is at either, as chance has it: the next lower one that does
//! not is taken.

use super::judgement::{Band, ShapeBand, UsualTime};
use super::view::View;
use crate::histogram::Hist;
use crate::sample::OpId;
use crate::stats;
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::Micros;

/// A measure of latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Average,
    Tail,
}

impl By {
    pub(super) const BOTH: [By; 2] = [By::Average, By::Tail];
}

/// What tells how slow a window of a shape is.
#[derive(Clone, Debug)]
pub(super) struct Yardstick {
    /// Of which the average is made.
    pub(super) each: Vec<UsualTime>,
    /// What each takes, from the fastest to the slowest tenth; microseconds.
    tenths: Vec<Tenths>,
    pub(super) quantile: Option<f64>,
    /// Of how many operations a window tells that, where the plan brings them.
    asked: Option<f64>,
}

/// Between what chance alone makes of a quantile in one window and the next there may be so many times as much.
const APART: f64 = 4.0;
/// And so much at least.
const FLOOR: Micros = Micros::millis(2);
/// The middle of each tenth.
const TENTHS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];
type Tenths = [f64; 10];
/// So much more is no change, and so many times as much (VERDICTS.md 3).
pub(super) const LEEWAY: f64 = 2_000.0;
pub(super) const SLOWER: f64 = 1.25;
/// So many deviations are no chance, as of a band (VERDICTS.md 3).
const FAR: f64 = 4.0;
/// From the highest.
const QUANTILES: [f64; 9] = [0.99, 0.98, 0.97, 0.96, 0.95, 0.9, 0.85, 0.8, 0.75];

/// The quantile is one lower than `wanted` at need.
pub(super) fn yardstick(
    timeline: &Timeline,
    shape: usize,
    (cells, width): (&Cells, u32),
    wanted: Option<f64>,
) -> Yardstick {
    let merged = timeline.shape_tally(shape, cells, Count::Seen);
    let (each, tenths): (Vec<UsualTime>, Vec<Tenths>) =
        usual_times(timeline, shape, cells).into_iter().unzip();
    // Of one operation that is slow now and then nothing tells its two kinds apart.
    let apart = are_apart(&each);
    // What failed has no time of its own.
    let answered = |q: f64| q + off((q, &merged), (cells, width)) <= merged.good_share().unwrap_or(1.0);
    let good = |q: f64| answered(q) && !(apart && goes_by_chance(&merged, q, (cells, width)));
    let quantile = wanted.and_then(|most| QUANTILES.into_iter().filter(|q| *q <= most).find(|q| good(*q)));
    let closed = timeline.outline().shapes[shape].closed;
    let asked = merged.intended as f64 * f64::from(width) / cells.len().max(1) as f64;
    Yardstick { each, tenths, quantile, asked: (!closed).then_some(asked) }
}

fn are_apart(each: &[UsualTime]) -> bool {
    let times = || each.iter().map(|one| one.usual);
    times().fold(0.0, f64::max) > APART * times().fold(f64::MAX, f64::min)
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

/// Of each operation of which any succeeded.
fn usual_times(timeline: &Timeline, shape: usize, cells: &Cells) -> Vec<(UsualTime, Tenths)> {
    let all: Vec<_> = timeline.steps_of(shape).map(|(op, o)| (op, o, timeline.tally(op, cells))).collect();
    let asked: u64 = all.iter().map(|(.., tally)| tally.intended).sum();
    let leeway = LEEWAY * timeline.outline().cell.as_secs_f64();
    let each = all.iter().filter_map(|(op, o, tally)| {
        let tenths = tenths(&tally.successes)?;
        let usual = mean(tenths.map(f64::ln)).exp();
        let share = tally.intended as f64 / asked.max(1) as f64;
        let mean = tally.successes.mean()?;
        Some((UsualTime { op: *op, operation: o.name.clone(), share, usual, mean, leeway }, tenths))
    });
    each.collect()
}

/// Microseconds; none of nothing.
fn tenths(of: &Hist) -> Option<Tenths> {
    let mut all = [1.0; 10];
    for (one, q) in all.iter_mut().zip(TENTHS) {
        *one = (of.quantile(q)?.0 as f64).max(1.0);
    }
    Some(all)
}

fn mean(of: Tenths) -> f64 {
    of.iter().sum::<f64>() / of.len() as f64
}

/// Whether what two deviations of chance in one window put above the quantile is far from what two put below.
fn goes_by_chance(all: &Tally, quantile: f64, (cells, width): (&Cells, u32)) -> bool {
    let off = off((quantile, all), (cells, width));
    let at = |q: f64| all.successes.quantile(q.clamp(1e-6, 1.0));
    let far = |(low, high): (Micros, Micros)| high - low > FLOOR && high.0 as f64 > APART * low.0 as f64;
    at(quantile - off).zip(at(quantile + off)).is_some_and(far)
}

/// Two deviations of chance of a quantile in one window, as a share.
fn off((quantile, all): (f64, &Tally), (cells, width): (&Cells, u32)) -> f64 {
    let n = all.intended as f64 * f64::from(width) / cells.len().max(1) as f64;
    2.0 * (quantile * (1.0 - quantile) / n.max(1.0)).sqrt()
}

/// How slow a window was, by one measure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Microseconds; none without operations. The average is what is usual of them together, as often as each takes longer
    /// than usual, beyond its leeway; an operation that is faster is hardly credit.
    pub(super) latency: Option<f64>,
    /// The same without leeways, and with credit, by which one tells how much it varies; what is shorter than its leeway
    /// does not below it.
    pub(super) varies: Option<f64>,
    /// On ln, how far its average strays by chance, and how far that of as many operations as a window usually has.
    chance: [f64; 2],
    /// Operations beyond the limit, where the latency is.
    pub(super) slow: u64,
    /// It left the band, and not by chance.
    pub(super) is_slow: bool,
}

impl Pace {
    /// By more than fewer operations stray further.
    pub(super) fn is_beyond(&self, limit: f64) -> bool {
        let [chance, usually] = self.chance;
        let further = (FAR * (chance - usually).max(0.0)).exp();
        self.latency.is_some_and(|v| v > limit * further)
    }

    /// On ln, the variance that it has more than usual, as of fewer operations.
    pub(super) fn scatters(&self) -> f64 {
        let [chance, usually] = self.chance;
        (chance * chance - usually * usually).max(0.0)
    }
}

/// Of a window by each measure; `merged` is all of it.
pub(super) fn paces(
    view: &View,
    shape: usize,
    yardstick: &Yardstick,
    (cells, merged): (&Cells, &Tally),
) -> [Pace; 2] {
    let tail = yardstick.quantile.and_then(|q| merged.quantile(q)).map(|v| v.value);
    let tail = Pace { latency: tail, varies: tail, ..Pace::default() };
    [on_average(view, shape, yardstick, cells), tail]
}

fn on_average(view: &View, shape: usize, yardstick: &Yardstick, cells: &Cells) -> Pace {
    let each = &yardstick.each;
    let all = usual(each);
    let leeway = each.first().map_or(0.0, |one| one.leeway);
    let (mut sums, mut weights, mut chance) = ([0.0; 2], 0.0, [0.0; 2]);
    for (op, _) in view.timeline.steps_of(shape) {
        let own = each.iter().position(|one| one.op == op);
        // All of it failed before.
        if own.is_none() && is_known(view, op) {
            continue;
        }
        let tally = view.tally(op, cells);
        if let Some(now) = tenths(&tally.successes) {
            // Nobody came to it before.
            let usual = own.map_or([all; 10], |own| yardstick.tenths[own]);
            let n = weight(tally.intended);
            let [latency, varies] = compared(now, usual, leeway);
            let error = by_chance(usual, tally.intended as f64);
            let credit = error.min(SLOWER.ln());
            // What became faster makes up for nothing but chance, and is not slower by being cut.
            sums[0] += n * (latency.max(-credit) - stats::cut_normal(error, credit));
            sums[1] += n * varies;
            weights += n;
            let asked = own.and_then(|own| yardstick.asked.map(|all| all * each[own].share));
            let usually = asked.map_or(error, |asked| by_chance(usual, asked));
            chance = [chance[0] + (n * error).powi(2), chance[1] + (n * usually).powi(2)];
        }
    }
    let of = |sum: f64| (weights > 0.0).then(|| all * (sum / weights).exp());
    let [latency, varies] = sums.map(of);
    let chance = chance.map(|sum| sum.sqrt() / f64::max(weights, 1.0));
    Pace { latency, varies, chance, ..Pace::default() }
}

/// On ln, how far the mean of so many strays by chance: its standard error.
fn by_chance(usual: Tenths, asked: f64) -> f64 {
    let each = usual.map(|v| Some(v.ln()));
    let deviation = stats::mean_and_deviation(&each).map_or(0.0, |(_, deviation)| deviation);
    deviation / asked.max(1.0).sqrt()
}

/// On ln, how many times as long as usual it took: beyond the leeway of each tenth, and as it varies.
fn compared(now: Tenths, usual: Tenths, leeway: f64) -> [f64; 2] {
    let of = |times: &dyn Fn(f64, f64) -> f64| mean(std::array::from_fn(|i| times(now[i], usual[i]).ln()));
    [
        of(&|now, usual| {
            let beyond = ((now - usual).abs() - leeway).max(0.0).copysign(now - usual);
            (usual + beyond).max(1.0) / usual
        }),
        of(&|now, usual| now.max(leeway) / usual.max(leeway)),
    ]
}

/// A heartbeat that is asked thirty times as often as a log-in tells more, and does not hide it.
fn weight(asked: u64) -> f64 {
    (asked as f64).sqrt()
}

impl UsualTime {
    /// What so many times as long is, beyond its leeway; microseconds.
    fn at(&self, times: f64) -> f64 {
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

/// Operations of these cells that were slower than a limit; on average each by its own part of it.
pub(super) fn slower(
    view: &View,
    shape: usize,
    each: &[UsualTime],
    by: By,
    (cells, limit): (&Cells, f64),
) -> u64 {
    if by == By::Tail {
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

impl ShapeBand {
    /// Beyond which this operation is slow on average, microseconds.
    pub fn latency_limit(&self, op: OpId) -> Option<f64> {
        let band = self.latency?;
        let one = self.each.iter().find(|one| one.op == op)?;
        Some(one.at(band.limit / usual(&self.each)))
    }

    pub(super) fn latency_by(&self, by: By) -> Option<Band> {
        match by {
            By::Average => self.latency,
            By::Tail => self.tail.map(|tail| tail.band),
        }
    }
}
