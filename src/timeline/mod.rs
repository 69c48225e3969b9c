//! The timeline: a history folded up, live or from a file, and what it holds over any set of cells.
//!
//! Owns adding up records; it does not judge, and does not read files (`history` does).

pub mod phases;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use crate::histogram::Hist;
use crate::outline::Outline;
use crate::record::{
    End, ErrorSample, FaultEvent, Header, How, ItemsEvent, KeeperEvent, ProbeEvent, Record, RuleEvent,
    Scrape, Second, ServiceEvent, SetupEvent, SlowOperation,
};
use crate::sample::{Kind, OpId, Outcome};
use crate::units::Micros;

pub use tally::Tally;
use tally::{Cell, Sparse};

/// Cells by index; cell i is [i, i + 1) cell widths from the start of the load.
pub type Cells = BTreeSet<u32>;

/// Seconds at rest: one shard, one second of happening.
#[derive(Clone, Debug, Default, PartialEq)]
struct ShardSecond {
    answers: Vec<u64>,
    in_flight: Vec<f64>,
    heartbeat: Sparse,
    cpu: Option<f64>,
}

/// Everything a history says, added up. Deltas may come in any order.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub header: Header,
    cells: BTreeMap<(OpId, u32), Cell>,
    /// By shape and cell: planned arrivals that were taken up.
    arrived: BTreeMap<(usize, u32), u64>,
    seconds: BTreeMap<(u32, u32), ShardSecond>,
    pub faults: Vec<FaultEvent>,
    pub services: Vec<ServiceEvent>,
    pub probes: Vec<ProbeEvent>,
    pub items: Vec<ItemsEvent>,
    pub errors: Vec<ErrorSample>,
    pub slow: Vec<SlowOperation>,
    pub scrapes: Vec<Scrape>,
    pub setup: Option<SetupEvent>,
    /// What teardown could not remove.
    pub left: Vec<String>,
    /// Connections that squall's own machine refused its keeper: from, to, how many.
    pub refused: Vec<(Micros, Micros, u64)>,
    pub keeper: Vec<KeeperEvent>,
    pub rules: Vec<RuleEvent>,
    pub notes: Vec<String>,
    pub end: Option<End>,
    /// The latest time that any record speaks of.
    last_seen: Micros,
}

impl Timeline {
    pub fn new(header: Header) -> Timeline {
        Timeline {
            header,
            cells: BTreeMap::new(),
            arrived: BTreeMap::new(),
            seconds: BTreeMap::new(),
            faults: Vec::new(),
            services: Vec::new(),
            probes: Vec::new(),
            items: Vec::new(),
            errors: Vec::new(),
            slow: Vec::new(),
            scrapes: Vec::new(),
            setup: None,
            left: Vec::new(),
            refused: Vec::new(),
            keeper: Vec::new(),
            rules: Vec::new(),
            notes: Vec::new(),
            end: None,
            last_seen: Micros::ZERO,
        }
    }

    pub fn outline(&self) -> &Outline {
        &self.header.outline
    }

