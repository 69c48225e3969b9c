//! What squall itself did wrong, and when: for the report, for sentences, and the cells that its keeper spoilt.
//!
//! Owns telling it; which operations it spoilt was decided when they ended, and what follows for a verdict is
//! `whose`'s.

use std::collections::BTreeMap;

use super::judgement::{Generator, UnsoundCell};
use crate::histogram::Hist;
use crate::record::KeeperEvent;
use crate::sample::Kind;
use crate::timeline::{Cells, Tally, Timeline};
use crate::units::{Micros, grouped};

/// squall's own trouble.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// By cell, in words.
    pub(super) cells: BTreeMap<u32, String>,
    /// For how long squall stood still within cells, as far as that is no hiccup: users of a closed loop asked nothing.
    pub(super) asleep: BTreeMap<u32, Micros>,
    /// Cells in which it did so for some of the time: how much of the first and the last, nobody knows.
    pub(super) halting: Cells,
    /// Cells in which the keeper stood still, was gone, or was refused something by its machine: what went
    /// through its links then is no part of the clean count.
    pub(super) spoilt: Cells,
    /// The history tells of arrivals, so that one that it does not tell of did not happen.
    pub(super) counts_arrivals: bool,
}

impl Own {
    pub(super) fn of(timeline: &Timeline) -> Own {
        let mut own = Own { counts_arrivals: timeline.end.is_some(), ..Own::default() };
        // Later ones outrank earlier ones.
        own.lags(timeline);
        own.deliveries(timeline);
        own.heartbeats(timeline);
        own.own_errors(timeline);
        own.keeper(timeline);
        own
    }

    fn heartbeats(&mut self, timeline: &Timeline) {
        for (cell, late) in timeline.worst_heartbeats().filter(|(_, late)| *late > frozen(timeline)) {
            let from = timeline.cell_of(timeline.cell_start(cell) - late);
            for cell in from..=cell {
                self.cells.insert(cell, format!("squall stood still for {late}"));
                self.halting.insert(cell);
            }
            self.sleeps(timeline, cell, late);
        }
    }

    /// Through whole cells before the one in which it woke. What was to be asked in the last half a cell came in time,
    /// as any arrival would.
    fn sleeps(&mut self, timeline: &Timeline, woke: u32, late: Micros) {
        let width = timeline.outline().cell;
        let whole = u32::try_from(late.0 / width.0.max(1)).unwrap_or(u32::MAX);
        let through = (woke.saturating_sub(whole).max(timeline.oldest())..woke).map(|cell| (cell, width));
        let rest = late - width * i64::from(whole) - Micros(width.0 / 2);
        for (cell, asleep) in through.chain([(woke, rest)]) {
            let known = self.asleep.entry(cell).or_default();
            *known = asleep.max(*known);
        }
    }

    fn lags(&mut self, timeline: &Timeline) {
        for cell in timeline.all_cells() {
            if let Some(lag) = timeline.worst_lag(cell).filter(|lag| *lag > frozen(timeline)) {
                self.cells.insert(cell, format!("squall sent up to {lag} late"));
            }
        }
    }

    /// Planned arrivals, and those of them that were taken up in time, cell by cell. How many operations an
    /// arrival leads to is the flow's and the target's doing, and not asked here.
    fn deliveries(&mut self, timeline: &Timeline) {
        for (&cell, (planned, in_time)) in &deliveries(timeline) {
            if in_time < planned && (self.counts_arrivals || *in_time > 0) {
                let (planned, in_time) = (grouped(*planned), grouped(*in_time));
                self.cells.insert(cell, format!("squall started {in_time} of {planned} flows in time"));
            }
        }
    }

    fn own_errors(&mut self, timeline: &Timeline) {
        for cell in timeline.all_cells() {
            if let n @ 1.. = timeline.of_kind(Kind::Local, cell) {
                let n = grouped(n);
                let why = format!("squall's own machine refused {n} operations (files, ports, memory)");
                self.cells.insert(cell, why);
            }
            if let n @ 1.. = timeline.of_kind(Kind::Template, cell) {
                self.cells.insert(cell, format!("squall could not make {} requests", grouped(n)));
            }
        }
    }

