//! Is the generator sound? Which cells were measured by a squall that was late, frozen or short of
//! resources (VERDICTS.md 2).
//!
//! Owns the per-cell rules and the generator's delay; what an unsound cell does to an objective is
//! decided in `objectives`.

use std::collections::BTreeMap;

use super::judgement::{Generator, UnsoundCell};
use crate::histogram::Hist;
use crate::objective::Metric;
use crate::sample::OpId;
use crate::timeline::{Cells, Tally, Timeline};
use crate::units::{Micros, grouped};

/// Lag or heartbeat lateness above which squall counts as frozen.
const FROZEN: Micros = Micros::millis(100);
/// A cell is delivered from this share on.
const DELIVERED: f64 = 0.999;

/// What the generator itself did wrong, by cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Soundness {
    /// Unsound cells with the reason.
    pub(super) unsound: BTreeMap<u32, String>,
    /// Those of them that were undelivered or had local errors.
    pub(super) lost: Cells,
    /// Over the run; none without planned arrivals.
    pub(super) delivered: Option<f64>,
}

impl Soundness {
    pub(super) fn of(timeline: &Timeline) -> Soundness {
        let mut sound = Soundness::default();
        sound.heartbeats(timeline);
        sound.lags(timeline);
        sound.deliveries(timeline);
        sound.local_errors(timeline);
        sound
    }

    fn heartbeats(&mut self, timeline: &Timeline) {
        for (second, late) in timeline.worst_heartbeats().filter(|(_, late)| *late > FROZEN) {
            let frozen_from = timeline.cell_of(timeline.cell_start(second) - late);
            for cell in frozen_from..=second {
                self.unsound.insert(cell, format!("squall's own heartbeat was {late} late"));
            }
        }
    }

    fn lags(&mut self, timeline: &Timeline) {
        for cell in timeline.all_cells() {
            if let Some(lag) = timeline.worst_lag(cell).filter(|lag| *lag > FROZEN) {
                self.unsound.insert(cell, format!("squall sent up to {lag} late"));
            }
        }
    }

    /// Like with like: planned arrivals, and those of them that were taken up, cell by cell. How many
    /// operations an arrival leads to is the flow's and the target's doing, and not asked here.
    fn deliveries(&mut self, timeline: &Timeline) {
        let (planned, arrived) = (planned_per_cell(timeline), timeline.arrived());
        let taken = |cell: &u32| arrived.get(cell).copied().unwrap_or(0);
        let (total, sent) = (planned.values().sum::<u64>(), planned.keys().map(taken).sum::<u64>());
        let untold =
            arrived.is_empty() && timeline.operations().any(|(op, o)| o.flow && timeline.totals(op).0 > 0);
        if total == 0 || untold {
            // A history from before arrivals were counted does not tell.
            return;
        }
        self.delivered = Some((sent as f64 / total as f64).min(1.0));
        for (&cell, &planned) in &planned {
            let sent = taken(&cell);
            if (sent as f64) < DELIVERED * planned as f64 {
                let why = format!("squall started {} of {} flows", grouped(sent), grouped(planned));
                self.unsound.insert(cell, why);
                self.lost.insert(cell);
            }
        }
    }

    fn local_errors(&mut self, timeline: &Timeline) {
        for cell in timeline.all_cells() {
            let n @ 1.. = timeline.local_errors(cell) else { continue };
            let why =
                format!("squall's own machine refused {} operations (files, ports, memory)", grouped(n));
            self.unsound.insert(cell, why);
            self.lost.insert(cell);
        }
        for &(from, at, n) in &timeline.refused {
            let why = format!(
                "squall's own machine refused its keeper {} connections (files, ports, memory)",
                grouped(n)
            );
            for cell in timeline.cell_of(from)..=timeline.cell_of(at) {
                self.unsound.insert(cell, why.clone());
                self.lost.insert(cell);
            }
        }
    }

    /// Cells whose operations may have been harmed by the generator: those in an unsound cell, or
    /// within `deadline` before one. Of a flow, which counts where its last step was intended, also those
    /// whose earlier steps met one; a flow without an end is only known by its last step.
    pub(super) fn tainted(
        &self,
        timeline: &Timeline,
        op: Option<OpId>,
        cells: &Cells,
        deadline: Micros,
    ) -> Cells {
        let harmed = |cell: u32| {
            let begun = op.map_or(cell, |op| timeline.begun(op, cell));
            let next = self.unsound.range(begun..).next();
            next.is_some_and(|(&bad, _)| timeline.cell_start(cell + 1) + deadline > timeline.cell_start(bad))
        };
        cells.iter().copied().filter(|&cell| harmed(cell)).collect()
    }

    /// The same as it could be known in `cell`.
    pub(super) fn until(&self, cell: u32) -> Soundness {
        let unsound = self.unsound.range(..=cell).map(|(cell, why)| (*cell, why.clone())).collect();
        Soundness { unsound, lost: self.lost.range(..=cell).copied().collect(), delivered: self.delivered }
    }

    /// More than 5 % and more than 3 of the cells are unsound.
    pub(super) fn mostly_unsound(&self, cells: &Cells) -> bool {
        too_many(cells.iter().filter(|c| self.unsound.contains_key(c)).count(), cells)
    }

