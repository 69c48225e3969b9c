//! The timeline: a history folded up, live or from a file, and what it holds over any set of cells.
//!
//! Owns adding up records; it does not judge, and does not read files (`history` does).

mod packed;
pub mod phases;
mod ring;
mod tally;
pub mod trigger;

use std::collections::{BTreeMap, BTreeSet};

use crate::histogram::Hist;
use crate::outline::Outline;
use crate::record::{
    AddressCount, End, ErrorSample, FaultEvent, Forgone, Happened, Header, How, ItemsEvent, KeeperEvent,
    LoadEvent, ProbeEvent, Record, RuleEvent, Scrape, ServiceEvent, SetupEvent, SlowOperation,
};
use crate::sample::{Kind, OpId, Outcome};
use crate::units::Micros;

use packed::Packed;
use tally::Cell;
pub use tally::{Count, Tally, Totals};

/// Cells by index; cell i is [i, i + 1) cell widths from the start of the load.
pub type Cells = BTreeSet<u32>;

/// What happened in one cell of the clock, all shards together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Moment {
    answers: Vec<u64>,
    attempts: Vec<u64>,
    connects: Vec<u64>,
    in_flight: Vec<f64>,
    heartbeat: Packed<1>,
    cpu: Option<f64>,
}

/// Planned arrivals that were taken up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Arrived {
    n: u64,
    /// Later than half a cell after their time.
    late: u64,
    /// As patient probes.
    probes: u64,
}

/// Everything a history says, added up. Deltas may come in any order.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub header: Header,
    cells: BTreeMap<(OpId, u32), Cell>,
    /// As the records have them, `n` by all else.
    forgone: BTreeMap<(OpId, u32, u32, u32), u64>,
    /// By shape and cell: planned arrivals that were taken up.
    arrived: BTreeMap<(usize, u32), Arrived>,
    happened: BTreeMap<u32, Moment>,
    /// Of cells that were let go while the run goes on.
    forgotten: BTreeMap<OpId, Totals>,
    pub loads: Vec<LoadEvent>,
    pub faults: Vec<FaultEvent>,
    pub services: Vec<ServiceEvent>,
    /// What became of each address of the target.
    pub addresses: Vec<AddressCount>,
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
    /// The first cell that is kept.
    oldest: u32,
    /// squall could not make or send some operation.
    own_failures: bool,
}

