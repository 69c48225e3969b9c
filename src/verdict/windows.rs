//! What an expression measures over cells: an operation, or a metric of the target; in one go, or with
//! `for D` in every window over D on end.
//!
//! Owns windows in time; what a measured value says of the limit is `answer`'s.

use std::collections::BTreeSet;
use std::ops::Range;

use super::answer::{Answer, of_value};
use super::measure::{Exposure, Measured, measure, point};
use super::rhythm::pause;
use super::view::View;
use crate::objective::{Aggregate, Metric, Objective};
use crate::outline::window_widths;
use crate::quantity::{Quantity, Unit};
use crate::sample::OpId;
use crate::timeline::{Cells, Tally, Timeline};
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

    /// Which operation it is, if it is one.
    pub(super) fn operation(self) -> Option<OpId> {
        if let Subject::Operation(op) = self { Some(op) } else { None }
    }

    /// The shapes whose load it rests on: the operation's own, or all.
    pub(super) fn shapes(self, timeline: &Timeline) -> BTreeSet<usize> {
        let outline = timeline.outline();
        match self {
            Subject::Operation(op) => {
                outline.operations.get(usize::from(op.0)).map(|o| o.shape).into_iter().collect()
            }
            Subject::Target(..) => (0..outline.shapes.len()).collect(),
        }
    }

    /// Its users wait for an answer before they ask again.
    pub(super) fn closed(self, timeline: &Timeline) -> bool {
        let Subject::Operation(_) = self else { return false };
        self.shapes(timeline).iter().any(|&shape| timeline.outline().shapes[shape].closed)
    }
}

/// A stretch of cells and what was measured in it.
pub(super) struct Window {
    pub(super) cells: Range<u32>,
    /// Until when it speaks: users of a closed loop ask nothing while they wait for what they asked in it.
    pub(super) until: u32,
    pub(super) measured: Measured,
}

/// The expression's value over cells; with `for D`, the worst that was not bettered for D on end, which breaks
/// only if every window of such a stretch does, and the stretch as a whole is enough to tell.
pub(super) fn value(view: &View, objective: &Objective, subject: Subject, cells: &Cells) -> Measured {
    let (whole, windows) = measured(view, objective, subject, cells);
    let Some(long) = objective.window.map(|long| in_cells(view.timeline, long)) else { return whole };
    let best =
        |stretch: &[Window]| stretch.iter().map(|w| badness(objective, &w.measured)).fold(f64::MAX, f64::min);
    let mut stretches: Vec<(f64, &[Window])> = stretches(view, subject, &windows, (long, cells))
        .into_iter()
        .map(|stretch| (best(stretch), stretch))
        .collect();
    // The worst first: once one breaks, which may be thousands that overlap, no other matters.
    stretches.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut worst: Option<(Answer, &[Window])> = None;
    for (_, stretch) in stretches {
        // A count is that of all of them.
        let counts = objective.metric == Metric::Count;
        let answer = match together(stretch, Answer::Breaks) {
            _ if counts => over(view, objective, subject, stretch, cells).answer,
            Answer::Breaks => over(view, objective, subject, stretch, cells).answer,
            other => other,
        };
        if worst.is_none_or(|(known, _)| severity(answer) > severity(known)) {
            worst = Some((answer, stretch));
        }
        if answer == Answer::Breaks {
            break;
        }
    }
    let bettered = |stretch: &[Window]| {
        let all = stretch.iter().map(|w| w.measured.clone());
        all.min_by(|a, b| badness(objective, a).total_cmp(&badness(objective, b)))
    };
    let told = |stretch: &[Window]| match objective.metric {
        Metric::Count => Some(over(view, objective, subject, stretch, cells)),
        _ => bettered(stretch),
    };
    let found = worst.and_then(|(answer, stretch)| Some((answer, told(stretch)?)));
    let Some((answer, worst)) = found else {
        return Measured { n: whole.n, bad: whole.bad, unreached: whole.unreached, ..Measured::default() };
    };
    // That no stretch breaks proves nothing where all of it is too little to tell.
    let enough = objective.least();
    let answer =
        if answer == Answer::Holds && whole.n < enough { Answer::Unknown(Some(enough)) } else { answer };
    Measured { answer, interval: None, n: whole.n, bad: whole.bad, unreached: whole.unreached, ..worst }
}

fn severity(answer: Answer) -> u8 {
    match answer {
        Answer::Holds => 0,
        Answer::Unknown(_) => 1,
        Answer::Breaks => 2,
    }
}

