//! What chance makes of windows: of few operations one or two are beyond every limit, and those of one flow are alike,
//! as of a tenant with a long list.
//!
//! Owns what the baseline brought by itself, and whether what strayed is more than that; the bands are `band`'s.

use super::baseline::{Window, slower};
use super::judgement::ShapeBand;
use super::view::View;
use crate::stats;

/// Shares of the baseline's operations that were usually bad, beyond its band's limit of latency, or tried again; `own`:
/// of those that were reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) bad: f64,
    pub(super) own_bad: f64,
    pub(super) own_slow: f64,
    pub(super) retried: f64,
    /// So many operations are slow or not together: they tell no more than one.
    pub(super) alike: f64,
}

/// Whether so many of a window are more than their usual share brings by chance: of few operations one or two are
/// beyond every limit. All of them are never usual.
pub(super) fn is_no_chance(hits: u64, n: u64, usual: f64) -> bool {
    hits >= n || usual >= 1.0 || stats::exceeds(hits, n, usual)
}

/// Of the windows of a baseline, by the share of each.
pub(super) fn usual(
    view: &View,
    shape: usize,
    inside: &[Window],
    band: &ShapeBand,
    share: fn(&Shares, &Shares) -> f64,
) -> Usual {
    let slow = |w: &Window| slower(view, shape, w, band);
    let all: Shares = inside.iter().map(|w| (w.bad(), w.intended)).collect();
    let bad: Shares = inside.iter().map(|w| w.own(w.bad())).collect();
    let slow: Shares = inside.iter().map(|w| w.own(slow(w))).collect();
    let flows: f64 = inside.iter().map(|w| w.flows).sum();
    let most = slow.iter().map(|(_, n)| *n).sum::<u64>() as f64 / flows.max(1.0);
    let retried: Shares = inside.iter().map(|w| (w.retried.min(w.tried), w.tried)).collect();
    Usual {
        bad: share(&all, &bad),
        own_bad: share(&bad, &bad),
        own_slow: share(&slow, &slow),
        retried: share(&retried, &retried),
        alike: stats::overdispersion(&slow).min(most).max(1.0),
    }
}

/// Of each window so many, and of how many.
pub(super) type Shares = Vec<(u64, u64)>;

/// The share over all windows but those in which there are more `hits` than the share of all brings by chance: what
/// happened once is not what is usual.
pub(super) fn usual_share(of: &Shares, hits: &Shares) -> f64 {
    let usual = share(hits.iter().copied());
    let by_chance = |(_, (hits, n)): &(_, &(u64, u64))| !stats::exceeds(*hits, *n, usual);
    share(of.iter().zip(hits).filter(by_chance).map(|(one, _)| *one))
}

pub(super) fn share(of: impl Iterator<Item = (u64, u64)>) -> f64 {
    let (hits, all) = of.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    hits as f64 / all.max(1) as f64
}

/// In less than so many cases a row is no chance.
const RARE: f64 = 0.01;

/// How windows of a baseline lie beyond a limit of latency, but for the longest row of them: what happened once is not
/// usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Microseconds.
    limit: f64,
    /// How often one does.
    often: f64,
    /// How often one does after another.
    again: f64,
    /// Fewer in a row tell nothing.
    least: usize,
}

impl Rows {
    pub(super) fn of(inside: &[Window], limit: f64, least: usize) -> Rows {
        let beyond: Vec<bool> = inside.iter().map(|w| w.is_beyond(limit)).collect();
        let rows: Vec<usize> =
            beyond.chunk_by(|a, b| a == b).filter(|row| row[0]).map(<[bool]>::len).collect();
        let longest = rows.iter().copied().max().unwrap_or(0);
        let all = rows.iter().sum::<usize>() - longest;
        let again = all - rows.len().saturating_sub(1);
        // One more than was seen (Laplace): that none was does not prove that none comes.
        let often = (all + 1) as f64 / (beyond.len() - longest + 1) as f64;
        // As may be of few: a queue that is long is so for a while.
        let again = ((again + 1) as f64 / (all + 2) as f64).max(often);
        Rows { limit, often, again, least }
    }

    /// Marks those that follow one another more often than by chance; of what is not known nothing is said.
    fn mark(self, windows: &mut [Window]) {
        let mut known: Vec<&mut Window> = windows.iter_mut().filter(|w| !w.unknown).collect();
        for row in known.chunk_by_mut(|a, b| a.is_beyond(self.limit) == b.is_beyond(self.limit)) {
            let rare = self.often * self.again.powi(row.len() as i32 - 1) < RARE;
            if row[0].is_beyond(self.limit) && row.len() >= self.least && rare {
                row.iter_mut().for_each(|w| w.is_slow = true);
            }
        }
    }

    /// Most of so many windows lie beyond the limit, and more than chance: as those that follow one another are alike, they
    /// tell no more than fewer would (by the autocorrelation of a chain of two states, Klotz, Annals of Statistics 1, 1973).
    pub(super) fn are_most(self, windows: &[(&Window, bool)], all: usize) -> bool {
        let beyond = windows.iter().filter(|(w, _)| !w.unknown && w.is_beyond(self.limit)).count();
        let alike = ((self.again - self.often) / (1.0 - self.often).max(1e-9)).clamp(0.0, 0.9);
        2 * beyond > all && exceeds(beyond as u64, all as u64, self.often, (1.0 + alike) / (1.0 - alike))
    }
}

/// As `stats::exceeds`, of operations that are alike, so many at a time (quasi-binomial, McCullagh and Nelder, Generalized
/// Linear Models, 4.5).
fn exceeds(hits: u64, n: u64, usual: f64, alike: f64) -> bool {
    let fewer = |of: u64| (of as f64 / alike).round() as u64;
    stats::exceeds(fewer(hits), fewer(n), usual)
}

/// Marks windows beyond the limit of latency of which more operations are slow than by chance; and, of few operations,
/// those that are no chance as so many follow one another.
pub(super) fn mark_slow(windows: &mut [Window], limit: f64, usual: &Usual, rows: &[Rows]) {
    for window in windows.iter_mut() {
        let (slow, n) = window.own(window.slow);
        window.is_slow = window.is_beyond(limit) && exceeds(slow, n, usual.own_slow, usual.alike);
    }
    rows.iter().for_each(|rows| rows.mark(windows));
}
