//! Windows and their width: one rule for the judge, who has a history, and for the plan, which has none yet
//! (VERDICTS.md 2).
//!
//! Owns the choice of width and quantile, and what keeps a shape from having a band that can be seen in its plan.

use std::collections::BTreeSet;
use std::ops::Range;

use super::stretch::Stretch;
use serde::Serialize;

use crate::outline::{JudgeSettings, Outline, ShapeOutline, window_widths};
use crate::stats;
use crate::units::Micros;

/// Why a shape that is a trigger has no band.
pub(super) const IS_TRIGGER: &str = "the shape is a trigger itself";
/// Why no shape has one.
pub(super) const NO_BASELINE: &str = "no baseline lies between the warm-up and the first trigger";
/// Why a closed loop has none, where its users think for so long, or hang.
pub(super) const NOBODY_ASKED: &str = "its users asked nothing between the warm-up and the first trigger";

/// Operations of a window for p99.
const MANY: f64 = 1000.0;

/// The windows of one shape, within some cells.
pub(super) struct Grid<'g> {
    pub(super) outline: &'g ShapeOutline,
    pub(super) cell: Micros,
    pub(super) range: Range<u32>,
    /// Whether something was planned, and counts, in so many cells from one on.
    pub(super) has_arrivals: &'g dyn Fn(u32, u32) -> bool,
}

impl Grid<'_> {
    /// Where the first window of the shape begins.
    pub(super) fn origin(&self) -> u32 {
        Grid::origin_of(self.outline, self.cell)
    }

    fn origin_of(outline: &ShapeOutline, cell: Micros) -> u32 {
        outline.start.0.div_euclid(cell.0.max(1)).max(0) as u32
    }

    /// The windows of this width that have something in them.
    pub(super) fn windows(&self, width: u32) -> Vec<Range<u32>> {
        let origin = self.origin();
        let first = self.range.start.saturating_sub(origin).div_ceil(width);
        let end = self.range.end.saturating_sub(origin) / width;
        let all = (first..end).map(|i| origin + i * width);
        all.filter(|&from| (self.has_arrivals)(from, width)).map(|from| from..from + width).collect()
    }

    /// The width of a window in cells and the quantile to band beside the average: the smallest width that holds 1,000
    /// operations, for p99; where that leaves too few windows, the widest that leaves enough, for p95 with 200
    /// operations, else none.
    pub(super) fn choose(&self, per_cell: f64, enough: u64) -> Result<(u32, Option<f64>), String> {
        let widths = window_widths(self.outline.period, self.cell);
        let fits = |width: &u32| self.windows(*width).len() as u64 >= enough;
        let holds = |width: u32, n: f64| per_cell * f64::from(width) >= n;
        if let Some(width) = widths.iter().copied().find(|w| holds(*w, MANY)).filter(fits) {
            return Ok((width, Some(0.99)));
        }
        match widths.iter().copied().filter(fits).max() {
            Some(width) => Ok((width, holds(width, 200.0).then_some(0.95))),
            None => Err(format!(
                "the baseline holds {} windows of {}, {enough} are needed",
                self.windows(widths[0]).len(),
                self.cell * i64::from(widths[0]),
            )),
        }
    }

    /// Whether planned arrivals lie in these cells; a closed loop has them all the time.
    pub(super) fn planned(outline: &ShapeOutline, cell: Micros, from: u32, width: u32) -> bool {
        if outline.closed {
            let (start, end) = (cell * i64::from(from), cell * i64::from(from + width));
            return start >= outline.start && end <= outline.end;
        }
        (from..from + width).any(|cell| outline.planned.get(cell as usize).is_some_and(|&n| n > 0))
    }
}

/// Why the shape has no band: its planned rate varies by more than 10 % between windows or between the
/// halves of the baseline. A plan drawn from a Poisson process varies by itself; three standard
/// deviations of the difference of two counts are allowed on top, as far as arrivals vary from cell to cell.
pub(super) fn varying_rate(
    outline: &ShapeOutline,
    windows: impl Iterator<Item = Range<u32>>,
) -> Option<String> {
    if outline.closed {
        return None;
    }
    let windows: Vec<Range<u32>> = windows.collect();
    let cells = |w: &Range<u32>| w.clone().filter_map(|c| outline.planned.get(c as usize)).map(|n| *n as f64);
    let each: Vec<f64> = windows.iter().flat_map(cells).collect();
    let counts: Vec<f64> = windows.iter().map(|w| cells(w).sum()).collect();
    let least = counts.iter().copied().fold(f64::MAX, f64::min);
    let most = counts.iter().copied().fold(0.0, f64::max);
    let half = counts.len() / 2;
    let (first, second) =
        (counts[..half].iter().sum::<f64>(), counts[counts.len() - half..].iter().sum::<f64>());
    // Of even arrivals one is where two windows are cut.
    let chance = stats::dispersion(&each);
    // The spread of many windows is wider than that of two: six deviations for the extremes.
    let varies = |a: f64, b: f64, sigmas: f64| {
        (a - b).abs() > 0.1 * (a + b) / 2.0 + sigmas * (chance * (a + b)).sqrt() + 1.0
    };
    (varies(least, most, 6.0) || varies(first, second, 3.0)).then(|| {
        format!("its planned rate varies by more than 10 % within the baseline ({least} to {most} a window)")
    })
}

