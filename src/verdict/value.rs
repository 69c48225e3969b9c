//! What an objective measures over cells: an operation, or a metric of the target; in one go, or with
//! `for D` what was not bettered for D on end.
//!
//! Owns windows in time; holding a value against a limit is `objectives`'.

use std::ops::Range;

use super::evidence::Evidence;
use super::measure::{Measured, measure};
use crate::objective::{Aggregate, Metric, Objective};
use crate::sample::OpId;
use crate::timeline::{Cells, Timeline};
use crate::units::Micros;

/// Whose value it is.
#[derive(Clone, Copy)]
pub(super) enum Subject<'o> {
    Operation(OpId),
    Target(&'o str, Aggregate),
}

impl Subject<'_> {
    pub(super) fn name(self, timeline: &Timeline) -> String {
        match self {
            Subject::Operation(op) => timeline.outline().operations[usize::from(op.0)].name.clone(),
            Subject::Target(name, _) => format!("target.{name}"),
        }
    }

    pub(super) fn operation(self) -> Option<OpId> {
        if let Subject::Operation(op) = self { Some(op) } else { None }
    }

    /// How far ahead of a cell its harm reaches; the target's own numbers speak of every operation.
    pub(super) fn deadline(self, timeline: &Timeline) -> Micros {
        match self {
            Subject::Operation(op) => timeline.deadline(op),
            Subject::Target(..) => timeline.outline().largest_deadline(),
        }
    }

    /// Its users wait for an answer before they ask again.
    pub(super) fn closed(self, timeline: &Timeline) -> bool {
        let Some(op) = self.operation() else { return false };
        let outline = timeline.outline();
        let shape = outline.operations.get(usize::from(op.0)).map(|o| o.shape);
        shape.and_then(|shape| outline.shapes.get(shape)).is_some_and(|s| s.closed)
    }
}

/// A stretch of cells and what was measured in it.
type Window = (Range<u32>, Measured);

/// The objective's value over cells; with `for D`, the worst that was not bettered for D on end.
pub(super) fn value(evidence: &Evidence, objective: &Objective, subject: Subject, cells: &Cells) -> Measured {
    let (whole, windows) = match subject {
        Subject::Operation(op) => of_operation(evidence, objective, subject, op, cells),
        Subject::Target(name, aggregate) => of_target(evidence.timeline, name, aggregate, cells),
    };
    let Some(long) = objective.window.map(|long| in_cells(evidence.timeline, long)) else { return whole };
    let badness =
        |m: &Measured| m.value.map_or(f64::MIN, |v| objective.comparison.badness(v, objective.value));
    // Silence longer than D, and cells of another phase, end a stretch.
    let follows = |a: &Window, b: &Window| {
        let mut between = a.0.end..b.0.start;
        between.len() <= long as usize && between.all(|cell| cells.contains(&cell))
    };
    let least = windows.chunk_by(follows).flat_map(|run| {
        (0..run.len()).filter_map(|from| stretch(&run[from..], long)).filter_map(|windows| {
            windows.iter().map(|(_, m)| m).min_by(|a, b| badness(a).total_cmp(&badness(b)))
        })
    });
    let worst = least.max_by(|a, b| badness(a).total_cmp(&badness(b)));
    Measured {
        value: worst.and_then(|m| m.value),
        censored: worst.is_some_and(|m| m.censored),
        successes: worst.and_then(|m| m.successes),
        interval: None,
        n: whole.n,
        bad: whole.bad,
    }
}

/// The windows from the first one on that begin before `long` is over, and as many more as it takes to
/// reach so far; none if that is never reached.
fn stretch(windows: &[Window], long: u32) -> Option<&[Window]> {
    let until = windows.first()?.0.start + long;
    let reach = |n: usize| windows[..n].iter().map(|w| w.0.end).max().unwrap_or(0);
    let begun = windows.partition_point(|w| w.0.start < until);
    (begun..=windows.len()).find(|&n| reach(n) >= until).map(|n| &windows[..n])
}

fn in_cells(timeline: &Timeline, length: Micros) -> u32 {
    let cell = timeline.outline().cell.0.max(1);
    u32::try_from((length.0 + cell - 1) / cell).unwrap_or(u32::MAX).max(1)
}