impl Timeline {
    /// A run of which nothing is known but its header.
    pub fn new(header: Header) -> Timeline {
        Timeline {
            header,
            cells: BTreeMap::new(),
            forgone: BTreeMap::new(),
            arrived: BTreeMap::new(),
            happened: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            loads: Vec::new(),
            faults: Vec::new(),
            services: Vec::new(),
            addresses: Vec::new(),
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
            oldest: 0,
            own_failures: false,
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
            Record::Arrived { cell, shape, n, late, probes } => {
                let arrived = self.arrived.entry((*shape, *cell)).or_default();
                arrived.n += n;
                arrived.late += late;
                arrived.probes += probes;
            }
            Record::Done(done) => {
                self.own_failures |= matches!(done.kind, Kind::Local | Kind::Template);
                self.cells.entry((done.op, done.cell)).or_default().add(done);
            }
            Record::Forgone(Forgone { op, failed, from, to, n }) => {
                *self.forgone.entry((*op, *failed, *from, *to)).or_default() += n;
            }
            Record::Happened(happened) => self.add_moment(happened),
            Record::Load(event) => {
                self.saw(event.at);
                self.loads.push(event.clone());
            }
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
            Record::Address(count) => self.add_address(count),
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

    fn add_moment(&mut self, happened: &Happened) {
        self.saw(self.cell_start(happened.cell + 1));
        let at_rest = self.happened.entry(happened.cell).or_default();
        add_up(&mut at_rest.answers, &happened.answers);
        add_up(&mut at_rest.attempts, &happened.attempts);
        add_up(&mut at_rest.connects, &happened.connects);
        add_up(&mut at_rest.in_flight, &happened.in_flight);
        at_rest.heartbeat.add([&happened.heartbeat]);
        at_rest.cpu = happened.cpu.or(at_rest.cpu);
    }

    fn add_address(&mut self, count: &AddressCount) {
        match self.addresses.iter_mut().find(|known| known.address == count.address) {
            Some(known) => known.add(count),
            None => self.addresses.push(*count),
        }
        self.addresses.sort_by_key(|count| count.address);
    }

    /// When a cell begins, from the start of the load.
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

    /// When the load was stopped, if it was not left to its planned end.
    pub fn stopped_at(&self) -> Option<Micros> {
        self.loads.iter().map(|event| event.at).min()
    }

    /// End of the load: as planned, or when it was stopped; where the history breaks off, or goes on,
    /// after the last cell that it tells of.
    pub fn load_end(&self) -> Micros {
        let planned = self.outline().duration;
        match (self.stopped_at(), &self.end) {
            (Some(at), _) => planned.min(at),
            (None, Some(end)) if end.how == How::Complete => planned,
            _ => {
                // Users who wait ask nothing, and are there all the same.
                let alive = self.happened.last_key_value().map(|(&cell, _)| cell);
                let last = self.last_due().max(alive);
                planned.min(last.map_or(Micros::ZERO, |cell| self.cell_start(cell + 1)))
            }
        }
    }

    /// Whether the load was over then, as it was planned to be: neither stopped before, nor shortened to seconds. What
    /// had not come to pass by then would have had no more time.
    pub fn was_all(&self, until: Micros) -> bool {
        until >= self.outline().duration && self.outline().smoke.is_none()
    }

    fn last_due(&self) -> Option<u32> {
        self.operations().filter_map(|(op, _)| self.last_intended_of(op)).max()
    }

    fn last_intended_of(&self, op: OpId) -> Option<u32> {
        let mut latest = self.cells.range((op, 0)..=(op, u32::MAX)).rev();
        latest.find(|(_, cell)| cell.intended() > 0).map(|(&(_, at), _)| at)
    }

    /// The cells in which an operation was intended, of those that are kept.
    pub fn asked(&self, op: OpId) -> Vec<u32> {
        let all = self.cells.range((op, 0)..=(op, u32::MAX));
        all.filter(|(_, cell)| cell.intended() > 0).map(|(&(_, at), _)| at).collect()
    }

    /// The first of them.
    pub fn first_intended(&self, op: OpId) -> Option<u32> {
        let mut all = self.cells.range((op, 0)..=(op, u32::MAX));
        all.find(|(_, cell)| cell.intended() > 0).map(|(&(_, at), _)| at)
    }

    /// The first cell that is kept; those before it were let go while the run goes on.
    pub fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The last cell in which an operation of a shape was intended.
    pub fn last_intended(&self, shape: usize) -> Option<u32> {
        self.steps_of(shape).filter_map(|(op, _)| self.last_intended_of(op)).max()
    }

    /// All operations of the outline with their ids.
    pub fn operations(&self) -> impl Iterator<Item = (OpId, &crate::outline::OperationOutline)> {
        self.outline().operations.iter().enumerate().map(|(i, op)| (OpId(i as u16), op))
    }

    /// One operation over cells; what is still open counts as bad at max(D, elapsed) (SEMANTICS.md). Of what
    /// is open the clean count has only what had its whole deadline: where squall was killed nobody waited.
    pub fn counted(&self, op: OpId, cells: &Cells, count: Count) -> Tally {
        let mut tally = Tally::default();
        self.add_to(&mut tally, op, cells, count);
        tally
    }

    /// The same as seen.
    pub fn tally(&self, op: OpId, cells: &Cells) -> Tally {
        self.counted(op, cells, Count::Seen)
    }

    /// A shape's operations merged, the flow as a whole left out.
    pub fn shape_tally(&self, shape: usize, cells: &Cells, count: Count) -> Tally {
        let mut tally = Tally::default();
        for (op, _) in self.steps_of(shape) {
            self.add_to(&mut tally, op, cells, count);
        }
        tally
    }

    /// A shape's operations, the flow as a whole left out.
    pub fn steps_of(&self, shape: usize) -> impl Iterator<Item = (OpId, &crate::outline::OperationOutline)> {
        self.operations().filter(move |(_, o)| o.shape == shape && !o.flow)
    }

    fn add_to(&self, tally: &mut Tally, op: OpId, cells: &Cells, count: Count) {
        let (deadline, end) = (self.deadline(op), self.ended_at());
        for (at, cell) in self.cells_of(op, cells) {
            let waited = end - self.cell_start(at);
            // Asked at the end of the cell, as far as is known.
            let least = if self.end.is_none() { end - self.cell_start(at + 1) } else { waited };
            let counts = count == Count::Seen || least >= deadline;
            tally.add(cell, counts.then(|| deadline.max(waited)), count);
        }
    }

    /// Whether it is known of every operation of a cell how it ended, or that it will not end well, at `now`.
    pub fn decided(&self, op: OpId, cell: u32, now: Micros) -> bool {
        let open = self.cells.get(&(op, cell)).map_or(0, Cell::open);
        open == 0 || self.cell_start(cell + 1) + self.deadline(op) <= now
    }

    fn cells_of<'a>(&'a self, op: OpId, cells: &'a Cells) -> impl Iterator<Item = (u32, &'a Cell)> {
        let range = match (cells.first(), cells.last()) {
            (Some(&first), Some(&last)) => Some((op, first)..=(op, last)),
            _ => None,
        };
        let found = range.into_iter().flat_map(|range| self.cells.range(range));
        found.map(|(&(_, at), cell)| (at, cell)).filter(|(at, _)| cells.contains(at))
    }

    /// Further rounds that flows did not come to, as they had failed.
    pub fn forgone(&self) -> impl Iterator<Item = Forgone> + '_ {
        self.forgone.iter().map(|(&(op, failed, from, to), &n)| Forgone { op, failed, from, to, n })
    }

