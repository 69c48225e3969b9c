//! What a shard has counted since its last flush, ready to become records.

use std::collections::BTreeMap;

use crate::histogram::Hist;
use crate::outline::Outline;
use crate::record::{Done, ErrorSample, Forgone, Happened, ItemsEvent, ProbeEvent, Record, SlowOperation};
use crate::sample::{Clean, Kind, OpId, Outcome, Sample};
use crate::sampling::Sampling;
use crate::units::Micros;

/// The slowest operations kept per operation and shard.
const SLOWEST: usize = 5;

/// Counts of one shard.
pub struct Counts {
    shard: u32,
    cell: Micros,
    deadlines: Vec<Micros>,
    due: BTreeMap<(u32, OpId), i64>,
    /// Due and not done, of what was flushed.
    open: BTreeMap<(u32, OpId), i64>,
    /// Taken up, of these too late, and of these as patient probes.
    arrived: BTreeMap<(u32, usize), (u64, u64, u64)>,
    done: BTreeMap<(u32, OpId, Kind, u16, Clean), Done>,
    /// By the cells in which their flows failed, and from the first to the last in which they would have been.
    forgone: BTreeMap<(OpId, u32, u32, u32), u64>,
    sampling: Sampling,
    /// The slowest so far, the least slow first, and whether they have been told.
    slowest: BTreeMap<OpId, Vec<(SlowOperation, bool)>>,
    items_seen: BTreeMap<OpId, Micros>,
    ready: Vec<Record>,
    answers: Vec<u64>,
    attempts: Vec<u64>,
    in_flight: Vec<InFlight>,
    heartbeat: Hist,
    flushed: Micros,
}

/// A count and its integral over time.
#[derive(Clone, Default)]
struct InFlight {
    now: u64,
    since: Micros,
    area: f64,
}

impl InFlight {
    fn advance(&mut self, at: Micros) {
        self.area += self.now as f64 * (at - self.since).0.max(0) as f64;
        self.since = self.since.max(at);
    }
}

impl Counts {
    pub fn new(shard: u32, outline: &Outline) -> Counts {
        let shapes = outline.shapes.len();
        Counts {
            shard,
            cell: outline.cell,
            deadlines: outline.operations.iter().map(|op| op.deadline).collect(),
            due: BTreeMap::new(),
            open: BTreeMap::new(),
            arrived: BTreeMap::new(),
            done: BTreeMap::new(),
            forgone: BTreeMap::new(),
            sampling: Sampling::new(outline),
            slowest: BTreeMap::new(),
            items_seen: BTreeMap::new(),
            ready: Vec::new(),
            answers: vec![0; shapes],
            attempts: vec![0; shapes],
            in_flight: vec![InFlight::default(); shapes],
            heartbeat: Hist::default(),
            flushed: Micros::ZERO,
        }
    }

    pub fn deadline(&self, op: OpId) -> Micros {
        self.deadlines[usize::from(op.0)]
    }

    fn cell_of(&self, at: Micros) -> u32 {
        (at.0.max(0) / self.cell.0) as u32
    }

    /// A planned arrival is taken up, whatever becomes of it; gives back whether that was in time.
    pub fn arrived(&mut self, shape: usize, intended: Micros, now: Micros, probe: bool) -> bool {
        let late = self.is_late(now - intended);
        let (n, too_late, probes) = self.arrived.entry((self.cell_of(intended), shape)).or_default();
        *n += 1;
        *too_late += u64::from(late);
        *probes += u64::from(probe);
        !late
    }

    /// One that was taken up in time left `late` by squall's own doing.
    pub fn left(&mut self, shape: usize, intended: Micros, late: Micros) {
        if self.is_late(late) {
            self.arrived.entry((self.cell_of(intended), shape)).or_default().1 += 1;
        }
    }

    fn is_late(&self, late: Micros) -> bool {
        late > Micros(self.cell.0 / 2)
    }

    /// An operation is due.
    pub fn due(&mut self, op: OpId, intended: Micros) {
        *self.due.entry((self.cell_of(intended), op)).or_default() += 1;
    }

    /// So many rounds of an operation are not taken, as a step of their flow failed.
    pub fn forgone(&mut self, op: OpId, failed: Micros, (from, to): (Micros, Micros), n: u64) {
        let [failed, from, to] = [failed, from, to].map(|at| self.cell_of(at));
        *self.forgone.entry((op, failed, from, to)).or_default() += n;
    }

    /// A flow reached a further step: it belongs to that step's cell from now on.
    pub fn due_moves(&mut self, op: OpId, from: Micros, to: Micros) {
        let (from, to) = (self.cell_of(from), self.cell_of(to));
        if from != to {
            *self.due.entry((from, op)).or_default() -= 1;
            *self.due.entry((to, op)).or_default() += 1;
        }
    }

