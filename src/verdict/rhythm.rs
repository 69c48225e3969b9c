//! How it is heard of a subject: an operation when it is asked, a metric of the target when it is read; and how long it
//! is silent by itself.
//!
//! Owns what is D on end; what a rule says of it is for `live`.

use super::view::View;
use super::windows::{Subject, in_cells};
use crate::objective::{Metric, Objective};
use crate::timeline::{Cells, Timeline};
use crate::units::Micros;

/// The cells in which it was heard of a subject.
pub(super) struct Rhythm<'v> {
    view: &'v View<'v>,
    subject: Subject<'v>,
    heard: Vec<u32>,
}

impl<'v> Rhythm<'v> {
    /// Within these cells. Of a rate and a count silence tells by itself.
    pub(super) fn of(
        view: &'v View<'v>,
        rule: &Objective,
        subject: Subject<'v>,
        cells: &Cells,
    ) -> Rhythm<'v> {
        let timeline = view.timeline;
        let silence_tells = matches!(rule.metric, Metric::Rate | Metric::Count);
        let heard = match subject {
            Subject::Operation(op) => cells
                .iter()
                .copied()
                .filter(|&cell| silence_tells || timeline.intended(op, cell) > 0)
                .collect(),
            Subject::Target(name, _) => {
                let read: Cells = readings(timeline, name).map(|at| timeline.cell_of(at)).collect();
                read.intersection(cells).copied().collect()
            }
        };
        Rhythm { view, subject, heard }
    }

    /// Each time on end of at least so many cells that ends in `since` or later: from what was heard at its beginning, or
    /// before, to what was heard in its last cell. In between it is silent for no longer than it is by itself.
    pub(super) fn on_end_since(&self, since: u32, long: u32) -> Vec<Cells> {
        let pause = self.pause(long);
        let from = self.heard.partition_point(|cell| *cell < since);
        (from..self.heard.len()).filter_map(|last| self.on_end(last, (long, pause))).collect()
    }

    /// Users of a closed loop are heard of while they wait; of them one round alone, which may have been lost in a
    /// moment, tells of no more than that.
    fn on_end(&self, last: usize, (long, pause): (u32, u32)) -> Option<Cells> {
        let (heard, last) = (&self.heard[..=last], self.heard[last]);
        let end = self.until(last);
        let first = heard.iter().rposition(|&cell| cell + long <= end && self.until(cell) <= last + 1)?;
        let heard = &heard[first..];
        // Until when it was heard of all before is looked at only where it was silent for longer.
        let is_on_end = heard.windows(2).enumerate().all(|(before, two)| {
            let follows = |cell: &u32| two[1] <= self.until(*cell) + pause;
            two[1] <= two[0] + 1 + pause || heard[..=before].iter().any(follows)
        });
        is_on_end.then(|| (heard[0]..=last).collect())
    }

    /// Where it was heard of last.
    pub(super) fn last(&self) -> Option<u32> {
        self.heard.last().copied()
    }

    /// Until when it was heard of what was heard in a cell.
    fn until(&self, cell: u32) -> u32 {
        match self.subject {
            Subject::Operation(op) if self.subject.closed(self.view.timeline) => {
                cell + in_cells(self.view.timeline, self.view.tally(op, &[cell].into()).waited())
            }
            _ => cell + 1,
        }
    }

    fn pause(&self, long: u32) -> u32 {
        let silences = self.heard.windows(2).map(|two| two[1] - two[0] - 1);
        let pause = pause(self.view.timeline, self.subject, silences.collect());
        // That readings are missing is a sign of its own: the service may be away.
        if matches!(self.subject, Subject::Target(..)) { pause } else { pause.max(long) }
    }
}

/// For how many cells it is silent of a subject by itself: from one burst to the next, or twice as long as it has been
/// more than once; between two readings of a metric, where none is missing.
pub(super) fn pause(timeline: &Timeline, subject: Subject, mut silences: Vec<u32>) -> u32 {
    if let Subject::Target(name, _) = subject {
        let all: Vec<Micros> = readings(timeline, name).collect();
        let apart = all.windows(2).map(|two| two[1] - two[0]).min();
        return 2 * apart.map_or(1, |apart| in_cells(timeline, apart)) + 1;
    }
    silences.sort_unstable();
    let again = silences.iter().rev().nth(1).map_or(0, |silence| 2 * silence);
    let shapes = subject.shapes(timeline);
    let periods = shapes.iter().filter_map(|&shape| timeline.outline().shapes[shape].period);
    periods.map(|period| in_cells(timeline, period)).fold(again, u32::max)
}

fn readings(timeline: &Timeline, name: &str) -> impl Iterator<Item = Micros> {
    timeline.scrapes.iter().filter(move |scrape| scrape.name == name).map(|scrape| scrape.at)
}
