//! Whether the plan brings more load after a trigger than in the baseline: what is lost then may come of that.
//!
//! Owns what is more; what that excuses is for `gone` and `returns`.

use std::ops::Range;

use super::view::View;
use crate::stats;
use crate::units::Micros;

/// Of more load than so many times the baseline's it may come (VERDICTS.md 3).
const MORE: f64 = 1.02;
/// By chance come so many deviations more.
const FAR: f64 = 3.0;

/// What was planned in the baseline for a shape, and for all of them.
pub(super) struct Load<'v, 'a> {
    view: &'v View<'a>,
    /// The baseline.
    cells: Range<u32>,
    /// Of each shape, what a closed loop that began by its middle asked in a cell: its users are as many as they were, and that they
    /// ask more often is the service's doing.
    closed: Vec<Option<f64>>,
    each: [Planned; 2],
}

/// Of some shapes.
struct Planned {
    shapes: Range<usize>,
    /// What came from the start of the baseline to that of each of its cells, and to its end.
    upto: Vec<f64>,
    /// Of a cell.
    median: f64,
    /// How much it varies from cell to cell: 1 of what comes by chance (the index of dispersion), next to nothing of what comes
    /// evenly.
    varies: f64,
}

impl<'v, 'a> Load<'v, 'a> {
    /// Of a shape by its index.
    pub(super) fn of(view: &'v View<'a>, shape: usize) -> Self {
        let (timeline, baseline) = (view.timeline, view.frame().baseline());
        let cells = timeline.cell_of(baseline.start)..timeline.cell_of(baseline.end);
        let shapes = &timeline.outline().shapes;
        let middle = timeline.cell_start(cells.start + cells.len() as u32 / 2);
        let asks = |index: usize| {
            let all: u64 = cells.clone().map(|cell| asked(view, index, cell)).sum();
            all as f64 / cells.len().max(1) as f64
        };
        let closed = shapes.iter().enumerate().map(|(i, s)| (s.closed && s.start <= middle).then(|| asks(i)));
        let closed = closed.collect();
        let none = |shapes| Planned { shapes, upto: vec![0.0], median: 0.0, varies: 1.0 };
        let each = [shape..shape + 1, 0..shapes.len()].map(none);
        let mut load = Load { view, cells, closed, each };
        let each = load.each.each_ref().map(|planned| {
            let came: Vec<f64> = load.cells.clone().map(|cell| load.came(&planned.shapes, cell)).collect();
            Planned::of(planned.shapes.clone(), &came)
        });
        load.each = each;
        load
    }

    /// No more of this shape, and of all, than came in the baseline.
    pub(super) fn is_usual(&self, span: Range<Micros>) -> bool {
        self.is_usual_until(span.clone()) == span.end
    }

    /// Until when that is so, of each stretch and of all together.
    pub(super) fn is_usual_until(&self, span: Range<Micros>) -> Micros {
        let timeline = self.view.timeline;
        let step = timeline.outline().judge.stretch.max(Micros::secs(1));
        let (mut until, mut came) = (span.start, [0.0; 2]);
        while until < span.end {
            let next = (until + step).min(span.end);
            let cells = timeline.cell_of(until)..timeline.cell_of(next);
            let all = (cells.end - timeline.cell_of(span.start)) as usize;
            let is_usual = self.each.iter().zip(&mut came).all(|(planned, came)| {
                let now = cells.clone().map(|cell| self.came(&planned.shapes, cell)).sum();
                *came += now;
                planned.is_no_less(now, cells.len()) && planned.is_no_less(*came, all)
            });
            if !is_usual {
                return until;
            }
            until = next;
        }
        until
    }

    /// Of an open loop what was planned, and of a closed one that begins late what it asked.
    fn came(&self, shapes: &Range<usize>, cell: u32) -> f64 {
        let of = |index: usize| match (self.view.timeline.outline().shapes[index].closed, self.closed[index])
        {
            (_, Some(usual)) => usual,
            (true, None) => asked(self.view, index, cell) as f64,
            (false, None) => self.view.timeline.planned(index, cell) as f64,
        };
        shapes.clone().map(of).sum()
    }
}

/// Operations.
fn asked(view: &View, shape: usize, cell: u32) -> u64 {
    view.timeline.steps_of(shape).map(|(op, _)| view.timeline.intended(op, cell)).sum()
}

impl Planned {
    fn of(shapes: Range<usize>, came: &[f64]) -> Planned {
        let sum = |sum: &mut f64, came: &f64| {
            *sum += came;
            Some(*sum)
        };
        let upto = std::iter::once(0.0).chain(came.iter().scan(0.0, sum)).collect();
        let each: Vec<Option<f64>> = came.iter().map(|came| Some(*came)).collect();
        let varies = stats::mean_and_deviation(&each);
        let varies =
            varies.map_or(1.0, |(mean, deviation)| deviation * deviation / mean.max(f64::MIN_POSITIVE));
        let median = stats::median(came).unwrap_or(0.0);
        Planned { shapes, upto, median, varies: varies.min(1.0) }
    }

    /// By the mean of the baseline, or of its second half, as a shape may begin within it, and by chance where arrivals vary by that;
    /// or as much came in a time of it that was as long, as of bursts.
    fn is_no_less(&self, now: f64, cells: usize) -> bool {
        let last = self.upto.len() - 1;
        let by_chance = |usual: f64, of: usize| {
            let times = cells as f64 / of.max(1) as f64;
            FAR * (self.varies * usual.max(1.0) * (1.0 + times)).sqrt() + 1.0
        };
        let mean = |from: usize| {
            let of = last - from;
            let usual = (self.upto[last] - self.upto[from]) * cells as f64 / of.max(1) as f64;
            MORE * usual + by_chance(usual, of)
        };
        let most = || {
            let most = self.upto.windows(cells + 1).map(|some| some[cells] - some[0]).fold(0.0, f64::max);
            // Between bursts.
            MORE * most + by_chance(self.median * cells as f64, last)
        };
        now <= mean(0) || now <= mean(last / 2) || now <= most()
    }
}