    /// D of an operation.
    pub fn deadline(&self, op: OpId) -> Micros {
        self.outline().operations.get(usize::from(op.0)).map_or(Micros::ZERO, |o| o.deadline)
    }

    /// Operations intended in one cell.
    pub fn intended(&self, op: OpId, cell: u32) -> u64 {
        self.cells.get(&(op, cell)).map_or(0, Cell::intended)
    }

    /// Whether some of an operation did not succeed in a cell.
    pub fn has_failed(&self, op: OpId, cell: u32) -> bool {
        self.cells.get(&(op, cell)).is_some_and(Cell::has_failed)
    }

    /// Planned arrivals of a shape that were taken up, in a cell, and those of them that were issued in time:
    /// what squall's own machine refused to send was not.
    pub fn arrived(&self, shape: usize, cell: u32) -> (u64, u64) {
        let refused = || match self.own_failures {
            true => self.of_shape(shape, Kind::Local, cell) + self.of_shape(shape, Kind::Template, cell),
            false => 0,
        };
        let arrived = self.arrived.get(&(shape, cell));
        arrived.map_or((0, 0), |a| (a.n, a.n.saturating_sub(a.late).saturating_sub(refused())))
    }

    /// The cell after the last one with load.
    pub fn arrivals_until(&self) -> u32 {
        self.cell_of(self.load_end()).saturating_add(1)
    }

    /// How many arrivals each of those stands for that were no patient probes: those are counted apart.
    pub fn weight(&self, shape: usize, cells: &Cells) -> f64 {
        let all = cells.iter().filter_map(|&cell| self.arrived.get(&(shape, cell)));
        let (n, probes) = all.fold((0, 0), |(n, probes), a| (n + a.n, probes + a.probes));
        if n > probes { n as f64 / (n - probes) as f64 } else { 1.0 }
    }

    /// Arrivals of a shape that were planned for a cell and had to come, as far as the load went; none for a
    /// cell that the stop of the load cut in two, since what was due just before may not have left.
    pub fn planned(&self, shape: usize, cell: u32) -> u64 {
        let lived = match self.load_end() {
            end if end >= self.outline().duration => true,
            end => self.cell_start(cell + 1) <= end,
        };
        let planned = self.outline().shapes.get(shape).and_then(|s| s.planned.get(cell as usize));
        planned.copied().filter(|_| lived).unwrap_or(0)
    }

