//! Whether the plan brings more load after a trigger than in the baseline: what is lost then may come of that.
//!
//! Owns what is more; what that excuses is for `gone` and `returns`.

use std::ops::Range;

use super::view::View;
use crate::stats;
use crate::units::Micros;

/// It may come of more load than so much of the baseline's beside that (VERDICTS.md 3).
const MORE: f64 = 0.02;
/// By chance come so many deviations more.
const FAR: f64 = 3.0;

/// What was planned in the baseline, of each shape.
pub(super) struct Load<'v, 'a> {
    view: &'v View<'a>,
    /// Index of the shape that is asked about.
    shape: usize,
    each: Vec<Planned>,
}

/// Of one shape.
struct Planned {
    came: Came,
    /// Operations of each arrival.
    weight: f64,
    /// What came from the start of the baseline to that of each of its cells, and to its end.
    upto: Vec<f64>,
    /// How much it varies from cell to cell.
    varies: f64,
}

/// What counts as its load.
#[derive(Clone, Copy, PartialEq)]
enum Came {
    /// Arrivals of an open loop.
    Planned,
    /// So much in a cell, until its end: bursts of which the baseline had some are as regular and as large as they were, and users of
    /// a closed loop that began by its middle as many. That these ask more often is the service's doing.
    AsEver(f64),
    /// Operations of a closed loop that begins late.
    Asked,
}

impl<'v, 'a> Load<'v, 'a> {
    /// About a shape by its index.
    pub(super) fn of(view: &'v View<'a>, shape: usize) -> Self {
        let (timeline, baseline) = (view.timeline, view.frame().baseline());
        let cells = timeline.cell_of(baseline.start)..timeline.cell_of(baseline.end);
        let middle = timeline.cell_start(cells.start + cells.len() as u32 / 2);
        let each = timeline.outline().shapes.iter().enumerate().map(|(index, s)| {
            let mean =
                |of: &dyn Fn(u32) -> f64| cells.clone().map(of).sum::<f64>() / cells.len().max(1) as f64;
            let planned = mean(&|cell| timeline.planned(index, cell) as f64);
            let came = match s.closed {
                true if s.start <= middle => Came::AsEver(mean(&|cell| asked(view, index, cell))),
                true => Came::Asked,
                false if s.period.is_some() && planned > 0.0 => Came::AsEver(planned),
                false => Came::Planned,
            };
            let weight = if s.closed { 1.0 } else { weight(view, index, &cells) };
            let all: Vec<f64> = cells.clone().map(|cell| came.of(view, index, cell)).collect();
            Planned::of(came, weight, &all)
        });
        Load { view, shape, each: each.collect() }
    }

    /// No more of this shape, and of all, than came in the baseline.
    pub(super) fn is_usual(&self, span: Range<Micros>) -> bool {
        self.is_usual_until(span.clone()) == span.end
    }

    /// Until when that is so, of each stretch and of all together.
    pub(super) fn is_usual_until(&self, span: Range<Micros>) -> Micros {
        let timeline = self.view.timeline;
        let step = timeline.outline().judge.stretch.max(Micros::secs(1));
        let (mut until, mut all) = (span.start, vec![0.0; self.each.len()]);
        while until < span.end {
            let next = (until + step).min(span.end);
            let cells = timeline.cell_of(until)..timeline.cell_of(next);
            let came = |(index, planned): (usize, &Planned)| {
                cells.clone().map(|cell| planned.came.of(self.view, index, cell)).sum::<f64>()
            };
            let now: Vec<f64> = self.each.iter().enumerate().map(came).collect();
            all.iter_mut().zip(&now).for_each(|(all, now)| *all += now);
            let length = (cells.end - timeline.cell_of(span.start)) as usize;
            if self.is_more(&now, cells.len()) || self.is_more(&all, length) {
                return until;
            }
            until = next;
        }
        until
    }

    /// Of each shape so much came in so many cells: what is more than usual of it, and than chance brings, is more than a fiftieth of
    /// what is usual of this one, or of all.
    fn is_more(&self, came: &[f64], cells: usize) -> bool {
        let more = |index: usize| self.each[index].weight * self.each[index].more(came[index], cells);
        let usual = |index: usize| self.each[index].weight * self.each[index].mean(0, cells);
        let is = |some: Range<usize>| {
            let more: f64 = some.clone().map(more).sum();
            more > MORE * some.map(usual).sum::<f64>()
        };
        is(self.shape..self.shape + 1) || is(0..self.each.len())
    }
}

impl Came {
    fn of(self, view: &View, shape: usize, cell: u32) -> f64 {
        match self {
            Came::Planned => view.timeline.planned(shape, cell) as f64,
            Came::AsEver(mean) => {
                let ends = view.timeline.outline().shapes[shape].end;
                if view.timeline.cell_start(cell) < ends { mean } else { 0.0 }
            }
            Came::Asked => asked(view, shape, cell),
        }
    }
}

/// Operations.
fn asked(view: &View, shape: usize, cell: u32) -> f64 {
    view.timeline.steps_of(shape).map(|(op, _)| view.timeline.intended(op, cell)).sum::<u64>() as f64
}

/// How many operations each arrival brings: in the baseline, or where none came in it at any time.
fn weight(view: &View, shape: usize, baseline: &Range<u32>) -> f64 {
    let timeline = view.timeline;
    let of = |cells: Range<u32>| {
        let planned: u64 = cells.clone().map(|cell| timeline.planned(shape, cell)).sum();
        (planned > 0).then(|| cells.map(|cell| asked(view, shape, cell)).sum::<f64>() / planned as f64)
    };
    let whole = || of(0..timeline.cell_of(timeline.load_end()));
    of(baseline.clone()).or_else(whole).unwrap_or(1.0).max(1.0)
}

impl Planned {
    fn of(came: Came, weight: f64, all: &[f64]) -> Planned {
        let sum = |sum: &mut f64, came: &f64| {
            *sum += came;
            Some(*sum)
        };
        let upto = std::iter::once(0.0).chain(all.iter().scan(0.0, sum)).collect();
        let varies = stats::dispersion(all);
        Planned { came, weight, upto, varies }
    }

    /// By how much this is more, or less, than the mean of the baseline, or of its second half, as a shape may begin within it, and
    /// than chance makes of it where arrivals vary by that.
    fn more(&self, now: f64, cells: usize) -> f64 {
        let last = self.upto.len() - 1;
        let means = [0, last / 2].map(|from| {
            let (mean, times) = (self.mean(from, cells), cells as f64 / (last - from).max(1) as f64);
            // One is where two spans are cut.
            (mean, FAR * (self.varies * mean * (1.0 + times)).sqrt() + 1.0)
        });
        let (most, least) = means.iter().fold((0.0_f64, f64::MAX), |(most, least), (mean, chance)| {
            (most.max(mean + chance), least.min(mean - chance))
        });
        (now - most).max(0.0) + (now - least).min(0.0)
    }

    /// Of so many cells, by what came from one of the baseline on.
    fn mean(&self, from: usize, cells: usize) -> f64 {
        let last = self.upto.len() - 1;
        (self.upto[last] - self.upto[from]) * cells as f64 / (last - from).max(1) as f64
    }
}