    /// `since` is when a flow arrived; an operation has none.
    pub fn finished(&mut self, index: u64, sample: &Sample, since: Option<Micros>) {
        let (cell, deadline) = (self.cell_of(sample.intended), self.deadline(sample.op));
        let (op, kind, status) = (sample.op, sample.outcome.kind, sample.outcome.status);
        let since = since.filter(|&at| self.cell_of(at) < cell);
        let key = (cell, op, kind, status, sample.clean);
        let done = self.done.entry(key).or_insert_with(|| Done::none(cell, op, sample.outcome, sample.clean));
        done.n += 1;
        if !kind.counts() {
            return;
        }
        let response = sample.judged_response(deadline);
        done.attempts += u64::from(sample.work.attempts);
        done.tried += u64::from(sample.work.tried);
        done.sent += sample.work.sent;
        done.received += sample.work.received;
        done.since = [done.since, since].into_iter().flatten().min();
        done.response.record(response);
        if sample.clean != Clean::LeftOut {
            done.clean.record(sample.clean_response(deadline));
        }
        if sample.work.attempts > 0 {
            done.service.record(sample.service());
            done.wait.record(sample.pool_wait);
        }
        done.lag.record(sample.lag());
        if sample.work.held > Micros::ZERO {
            done.held.record(sample.work.held);
        }
        self.note_slow(index, sample, response);
    }

    fn note_slow(&mut self, index: u64, sample: &Sample, response: Micros) {
        let slowest = self.slowest.entry(sample.op).or_default();
        let full = slowest.len() >= SLOWEST;
        let among_them = !full || slowest.first().is_some_and(|(least, _)| response > least.response);
        if sample.work.attempts == 0 || !among_them {
            return;
        }
        if full {
            slowest.remove(0);
        }
        let slow = SlowOperation {
            op: sample.op,
            index,
            kind: sample.outcome.kind,
            status: sample.outcome.status,
            intended: sample.intended,
            lag: sample.lag(),
            wait: sample.pool_wait,
            service: sample.service(),
            response,
        };
        let place = slowest.partition_point(|(other, _)| other.response < response);
        slowest.insert(place, (slow, false));
    }

    /// Those of the slowest that have not been told: where each operation is slower than all before, not each is.
    fn tell_slow(&mut self) {
        for (slow, told) in self.slowest.values_mut().flatten() {
            if !std::mem::replace(told, true) {
                self.ready.push(Record::Slow(slow.clone()));
            }
        }
    }

    /// Whether one more sample of this error is wanted.
    pub fn wants_error(&mut self, op: OpId, outcome: Outcome, at: Micros, text: &str) -> bool {
        self.sampling.wants(op, (outcome.kind, outcome.status), at, text)
    }

    pub fn error(&mut self, sample: ErrorSample) {
        self.ready.push(Record::Error(Box::new(sample)));
    }

    /// Whether the length of this operation's list is wanted: once a second.
    pub fn wants_items(&mut self, op: OpId, now: Micros) -> bool {
        let due = self.items_seen.get(&op).is_none_or(|&seen| now - seen >= Micros::SECOND);
        if due {
            self.items_seen.insert(op, now);
        }
        due
    }

    pub fn items(&mut self, event: ItemsEvent) {
        self.ready.push(Record::Items(event));
    }

    pub fn probe(&mut self, event: ProbeEvent) {
        self.ready.push(Record::Probe(event));
    }

    pub fn answered(&mut self, shape: usize) {
        self.answers[shape] += 1;
    }

    /// A request of this shape is put on its way.
    pub fn attempted(&mut self, shape: usize) {
        self.attempts[shape] += 1;
    }

    /// `change` flows more (or fewer) are in flight.
    pub fn in_flight(&mut self, shape: usize, change: i64, at: Micros) {
        let count = &mut self.in_flight[shape];
        count.advance(at);
        count.now = count.now.saturating_add_signed(change);
    }

    pub fn in_flight_now(&self, shape: usize) -> u64 {
        self.in_flight[shape].now
    }

    pub fn all_in_flight(&self) -> u64 {
        self.in_flight.iter().map(|count| count.now).sum()
    }

    pub fn heartbeat(&mut self, lateness: Micros) {
        self.heartbeat.record(lateness);
    }

    fn keep_open(&mut self) {
        let done = self.done.values().map(|done| ((done.cell, done.op), -(done.n as i64)));
        for (key, n) in self.due.iter().map(|(&key, &n)| (key, n)).chain(done) {
            *self.open.entry(key).or_default() += n;
        }
        self.open.retain(|_, n| *n != 0);
    }

    /// What was flushed as due and nobody waits for any more at `now`, of which squall itself held up a quarter of its
    /// time or more, by what it stood still since then: unfinished, and no part of the clean count.
    pub fn given_up(&self, now: Micros, stood_still: impl Fn(Micros) -> Micros) -> Vec<Record> {
        let unfinished = self.open.iter().filter(|(_, n)| **n > 0).filter_map(|(&(cell, op), &n)| {
            let (since, deadline) = (self.cell * i64::from(cell), self.deadline(op));
            let mut done = Done::none(cell, op, Outcome::new(Kind::Unfinished, 0), Clean::LeftOut);
            done.n = n as u64;
            done.response.record_n(deadline.max(now - since), done.n);
            (stood_still(since) * 4 >= deadline).then(|| Record::Done(Box::new(done)))
        });
        unfinished.collect()
    }