/// A stretch as a whole; nothing is known of one that is mostly left out.
pub(super) fn over(
    view: &View,
    objective: &Objective,
    subject: Subject,
    stretch: &[Window],
    cells: &Cells,
) -> Measured {
    let (from, to) =
        (stretch.first().map_or(0, |w| w.cells.start), stretch.last().map_or(0, |w| w.cells.end));
    let inside = cells.range(from..to).copied().collect();
    let whole = measured(view, &Objective { window: None, ..objective.clone() }, subject, &inside).0;
    let little = match subject {
        Subject::Operation(op) => view.is_mostly_left_out(op, &inside),
        Subject::Target(..) => 2 * view.trusted(&inside).len() < inside.len(),
    };
    if little { Measured { answer: Answer::Unknown(None), ..whole } } else { whole }
}

/// Over all cells, and with `for D` in windows.
pub(super) fn measured(
    view: &View,
    objective: &Objective,
    subject: Subject,
    cells: &Cells,
) -> (Measured, Vec<Window>) {
    match subject {
        Subject::Operation(op) => of_operation(view, objective, subject, op, cells),
        Subject::Target(name, aggregate) => of_target(view, objective, name, aggregate, cells),
    }
}

/// What all windows of a stretch say, if it is `wanted`; the first that says something else speaks for it.
pub(super) fn together(stretch: &[Window], wanted: Answer) -> Answer {
    let other = if wanted == Answer::Breaks { Answer::Holds } else { Answer::Breaks };
    let answers = || stretch.iter().map(|w| w.measured.answer);
    let unknown = answers().find(|a| matches!(a, Answer::Unknown(_)));
    if answers().any(|a| a == other) { other } else { unknown.unwrap_or(wanted) }
}

/// How bad a measured value is against the expression's limit: the greater the worse.
pub(super) fn badness(objective: &Objective, m: &Measured) -> f64 {
    m.value.map_or(f64::MIN, |v| {
        let value = if v.is_bound() { f64::MAX } else { v.value };
        objective.comparison.badness(value, objective.value)
    })
}

/// All runs of windows on end that reach over `long` cells. Silence longer than that, and than it is silent by itself,
/// and cells of another phase end a run.
fn stretches<'w>(
    view: &View,
    subject: Subject,
    windows: &'w [Window],
    (long, cells): (u32, &Cells),
) -> Vec<&'w [Window]> {
    let silences = windows.windows(2).map(|two| two[1].cells.start.saturating_sub(two[0].until));
    let pause = pause(view.timeline, subject, silences.collect()).max(long);
    let follows = |a: &Window, b: &Window| {
        let mut between = a.until..b.cells.start;
        between.len() <= pause as usize && between.all(|cell| cells.contains(&cell))
    };
    let runs = windows.chunk_by(follows);
    runs.flat_map(|run| (0..run.len()).filter_map(|from| stretch(&run[from..], long))).collect()
}

/// The windows from the first one on that begin before `long` is over, and as many more as it takes to
/// reach so far; none if that is never reached.
fn stretch(windows: &[Window], long: u32) -> Option<&[Window]> {
    let until = windows.first()?.cells.start + long;
    let reach = |n: usize| windows[..n].iter().map(|w| w.until).max().unwrap_or(0);
    let begun = windows.partition_point(|w| w.cells.start < until);
    (begun..=windows.len()).find(|&n| reach(n) >= until).map(|n| &windows[..n])
}

/// The rate of an open loop's operations over cells of this length, if all of them had succeeded.
pub(super) fn rate_at_best(view: &View, subject: Subject, (cells, length): (&Cells, Micros), n: u64) -> f64 {
    let shapes = subject.shapes(view.timeline);
    let weight = shapes.iter().map(|&shape| view.timeline.weight(shape, cells)).fold(1.0, f64::max);
    n as f64 * weight / length.as_secs_f64()
}

pub(super) fn in_cells(timeline: &Timeline, length: Micros) -> u32 {
    let cell = timeline.outline().cell.0.max(1);
    u32::try_from((length.0 + cell - 1) / cell).unwrap_or(u32::MAX).max(1)
}

