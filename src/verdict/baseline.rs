//! What is normal: the windows of each shape over the load, and whether its baseline is a normal to come
//! back to (VERDICTS.md 2 and 3).
//!
//! Owns the choice of windows; bands are `band`'s, and what lies outside of one is for `recovery`.

use super::answer::Answer;
use super::band::{Half, band};
use super::chance::{Rows, Share, Usual, is_no_chance, usual, usual_share};
use super::judgement::ShapeBand;
use super::pace::{self, By, Pace, Yardstick};
use super::restless::Restless;
use super::series::Series;
use super::stretch::Stretch;
use super::view::View;
use super::waiting::Waiting;
use super::width::{Grid, IS_TRIGGER, NO_BASELINE, NOBODY_ASKED, varying_rate};
use super::windows::{Subject, value};
use crate::objective::{Metric, Objective, PhaseName};
use crate::quantity::Quantity;
use crate::sample::Kind;
use crate::stats;
use crate::timeline::phases;
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::Micros;

/// Of so few and so wide windows each has a pause in it that comes every ten seconds.
const FEWER: u64 = 5;

/// One window of a shape, its operations merged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// First cell, and the one after the last.
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) intended: u64,
    pub(super) good: u64,
    /// Bad as a step before them failed, in the same flow: no failures of their own.
    pub(super) unreached: u64,
    /// How slow it was, by each measure.
    pub(super) paces: [Pace; 2],
    pub(super) in_flight: Option<f64>,
    /// How many times the baseline's load was planned, where it was more: by Little's law so many more are in flight.
    pub(super) load: f64,
    /// First tries, and all that was tried again.
    pub(super) tried: u64,
    pub(super) retried: u64,
    /// Flows of which it heard.
    pub(super) flows: f64,
    /// squall spoilt most of it, and that is left out: nothing is known of it.
    pub(super) unknown: bool,
}

impl Window {
    /// g; arrivals that led to nothing are bad, never missing.
    pub(super) fn goodput(&self) -> f64 {
        if self.intended == 0 { 0.0 } else { self.good as f64 / self.intended as f64 }
    }

    pub(super) fn pace(&self, by: By) -> &Pace {
        &self.paces[by as usize]
    }

    pub(super) fn bad(&self) -> u64 {
        self.intended - self.good
    }

    /// Of so many, those that were reached, and of how many: what a flow that failed left undone fails with it.
    pub(super) fn own(&self, hits: u64) -> (u64, u64) {
        let unreached = self.unreached.min(hits);
        (hits - unreached, self.intended - unreached)
    }

    pub(super) fn own_is_no_chance(&self, hits: u64, usual: Share) -> bool {
        is_no_chance(self.own(hits), usual)
    }

    /// Attempts per first try.
    pub(super) fn amplification(&self) -> Option<f64> {
        (self.tried > 0).then(|| 1.0 + self.retried as f64 / self.tried as f64)
    }
}

/// The windows and bands of every shape.
pub(super) fn series(view: &View) -> Vec<Series> {
    let cells = phases::baseline(view.timeline, &view.triggers);
    (0..view.timeline.outline().shapes.len()).map(|shape| of_shape(view, shape, &cells)).collect()
}