    /// Everything counted since the last flush, as records; what happened since then is put down to the
    /// cell that ends at `at`, however long it took. `connects` were opened, per shape.
    pub fn flush(&mut self, at: Micros, connects: Vec<u64>, cpu: Option<f64>) -> Vec<Record> {
        self.tell_slow();
        self.keep_open();
        let mut records = Vec::with_capacity(self.due.len() + self.done.len() + self.ready.len() + 1);
        let due = std::mem::take(&mut self.due).into_iter().filter(|(_, n)| *n != 0);
        records.extend(due.map(|((cell, op), n)| Record::Due { cell, op, n }));
        let arrived = std::mem::take(&mut self.arrived).into_iter();
        records.extend(arrived.map(|((cell, shape), (n, late, probes))| Record::Arrived {
            cell,
            shape,
            n,
            late,
            probes,
        }));
        records.extend(std::mem::take(&mut self.done).into_values().map(|done| Record::Done(Box::new(done))));
        let forgone = std::mem::take(&mut self.forgone).into_iter();
        records.extend(
            forgone.map(|((op, failed, from, to), n)| Record::Forgone(Forgone { op, failed, from, to, n })),
        );
        records.append(&mut self.ready);
        let length = (at - self.flushed).0.max(1) as f64;
        self.flushed = at;
        let in_flight = self.in_flight.iter_mut().map(|count| {
            count.advance(at);
            std::mem::take(&mut count.area) / length
        });
        let in_flight = in_flight.map(|mean| (mean * 1e6).round() / 1e6).collect();
        let answers = self.answers.iter_mut().map(std::mem::take).collect();
        let attempts = self.attempts.iter_mut().map(std::mem::take).collect();
        let heartbeat = std::mem::take(&mut self.heartbeat);
        let cell = ((at.0 - 1).max(0) / self.cell.0) as u32;
        let shard = self.shard;
        let happened = Happened { cell, shard, answers, attempts, connects, in_flight, heartbeat, cpu };
        records.push(Record::Happened(Box::new(happened)));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Count;
    use crate::timeline::fake::{Plan, s, sample};

    /// What is known later is told later.
    #[test]
    fn what_squall_held_up_for_half_a_cell_before_it_left_was_not_issued_in_time() {
        let plan = Plan::new(10).shape("rooms", "create", s(2.0));
        let (mut counts, mut timeline) = (Counts::new(0, &plan.outline), plan.timeline(&[]));
        let taken_up = [(s(3.1), s(3.2)), (s(3.2), s(3.8)), (s(3.3), s(3.3)), (s(3.4), s(3.4))];
        let in_time = taken_up.map(|(intended, now)| counts.arrived(0, intended, now, false));
        assert_eq!(in_time, [true, false, true, true]);
        counts.flush(s(4.0), Vec::new(), None).iter().for_each(|record| timeline.apply(record));
        assert_eq!(timeline.arrived(0, 3), (4, 3));
        counts.left(0, s(3.3), s(0.6));
        counts.left(0, s(3.4), s(0.4));
        counts.flush(s(5.0), Vec::new(), None).iter().for_each(|record| timeline.apply(record));
        assert_eq!(timeline.arrived(0, 3), (4, 2));
    }

    /// With a short deadline a generator at its limit never came to tell of thousands that they had timed out.
    #[test]
    fn what_squall_stood_still_for_until_nobody_waited_is_unfinished_and_left_out() {
        let plan = Plan::new(10).shape("rooms", "create", s(2.0));
        let (mut counts, mut timeline) = (Counts::new(0, &plan.outline), plan.timeline(&[]));
        let op = OpId(1);
        [3.1, 3.2, 7.1, 7.2].iter().for_each(|&at| counts.due(op, s(at)));
        counts.flush(s(4.0), Vec::new(), None).iter().for_each(|record| timeline.apply(record));
        counts.finished(0, &sample(1, s(7.1), s(0.1), Kind::Ok), None);
        counts.flush(s(12.0), Vec::new(), None).iter().for_each(|record| timeline.apply(record));
        let still = |since: Micros| if since < s(5.0) { Micros::millis(499) } else { Micros::millis(500) };
        counts.given_up(s(12.0), still).iter().for_each(|record| timeline.apply(record));
        let of = |cell| {
            let [seen, clean] = [Count::Seen, Count::Clean].map(|c| timeline.counted(op, &[cell].into(), c));
            (seen.of_kind(Kind::Unfinished), clean.of_kind(Kind::Unfinished), clean.left_out)
        };
        assert_eq!((of(3), of(7)), ((2, 2, 0), (1, 0, 1)));
    }
}
