//! The fold of a run that goes on: it keeps the newest cells, and sums of what it lets go.

use std::collections::BTreeMap;

use super::Timeline;
use crate::record::{KeeperEvent, Scrape};
use crate::sample::OpId;
use crate::units::Micros;

impl Timeline {
    /// Keeps the newest cells of what has happened only.
    pub fn keep(&mut self, cells: u32) {
        let newest = self.happened.last_key_value().map_or(0, |(cell, _)| *cell);
        // Not at each cell: to let go of some costs a look at all.
        let least = newest.saturating_sub(cells);
        if self.oldest + cells / 4 < least {
            self.forget(least);
        }
    }

    /// Lets go of what lies before a cell, while the run goes on: only sums are kept of it. The judge reads
    /// the file.
    pub fn forget(&mut self, before: u32) {
        let from = self.cell_start(before);
        self.oldest = self.oldest.max(before);
        let old: Vec<(OpId, u32)> = self.cells.keys().copied().filter(|(_, cell)| *cell < before).collect();
        for key in old {
            let Some(cell) = self.cells.remove(&key) else { continue };
            let sum = self.forgotten.entry(key.0).or_default();
            sum.add(&cell);
        }
        self.forgone.retain(|(_, failed, ..), _| *failed >= before);
        self.arrived.retain(|(_, cell), _| *cell >= before);
        self.happened.retain(|cell, _| *cell >= before);
        self.forget_scrapes(from);
        self.services.retain(|event| event.at >= from);
        self.refused.retain(|(_, at, _)| *at >= from);
        self.forget_keeper(from);
        self.notes.clear();
        self.probes.clear();
        self.items.clear();
        self.errors.clear();
        self.slow.clear();
    }

    /// The last three of each metric tell how often it is read, also where one is missing.
    fn forget_scrapes(&mut self, before: Micros) {
        let mut later: BTreeMap<&str, usize> = BTreeMap::new();
        let kept = self.scrapes.iter().rev().map(|Scrape { at, name, .. }| {
            let later = later.entry(name.as_str()).or_default();
            *later += 1;
            *at >= before || *later <= 3
        });
        let kept: Vec<bool> = kept.collect();
        let mut kept = kept.into_iter().rev();
        self.scrapes.retain(|_| kept.next().unwrap_or(true));
    }

    /// A keeper that is gone is so for good, and one that is silent until it answers.
    fn forget_keeper(&mut self, before: Micros) {
        let mut over: Vec<Micros> = Vec::new();
        for event in &self.keeper {
            match *event {
                KeeperEvent::Silent { from, to: Some(to) } if to + (to - from) * 2 < before => {
                    over.push(from)
                }
                _ => {}
            }
        }
        self.keeper.retain(|event| match event {
            KeeperEvent::Beats { at, late, .. } => *at + *late * 2 >= before,
            KeeperEvent::Saturated { to, .. } => *to >= before,
            KeeperEvent::Silent { from, .. } => !over.contains(from),
            KeeperEvent::Gone { .. } => true,
        });
    }
}