    /// Adds one record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Header(header) => self.header = (**header).clone(),
            Record::Due { cell, op, n } => {
                let due = &mut self.cells.entry((*op, *cell)).or_default().due;
                *due = due.saturating_add_signed(*n);
                self.saw(self.cell_start(*cell));
            }
            Record::Arrived { cell, shape, n } => *self.arrived.entry((*shape, *cell)).or_default() += n,
            Record::Done(done) => self.cells.entry((done.op, done.cell)).or_default().add(done),
            Record::Second(second) => self.add_second(second),
            Record::Fault(event) => {
                self.saw(event.at);
                self.faults.push(event.clone());
            }
            Record::Service(event) => {
                self.saw(event.at);
                self.services.push(event.clone());
            }
            Record::Probe(event) => self.probes.push(event.clone()),
            Record::Items(event) => self.items.push(event.clone()),
            Record::Error(sample) => self.errors.push((**sample).clone()),
            Record::Slow(slow) => self.slow.push(slow.clone()),
            Record::Scrape(scrape) => self.scrapes.push(scrape.clone()),
            Record::Setup(event) => self.setup = Some(event.clone()),
            Record::Left { what, .. } => self.left.push(what.clone()),
            Record::Refused { from, at, n } => self.refused.push((*from, *at, *n)),
            Record::Keeper(event) => self.keeper.push(*event),
            Record::Rule(event) => {
                self.saw(event.at);
                self.rules.push(event.clone());
            }
            Record::Note { text, .. } => self.notes.push(text.clone()),
            Record::End(end) => self.end = Some(end.clone()),
        }
    }

    fn saw(&mut self, at: Micros) {
        self.last_seen = self.last_seen.max(at);
    }

    fn add_second(&mut self, second: &Second) {
        self.saw(self.cell_start(second.second + 1));
        let at_rest = self.seconds.entry((second.second, second.shard)).or_default();
        add_up(&mut at_rest.answers, &second.answers);
        add_up(&mut at_rest.in_flight, &second.in_flight);
        at_rest.heartbeat.add(&second.heartbeat);
        at_rest.cpu = second.cpu.or(at_rest.cpu);
    }

    pub fn cell_start(&self, cell: u32) -> Micros {
        self.outline().cell * i64::from(cell)
    }

    /// The cell that a time lies in; the first one for times before the load.
    pub fn cell_of(&self, at: Micros) -> u32 {
        u32::try_from(at.0.div_euclid(self.outline().cell.0.max(1)).max(0)).unwrap_or(u32::MAX)
    }

    /// When the run ended; after a crash the last time that the history knows of.
    pub fn ended_at(&self) -> Micros {
        self.end.as_ref().map_or(self.last_seen, |end| end.at)
    }

    /// End of the load: as planned, or when it was stopped; where the history breaks off, after the last
    /// cell with operations.
    pub fn load_end(&self) -> Micros {
        let planned = self.outline().duration;
        match &self.end {
            Some(end) if end.how == How::Complete => planned,
            Some(End { stopped: Some(at), .. }) => planned.min(*at),
            _ => planned.min(self.last_due().map_or(Micros::ZERO, |cell| self.cell_start(cell + 1))),
        }
    }

    fn last_due(&self) -> Option<u32> {
        self.cells.iter().filter(|(_, c)| c.intended() > 0).map(|(&(_, cell), _)| cell).max()
    }

    /// All operations of the outline with their ids.
    pub fn operations(&self) -> impl Iterator<Item = (OpId, &crate::outline::OperationOutline)> {
        self.outline().operations.iter().enumerate().map(|(i, op)| (OpId(i as u16), op))
    }

    /// One operation over cells; what is still open counts as bad at max(D, elapsed) (SEMANTICS.md).
    pub fn tally(&self, op: OpId, cells: &Cells) -> Tally {
        let mut tally = Tally::default();
        self.add_to(&mut tally, op, cells);
        tally
    }

    /// A shape's operations merged, the flow as a whole left out.
    pub fn shape_tally(&self, shape: usize, cells: &Cells) -> Tally {
        let mut tally = Tally::default();
        for (op, _) in self.operations().filter(|(_, o)| o.shape == shape && !o.flow) {
            self.add_to(&mut tally, op, cells);
        }
        tally
    }

    fn add_to(&self, tally: &mut Tally, op: OpId, cells: &Cells) {
        let (deadline, end) = (self.deadline(op), self.ended_at());
        for (at, cell) in self.cells_of(op, cells) {
            tally.add(cell, Some(deadline.max(end - self.cell_start(at))));
        }
    }

    /// One operation over cells as seen at `now`, while the run goes on: what is open counts as bad
    /// once the deadline of the whole cell has passed, and is left out before.
    pub fn live_tally(&self, op: OpId, cells: &Cells, now: Micros) -> Tally {
        let (deadline, mut tally) = (self.deadline(op), Tally::default());
        for (at, cell) in self.cells_of(op, cells) {
            let overdue = self.cell_start(at + 1) + deadline <= now;
            tally.add(cell, overdue.then(|| deadline.max(now - self.cell_start(at))));
        }
        tally
    }

    fn cells_of<'a>(&'a self, op: OpId, cells: &'a Cells) -> impl Iterator<Item = (u32, &'a Cell)> {
        let range = match (cells.first(), cells.last()) {
            (Some(&first), Some(&last)) => Some((op, first)..=(op, last)),
            _ => None,
        };
        let found = range.into_iter().flat_map(|range| self.cells.range(range));
        found.map(|(&(_, at), cell)| (at, cell)).filter(|(at, _)| cells.contains(at))
    }

    /// D of an operation.
    pub fn deadline(&self, op: OpId) -> Micros {
        self.outline().operations.get(usize::from(op.0)).map_or(Micros::ZERO, |o| o.deadline)
    }

    /// Operations intended in one cell.
    pub fn intended(&self, op: OpId, cell: u32) -> u64 {
        self.cells.get(&(op, cell)).map_or(0, Cell::intended)
    }

    /// Planned arrivals that were taken up, by cell; those of all shapes together.
    pub fn arrived(&self) -> BTreeMap<u32, u64> {
        let mut cells = BTreeMap::new();
        self.arrived.iter().for_each(|((_, cell), n)| *cells.entry(*cell).or_default() += n);
        cells
    }

    /// The first cell in which anything was done for the operations of a cell: of flows, which count
    /// where their last step was intended, the one in which the earliest of them arrived.
    pub fn begun(&self, op: OpId, cell: u32) -> u32 {
        let since = self.cells.get(&(op, cell)).and_then(|c| c.since);
        since.map_or(cell, |at| self.cell_of(at).min(cell))
    }

    /// Operations due, finished and good so far; cheap enough for once a second.
    pub fn totals(&self, op: OpId) -> (u64, u64, u64) {
        let cells = self.cells.range((op, 0)..=(op, u32::MAX)).map(|(_, cell)| cell);
        cells.fold((0, 0, 0), |(due, done, good), c| {
            (due + c.intended(), done + c.intended() - c.open(), good + c.count(Kind::Ok))
        })
    }

    /// The longest lag of any operation intended in a cell. Flows are left out: theirs is the sum over
    /// steps that may lie in other cells, where each step speaks for itself.
    pub fn worst_lag(&self, cell: u32) -> Option<Micros> {
        let steps = self.operations().filter(|(_, o)| !o.flow);
        let cells = steps.filter_map(|(op, _)| self.cells.get(&(op, cell)));
        cells.filter_map(|c| c.lag.max()).max()
    }

    /// Operations of a cell that the generator's own machine refused.
    pub fn local_errors(&self, cell: u32) -> u64 {
        self.each_op_in(cell).map(|c| c.count(Kind::Local)).sum()
    }

    fn each_op_in(&self, cell: u32) -> impl Iterator<Item = &Cell> {
        self.operations().filter_map(move |(op, _)| self.cells.get(&(op, cell)))
    }

    /// First and last cell in which an operation ended in this way; open ones are `Unfinished`.
    pub fn span_of(&self, op: OpId, outcome: Outcome) -> Option<(u32, u32)> {
        let all = self.cells.range((op, 0)..=(op, u32::MAX));
        let mut hits = all.filter(|(_, cell)| cell.has(outcome)).map(|(&(_, at), _)| at);
        hits.next().map(|first| (first, hits.next_back().unwrap_or(first)))
    }

    /// All cells that anything is known of.
    pub fn all_cells(&self) -> Cells {
        self.cells.keys().map(|&(_, cell)| cell).collect()
    }

    /// Lateness of the heartbeats of all shards over cells of happening.
    pub fn heartbeat(&self, cells: &Cells) -> Hist {
        let mut hist = Hist::default();
        let seconds = self.seconds.iter().filter(|((second, _), _)| cells.contains(second));
        seconds.for_each(|(_, s)| s.heartbeat.pour_into(&mut hist));
        hist
    }

    /// The worst heartbeat of each second that has any.
    pub fn worst_heartbeats(&self) -> impl Iterator<Item = (u32, Micros)> + '_ {
        self.seconds.iter().filter_map(|(&(second, _), s)| s.heartbeat.max().map(|late| (second, late)))
    }

    /// Flows of a shape in flight, as a mean over a second; none if the second was not recorded.
    pub fn in_flight(&self, shape: usize, second: u32) -> Option<f64> {
        let shards = self.seconds.range((second, 0)..=(second, u32::MAX));
        shards.filter_map(|(_, s)| s.in_flight.get(shape)).copied().reduce(|a, b| a + b)
    }

    /// Answers of a shape that came in during a second.
    pub fn answers(&self, shape: usize, second: u32) -> u64 {
        let shards = self.seconds.range((second, 0)..=(second, u32::MAX));
        shards.filter_map(|(_, s)| s.answers.get(shape)).sum()
    }

    /// Mean share of one processor that the generator used; none if it was not measured.
    pub fn cpu(&self) -> Option<f64> {
        let shares: Vec<f64> = self.seconds.values().filter_map(|s| s.cpu).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

fn add_up<T: Copy + Default + std::ops::AddAssign>(sum: &mut Vec<T>, more: &[T]) {
    sum.resize(sum.len().max(more.len()), T::default());
    sum.iter_mut().zip(more).for_each(|(a, b)| *a += *b);
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
