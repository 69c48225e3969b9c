//! Whether the plan brings more load after a trigger than in the baseline: what is lost then may come of that.
//!
//! Owns what is more; what that excuses is for `gone` and `returns`.

use std::ops::Range;

use super::view::View;
use crate::units::Micros;

/// Of more load than so many times the baseline's it may come.
const MORE: f64 = 1.1;
/// By chance come so many deviations more.
const FAR: f64 = 3.0;

/// What was planned for a shape, and for all of them, in the baseline and in its second half, as a shape may begin within it.
pub(super) struct Load<'v, 'a> {
    view: &'v View<'a>,
    shape: usize,
    usual: [[Sum; 2]; 2],
}

/// Arrivals, and in how many cells.
#[derive(Clone, Copy)]
struct Sum {
    arrivals: u64,
    cells: usize,
}

impl<'v, 'a> Load<'v, 'a> {
    /// Of a shape by its index.
    pub(super) fn of(view: &'v View<'a>, shape: usize) -> Self {
        let baseline = view.frame().baseline();
        let later = baseline.start + Micros((baseline.end - baseline.start).0 / 2)..baseline.end;
        let sums = |span| sums(view, shape, span);
        Load { view, shape, usual: [sums(baseline), sums(later)] }
    }

    /// No more of this shape, and of all. Arrivals vary by chance.
    pub(super) fn is_usual(&self, span: Range<Micros>) -> bool {
        let now = sums(self.view, self.shape, span);
        let is = |i: usize| self.usual.iter().any(|usual| is_no_more(now[i], usual[i]));
        is(0) && is(1)
    }

    /// Until when that is so, a stretch at a time.
    pub(super) fn is_usual_until(&self, span: Range<Micros>) -> Micros {
        let step = self.view.timeline.outline().judge.stretch.max(Micros::secs(1));
        let mut until = span.start;
        while until < span.end && self.is_usual(until..(until + step).min(span.end)) {
            until = (until + step).min(span.end);
        }
        until
    }
}

/// Of one shape, and of all. A closed loop asks as it does.
fn sums(view: &View, shape: usize, span: Range<Micros>) -> [Sum; 2] {
    let timeline = view.timeline;
    let shapes = &timeline.outline().shapes;
    let cells = timeline.cell_of(span.start)..timeline.cell_of(span.end);
    let of = |shape: usize, cell: u32| match shapes[shape].closed {
        true => timeline.arrived(shape, cell).0,
        false => timeline.planned(shape, cell),
    };
    [shape..shape + 1, 0..shapes.len()].map(|some| Sum {
        arrivals: some.map(|shape| cells.clone().map(|cell| of(shape, cell)).sum::<u64>()).sum(),
        cells: cells.len(),
    })
}

fn is_no_more(now: Sum, usual: Sum) -> bool {
    let times = now.cells as f64 / usual.cells.max(1) as f64;
    let usual = usual.arrivals as f64 * times;
    now.arrivals as f64 <= MORE * usual + FAR * (usual.max(1.0) * (1.0 + times)).sqrt()
}