fn of_shape(view: &View, shape: usize, cells: &Cells) -> Series {
    let timeline = view.timeline;
    let outline = &timeline.outline().shapes[shape];
    let none = |reason: String| Series {
        shape,
        band: without(&outline.name, reason),
        windows: Vec::new(),
        usual: Usual::default(),
        stretch: Stretch::default(),
        few: None,
        under_way: 0.0,
        restless: None,
    };
    if view.triggers.is_empty() {
        return none("no trigger needs one".to_owned());
    }
    if outline.trigger {
        return none(IS_TRIGGER.to_owned());
    }
    let (Some(&first), Some(&last)) = (cells.first(), cells.last()) else {
        return none(NO_BASELINE.to_owned());
    };
    let per_cell = timeline.shape_tally(shape, cells, Count::Seen).intended as f64 / cells.len() as f64;
    let has_arrivals = |from, width| has_arrivals(timeline, shape, from, width);
    let enough = u64::from(timeline.outline().judge.windows.max(1));
    let grid = grid(timeline, shape, first..last + 1, &has_arrivals);
    let (width, quantile) = match grid.choose(per_cell, enough) {
        Ok(choice) => choice,
        Err(reason) => return none(reason),
    };
    let yardstick = pace::yardstick(timeline, shape, (cells, width), quantile);
    let mut all = windows(view, shape, (grid.origin(), width), &yardstick, cells);
    let within = |w: &&Window| w.from >= first && w.to <= last + 1 && !w.unknown;
    let inside: Vec<Window> = all.iter().filter(within).cloned().collect();
    if inside.is_empty() {
        return none(NOBODY_ASKED.to_owned());
    }
    match varying_rate(outline, inside.iter().map(|w| w.from..w.to)) {
        Some(reason) => none(reason),
        None => {
            let half = |windows: &[Window]| {
                let cells = windows.iter().flat_map(|w| w.from..w.to).collect();
                view.shape_tally(shape, &cells)
            };
            let n = inside.len();
            let parts = [&inside[..n / 2], &inside[n - n / 2..]];
            let slower = |part: &[Window], by, limit| {
                let cells = part.iter().flat_map(|w| w.from..w.to).collect();
                pace::slower(view, shape, &yardstick.each, by, (&cells, limit))
            };
            let halves = parts
                .map(|part| Half { tally: half(part), slower: Box::new(move |by, v| slower(part, by, v)) });
            let mut band = band(timeline, &outline.name, &yardstick, &inside, &halves);
            band.broken = broken(view, shape, cells).or_else(|| in_vain(view, shape, &inside));
            let usual = usual(view, shape, &inside, &band, usual_share);
            count_slow(view, shape, &band, &mut all);
            let few = band.latency.filter(|_| band.tail.is_none());
            let few = few.and_then(|latency| Rows::of(&inside, latency));
            let asked = timeline.shape_tally(shape, cells, Count::Seen).successes.sum();
            let under_way = asked / (timeline.outline().cell.0 as f64 * cells.len() as f64);
            weigh(timeline, shape, &inside, &mut all);
            // A target that hangs makes a closed loop wait in windows in which else nothing would come.
            let before = all.partition_point(|w| !outline.closed || w.to <= last + 1);
            let stretch = Stretch::usual(timeline, band.window, [&all[..before], &all]);
            let series = Series { shape, band, windows: all, usual, stretch, few, under_way, restless: None }
                .with_slow_marked();
            let wider = grid.choose(per_cell, FEWER).is_ok_and(|(wider, _)| wider > width).then_some(FEWER);
            Series { restless: Restless::of(view, shape, &series, within, wider), ..series }
        }
    }
}

/// Of each window the load of those who may be in flight in it: they came in it, or not longer before than a flow
/// lasted in the baseline, which by Little's law is what is in flight of so many in a second.
fn weigh(timeline: &Timeline, shape: usize, inside: &[Window], windows: &mut [Window]) {
    let cells = windows.last().map_or(0, |w| w.to);
    let upto: Vec<u64> = std::iter::once(0)
        .chain((0..cells).scan(0, |sum, cell| {
            *sum += timeline.planned(shape, cell);
            Some(*sum)
        }))
        .collect();
    let rate = |from: u32, to: u32| (upto[to as usize] - upto[from as usize]) as f64 / f64::from(to - from);
    let usual = stats::median(&inside.iter().map(|w| rate(w.from, w.to)).collect::<Vec<_>>());
    let flying = stats::median(&inside.iter().filter_map(|w| w.in_flight).collect::<Vec<_>>());
    let Some(usual) = usual.filter(|usual| *usual > 0.0) else { return };
    let lasts = (flying.unwrap_or(0.0) / usual).round() as u32;
    for window in windows {
        window.load = (rate(window.from.saturating_sub(lasts), window.to) / usual).max(1.0);
    }
}