    /// More than 5 % and more than 3 of the cells were undelivered or had local errors.
    pub(super) fn mostly_lost(&self, cells: &Cells) -> bool {
        too_many(cells.intersection(&self.lost).count(), cells)
    }

    /// The worst reason within cells or just after them, for a sentence.
    pub(super) fn why(&self, cells: &Cells) -> Option<(u32, &str)> {
        self.unsound.iter().find(|(c, _)| cells.contains(c)).map(|(&c, why)| (c, why.as_str()))
    }

    /// For the report.
    pub(super) fn generator(&self, timeline: &Timeline) -> Generator {
        let cells = timeline.all_cells();
        let (lag, held) =
            (of_all(timeline, &cells, |t| t.lag.clone()), of_all(timeline, &cells, Tally::holds));
        let seconds = timeline.worst_heartbeats().map(|(second, _)| second).collect();
        let heartbeat = timeline.heartbeat(&seconds);
        let unsound = self.unsound.iter();
        Generator {
            sound: self.unsound.is_empty(),
            sentence: self.sentence(timeline, cells.len(), (&lag, &held)),
            delivered: self.delivered,
            lag_p50: lag.quantile(0.5),
            lag_p99: lag.quantile(0.99),
            lag_max: lag.max(),
            heartbeat_p99: heartbeat.quantile(0.99),
            heartbeat_max: heartbeat.max(),
            held_p99: held.quantile(0.99),
            held_max: held.max(),
            cpu: timeline.cpu(),
            cells: cells.len() as u64,
            unsound: unsound
                .map(|(&cell, why)| UnsoundCell { at: timeline.cell_start(cell), why: why.clone() })
                .collect(),
            pacer: timeline.header.pacer.text().to_owned(),
            shards: timeline.header.shards,
        }
    }

    fn sentence(&self, timeline: &Timeline, cells: usize, (lag, held): (&Hist, &Hist)) -> String {
        let late = lag.quantile(0.99).zip(held.quantile(0.99)).map_or(String::new(), |(lag, held)| {
            format!(
                "; 99 in 100 operations left within {lag} of their time and were held up for at most {held}"
            )
        });
        match self.unsound.first_key_value() {
            None => format!("The generator was sound in all {} cells{late}.", grouped(cells as u64)),
            Some((&cell, why)) => format!(
                "The generator was unsound in {} of {} cells, first at {}: {why}{late}.",
                grouped(self.unsound.len() as u64),
                grouped(cells.max(self.unsound.len()) as u64),
                crate::units::clock(timeline.cell_start(cell)),
            ),
        }
    }
}

fn too_many(bad: usize, cells: &Cells) -> bool {
    bad > 3 && bad * 20 > cells.len()
}

/// Planned arrivals of open shapes for every cell of the load. Of a run that was cut short the last cell
/// is left out, since it was not lived to the end: what was due just before the stop may not have left.
fn planned_per_cell(timeline: &Timeline) -> BTreeMap<u32, u64> {
    let width = timeline.outline().cell.0.max(1);
    let end = timeline.load_end();
    let whole = timeline.end.is_some() && end >= timeline.outline().duration;
    let last = if whole { (end.0 + width - 1) / width } else { (end - FROZEN).0.div_euclid(width) };
    let mut planned = BTreeMap::new();
    for shape in &timeline.outline().shapes {
        for (cell, &n) in shape.planned.iter().enumerate().take(last.max(0) as usize).filter(|(_, n)| **n > 0)
        {
            *planned.entry(cell as u32).or_default() += n;
        }
    }
    planned
}

/// One histogram of all operations' tallies.
fn of_all(timeline: &Timeline, cells: &Cells, hist: impl Fn(&Tally) -> Hist) -> Hist {
    let mut all = Hist::default();
    for (op, _) in timeline.operations().filter(|(_, o)| !o.flow) {
        all.merge(&hist(&timeline.tally(op, cells)));
    }
    all
}

/// The generator's share of a latency over cells, as the metric takes it from a histogram; none of others.
pub(super) fn share(timeline: &Timeline, metric: &Metric, tally: &Tally, cells: &Cells) -> Micros {
    match metric {
        Metric::Quantile(q) => delay(timeline, tally, cells, |hist| hist.quantile(*q)),
        Metric::Max => delay(timeline, tally, cells, Hist::max),
        Metric::Mean => delay(timeline, tally, cells, Hist::mean),
        _ => Micros::ZERO,
    }
}

/// The generator's delay over cells, each part as `at` takes it from a histogram: late sends and late reads.
pub(super) fn delay(
    timeline: &Timeline,
    tally: &Tally,
    cells: &Cells,
    at: impl Fn(&Hist) -> Option<Micros>,
) -> Micros {
    at(&tally.lag).unwrap_or_default() + late_reads(timeline, tally, cells, at)
}

/// Late reads show in the lateness of the heartbeat (VERDICTS.md 2) and in how long operations were held up,
/// which the heartbeat misses where squall is short of processor just after it ran.
pub(super) fn late_reads(
    timeline: &Timeline,
    tally: &Tally,
    cells: &Cells,
    at: impl Fn(&Hist) -> Option<Micros>,
) -> Micros {
    let at = |hist: &Hist| at(hist).unwrap_or_default();
    at(&timeline.heartbeat(cells)).max(at(&tally.holds()))
}