    /// The same of cells that were told of to their end: where a history breaks off it has but the beginning of its last.
    pub fn planned_and_told(&self, shape: usize, cell: u32) -> u64 {
        let known = self.happened.last_key_value().map_or(u32::MAX, |(&last, _)| last);
        if self.end.is_some() || cell <= known { self.planned(shape, cell) } else { 0 }
    }

    /// When the last arrival of a shape was planned, to the cell; the end of its window for a closed loop. None
    /// of a shape that is not there.
    pub fn load_planned_until(&self, name: &str) -> Option<Micros> {
        let shape = self.outline().shapes.iter().find(|s| s.name == name)?;
        let last = shape.planned.iter().rposition(|&n| n > 0).map(|cell| self.cell_start(cell as u32 + 1));
        Some(last.unwrap_or(if shape.closed { shape.end } else { shape.start }))
    }

    /// The first cell in which anything was done for the operations of a cell: of flows, which count
    /// where their last step was intended, the one in which the earliest of them arrived.
    pub fn begun(&self, op: OpId, cell: u32) -> u32 {
        let since = self.cells.get(&(op, cell)).and_then(|c| c.since);
        since.map_or(cell, |at| self.cell_of(at).min(cell))
    }

    /// Operations due, finished and good so far; cheap enough for once a second.
    pub fn totals(&self, op: OpId) -> Totals {
        let mut sum = self.forgotten.get(&op).copied().unwrap_or_default();
        self.cells.range((op, 0)..=(op, u32::MAX)).for_each(|(_, cell)| sum.add(cell));
        sum
    }

    /// The longest lag of any operation intended in a cell. Flows are left out: theirs is the sum over
    /// steps that may lie in other cells, where each step speaks for itself.
    pub fn worst_lag(&self, cell: u32) -> Option<Micros> {
        let steps = self.operations().filter(|(_, o)| !o.flow);
        let cells = steps.filter_map(|(op, _)| self.cells.get(&(op, cell)));
        cells.filter_map(Cell::worst_lag).max()
    }

    /// Operations of a cell that ended in one way, flows left out.
    pub fn of_kind(&self, kind: Kind, cell: u32) -> u64 {
        (0..self.outline().shapes.len()).map(|shape| self.of_shape(shape, kind, cell)).sum()
    }

    /// The same of one shape.
    pub fn of_shape(&self, shape: usize, kind: Kind, cell: u32) -> u64 {
        let cells = self.steps_of(shape).filter_map(|(op, _)| self.cells.get(&(op, cell)));
        cells.map(|c| c.count(kind)).sum()
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

    /// Lateness of the heartbeats of all shards over the run.
    pub fn heartbeat(&self) -> Hist {
        let mut hist = Hist::default();
        self.happened.values().for_each(|m| m.heartbeat.pour_into(0, &mut hist));
        hist
    }

    /// The worst heartbeat of each cell of happening that has any.
    pub fn worst_heartbeats(&self) -> impl Iterator<Item = (u32, Micros)> + '_ {
        self.happened.iter().filter_map(|(&cell, m)| m.heartbeat.max(0).map(|late| (cell, late)))
    }

    /// Flows of a shape in flight, as a mean over a cell; none if the cell was not recorded.
    pub fn in_flight(&self, shape: usize, cell: u32) -> Option<f64> {
        self.happened.get(&cell)?.in_flight.get(shape).copied()
    }

    /// Answers of a shape that came in during a cell.
    pub fn answers(&self, shape: usize, cell: u32) -> u64 {
        self.happened.get(&cell).and_then(|m| m.answers.get(shape)).copied().unwrap_or(0)
    }

    /// Requests of a shape that were put on their way during a cell.
    pub fn attempts(&self, shape: usize, cell: u32) -> u64 {
        self.happened.get(&cell).and_then(|m| m.attempts.get(shape)).copied().unwrap_or(0)
    }

    /// Connections that a shape opened during a cell.
    pub fn connects(&self, shape: usize, cell: u32) -> u64 {
        self.happened.get(&cell).and_then(|m| m.connects.get(shape)).copied().unwrap_or(0)
    }

    /// Mean share of one processor that the generator used; none if it was not measured.
    pub fn cpu(&self) -> Option<f64> {
        let shares: Vec<f64> = self.happened.values().filter_map(|m| m.cpu).collect();
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