/// Operations that were slower than the band has it.
pub(super) fn slower(view: &View, shape: usize, window: &Window, band: &ShapeBand, by: By) -> u64 {
    let cells = || (window.from..window.to).collect();
    band.latency_by(by).map_or(0, |b| pace::slower(view, shape, &band.each, by, (&cells(), b.limit)))
}

/// Only of windows that may be out: to look at each twice would take twice as long.
fn count_slow(view: &View, shape: usize, band: &ShapeBand, windows: &mut [Window]) {
    for by in By::BOTH {
        let beyond = |w: &&mut Window| band.latency_by(by).is_some_and(|b| w.pace(by).is_beyond(b.limit));
        for window in windows.iter_mut().filter(beyond) {
            window.paces[by as usize].slow = slower(view, shape, window, band, by);
        }
    }
}

/// The same of users of a closed loop who waited in vain, and so asked nothing in it.
fn in_vain(view: &View, shape: usize, inside: &[Window]) -> Option<String> {
    let (good, asked) = inside.iter().fold((0, 0), |(g, n), w| (g + w.good, n + w.intended));
    let goodput = good as f64 / asked.max(1) as f64;
    (goodput < view.timeline.outline().judge.goodput).then(|| {
        format!(
            "only {} of the users of {} got what they waited for before the first trigger; that is no normal to come back to",
            Quantity::share(goodput),
            view.timeline.outline().shapes[shape].name
        )
    })
}

/// Why a baseline is no normal: too much of it failed, or an objective of the run already breaks in it, and not
/// through squall.
fn broken(view: &View, shape: usize, cells: &Cells) -> Option<String> {
    let (outline, clean) = (view.timeline.outline(), view.bare_clean());
    let name = &outline.shapes[shape].name;
    let goodput = view.shape_tally(shape, cells).good_share()?;
    let is_low = |goodput: f64| goodput < outline.judge.goodput;
    if is_low(goodput) && clean.shape_tally(shape, cells).good_share().is_none_or(is_low) {
        let (had, wanted) = (Quantity::share(goodput), Quantity::share(outline.judge.goodput));
        return Some(format!(
            "only {had} of {name} succeeded before the first trigger; below {wanted} there is no normal to come back to"
        ));
    }
    // A rate is none of the time in which nothing was to come.
    let loaded: Cells =
        cells.iter().copied().filter(|&cell| view.was_planned(shape, &[cell].into())).collect();
    let speaks = |o: &&Objective| {
        let other = [Metric::Outage, Metric::Recovery, Metric::Count];
        let other = other.contains(&o.metric) || matches!(o.metric, Metric::Target { .. });
        matches!(o.phase, PhaseName::Run | PhaseName::Baseline) && !other
    };
    outline.objectives.iter().filter(speaks).find_map(|objective| {
        let mut ops =
            view.timeline.operations().filter(|(_, o)| o.shape == shape && o.is_meant_by(objective));
        let asked = |view: &View, op| value(view, objective, Subject::Operation(op), &loaded).answer;
        let breaks = |op| asked(view, op) == Answer::Breaks && asked(&clean, op) != Answer::Holds;
        ops.any(|(op, _)| breaks(op)).then(|| {
            format!(
                "`{}` was broken before the first trigger; that is no normal to come back to",
                objective.text
            )
        })
    })
}

fn without(shape: &str, reason: String) -> ShapeBand {
    ShapeBand {
        shape: shape.to_owned(),
        none: Some(reason),
        window: Micros::ZERO,
        windows: 0,
        goodput: None,
        latency: None,
        each: Vec::new(),
        tail: None,
        in_flight: None,
        amplification: None,
        unsteady: None,
        broken: None,
    }
}