/// An operation over all cells, and with `for D` in the windows in which it was intended.
fn of_operation(
    view: &View,
    objective: &Objective,
    subject: Subject,
    op: OpId,
    cells: &Cells,
) -> (Measured, Vec<Window>) {
    let timeline = view.timeline;
    let shape = timeline.outline().operations[usize::from(op.0)].shape;
    let over = |cells: &Cells, how: fn(&Objective, &Tally, Exposure) -> Measured| {
        // Of a rate or a count of users nothing is known of a time in which squall slept.
        let volume = matches!(objective.metric, Metric::Rate | Metric::Count);
        let slept = volume && view.is_clean() && timeline.outline().shapes[shape].closed;
        let (all, cells) = (cells, if slept { cells - &view.own.halting } else { cells.clone() });
        let (loaded, length) = view.loaded(&cells);
        let cells = if objective.metric == Metric::Rate { &loaded } else { &cells };
        let tally = view.tally(op, cells);
        let weight = timeline.weight(shape, cells) * view.stands_for(shape, cells);
        // What is left out of a count was asked all the same.
        let is_count = objective.metric == Metric::Count && !all.is_empty();
        let whole = if is_count { view.whole((all, cells), &tally) } else { 1.0 };
        let length = view.exposed_of(op, (cells, length), &tally);
        how(objective, &tally, Exposure { length, weight: weight * whole })
    };
    let whole = over(cells, measure);
    let Some(long) = objective.window.map(|long| in_cells(timeline, long)) else {
        return (whole, Vec::new());
    };
    let per_cell = whole.n as f64 / cells.len().max(1) as f64;
    let widths = widths(timeline, op, &objective.metric);
    let width = window_width(&widths, per_cell, long);
    let closed = subject.closed(timeline);
    // One of so many in a window that is silent is no chance, and none of a plan that makes no pause.
    let usual = per_cell * f64::from(width) >= FEW && (closed || view.plans_no_pause(shape, width));
    // A burst speaks for itself, also one that has come by the end of them; a rate is of whole periods.
    let in_bursts = timeline.outline().shapes[shape].period.is_some() && objective.metric != Metric::Rate;
    let bursts = in_bursts.then(|| bursts(timeline, op, (width, widths[0])));
    let begins = |cell: &u32| bursts.as_ref().is_some_and(|begins| begins(cell));
    let is_asked = |cell: &u32| in_bursts && timeline.intended(op, *cell) > 0;
    let windows = windows_of(cells, width, &is_asked, &begins).into_iter().filter_map(|(range, cells)| {
        if view.is_mostly_left_out(op, &cells) {
            return None;
        }
        let m = over(&cells, point);
        // A closed loop's users ask nothing while they wait. Nothing is what its rate or count is then; of anything else
        // what they wait for speaks for that time. Nothing it is as well where flows come no further, elsewhere, or have failed.
        if matches!(objective.metric, Metric::Rate | Metric::Count) {
            let none = || match closed {
                true => only_waited(view, op, range.clone()) || usual && view.was_passed_by(op, &cells),
                false => usual && came_before(view, op, range.start) && view.was_planned(shape, &cells),
            };
            let none = || view.left_out(op, &cells) > 0 || none();
            let speaks = m.value.is_some() && (m.n > 0 || none());
            return speaks.then_some(Window { until: range.end, cells: range, measured: m });
        }
        let waits = if closed { in_cells(timeline, view.tally(op, &cells).waited()) - 1 } else { 0 };
        (m.n > 0).then_some(Window { until: range.end + waits, cells: range, measured: m })
    });
    let windows = windows.collect();
    (whole, windows)
}

/// Whether a burst, or the first of as many as a window of this width holds, begins in a cell: they do after the longest
/// silence, and whole periods from there.
fn bursts(timeline: &Timeline, op: OpId, (width, least): (u32, u32)) -> impl Fn(&u32) -> bool {
    let asked = timeline.asked(op);
    let after = asked.windows(2).max_by_key(|two| two[1] - two[0]).map(|two| two[1]);
    let first = after.or(asked.first().copied());
    let period = (width / least).max(1) * least;
    move |cell| first.is_some_and(|first| cell % period == first % period)
}

/// Whether flows had come to the operation before.
fn came_before(view: &View, op: OpId, cell: u32) -> bool {
    view.timeline.first_intended(op).is_some_and(|first| first < cell)
}

/// The users of a closed loop asked nothing in these cells, as they waited for what they had asked before.
fn only_waited(view: &View, op: OpId, cells: Range<u32>) -> bool {
    let timeline = view.timeline;
    let shape = timeline.outline().operations[usize::from(op.0)].shape;
    let back = in_cells(timeline, timeline.outline().largest_deadline()) + 1;
    let (before, end) = (cells.start.saturating_sub(back)..cells.start, timeline.cell_start(cells.end));
    let silent = cells.clone().all(|cell| timeline.intended(op, cell) == 0);
    silent && end <= timeline.load_end() && end <= view.waits_until(shape, before)
}

