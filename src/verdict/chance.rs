//! What chance makes of windows: of few operations one or two are beyond every limit, and those of one flow are alike,
//! as of a tenant with a long list.
//!
//! Owns what the baseline brought by itself, and whether what strayed is more than that; the bands are `band`'s.

use std::ops::Range;

use super::baseline::{Window, slower};
use super::judgement::{Band, ShapeBand};
use super::pace::{By, Pace, SLOWER};
use super::view::View;
use crate::stats;

/// How many of the baseline's operations were usually bad, beyond its bands' limits of latency, or tried again; `own`: of
/// those that were reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) bad: Share,
    pub(super) own_bad: Share,
    pub(super) retried: Share,
    /// By each measure of latency.
    slow: [Slow; 2],
}

/// Operations beyond the limit of latency, of those that were reached.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    own: Share,
    /// So many of them are slow or not together: they tell no more than one.
    alike: f64,
}

/// So many, and of how many.
pub(super) type Share = (u64, u64);

/// Whether so many of a window are more than their usual share brings by chance: of few operations one or two are
/// beyond every limit. All of them are never usual.
pub(super) fn is_no_chance(of: Share, usual: Share) -> bool {
    of.0 >= of.1 || usual.0 >= usual.1 || stats::exceeds_sample(of, usual)
}

/// Of the windows of a baseline, by the share of each.
pub(super) fn usual(
    view: &View,
    shape: usize,
    inside: &[Window],
    band: &ShapeBand,
    share: fn(&Shares, &Shares, f64) -> Share,
) -> Usual {
    let all: Shares = inside.iter().map(|w| (w.bad(), w.intended)).collect();
    let bad: Shares = inside.iter().map(|w| w.own(w.bad())).collect();
    let flows: f64 = inside.iter().map(|w| w.flows).sum();
    let slow = |by| {
        let slow: Shares = inside.iter().map(|w| w.own(slower(view, shape, w, band, by))).collect();
        let most = slow.iter().map(|(_, n)| *n).sum::<u64>() as f64 / flows.max(1.0);
        let alike = stats::overdispersion(&but_once(&slow)).min(most).max(1.0);
        Slow { own: share(&slow, &slow, alike), alike }
    };
    let retried: Shares = inside.iter().map(|w| (w.retried.min(w.tried), w.tried)).collect();
    Usual {
        bad: share(&all, &bad, 1.0),
        own_bad: share(&bad, &bad, 1.0),
        retried: share(&retried, &retried, 1.0),
        slow: By::BOTH.map(slow),
    }
}

/// Of each window.
pub(super) type Shares = Vec<Share>;

/// The share over all windows but those in which there are more `hits`, so many alike, than the share of all brings by
/// chance: what happened once is not what is usual.
pub(super) fn usual_share(of: &Shares, hits: &Shares, alike: f64) -> Share {
    let usual = total(hits.iter().copied());
    let by_chance = |(_, hits): &(_, &Share)| !exceeds(**hits, usual, alike);
    total(of.iter().zip(hits).filter(by_chance).map(|(one, _)| *one))
}

/// Without the longest row of windows in which there are more hits than the share of all brings by chance.
fn but_once(hits: &Shares) -> Shares {
    let usual = total(hits.iter().copied());
    let more: Vec<bool> = hits.iter().map(|hits| exceeds(*hits, usual, 1.0)).collect();
    let once = longest(&more);
    hits.iter().enumerate().filter(|(i, _)| !once.contains(i)).map(|(_, one)| *one).collect()
}

/// Where the longest row of those that are so lies.
fn longest(are: &[bool]) -> Range<usize> {
    let mut from = 0;
    let rows = are.chunk_by(|a, b| a == b).map(|row| {
        from += row.len();
        (row[0], from - row.len()..from)
    });
    rows.filter(|(is, _)| *is).map(|(_, row)| row).max_by_key(Range::len).unwrap_or_default()
}

/// All of them together.
pub(super) fn total(of: impl Iterator<Item = Share>) -> Share {
    of.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// As a fraction; 0 of none.
pub(super) fn part((hits, all): Share) -> f64 {
    hits as f64 / all.max(1) as f64
}

/// Where so many operations count as one, all of a window may be one flow's.
const ALIKE: f64 = 1.5;
/// So many deviations from what is usual are no chance of a row.
const FAR: f64 = 3.0;
const MOST_ALIKE: f64 = 0.95;
/// Fewer windows in a row are judged by themselves.
const ROW: usize = 3;
/// One of so many may be as slow as it likes: the others must be slow, too.
const TRIMMED: usize = 5;
/// Of longer rows the parts tell.
const LONGEST: usize = 30;

/// How far windows of few operations stray from one another by themselves, on ln of latency: several in a row stray less far
/// together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    usual: f64,
    /// Standard deviation of one window.
    deviation: f64,
    /// From so many, of which each tells less the more it is like the one before: a queue that is long is so for a while.
    n: f64,
    alike: f64,
    /// Less is no change.
    least: f64,
}

