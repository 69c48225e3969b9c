//! How a load comes: when an operation was asked within D, how long it is silent by itself, how often a metric is read.
//!
//! Owns what that proves of all of D; which D a live rule looks at is for `live`.

use std::ops::Range;

use super::answer::Answer;
use super::view::View;
use super::windows::{Subject, Window, in_cells, measured, together};
use crate::objective::Objective;
use crate::timeline::{Cells, Timeline};
use crate::units::Micros;

/// When an operation was asked, in D and last before it, and how long it is silent by itself.
pub(super) struct Rhythm {
    /// From when on it is told of: from the beginning of D, or until when users still waited for what they had asked before.
    since: u32,
    /// When it was asked first, and until when users waited for what they asked last.
    asked: Option<Range<u32>>,
    /// The longest silence between two that were asked; where users of a closed loop wait they are not silent.
    between: u32,
    /// For how long a metric of the target may not be read, between two readings.
    unread: Option<u32>,
}

impl Rhythm {
    pub(super) fn of(view: &View, rule: &Objective, subject: Subject, cells: &Cells) -> Rhythm {
        let (timeline, outline) = (view.timeline, view.timeline.outline());
        let first = cells.first().copied().unwrap_or(0);
        let op = match subject {
            Subject::Operation(op) => op,
            Subject::Target(name, _) => {
                let asked = cells.last().map(|last| first..last + 1);
                let unread = Some(2 * usual_reading(timeline, name) + 1);
                return Rhythm { since: first, asked, between: 0, unread };
            }
        };
        let closed = subject.closed(timeline);
        let waits = |cell: u32| match closed {
            true => in_cells(timeline, view.tally(op, &[cell].into()).waited()),
            false => 1,
        };
        let is_asked = |cell: &u32| timeline.intended(op, *cell) > 0;
        let satisfies = |cell: &u32| {
            let alone = Objective { window: Some(outline.cell), ..rule.clone() };
            let (_, windows) = measured(view, &alone, subject, &[*cell].into());
            !windows.is_empty() && together(&windows, Answer::Holds) == Answer::Holds
        };
        // What was asked last before, if it satisfies the rule as well, tells of the time since.
        let earlier = (timeline.oldest()..first).rev().find(is_asked).filter(satisfies);
        // When it was asked, and until when users waited for that.
        let all = earlier.into_iter().chain(cells.iter().copied().filter(is_asked));
        let asked: Vec<Range<u32>> = all.map(|cell| cell..cell + waits(cell)).collect();
        let between = asked.windows(2).map(|two| two[1].start.saturating_sub(two[0].end));
        let until = asked.iter().map(|one| one.end).max();
        Rhythm {
            since: earlier.and(asked.first()).map_or(first, |one| first.max(one.end)),
            between: between.max().unwrap_or(0),
            asked: asked.first().zip(until).map(|(one, until)| one.start..until),
            unread: None,
        }
    }

    /// What is known goes from one end to the other: what is left at the ends is no longer than it is silent by itself,
    /// or than so many operations that come evenly are. It does not see whether those within a window came all at once;
    /// that is [`Rhythm::lasts`]. A metric of the target was read at both ends; in their midst no readings are missing, as
    /// of a service that was away.
    pub(super) fn is_known(&self, windows: &[Window], cells: &Cells, n: u64) -> bool {
        if let Some(unread) = self.unread {
            let is_missing = |two: &[Window]| two[1].0.start > two[0].0.end + unread;
            return !windows.windows(2).any(is_missing);
        }
        let even = (2 * cells.len() as u32).div_ceil(u32::try_from(n).unwrap_or(u32::MAX).max(1));
        let silent = even.max(self.between + 1);
        let to = cells.last().map_or(0, |&last| last + 1);
        let ends = windows.iter().map(|(range, _)| range.end).max().unwrap_or(self.since);
        let begins = windows.first().map_or(to, |(range, _)| range.start);
        begins < self.since + silent && ends + silent > to
    }

    /// A few that came at about the same time tell of that time alone: where it is silent for longer before or after them
    /// than between any two, or a cell, nothing is known of the rest: one burst tells of its moment, and two of what lies
    /// between them. It looks at what was asked, not at what is known of it, as what squall itself spoilt was asked too;
    /// that is [`Rhythm::is_known`].
    pub(super) fn lasts(&self, cells: &Cells) -> bool {
        let (Some(&first), Some(&last), Some(asked)) = (cells.first(), cells.last(), &self.asked) else {
            return false;
        };
        let ends = asked.start.saturating_sub(first).max((last + 1).saturating_sub(asked.end));
        ends <= self.between.max(1)
    }
}

/// Cells from one reading of a metric to the next, where none is missing.
fn usual_reading(timeline: &Timeline, name: &str) -> u32 {
    let readings: Vec<Micros> = timeline.scrapes.iter().filter(|s| s.name == name).map(|s| s.at).collect();
    let apart = readings.windows(2).map(|two| two[1] - two[0]).min();
    apart.map_or(1, |apart| in_cells(timeline, apart))
}