/// An operation over all cells, and with `for D` in the windows in which it was intended.
fn of_operation(
    evidence: &Evidence,
    objective: &Objective,
    subject: Subject,
    op: OpId,
    cells: &Cells,
) -> (Measured, Vec<Window>) {
    let (timeline, deadline) = (evidence.timeline, evidence.timeline.deadline(op));
    let over = |cells: &Cells| {
        let (loaded, length) = evidence.loaded(cells);
        let cells = if objective.metric == Metric::Rate { &loaded } else { cells };
        measure(&objective.metric, &timeline.tally(op, cells), length, deadline)
    };
    let whole = over(cells);
    let Some(long) = objective.window.map(|long| in_cells(timeline, long)) else {
        return (whole, Vec::new());
    };
    let width = window_width(timeline, op, &objective.metric, whole.n as f64 / cells.len().max(1) as f64);
    let windows = windows_of(cells, width.min(long)).into_iter().filter_map(|(range, cells)| {
        let m = over(&cells);
        // A closed loop's users ask nothing while they wait: what they wait for speaks for that time.
        let waited = timeline.tally(op, &cells).response.max().filter(|_| subject.closed(timeline));
        let end = waited.map_or(range.end, |waited| range.end + in_cells(timeline, waited) - 1);
        (m.n > 0).then_some((range.start..end, m))
    });
    let windows = windows.collect();
    (whole, windows)
}

/// The smallest window of the operation's shape that holds enough operations for the metric.
fn window_width(timeline: &Timeline, op: OpId, metric: &Metric, per_cell: f64) -> u32 {
    let enough = match metric {
        Metric::Quantile(q) if *q >= 0.99 => 1000.0,
        Metric::Quantile(q) if *q >= 0.95 => 200.0,
        _ => 1.0,
    };
    let outline = timeline.outline();
    let widths = outline.shapes[outline.operations[usize::from(op.0)].shape].window_widths(outline.cell);
    let fits = widths.iter().copied().find(|w| per_cell * f64::from(*w) >= enough);
    fits.or(widths.last().copied()).unwrap_or(1)
}

/// Whole windows of cells that follow each other without a gap.
fn windows_of(cells: &Cells, width: u32) -> Vec<(Range<u32>, Cells)> {
    let mut windows = Vec::new();
    let mut window = Cells::new();
    for &cell in cells {
        if window.last().is_some_and(|&last| last + 1 != cell) {
            window.clear();
        }
        window.insert(cell);
        if window.len() as u32 == width {
            windows.push((cell + 1 - width..cell + 1, std::mem::take(&mut window)));
        }
    }
    windows
}

/// Seconds and value of one scrape.
type Scraped = (f64, f64);

/// A metric of the target over all cells, and scrape by scrape; a rate from each scrape to the next.
pub(super) fn of_target(
    timeline: &Timeline,
    name: &str,
    aggregate: Aggregate,
    cells: &Cells,
) -> (Measured, Vec<Window>) {
    let cell = |at: f64| timeline.cell_of(Micros::from_secs_f64(at));
    let scrapes = timeline.scrapes.iter().filter(|s| s.name == name);
    let all = scrapes.map(|s| (s.at.as_secs_f64(), s.value));
    let seen: Vec<Scraped> = all.filter(|s| cells.contains(&cell(s.0))).collect();
    let joined = |a: &Scraped, b: &Scraped| (cell(a.0)..cell(b.0)).all(|cell| cells.contains(&cell));
    let runs: Vec<&[Scraped]> = seen.chunk_by(joined).collect();
    let at_once = if aggregate == Aggregate::Rate { 2 } else { 1 };
    let measured = |runs: &[&[Scraped]]| {
        let n = runs.iter().map(|run| run.len() as u64).sum();
        Measured { value: aggregated(runs, aggregate), n, ..Measured::default() }
    };
    let windows = runs.iter().flat_map(|run| run.windows(at_once));
    let windows = windows.map(|w| (cell(w[0].0)..cell(w[w.len() - 1].0) + 1, measured(&[w])));
    (measured(&runs), windows.collect())
}

/// One number of scraped values; what lies between two runs of scrapes is none of a rate's.
pub(super) fn aggregated(runs: &[&[Scraped]], aggregate: Aggregate) -> Option<f64> {
    let values = || runs.iter().flat_map(|run| run.iter()).map(|s| s.1);
    match aggregate {
        Aggregate::Last => values().next_back(),
        Aggregate::Mean => values().next().map(|_| values().sum::<f64>() / values().count() as f64),
        Aggregate::Max => values().reduce(f64::max),
        Aggregate::Rate => {
            let pairs = || runs.iter().flat_map(|run| run.windows(2));
            let time: f64 = pairs().map(|p| p[1].0 - p[0].0).sum();
            let rise: f64 = pairs().map(|p| (p[1].1 - p[0].1).max(0.0)).sum();
            (time > 0.0).then(|| rise / time)
        }
    }
}