/// Operations that a window should hold on average: with fewer, too many windows of a sparse load are empty.
const FEW: f64 = 3.0;
/// A while is made of so many windows at least.
const PARTS: u32 = 3;

/// The smallest window of the operation's shape that holds operations enough to speak of, at most a third of D,
/// and never less than a whole period of bursts.
fn window_width(widths: &[u32], per_cell: f64, long: u32) -> u32 {
    let fits = widths.iter().copied().find(|w| per_cell * f64::from(*w) >= FEW);
    let least = widths.first().copied().unwrap_or(1);
    fits.unwrap_or(long).min((long / PARTS).max(least)).min(long)
}

/// The widths of windows that its shape may have, in growing order. Bursts that come more often than once a cell leave no
/// cell without: only what counts how many came is of whole periods then.
fn widths(timeline: &Timeline, op: OpId, metric: &Metric) -> Vec<u32> {
    let outline = timeline.outline();
    let shape = &outline.shapes[outline.operations[usize::from(op.0)].shape];
    let counts = matches!(metric, Metric::Rate | Metric::Count);
    let period = shape.period.filter(|period| counts || *period > outline.cell);
    window_widths(period, outline.cell)
}

/// Windows of cells that follow each other without a gap; what is left at the end of them belongs to the last, unless
/// there is a cell in it that speaks for itself. Where a burst begins, so does a window: no two bursts share one.
fn windows_of(
    cells: &Cells,
    width: u32,
    speaks: &dyn Fn(&u32) -> bool,
    begins: &dyn Fn(&u32) -> bool,
) -> Vec<(Range<u32>, Cells)> {
    let cells: Vec<u32> = cells.iter().copied().collect();
    let runs = cells.chunk_by(|a, b| a + 1 == *b).filter(|run| run.len() >= width as usize);
    let of_run = |run: &[u32]| {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for window in run.chunk_by(|_, b| !begins(b)).flat_map(|part| part.chunks(width as usize)) {
            let is_rest = window.len() < width as usize && !window.iter().any(speaks);
            match ranges.last_mut() {
                Some(last) if is_rest => last.end += window.len() as u32,
                _ => ranges.push(range_of(window)),
            }
        }
        ranges
    };
    runs.flat_map(of_run).map(|range| (range.clone(), range.collect())).collect()
}

/// From the first of these to the last, which follow each other.
fn range_of(cells: &[u32]) -> Range<u32> {
    cells.first().map_or(0..0, |first| *first..first + cells.len() as u32)
}

/// Seconds and value of one scrape.
type Scraped = (f64, f64);

/// A metric of the target over all cells, and scrape by scrape; a rate from each scrape to the next.
fn of_target(
    view: &View,
    objective: &Objective,
    name: &str,
    aggregate: Aggregate,
    cells: &Cells,
) -> (Measured, Vec<Window>) {
    let (timeline, cells) = (view.timeline, view.trusted(cells));
    let cell = |at: f64| timeline.cell_of(Micros::from_secs_f64(at));
    let scrapes = timeline.scrapes.iter().filter(|s| s.name == name);
    let all = scrapes.map(|s| (s.at.as_secs_f64(), s.value));
    let seen: Vec<Scraped> = all.filter(|s| cells.contains(&cell(s.0))).collect();
    let joined = |a: &Scraped, b: &Scraped| (cell(a.0)..cell(b.0)).all(|cell| cells.contains(&cell));
    let runs: Vec<&[Scraped]> = seen.chunk_by(joined).collect();
    let at_once = if aggregate == Aggregate::Rate { 2 } else { 1 };
    let measured = |runs: &[&[Scraped]]| {
        let n = runs.iter().map(|run| run.len() as u64).sum();
        let value = aggregated(runs, aggregate).map(|v| Quantity::new(Unit::Number, v));
        Measured { value, n, answer: of_value(objective, value), ..Measured::default() }
    };
    let windows = runs.iter().flat_map(|run| run.windows(at_once));
    let window = |read: &[Scraped]| {
        let until = cell(read[read.len() - 1].0) + 1;
        Window { cells: cell(read[0].0)..until, until, measured: measured(&[read]) }
    };
    (measured(&runs), windows.map(window).collect())
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
