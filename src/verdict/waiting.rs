//! Users of a closed loop who wait: they ask nothing meanwhile, and what they wait for counts where they asked. Who
//! waits through a window, for far longer than users wait as a rule, got nothing in it.

use std::ops::Range;

use super::view::View;
use crate::timeline::Tally;
use crate::units::Micros;

/// So many times as long as 99 in 100 waited in the baseline is far longer.
const FAR: i64 = 2;

/// Those of a shape, window by window.
pub(super) struct Waiting<'v, 'a> {
    view: &'v View<'a>,
    shape: usize,
    /// Who waited for less waits as a rule.
    least: Micros,
    /// Cells in which somebody asked who waits beyond the windows seen so far, and until when.
    asked: Vec<(u32, Tally, Micros)>,
}

impl<'v, 'a> Waiting<'v, 'a> {
    /// `usual`: the p99 of response times in the baseline.
    pub fn of(view: &'v View<'a>, shape: usize, usual: Micros) -> Waiting<'v, 'a> {
        Waiting { view, shape, least: usual * FAR, asked: Vec::new() }
    }

    /// How many asked before this window and waited through it, each to within a cell; windows come in their order.
    pub fn through(&mut self, window: &Range<u32>) -> u64 {
        let timeline = self.view.timeline;
        let last = timeline.cell_start(window.end - 1);
        self.asked.retain(|(.., until)| *until > last);
        let longer = |(cell, tally, _): &(u32, Tally, Micros)| {
            tally.waited_longer((last - timeline.cell_start(*cell)).max(self.least))
        };
        let waited = self.asked.iter().map(longer).sum();
        for cell in window.clone() {
            let tally = self.view.shape_tally(self.shape, &[cell].into());
            let longest = tally.waited();
            if longest > self.least {
                self.asked.push((cell, tally, timeline.cell_start(cell) + longest));
            }
        }
        waited
    }
}
