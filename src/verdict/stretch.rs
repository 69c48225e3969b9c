//! A stretch: so many windows in band over so much time that a service counts as recovered (VERDICTS.md 3).
//!
//! Owns what makes one, and what may be left out of one; which windows are in band is the baseline's.

use super::baseline::Window;
use crate::outline::JudgeSettings;
use crate::stats;
use crate::timeline::Timeline;
use crate::units::Micros;

/// A window, and whether it was out of band.
pub(super) type Seen<'a> = (&'a Window, bool);

/// What it takes for one shape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    /// At least so many windows ...
    pub(super) windows: usize,
    /// ... over this time, or more of them.
    least: Micros,
    /// How long so many windows usually take.
    pub(super) lasts: Micros,
    /// How many may be out, of how many; and how many of them in a row.
    pub(super) out: (usize, usize),
    pub(super) row: usize,
}

impl Stretch {
    /// As many windows of this width as the time of a stretch has room for, or more of them.
    pub(super) fn room(judge: &JudgeSettings, width: Micros) -> usize {
        let room = (judge.stretch.0 + width.0 - 1) / width.0.max(1);
        (room as usize).max(judge.stretch_windows as usize).max(1)
    }

    /// As many windows as usually come in the time of a stretch, and how long these usually take: of users who all think
    /// at once, for longer than a window lasts, they are fewer than the time has room for. The first that has such a time
    /// in it tells.
    pub(super) fn usual(timeline: &Timeline, width: Micros, each: [&[Window]; 2]) -> Stretch {
        let judge = &timeline.outline().judge;
        let (start, end) = (|w: &Window| timeline.cell_start(w.from), |w: &Window| timeline.cell_start(w.to));
        let come = |windows: &[Window]| {
            let last = windows.last().map_or(Micros::ZERO, end);
            let within = |(i, first): (usize, &Window)| {
                let over = start(first) + judge.stretch;
                (over <= last).then(|| (windows.partition_point(|w| start(w) < over) - i) as f64)
            };
            stats::median(&windows.iter().enumerate().map_while(within).collect::<Vec<_>>())
        };
        let usual = each.iter().find_map(|windows| come(windows));
        let least = (judge.stretch_windows as usize).max(1);
        let need = usual.map_or(Stretch::room(judge, width), |usual| (usual.ceil() as usize).max(least));
        let takes = each.iter().find_map(|windows| {
            let long = |some: &[Window]| (end(&some[need - 1]) - start(&some[0])).0 as f64;
            stats::median(&windows.windows(need).map(long).collect::<Vec<_>>())
        });
        let takes = takes.map_or(width * need as i64, |takes| Micros(takes as i64));
        Stretch { windows: need, least: judge.stretch, lasts: takes.max(judge.stretch), out: (1, 5), row: 1 }
    }

    /// The stretch that begins with these; none if its end was not seen. Its time is over as the next window begins: of
    /// users who think, few have one.
    pub(super) fn of<'w, 'a>(
        &self,
        timeline: &Timeline,
        windows: &'w [Seen<'a>],
        known_until: Micros,
    ) -> Option<&'w [Seen<'a>]> {
        let over = timeline.cell_start(windows[0].0.from) + self.least;
        let is_over = |end: usize| {
            let last = timeline.cell_start(windows[end - 1].0.to);
            let next = windows.get(end).map_or(known_until, |(w, _)| timeline.cell_start(w.from));
            next.max(last) >= over
        };
        (self.windows..=windows.len()).find(|&end| is_over(end)).map(|end| &windows[..end])
    }

    /// In band at first, at least 80 % of these, or of as many as it takes, in band, and no two in a row out.
    pub(super) fn could_be(&self, windows: &[Seen]) -> bool {
        !windows[0].1 && self.is_calm(windows)
    }

    pub(super) fn is_calm(&self, windows: &[Seen]) -> bool {
        let too_long = |run: &[Seen]| run.iter().all(|(_, out)| *out);
        !self.has_too_many_out(windows) && !windows.windows(self.row + 1).any(too_long)
    }

    fn has_too_many_out(&self, windows: &[Seen]) -> bool {
        let (out, of) = self.out;
        windows.iter().filter(|(_, out)| *out).count() * of > self.windows.max(windows.len()) * out
    }

    /// Whether a window lies among as many as it takes of which too many are out.
    pub(super) fn crowded(&self, windows: &[Seen]) -> impl Fn(usize) -> bool {
        let need = self.windows;
        let many = |(from, some): (usize, &[Seen])| self.has_too_many_out(some).then_some(from);
        let crowds: Vec<usize> = windows.windows(need).enumerate().filter_map(many).collect();
        move |i| {
            let first = crowds.partition_point(|from| from + need <= i);
            crowds.get(first).is_some_and(|from| *from <= i)
        }
    }

    /// When one that has begun with these, of this width, would be told.
    pub(super) fn told(&self, timeline: &Timeline, begun: &[Seen], width: Micros) -> Micros {
        let start = |i: usize| timeline.cell_start(begun[i].0.from);
        let (from, some) = (start(0), begun.len());
        // Users whom an outage brought together have fewer windows than before.
        let seen = start(some - 1) - from;
        let at_this_pace = Micros(seen.0 * (self.windows as i64 - 1) / (some as i64 - 1).max(1));
        from + if some >= self.windows { self.least } else { self.lasts.max(at_this_pace + width) }
    }
}