impl Rows {
    /// Of the windows of a baseline, but for the longest row beyond its band: what happened once is not usual. None of too
    /// few.
    pub(super) fn of(inside: &[Window], band: Band) -> Option<Rows> {
        let paces: Vec<&Pace> = inside.iter().map(|w| w.pace(By::Average)).collect();
        let once = longest(&paces.iter().map(|pace| pace.is_beyond(band.limit)).collect::<Vec<_>>());
        let usual = |i: &usize| !once.contains(i);
        let ln = |of: fn(&Pace) -> Option<f64>| -> Vec<Option<f64>> {
            (0..paces.len()).map(|i| of(paces[i]).filter(|_| usual(&i)).map(|v| v.max(1.0).ln())).collect()
        };
        let (varies, compared) = (ln(|pace| pace.varies), ln(|pace| pace.latency));
        let (_, deviation) = stats::mean_and_deviation(&varies)?;
        let (usual, _) = stats::mean_and_deviation(&compared)?;
        let n = varies.iter().flatten().count();
        let few = stats::drifted(n);
        // The standard error of an autocorrelation is 1 / sqrt(n) (Bartlett, Supplement to the Journal of the Royal
        // Statistical Society 8, 1946).
        let alike = stats::autocorrelation(&varies) + stats::UPPER / (n as f64).sqrt();
        few.is_finite().then(|| Rows {
            usual,
            deviation: deviation * few,
            n: n as f64,
            alike: alike.clamp(0.0, MOST_ALIKE),
            least: SLOWER.ln(),
        })
    }

    /// By how much more than usual so many windows are together, before it is no chance: deviations of the difference of two
    /// means, of samples that are worth less the more they are autocorrelated (Bartlett, Journal of the Royal Statistical
    /// Society 98, 1935). Each of them scatters by so much more (its variance).
    fn limit(self, windows: usize, more: f64) -> f64 {
        let worth = (1.0 - self.alike) / (1.0 + self.alike);
        let variance = self.deviation * self.deviation;
        let both = (variance + more) / windows as f64 + variance / self.n;
        (FAR * (both / worth).sqrt()).max(self.least)
    }

    fn seen(self, window: &Window) -> (f64, f64) {
        let pace = window.pace(By::Average);
        let more = pace.latency.filter(|_| !window.unknown).map_or(0.0, |v| v.max(1.0).ln() - self.usual);
        (more, pace.scatters())
    }

    /// So many are slow together, those that are to come among them, and without the slowest of them too. Of each how much more than
    /// usual it is, and how much more it scatters.
    fn are_together(self, some: &[(f64, f64)], all: usize) -> bool {
        let limit = self.limit(all, mean_scatter(some));
        let mut sorted: Vec<f64> = some.iter().map(|(more, _)| *more).collect();
        sorted.sort_by(f64::total_cmp);
        let rest = sorted.len().saturating_sub(all.div_ceil(TRIMMED));
        let beyond = |some: &[f64], of: usize| some.iter().sum::<f64>() > limit * of as f64;
        beyond(&sorted, all) && beyond(&sorted[..rest], all - all.div_ceil(TRIMMED))
    }

    /// Marks those of rows that are slow together.
    fn mark(self, windows: &mut [Window]) {
        let each: Vec<(f64, f64)> = windows.iter().map(|w| self.seen(w)).collect();
        for from in 0..windows.len() {
            for to in from + ROW..=(from + LONGEST).min(windows.len()) {
                let row = &each[from..to];
                if self.are_together(row, to - from) {
                    let limit = self.limit(to - from, mean_scatter(row));
                    let slow = (from..to).filter(|i| each[*i].0 > limit);
                    slow.for_each(|i| windows[i].paces[By::Average as usize].is_slow = true);
                }
            }
        }
    }

    /// So many times as slow as usual, a stretch of so many is told.
    pub(super) fn told_from(self, windows: usize) -> f64 {
        self.limit(windows, 0.0).exp()
    }

    /// Those of a stretch of so many are; those that are to come are not.
    pub(super) fn are_slow(self, windows: &[(&Window, bool)], all: usize) -> bool {
        self.are_together(&windows.iter().map(|(w, _)| self.seen(w)).collect::<Vec<_>>(), all)
    }
}

fn mean_scatter(some: &[(f64, f64)]) -> f64 {
    some.iter().map(|(_, scatter)| scatter).sum::<f64>() / some.len().max(1) as f64
}

/// Of operations that are alike, so many at a time (quasi-binomial, McCullagh and Nelder, Generalized Linear Models, 4.5).
fn exceeds(of: Share, usual: Share, alike: f64) -> bool {
    let fewer = |of: u64| (of as f64 / alike).round() as u64;
    stats::exceeds_sample((fewer(of.0), fewer(of.1)), (fewer(usual.0), fewer(usual.1)))
}

/// Marks windows beyond a limit of latency of which more operations are slow than by chance; and rows of them that are
/// slow together. The average of many is no chance.
pub(super) fn mark_slow(windows: &mut [Window], band: &ShapeBand, usual: &Usual, rows: Option<Rows>) {
    for by in By::BOTH {
        let Some(Band { limit, .. }) = band.latency_by(by) else { continue };
        let usual = usual.slow[by as usize];
        for window in windows.iter_mut() {
            let (slow, n) = window.own(window.pace(by).slow);
            // All of one flow's are no more than one.
            let all = slow >= n && usual.alike < ALIKE;
            let many = by == By::Average && band.tail.is_some();
            let no_chance = all || many || exceeds((slow, n), usual.own, usual.alike);
            let pace = &mut window.paces[by as usize];
            pace.is_slow = pace.is_beyond(limit) && no_chance;
        }
    }
    if let Some(rows) = rows {
        rows.mark(windows);
    }
}
