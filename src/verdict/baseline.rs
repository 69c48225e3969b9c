//! What is normal: the windows of each shape over the load, and whether its baseline is a normal to come
//! back to (VERDICTS.md 2 and 3).
//!
//! Owns the choice of windows; bands are `band`'s, and what lies outside of one is for `recovery`.

use super::answer::Answer;
use super::band::band;
use super::judgement::{Band, ShapeBand};
use super::view::View;
use super::windows::{Subject, value};
use crate::objective::{Metric, Objective, PhaseName};
use crate::quantity::Quantity;
use crate::timeline::phases;
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::Micros;

/// One window of a shape, its operations merged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// First cell, and the one after the last.
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) intended: u64,
    pub(super) good: u64,
    /// Response time at the banded quantile, microseconds; none without operations.
    pub(super) latency: Option<f64>,
    pub(super) in_flight: Option<f64>,
    pub(super) amplification: Option<f64>,
}

impl Window {
    /// g; arrivals that led to nothing are bad, never missing.
    pub(super) fn goodput(&self) -> f64 {
        if self.intended == 0 { 0.0 } else { self.good as f64 / self.intended as f64 }
    }
}

/// A shape's windows over the load, and what is normal for it.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) band: ShapeBand,
    /// Windows with planned arrivals, ascending.
    pub(super) windows: Vec<Window>,
}

/// Which measures a window is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measures {
    All,
    /// Those that did not move within the baseline.
    Steady,
}

impl Series {
    /// The goodput ratio left the band.
    pub(super) fn goodput_out(&self, window: &Window) -> bool {
        self.band.goodput.is_some_and(|b| window.goodput() < b.limit)
    }