    fn keeper(&mut self, timeline: &Timeline) {
        for &(from, at, n) in &timeline.refused {
            let n = grouped(n);
            let why =
                format!("squall's own machine refused its keeper {n} connections (files, ports, memory)");
            self.spoil(timeline, from, at, &why);
        }
        for event in &timeline.keeper {
            match *event {
                KeeperEvent::Beats { from, at, late } if late > frozen(timeline) => {
                    let why = format!("squall's keeper, which carries the links, stood still for {late}");
                    self.spoil(timeline, from, at + late * 2, &why);
                }
                KeeperEvent::Beats { .. } => {}
                KeeperEvent::Saturated { from, to } => {
                    let why = "squall's keeper, which carries the links, had more to do than it could";
                    self.spoil(timeline, from, to, why);
                }
                // It is told again with its end, where it had one.
                KeeperEvent::Silent { from, to: None } if ends(timeline, from) => {}
                KeeperEvent::Silent { from, to } => {
                    let until = to.map_or(timeline.ended_at(), |to| to + (to - from) * 2);
                    let why = "squall's keeper, which carries the links, did not answer";
                    self.spoil(timeline, from, until, why);
                }
                KeeperEvent::Gone { at } => {
                    let why = "squall's keeper, which carries the links, had ended";
                    self.spoil(timeline, at, timeline.ended_at(), why);
                }
            }
        }
    }

    fn spoil(&mut self, timeline: &Timeline, from: Micros, to: Micros, why: &str) {
        for cell in timeline.cell_of(from).max(timeline.oldest())..=timeline.cell_of(to) {
            self.cells.insert(cell, why.to_owned());
            self.spoilt.insert(cell);
        }
    }

    /// For the report.
    pub(super) fn generator(&self, timeline: &Timeline) -> Generator {
        let cells = timeline.all_cells();
        let all = of_all(timeline, &cells);
        let (lag, held) = (&all.lag, &all.holds());
        let heartbeat = timeline.heartbeat();
        let planned: (u64, u64) =
            deliveries(timeline).values().fold((0, 0), |sum, (p, t)| (sum.0 + p, sum.1 + t));
        let delivered = (planned.0 > 0).then(|| planned.1 as f64 / planned.0 as f64);
        let unsound = self.cells.iter();
        Generator {
            sound: self.cells.is_empty(),
            sentence: self.sentence(timeline, cells.len(), &all, (lag, held)),
            delivered,
            left_out: all.left_out,
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

    fn sentence(
        &self,
        timeline: &Timeline,
        cells: usize,
        all: &Tally,
        (lag, held): (&Hist, &Hist),
    ) -> String {
        let late = lag.quantile(0.99).zip(held.quantile(0.99)).map_or(String::new(), |(lag, held)| {
            format!(
                "; 99 in 100 operations left within {lag} of their time and were held up for at most {held}"
            )
        });
        let spoilt = match all.left_out {
            0 => String::new(),
            n => format!("; {} operations that it spoilt are no part of the clean count", grouped(n)),
        };
        match self.cells.first_key_value() {
            None => format!("The generator was sound in all {} cells{late}{spoilt}.", grouped(cells as u64)),
            Some((&cell, why)) => format!(
                "The generator was unsound in {} of {} cells, first at {}: {why}{late}{spoilt}.",
                grouped(self.cells.len() as u64),
                grouped(cells.max(self.cells.len()) as u64),
                crate::units::clock(timeline.cell_start(cell)),
            ),
        }
    }
}

/// A silence of the keeper's that began then was over at some time.
fn ends(timeline: &Timeline, began: Micros) -> bool {
    let over = |e: &KeeperEvent| matches!(e, KeeperEvent::Silent { from, to: Some(_) } if *from == began);
    timeline.keeper.iter().any(over)
}

/// A heartbeat or a send that is later than this, a tenth of a cell, was a standstill.
fn frozen(timeline: &Timeline) -> Micros {
    Micros(timeline.outline().cell.0 / 10)
}

/// Planned arrivals of all shapes, and those that were taken up in time, by cell.
fn deliveries(timeline: &Timeline) -> BTreeMap<u32, (u64, u64)> {
    let mut cells: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (shape, outline) in timeline.outline().shapes.iter().enumerate() {
        let lived = timeline.oldest()..timeline.arrivals_until().min(outline.planned.len() as u32);
        for (cell, planned) in
            lived.map(|cell| (cell, timeline.planned_and_told(shape, cell))).filter(|(_, n)| *n > 0)
        {
            let sum = cells.entry(cell).or_default();
            sum.0 += planned;
            sum.1 += timeline.arrived(shape, cell).1.min(planned);
        }
    }
    cells
}

/// All operations, flows left out.
fn of_all(timeline: &Timeline, cells: &Cells) -> Tally {
    let mut all = Tally::default();
    for (op, _) in timeline.operations().filter(|(_, o)| !o.flow) {
        all.merge(&timeline.tally(op, cells));
    }
    all
}
