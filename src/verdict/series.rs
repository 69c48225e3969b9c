//! The windows of a shape held against its bands: what strayed, alone or together with others (VERDICTS.md 3).
//!
//! Owns whether a window is out; which windows there are and what is normal of them is `baseline`'s.

use std::ops::Range;

use super::baseline::Window;
use super::chance::{Rows, Share, Usual, is_no_chance, mark_slow, part, total};
use super::judgement::{Band, ShapeBand};
use super::pace::{By, LEEWAY};
use super::restless::Restless;
use super::stretch::Stretch;
use crate::outline::Outline;
use crate::stats;
use crate::timeline::Timeline;
use crate::units::Micros;

/// A shape's windows over the load, and what is normal for it.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Index into the shapes.
    pub(super) shape: usize,
    pub(super) band: ShapeBand,
    /// Windows with planned arrivals, ascending; those of which nothing is known among them.
    pub(super) windows: Vec<Window>,
    pub(super) usual: Usual,
    /// What must be in band for the service to count as recovered.
    pub(super) stretch: Stretch,
    /// Of few operations: how far windows stray together.
    pub(super) few: Option<Rows>,
    /// Of the baseline, how many operations were asked and not yet answered on average.
    pub(super) under_way: f64,
    /// The baseline would not count as that itself.
    pub(super) restless: Option<Restless>,
}

/// A service that was so many times as slow as usual and counted as well would not be one that came back.
const TOO_WIDE: f64 = 10.0;
/// Fewer operations in the baseline.
const SELDOM: u64 = 20;

/// Which measures a window is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measures {
    All,
    /// Those that did not move within the baseline.
    Steady,
}

impl Measures {
    fn of(self, band: Option<Band>) -> Option<Band> {
        band.filter(|b| self == Measures::All || !b.moved)
    }
}

impl Series {
    /// The windows within a time.
    pub(super) fn within(&self, timeline: &Timeline, span: &Range<Micros>) -> Vec<&Window> {
        let start = |cell: u32| timeline.cell_start(cell);
        self.windows.iter().filter(|w| start(w.from) >= span.start && start(w.to) <= span.end).collect()
    }

    /// The same, asked for no more than its own baseline brings.
    pub(super) fn as_before(&self) -> Option<Series> {
        let Restless { usual, stretch, .. } = self.restless.as_ref()?;
        let before = Series { usual: *usual, stretch: *stretch, restless: None, ..self.clone() };
        Some(before.with_slow_marked())
    }

    /// The same, held against nothing that latency moves.
    pub(super) fn without_latency(&self) -> Series {
        let band = ShapeBand { latency: None, tail: None, in_flight: None, ..self.band.clone() };
        Series { band, few: None, ..self.clone() }.with_slow_marked()
    }

    pub(super) fn with_slow_marked(mut self) -> Series {
        mark_slow(&mut self.windows, &self.band, &self.usual, self.few);
        self
    }

    /// Latency has so wide a band that a service could be far slower and count as well: less than so many times as long
    /// as usual is neither beyond it, nor beyond that of a stretch together, nor past the deadline, by which it is lost, nor
    /// keeps more flows in flight than usual (Little's law). What is less than its leeway is no time at all.
    pub(super) fn too_wide(&self, outline: &Outline) -> Option<f64> {
        let shape = &outline.shapes[self.shape];
        let deadline = outline.deadline_of(&shape.name).0 as f64;
        let leeway = LEEWAY * outline.cell.as_secs_f64();
        let alone = By::BOTH.into_iter().filter_map(|by| self.band.latency_by(by));
        let alone = alone.map(|b| b.limit.min(deadline) / b.median.max(leeway)).reduce(f64::min)?;
        let together = self.few.map_or(f64::MAX, |rows| rows.told_from(self.stretch.windows));
        let flying = self.band.in_flight.filter(|band| !band.moved && !shape.closed);
        let flying = flying.map_or(f64::MAX, |band| 1.0 + (band.limit - band.median) / self.under_way);
        let times = alone.min(together).min(flying);
        (times >= TOO_WIDE && outline.smoke.is_none()).then_some(times)
    }

