//! What is normal: the windows of each shape, and the bands of its baseline (VERDICTS.md 2 and 3).
//!
//! Owns the choice of windows, bands and stationarity; what lies outside a band means is for
//! `recovery`.

use super::judgement::{Band, ShapeBand};
use super::soundness;
use super::words;
use crate::histogram::Hist;
use crate::stats;
use crate::timeline::phases::{self, Trigger};
use crate::timeline::{Cells, Timeline};
use crate::units::Micros;

/// Estimates a standard deviation from the median absolute deviation of a normal sample.
const SIGMA_PER_MAD: f64 = 1.4826;

/// One window of a shape, its operations merged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// First cell, and the one after the last.
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) intended: u64,
    pub(super) good: u64,
    /// Response time at the banded quantile, microseconds; none without operations.
    latency: Option<f64>,
    in_flight: Option<f64>,
    late: Late,
    amplification: Option<f64>,
}

/// The generator's own part of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Late {
    /// Of the latency: its delay at the banded quantile, microseconds.
    delay: f64,
    /// Of those in flight: how many its late reads keep there (Little's law). What was sent late was not yet.
    held: f64,
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
    /// Median of the baseline's windows: the bands have it in them.
    late: Late,
}

impl Series {
    /// The goodput ratio left the band.
    pub(super) fn goodput_out(&self, window: &Window) -> bool {
        self.band.goodput.is_some_and(|b| window.goodput() < b.limit)
    }

    /// Anything left the band.
    pub(super) fn out(&self, window: &Window) -> bool {
        self.out_at(window, window.latency, window.in_flight)
    }

    /// Anything would have left the band if squall itself had been as late as in the baseline.
    pub(super) fn out_without_delay(&self, window: &Window) -> bool {
        let (delay, held) = (window.late.delay - self.late.delay, window.late.held - self.late.held);
        let latency = window.latency.map(|latency| latency - delay.max(0.0));
        self.out_at(window, latency, window.in_flight.map(|n| n - held.max(0.0)))
    }

    fn out_at(&self, window: &Window, latency: Option<f64>, in_flight: Option<f64>) -> bool {
        let above =
            |band: Option<Band>, value: Option<f64>| band.zip(value).is_some_and(|(b, v)| v > b.limit);
        self.goodput_out(window)
            || above(self.band.latency, latency)
            || above(self.band.in_flight, in_flight)
            || above(self.band.amplification, window.amplification)
    }
}

/// The windows and bands of every shape.
pub(super) fn series(timeline: &Timeline, triggers: &[Trigger]) -> Vec<Series> {
    let cells = phases::baseline(timeline, triggers);
    (0..timeline.outline().shapes.len()).map(|shape| of_shape(timeline, shape, &cells, triggers)).collect()
}

