//! Further rounds that flows left out as they had failed, as if they had been bad: in which cells.

use std::collections::BTreeMap;

use crate::sample::OpId;
use crate::timeline::{Cells, Timeline};

/// Where a round that was left out counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placing {
    /// Where it would have been intended: how much of a phase's load never came.
    Planned,
    /// Where its flow failed: who left during a fault is the fault's harm, and no slow recovery from it.
    Failed,
}

/// How many of each operation, by cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing(BTreeMap<OpId, BTreeMap<u32, f64>>);

impl Missing {
    /// Without those whose flows failed in the cells of `not_of`.
    pub(super) fn of(timeline: &Timeline, placing: Placing, not_of: &Cells) -> Missing {
        let mut changes: BTreeMap<OpId, BTreeMap<u32, f64>> = BTreeMap::new();
        for left in timeline.forgone().filter(|left| !not_of.contains(&left.failed)) {
            let (from, to) = match placing {
                Placing::Planned => (left.from, left.to),
                Placing::Failed => (left.failed, left.failed),
            };
            let each = left.n as f64 / f64::from(to - from + 1);
            let changes = changes.entry(left.op).or_default();
            *changes.entry(from).or_default() += each;
            *changes.entry(to + 1).or_default() -= each;
        }
        Missing(changes.into_iter().map(|(op, changes)| (op, summed(&changes))).collect())
    }

    /// So many of an operation in these cells.
    pub(super) fn within(&self, op: OpId, cells: &Cells) -> u64 {
        let (Some(all), Some(&first), Some(&last)) = (self.0.get(&op), cells.first(), cells.last()) else {
            return 0;
        };
        let inside = all.range(first..=last).filter(|(cell, _)| cells.contains(cell));
        inside.map(|(_, n)| n).sum::<f64>().round() as u64
    }
}

/// From what changes in some cells to what there is in each.
fn summed(changes: &BTreeMap<u32, f64>) -> BTreeMap<u32, f64> {
    let (Some((&first, _)), Some((&last, _))) = (changes.first_key_value(), changes.last_key_value()) else {
        return BTreeMap::new();
    };
    let mut now = 0.0;
    let each = (first..last).map(|cell| {
        now += changes.get(&cell).copied().unwrap_or_default();
        (cell, now)
    });
    each.filter(|(_, n)| *n > 1e-6).collect()
}
