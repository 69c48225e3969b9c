//! Users of a closed loop who wait: they ask nothing meanwhile, and what they wait for counts where they asked. Who
//! waits through a window, for far longer than users wait as a rule, got nothing in it.

use std::ops::Range;

use super::view::View;
use crate::sample::OpId;
use crate::stats;
use crate::timeline::{Cells, Tally};
use crate::units::Micros;

/// What 99 in 100 of an operation's answers took in the baseline, so many times, is far longer: where all wait for the
/// same message, few of them make up the baseline.
const FAR: i64 = 3;
/// Of which as many wait by chance.
const RARE: f64 = 0.01;

/// Those of a shape, window by window.
pub(super) struct Waiting<'v, 'a> {
    view: &'v View<'a>,
    shape: usize,
    /// Each operation, and how long users wait for it as a rule.
    usual: Vec<(OpId, Micros)>,
    asked: Vec<Asked>,
}

/// An operation of a cell in which somebody asked who waits beyond the windows seen so far.
struct Asked {
    cell: u32,
    tally: Tally,
    usual: Micros,
    until: Micros,
}

impl<'v, 'a> Waiting<'v, 'a> {
    /// `baseline`: in which users wait as a rule. Of an operation that did not succeed in it they wait as for all.
    pub fn of(view: &'v View<'a>, shape: usize, baseline: &Cells) -> Waiting<'v, 'a> {
        let p99 = |tally: &Tally| tally.successes.quantile(0.99);
        let all = p99(&view.shape_tally(shape, baseline)).unwrap_or_default();
        let usual = |(op, _)| (op, p99(&view.tally(op, baseline)).unwrap_or(all) * FAR);
        let usual = view.timeline.steps_of(shape).map(usual).collect();
        Waiting { view, shape, usual, asked: Vec::new() }
    }

    /// How many asked before this window and waited through it, each to within a cell, where they are more than chance
    /// of all that was asked since the first of them did; windows come in their order.
    pub fn through(&mut self, window: &Range<u32>) -> u64 {
        let start = |cell: u32| self.view.timeline.cell_start(cell);
        let last = start(window.end - 1);
        self.asked.retain(|asked| asked.until > last);
        let longer = |asked: &Asked| asked.tally.waited_longer((last - start(asked.cell)).max(asked.usual));
        let (mut waited, mut first) = (0, window.start);
        for (asked, n) in self.asked.iter().map(|asked| (asked, longer(asked))).filter(|(_, n)| *n > 0) {
            (waited, first) = (waited + n, first.min(asked.cell));
        }
        for cell in window.clone() {
            for &(op, usual) in &self.usual {
                let tally = self.view.tally(op, &[cell].into());
                let longest = tally.waited();
                if longest > usual {
                    self.asked.push(Asked { cell, tally, usual, until: start(cell) + longest });
                }
            }
        }
        if waited == 0 {
            return 0;
        }
        let all = self.view.shape_tally(self.shape, &(first..window.end).collect()).intended;
        if waited >= all || stats::exceeds(waited, all, RARE) { waited } else { 0 }
    }
}