/// The windows of a shape within some cells.
fn grid<'g>(
    timeline: &'g Timeline,
    shape: usize,
    range: std::ops::Range<u32>,
    has_arrivals: &'g dyn Fn(u32, u32) -> bool,
) -> Grid<'g> {
    Grid { outline: &timeline.outline().shapes[shape], cell: timeline.outline().cell, range, has_arrivals }
}

/// Whether the window says anything: arrivals were planned, and not all of them were sent as patient
/// probes, which are counted apart. A closed loop has arrivals planned all the time: a target that hangs
/// must not empty its windows.
fn has_arrivals(timeline: &Timeline, shape: usize, from: u32, width: u32) -> bool {
    let outline = &timeline.outline().shapes[shape];
    let mut cells = from..from + width;
    let ops = || timeline.operations().filter(|(_, o)| o.shape == shape && !o.flow);
    let counted = |cell: u32| ops().any(|(op, _)| timeline.intended(op, cell) > 0);
    Grid::planned(outline, timeline.outline().cell, from, width) && (outline.closed || cells.any(counted))
}

fn windows(
    view: &View,
    shape: usize,
    (origin, width): (u32, u32),
    yardstick: &Yardstick,
    baseline: &Cells,
) -> Vec<Window> {
    let timeline = view.timeline;
    let starts = (0..)
        .map(|i| origin + i * width)
        .take_while(|&from| timeline.cell_start(from + width) <= timeline.load_end());
    let planned = starts.filter(|&from| has_arrivals(timeline, shape, from, width));
    let closed = timeline.outline().shapes[shape].closed;
    let mut waiting = Waiting::of(view, shape, baseline);
    let mut kept = Vec::new();
    for from in planned {
        let mut window = window(view, shape, from..from + width, yardstick);
        // Users of a closed loop who think ask nothing: a window says something if they asked, or waited through it.
        if closed {
            window.intended += waiting.through(&(from..from + width));
            if window.intended == 0 && !window.unknown {
                continue;
            }
        }
        kept.push(window);
    }
    kept
}

fn window(view: &View, shape: usize, range: std::ops::Range<u32>, yardstick: &Yardstick) -> Window {
    let timeline = view.timeline;
    let cells: Cells = range.clone().collect();
    let tally = view.shape_tally(shape, &cells);
    let seen = || timeline.shape_tally(shape, &cells, Count::Seen);
    // What is left of a window that squall mostly spoilt is chance.
    let unknown = view.is_little_left(&cells, &tally) && seen().intended > 0;
    let flown = |cell| timeline.in_flight(shape, cell);
    let is_kept = |cell: &u32| !view.is_clean() || !view.own.cells.contains_key(cell);
    let flying: Vec<f64> = range.clone().filter(is_kept).filter_map(flown).collect();
    let length = timeline.cell_start(range.len() as u32);
    let own = if view.is_clean() { own_in_flight(&seen(), &tally, length) } else { 0.0 };
    // Those of cells that are left out are squall's doing, and none the target's: the rest of a burst is no mean of all.
    let mean = flying.iter().sum::<f64>() / range.clone().filter_map(flown).count() as f64;
    Window {
        from: range.start,
        to: range.end,
        intended: tally.intended,
        good: tally.good(),
        unreached: tally.of_kind(Kind::Unreached),
        paces: pace::paces(view, shape, yardstick, (&cells, &tally)),
        in_flight: (!unknown && !flying.is_empty()).then_some((mean - own).max(0.0)),
        load: 1.0,
        tried: tally.tried,
        retried: tally.retried(),
        flows: pace::flows(timeline, shape, &cells, length),
        unknown,
    }
}

/// How many flows squall itself kept in flight: by Little's law the time that the clean count takes off, for
/// each second. What failed stands at its deadline in both counts, however long squall held it up.
fn own_in_flight(seen: &Tally, clean: &Tally, length: Micros) -> f64 {
    let sum = |t: &Tally| t.successes.sum() + t.others.sum();
    let own = (sum(seen) - sum(clean)).max(seen.lag.sum() + seen.held.sum());
    own / length.0.max(1) as f64
}