    /// Anything left the band.
    pub(super) fn out(&self, window: &Window, measures: Measures) -> bool {
        let taken = |band: Option<Band>| band.filter(|b| measures == Measures::All || !b.moved);
        let above =
            |band: Option<Band>, value: Option<f64>| taken(band).zip(value).is_some_and(|(b, v)| v > b.limit);
        (taken(self.band.goodput).is_some() && self.goodput_out(window))
            || above(self.band.latency, window.latency)
            || above(self.band.in_flight, window.in_flight)
            || above(self.band.amplification, window.amplification)
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
    let none = |reason: String| Series { band: without(&outline.name, reason), windows: Vec::new() };
    if view.triggers.is_empty() {
        return none("no trigger needs one".to_owned());
    }
    if outline.trigger {
        return none("the shape is a trigger itself".to_owned());
    }
    let (Some(&first), Some(&last)) = (cells.first(), cells.last()) else {
        return none("no baseline lies between the warm-up and the first trigger".to_owned());
    };
    let (width, quantile) = match choose(timeline, shape, first..last + 1) {
        Ok(choice) => choice,
        Err(reason) => return none(reason),
    };
    let all = windows(view, shape, width, quantile);
    let inside: Vec<Window> = all.iter().filter(|w| w.from >= first && w.to <= last + 1).cloned().collect();
    match varying_rate(timeline, shape, &inside) {
        Some(reason) => none(reason),
        None => {
            let mut band = band(timeline, &outline.name, quantile, &inside);
            band.broken = broken(view, shape, cells);
            Series { band, windows: all }
        }
    }
}

/// Why a baseline is no normal: too much of it failed, or an objective of the run already breaks in it.
fn broken(view: &View, shape: usize, cells: &Cells) -> Option<String> {
    let outline = view.timeline.outline();
    let name = &outline.shapes[shape].name;
    let goodput = 1.0 - view.shape_tally(shape, cells).bad_share()?;
    if goodput < outline.judge.goodput {
        let (had, wanted) = (Quantity::share(goodput), Quantity::share(outline.judge.goodput));
        return Some(format!(
            "only {had} of {name} succeeded before the first trigger; below {wanted} there is no normal to come back to"
        ));
    }
    let speaks = |o: &&Objective| {
        let other = [Metric::Outage, Metric::Recovery, Metric::Count];
        let other = other.contains(&o.metric) || matches!(o.metric, Metric::Target { .. });
        matches!(o.phase, PhaseName::Run | PhaseName::Baseline) && !other
    };
    outline.objectives.iter().filter(speaks).find_map(|objective| {
        let named = |o: &str, flow: bool| objective.selector.as_deref().map_or(!flow, |s| s == o);
        let mut ops = view.timeline.operations().filter(|(_, o)| o.shape == shape && named(&o.name, o.flow));
        let breaks = |op| value(view, objective, Subject::Operation(op), cells).answer == Answer::Breaks;
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
        quantile: 0.0,
        goodput: None,
        latency: None,
        in_flight: None,
        amplification: None,
        unsteady: None,
        broken: None,
    }
}

/// The width of a window in cells and the quantile to band: the smallest width that holds 1,000
/// operations, for p99; where that leaves too few windows, the widest that leaves enough, for p95 with
/// 200 operations, else the median.
fn choose(timeline: &Timeline, shape: usize, range: std::ops::Range<u32>) -> Result<(u32, f64), String> {
    let cells: Cells = range.clone().collect();
    let per_cell = timeline.shape_tally(shape, &cells, Count::Seen).intended as f64 / cells.len() as f64;
    let enough = u64::from(timeline.outline().judge.windows.max(1));
    let fits = |width: &u32| count_windows(timeline, shape, *width, &range) >= enough;
    let widths = timeline.outline().shapes[shape].window_widths(timeline.outline().cell);
    let holds = |width: u32, n: f64| per_cell * f64::from(width) >= n;
    if let Some(width) = widths.iter().copied().find(|w| holds(*w, 1000.0)).filter(fits) {
        return Ok((width, 0.99));
    }
    match widths.iter().copied().filter(fits).max() {
        Some(width) => Ok((width, if holds(width, 200.0) { 0.95 } else { 0.5 })),
        None => Err(format!(
            "the baseline holds {} windows of {}, {enough} are needed",
            count_windows(timeline, shape, widths[0], &range),
            timeline.cell_start(widths[0]),
        )),
    }
}

/// Where the first window of a shape begins.
fn origin(timeline: &Timeline, shape: usize) -> u32 {
    let cell = timeline.outline().cell.0.max(1);
    timeline.outline().shapes[shape].start.0.div_euclid(cell).max(0) as u32
}

fn count_windows(timeline: &Timeline, shape: usize, width: u32, range: &std::ops::Range<u32>) -> u64 {
    let origin = origin(timeline, shape);
    let first = range.start.saturating_sub(origin).div_ceil(width);
    let end = range.end.saturating_sub(origin) / width;
    (first..end).filter(|i| has_arrivals(timeline, shape, origin + i * width, width)).count() as u64
}

/// Whether the window says anything: arrivals were planned, and not all of them were sent as patient
/// probes, which are counted apart. A closed loop has arrivals planned all the time: a target that hangs
/// must not empty its windows.
fn has_arrivals(timeline: &Timeline, shape: usize, from: u32, width: u32) -> bool {
    let outline = &timeline.outline().shapes[shape];
    if outline.closed {
        return timeline.cell_start(from) >= outline.start
            && timeline.cell_start(from + width) <= outline.end;
    }
    let mut cells = from..from + width;
    let ops = || timeline.operations().filter(|(_, o)| o.shape == shape && !o.flow);
    cells.clone().any(|cell| outline.planned.get(cell as usize).is_some_and(|&n| n > 0))
        && cells.any(|cell| ops().any(|(op, _)| timeline.intended(op, cell) > 0))
}

fn windows(view: &View, shape: usize, width: u32, quantile: f64) -> Vec<Window> {
    let timeline = view.timeline;
    let origin = origin(timeline, shape);
    let starts = (0..)
        .map(|i| origin + i * width)
        .take_while(|&from| timeline.cell_start(from + width) <= timeline.load_end());
    let planned = starts.filter(|&from| has_arrivals(timeline, shape, from, width));
    planned.filter_map(|from| window(view, shape, from..from + width, quantile)).collect()
}

/// None where squall spoilt all of it, and that is left out.
fn window(view: &View, shape: usize, range: std::ops::Range<u32>, quantile: f64) -> Option<Window> {
    let timeline = view.timeline;
    let cells: Cells = range.clone().collect();
    let tally = view.shape_tally(shape, &cells);
    let seen = || timeline.shape_tally(shape, &cells, Count::Seen);
    if view.is_clean() && tally.intended == 0 && seen().intended > 0 {
        return None;
    }
    let kept = range.clone().filter(|cell| !view.is_clean() || !view.own.cells.contains_key(cell));
    let flying: Vec<f64> = kept.filter_map(|cell| timeline.in_flight(shape, cell)).collect();
    let length = timeline.cell_start(range.len() as u32);
    let own = if view.is_clean() { own_in_flight(&seen(), &tally, length) } else { 0.0 };
    let mean = flying.iter().sum::<f64>() / flying.len() as f64;
    Some(Window {
        from: range.start,
        to: range.end,
        intended: tally.intended,
        good: tally.good(),
        latency: tally.quantile(quantile).map(|v| v.value),
        in_flight: (!flying.is_empty()).then_some((mean - own).max(0.0)),
        amplification: tally.amplification(),
    })
}

/// How many flows squall itself kept in flight: by Little's law the time that the clean count takes off, for
/// each second.
fn own_in_flight(seen: &Tally, clean: &Tally, length: Micros) -> f64 {
    let sum = |t: &Tally| t.mean().map_or(0.0, |m| m.value) * (t.successes.len() + t.others.len()) as f64;
    (sum(seen) - sum(clean)).max(0.0) / length.0.max(1) as f64
}

/// Why the shape has no band: its planned rate varies by more than 10 % between windows or between the
/// halves of the baseline. A plan drawn from a Poisson process varies by itself; three standard
/// deviations of the difference of two counts are allowed on top.
fn varying_rate(timeline: &Timeline, shape: usize, windows: &[Window]) -> Option<String> {
    let outline = &timeline.outline().shapes[shape];
    if outline.closed {
        return None;
    }
    let planned =
        |w: &Window| (w.from..w.to).filter_map(|c| outline.planned.get(c as usize)).sum::<u64>() as f64;
    let counts: Vec<f64> = windows.iter().map(planned).collect();
    let least = counts.iter().copied().fold(f64::MAX, f64::min);
    let most = counts.iter().copied().fold(0.0, f64::max);
    let half = counts.len() / 2;
    let (first, second) =
        (counts[..half].iter().sum::<f64>(), counts[counts.len() - half..].iter().sum::<f64>());
    // The spread of many windows is wider than that of two: six deviations for the extremes.
    let varies = |a: f64, b: f64, sigmas: f64| (a - b).abs() > 0.1 * (a + b) / 2.0 + sigmas * (a + b).sqrt();
    (varies(least, most, 6.0) || varies(first, second, 3.0)).then(|| {
        format!("its planned rate varies by more than 10 % within the baseline ({least} to {most} a window)")
    })
}