    /// Of somebody who looks now and then nobody expects to be told how slow it is.
    pub(super) fn is_seldom(&self) -> bool {
        self.usual.bad.1 < SELDOM
    }

    /// The goodput ratio left the band.
    pub(super) fn goodput_out(&self, window: &Window) -> bool {
        let low = !window.unknown && self.band.goodput.is_some_and(|b| window.goodput() < b.limit);
        low && window.own_is_no_chance(window.bad(), self.usual.own_bad)
    }

    /// Anything left the band.
    pub(super) fn out(&self, window: &Window, measures: Measures) -> bool {
        self.strayed(window, measures).contains(&true)
    }

    /// The windows of a stretch, or the first of one, left the band together, of goodput or of latency: of few operations
    /// each may stray by what all of them may not. Those that are to come do not.
    pub(super) fn stray_together(&self, windows: &[(&Window, bool)], measures: Measures) -> [bool; 2] {
        [self.lose_together(windows, measures), self.are_slow_together(windows, measures)]
    }

    fn are_slow_together(&self, windows: &[(&Window, bool)], measures: Measures) -> bool {
        let few = self.few.filter(|_| measures.of(self.band.latency).is_some());
        few.is_some_and(|rows| rows.are_slow(windows, self.stretch.windows.max(windows.len())))
    }

    /// What is out counts as what just is not.
    fn lose_together(&self, windows: &[(&Window, bool)], measures: Measures) -> bool {
        let known: Vec<&Window> = windows.iter().map(|(w, _)| *w).filter(|w| !w.unknown).collect();
        let all = (self.stretch.windows.max(windows.len()), windows.len().max(1));
        let lose = |bad: &dyn Fn(&Window) -> u64| self.lose(&known, all, bad);
        measures.of(self.band.goodput).is_some() && lose(&Window::bad) && lose(&|w| self.lost_in_band(w))
    }

    /// More of these failed than the band leaves, and not by chance.
    pub(super) fn loses(&self, windows: &[&Window]) -> bool {
        self.lose(windows, (1, 1), &Window::bad)
    }

    /// These are so many of all, and of the others nothing failed.
    fn lose(&self, windows: &[&Window], (all, these): (usize, usize), bad: &dyn Fn(&Window) -> u64) -> bool {
        let Some(band) = self.band.goodput else { return false };
        let whole = |(bad, n): Share| (bad, n * all as u64 / these as u64);
        let lost = whole(total(windows.iter().map(|w| (bad(w), w.intended))));
        let own = whole(total(windows.iter().map(|w| w.own(bad(w)))));
        part(lost) - part(self.usual.bad) > band.median - band.limit
            && stats::exceeds_sample(own, self.usual.own_bad)
    }

    /// What failed in a window, but no more than may before it is out.
    fn lost_in_band(&self, window: &Window) -> u64 {
        let out = |bad: u64| self.goodput_out(&Window { good: window.intended - bad, ..window.clone() });
        let (mut inside, mut beyond) = (0, window.bad() + 1);
        while beyond - inside > 1 {
            let middle = (inside + beyond) / 2;
            *(if out(middle) { &mut beyond } else { &mut inside }) = middle;
        }
        inside
    }

    /// Its latency left the band.
    pub(super) fn is_slow(&self, window: &Window, by: By, measures: Measures) -> bool {
        measures.of(self.band.latency_by(by)).is_some() && window.pace(by).is_slow
    }

    /// Which left it: goodput, latency, flows in flight, amplification.
    pub(super) fn strayed(&self, window: &Window, measures: Measures) -> [bool; 4] {
        let above = |band: Option<Band>, value: Option<f64>| {
            measures.of(band).zip(value).is_some_and(|(b, v)| v > b.limit)
        };
        let retried = || is_no_chance((window.retried, window.tried), self.usual.retried);
        [
            measures.of(self.band.goodput).is_some() && self.goodput_out(window),
            By::BOTH.iter().any(|by| self.is_slow(window, *by, measures)),
            above(self.band.in_flight, window.in_flight.map(|flying| flying / window.load)),
            above(self.band.amplification, window.amplification()) && retried(),
        ]
    }
}