fn of_shape(timeline: &Timeline, shape: usize, cells: &Cells, triggers: &[Trigger]) -> Series {
    let outline = &timeline.outline().shapes[shape];
    let none = |reason: String| Series {
        band: without(&outline.name, reason),
        windows: Vec::new(),
        late: Late::default(),
    };
    if triggers.is_empty() {
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
    let all = windows(timeline, shape, width, quantile);
    let inside: Vec<Window> = all.iter().filter(|w| w.from >= first && w.to <= last + 1).cloned().collect();
    match varying_rate(timeline, shape, &inside) {
        Some(reason) => none(reason),
        None => {
            let band = band(timeline, &outline.name, quantile, &inside);
            Series { band, windows: all, late: usual(&inside) }
        }
    }
}

fn usual(windows: &[Window]) -> Late {
    let median = |of: fn(&Late) -> f64| {
        stats::median(&windows.iter().map(|w| of(&w.late)).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    Late { delay: median(|late| late.delay), held: median(|late| late.held) }
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
    }
}

/// The width of a window in cells and the quantile to band: the smallest width that holds 1,000
/// operations, for p99; where that leaves too few windows, the widest that leaves enough, for p95 with
/// 200 operations, else the median.
fn choose(timeline: &Timeline, shape: usize, range: std::ops::Range<u32>) -> Result<(u32, f64), String> {
    let cells: Cells = range.clone().collect();
    let per_cell = timeline.shape_tally(shape, &cells).intended as f64 / cells.len() as f64;
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

fn windows(timeline: &Timeline, shape: usize, width: u32, quantile: f64) -> Vec<Window> {
    let origin = origin(timeline, shape);
    let starts = (0..)
        .map(|i| origin + i * width)
        .take_while(|&from| timeline.cell_start(from + width) <= timeline.load_end());
    starts
        .filter(|&from| has_arrivals(timeline, shape, from, width))
        .map(|from| {
            let cells: Cells = (from..from + width).collect();
            let tally = timeline.shape_tally(shape, &cells);
            let flying: Vec<f64> =
                (from..from + width).filter_map(|s| timeline.in_flight(shape, s)).collect();
            let delay = soundness::delay(timeline, &tally, &cells, |hist| hist.quantile(quantile));
            let held = soundness::late_reads(timeline, &tally, &cells, Hist::mean);
            let rate = tally.intended as f64 / timeline.cell_start(width).as_secs_f64();
            Window {
                from,
                to: from + width,
                intended: tally.intended,
                good: tally.good(),
                latency: tally.response.quantile(quantile).map(|v| v.0 as f64),
                in_flight: (!flying.is_empty()).then(|| flying.iter().sum::<f64>() / flying.len() as f64),
                late: Late { delay: delay.0 as f64, held: rate * held.as_secs_f64() },
                amplification: tally.amplification(),
            }
        })
        .collect()
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

/// How one measure is banded: on which scale, and how tight at least.
struct Rule {
    name: &'static str,
    values: Vec<f64>,
    /// On logarithms; `floor` is a ratio then.
    log: bool,
    floor: f64,
    /// Never tighter than this, in the measure's own unit.
    absolute: f64,
    /// -1 where less is worse.
    side: f64,
}

fn band(timeline: &Timeline, shape: &str, quantile: f64, windows: &[Window]) -> ShapeBand {
    let cell = timeline.outline().cell;
    let values = |of: fn(&Window) -> Option<f64>| windows.iter().filter_map(of).collect::<Vec<f64>>();
    let linear = |name, values, floor, side| Rule { name, values, log: false, floor, absolute: 0.0, side };
    let log = |name, values, floor, absolute| Rule { name, values, log: true, floor, absolute, side: 1.0 };
    let rules = [
        linear("goodput", values(|w| Some(w.goodput())), 0.02, -1.0),
        log("latency", values(|w| w.latency), 1.25, 2_000.0 * cell.as_secs_f64()),
        log("the number of flows in flight", values(|w| w.in_flight), 1.5, 2.0),
        linear("amplification", values(|w| w.amplification), 0.05, 1.0),
    ];
    let moved: Vec<&str> = rules.iter().filter(|rule| rule.moves()).map(|rule| rule.name).collect();
    let [goodput, latency, in_flight, amplification] = rules.map(|rule| rule.band());
    ShapeBand {
        shape: shape.to_owned(),
        none: None,
        window: windows.first().map_or(Micros::ZERO, |w| cell * i64::from(w.to - w.from)),
        windows: windows.len() as u64,
        quantile,
        goodput,
        latency,
        in_flight,
        amplification,
        unsteady: (!moved.is_empty()).then(|| {
            let what = moved.join(" and ").replace("latency", &words::quantile(quantile));
            format!("{what} of {shape} moved by more than half a band within the baseline")
        }),
    }
}

impl Rule {
    fn scaled(&self) -> Vec<f64> {
        let scale = |v: &f64| if self.log { v.max(1e-9).ln() } else { *v };
        self.values.iter().map(scale).collect()
    }

    /// max(4 x 1.4826 x MAD, floor), on the rule's scale.
    fn half_width(&self, scaled: &[f64]) -> Option<f64> {
        let floor = if self.log { self.floor.ln() } else { self.floor };
        Some((4.0 * SIGMA_PER_MAD * stats::mad(scaled)?).max(floor))
    }

    fn band(&self) -> Option<Band> {
        let scaled = self.scaled();
        let (median, half) = (stats::median(&scaled)?, self.half_width(&scaled)?);
        if !self.log {
            return Some(Band { median, limit: median + self.side * half.max(self.absolute) });
        }
        Some(Band { median: median.exp(), limit: (median + half).exp().max(median.exp() + self.absolute) })
    }

    /// Whether the halves of the baseline differ by more than half a band (from its median to its
    /// limit), or a Theil-Sen line through it rises or falls by as much. The band is that of the
    /// deviations from the line: a drift must not widen the band that it is held against.
    fn moves(&self) -> bool {
        let scaled = self.scaled();
        let n = scaled.len();
        let points: Vec<(f64, f64)> = scaled.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect();
        let Some(slope) = stats::theil_sen(&points) else { return false };
        let rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
        let Some(half) = self.half_width(&rest) else { return false };
        let halves = stats::median(&scaled[..n / 2]).zip(stats::median(&scaled[n - n / 2..]));
        let shift = halves.map_or(0.0, |(a, b)| (a - b).abs()).max((slope * n as f64).abs());
        let median = stats::median(&scaled).unwrap_or(0.0);
        let visible = if self.log { median.exp() * (shift.exp() - 1.0) } else { shift };
        shift > half && visible > self.absolute
    }
}