/// Which quantile a shape's band will have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum PlannedTail {
    Quantile(f64),
    /// Too few operations.
    None,
    /// Nobody can tell yet, as of a closed loop.
    ByWhatComes,
}

/// The window and the quantile that the band of a shape will have, as far as its plan tells; or why it will have
/// none. `each` is how many operations count for one planned arrival; none if nobody can tell, as of a closed loop.
pub fn planned_band(
    outline: &Outline,
    shape: usize,
    each: Option<f64>,
    baseline: Range<Micros>,
) -> Result<(Micros, PlannedTail), String> {
    let known = each.filter(|_| !outline.shapes[shape].closed);
    let chosen = planned_choice(outline, shape, baseline, &|arrivals| arrivals * known.unwrap_or(0.0));
    chosen.map(|(window, quantile)| {
        let tail = quantile.map_or(PlannedTail::None, PlannedTail::Quantile);
        (outline.cell * i64::from(window), known.map_or(PlannedTail::ByWhatComes, |_| tail))
    })
}

/// Width and quantile, where so many operations come in a cell of the baseline in which so many flows were planned.
fn planned_choice(
    outline: &Outline,
    shape: usize,
    baseline: Range<Micros>,
    per_cell: &dyn Fn(f64) -> f64,
) -> Result<(u32, Option<f64>), String> {
    let told = &outline.shapes[shape];
    if told.trigger {
        return Err(IS_TRIGGER.to_owned());
    }
    let width = outline.cell.0.max(1);
    let (first, end) = (-(-baseline.start.0).div_euclid(width), baseline.end.0.div_euclid(width));
    if end <= first {
        return Err(NO_BASELINE.to_owned());
    }
    let range = first.max(0) as u32..end as u32;
    let has_arrivals = |from, width| Grid::planned(told, outline.cell, from, width);
    let grid = Grid { outline: told, cell: outline.cell, range: range.clone(), has_arrivals: &has_arrivals };
    let arrivals: u64 = range.clone().filter_map(|cell| told.planned.get(cell as usize)).sum();
    let per_cell = per_cell(arrivals as f64 / range.len().max(1) as f64);
    let chosen = grid.choose(per_cell, u64::from(outline.judge.windows.max(1)))?;
    varying_rate(told, grid.windows(chosen.0).into_iter()).map_or(Ok(chosen), Err)
}

/// The windows of one width that a shape may be judged in after a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedWindows {
    /// One of them begins here.
    origin: Micros,
    pub width: Micros,
    /// How long those last in a row that make a return.
    pub stretch: Micros,
}

impl PlannedWindows {
    /// Those of so many cells.
    pub fn of(outline: &Outline, shape: &ShapeOutline, cells: u32) -> PlannedWindows {
        let width = outline.cell * i64::from(cells);
        let stretch = width * Stretch::room(&outline.judge, width) as i64;
        let origin = Grid::origin_of(shape, outline.cell);
        PlannedWindows { origin: outline.cell * i64::from(origin), width, stretch }
    }

    /// The same of users who all ask at once, and then think for so long: a window in which nobody asks is none of a
    /// stretch.
    pub fn thinking(self, judge: &JudgeSettings, think: Micros) -> PlannedWindows {
        if think <= self.width {
            return self;
        }
        PlannedWindows { stretch: think * Stretch::room(judge, think) as i64, ..self }
    }

    /// The first beginning of a window that is no earlier.
    pub fn next(&self, at: Micros) -> Micros {
        let width = self.width.0.max(1);
        self.origin + Micros(-(self.origin - at).0.div_euclid(width) * width).max(Micros::ZERO)
    }

    /// The last that is no later.
    pub fn last(&self, at: Micros) -> Micros {
        let width = self.width.0.max(1);
        self.origin + Micros((at - self.origin).0.div_euclid(width) * width)
    }
}

/// All windows that a shape may be judged in: none if it will have no band, and of several widths where nobody can tell
/// how many operations will come.
pub fn planned_windows(
    outline: &Outline,
    shape: usize,
    each: Option<f64>,
    baseline: &Range<Micros>,
) -> Vec<PlannedWindows> {
    let told = &outline.shapes[shape];
    let chosen = |per_cell: &dyn Fn(f64) -> f64| {
        planned_choice(outline, shape, baseline.clone(), per_cell).ok().map(|(cells, _)| cells)
    };
    let cells: Vec<Option<u32>> = match each.filter(|_| !told.closed) {
        // Somewhat more or fewer come than is expected.
        Some(each) => [0.9, 1.1].iter().map(|some| chosen(&|arrivals| arrivals * each * some)).collect(),
        None => {
            let widths = window_widths(told.period, outline.cell);
            let just = widths.iter().map(|&width| chosen(&|_| MANY / f64::from(width)));
            just.chain([chosen(&|_| 0.0)]).collect()
        }
    };
    let cells: BTreeSet<u32> = cells.into_iter().flatten().collect();
    cells.into_iter().map(|cells| PlannedWindows::of(outline, told, cells)).collect()
}
