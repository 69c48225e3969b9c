//! Test bench of the timeline and the judge: makes histories out of a plan and samples, and samples out of a simulated
//! FIFO server that does not cancel abandoned work (VERDICTS.md 4, `oracles/meta.py`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::arrival::{Arrival, Rate, Spacing};
use crate::objective::{Comparison, Metric, Objective, PhaseName};
use crate::outline::{FaultOutline, JudgeSettings, OperationOutline, Outline, ShapeOutline};
use crate::random::{Key, Purpose};
use crate::record::{
    Done, End, FaultEvent, FaultStage, Happened, Header, How, LoadChange, LoadEvent, Pacing, Record, VERSION,
};
use crate::sample::{Clean, Kind, OpId, Outcome, Sample, Work};
use crate::timeline::Timeline;
use crate::units::Micros;

pub(crate) fn s(seconds: f64) -> Micros {
    Micros::from_secs_f64(seconds)
}

/// An expression without a selector.
pub(crate) fn expect(metric: Metric, comparison: Comparison, value: f64, phase: PhaseName) -> Objective {
    let text = format!("{metric:?} {comparison:?} {value}");
    Objective { text, metric, selector: None, comparison, value, phase, window: None }
}

pub(crate) fn p(q: f64, limit: Micros, phase: PhaseName) -> Objective {
    expect(Metric::Quantile(q), Comparison::Below, limit.0 as f64, phase)
}

/// An outline with one flow of one operation per shape, and the events of its faults.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) outline: Outline,
    pub(crate) events: Vec<Record>,
    pub(crate) how: How,
    pub(crate) stopped: Option<Micros>,
    pub(crate) pacer: Pacing,
}

impl Plan {
    pub(crate) fn new(seconds: i64) -> Plan {
        let outline = Outline {
            profile: "fake".to_owned(),
            chaos: None,
            target: "fifo".to_owned(),
            command: "squall run fake".to_owned(),
            seed: 1,
            virtual_time: true,
            smoke: None,
            cell: Micros::SECOND,
            duration: Micros::secs(seconds),
            shapes: Vec::new(),
            operations: Vec::new(),
            faults: Vec::new(),
            objectives: Vec::new(),
            abort: Vec::new(),
            steady: Vec::new(),
            judge: JudgeSettings { warmup: Micros::ZERO, ..JudgeSettings::default() },
        };
        Plan { outline, events: Vec::new(), how: How::Complete, stopped: None, pacer: Pacing::Virtual }
    }

    /// A shape of one operation; its `OpId` is twice its place, the flow's is the next.
    pub(crate) fn shape(mut self, name: &str, operation: &str, deadline: Micros) -> Plan {
        let shape = self.outline.shapes.len();
        self.outline.shapes.push(ShapeOutline {
            name: name.to_owned(),
            arrival: String::new(),
            start: Micros::ZERO,
            end: self.outline.duration,
            first: Some(Micros::ZERO),
            trigger: false,
            closed: false,
            users: None,
            planned: Vec::new(),
            period: None,
        });
        for (name, flow) in [(operation, false), (name, true)] {
            self.outline.operations.push(OperationOutline {
                name: name.to_owned(),
                shape,
                deadline,
                flow,
                written: None,
            });
        }
        self
    }

    pub(crate) fn objective(mut self, objective: Objective) -> Plan {
        self.outline.objectives.push(objective);
        self
    }

    /// A fault in [at, at + length), proven at once; a one-shot without a length.
    pub(crate) fn fault(self, name: &str, at: f64, length: Option<f64>) -> Plan {
        let mut plan = self.unproven(name, at, length);
        plan.event(name, at, FaultStage::Effective);
        if let Some(length) = length {
            plan.event(name, at + length, FaultStage::Clearing);
            plan.event(name, at + length, FaultStage::Verified);
        }
        plan
    }

    /// A fault that was asked for and nothing else.
    pub(crate) fn unproven(mut self, name: &str, at: f64, length: Option<f64>) -> Plan {
        self.outline.faults.push(FaultOutline {
            name: name.to_owned(),
            trigger: name.split('#').next().unwrap_or(name).to_owned(),
            what: String::new(),
            on: None,
            at: s(at),
            length: length.map(s),
            settle: Micros::secs(10),
            expect_no_traffic: false,
        });
        self.event(name, at, FaultStage::Asked);
        self
    }

    pub(crate) fn event(&mut self, name: &str, at: f64, stage: FaultStage) {
        let fault = name.to_owned();
        self.events.push(Record::Fault(FaultEvent {
            at: s(at),
            fault,
            stage,
            detail: String::new(),
            touched: None,
        }));
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            version: VERSION,
            squall: "0.0.0".to_owned(),
            started: "2000-01-01T00:00:00Z".to_owned(),
            pacer: self.pacer,
            shards: 1,
            host: String::new(),
            outline: self.outline.clone(),
            experiment: serde_json::Value::Null,
        }
    }

    /// Records of all samples; what is sampled is what was planned.
    pub(crate) fn records(&mut self, samples: &[Sample]) -> Vec<Record> {
        let mut records = Vec::new();
        self.plan_arrivals(samples);
        self.tell(samples, |record| records.push(record));
        records
    }

    fn tell(&self, samples: &[Sample], mut record: impl FnMut(Record)) {
        self.events.iter().cloned().for_each(&mut record);
        due(&self.outline, samples).into_iter().for_each(&mut record);
        arrived(&self.outline, samples).into_iter().for_each(&mut record);
        // In pieces: the histograms of hours at once would take gigabytes.
        let pieces = samples.chunks(1_000).flat_map(|some| done(&self.outline, some));
        pieces.for_each(&mut record);
        happened(&self.outline, samples).into_iter().for_each(&mut record);
        let last = samples.iter().map(|s| s.done).max().unwrap_or_default();
        let at = last.max(self.outline.duration);
        let stopped = self.stopped.map(|at| Record::Load(LoadEvent { at, change: LoadChange::Stopped }));
        stopped.into_iter().for_each(&mut record);
        record(Record::End(End { at, how: self.how, detail: String::new(), exit: None }));
    }

    fn plan_arrivals(&mut self, samples: &[Sample]) {
        for shape in self.outline.shapes.iter_mut().filter(|s| s.planned.is_empty() && !s.closed) {
            shape.planned = vec![0; (self.outline.duration.0 / self.outline.cell.0) as usize];
        }
        for sample in samples {
            let shape = shape_of(&self.outline, sample);
            let shape = &mut self.outline.shapes[shape];
            if let Some(n) = shape.planned.get_mut((sample.intended.0 / self.outline.cell.0) as usize) {
                *n += 1;
            }
        }
    }

    pub(crate) fn timeline(mut self, samples: &[Sample]) -> Timeline {
        self.plan_arrivals(samples);
        let mut timeline = Timeline::new(self.header());
        self.tell(samples, |record| timeline.apply(&record));
        timeline
    }
}

fn cell(outline: &Outline, at: Micros) -> u32 {
    (at.0 / outline.cell.0) as u32
}

fn shape_of(outline: &Outline, sample: &Sample) -> usize {
    outline.operations[usize::from(sample.op.0)].shape
}

/// The operation and its flow.
fn both(sample: &Sample) -> [OpId; 2] {
    [sample.op, OpId(sample.op.0 + 1)]
}

fn due(outline: &Outline, samples: &[Sample]) -> Vec<Record> {
    let mut counts: BTreeMap<(u32, OpId), u64> = BTreeMap::new();
    for sample in samples {
        both(sample)
            .iter()
            .for_each(|op| *counts.entry((cell(outline, sample.intended), *op)).or_default() += 1);
    }
    counts.into_iter().map(|((cell, op), n)| Record::Due { cell, op, n: n as i64 }).collect()
}

/// Each sample is an arrival.
fn arrived(outline: &Outline, samples: &[Sample]) -> Vec<Record> {
    let mut counts: BTreeMap<(u32, usize), (u64, u64)> = BTreeMap::new();
    for sample in samples {
        let (n, late) =
            counts.entry((cell(outline, sample.intended), shape_of(outline, sample))).or_default();
        *n += 1;
        *late += u64::from(sample.lag() > Micros(outline.cell.0 / 2));
    }
    counts
        .into_iter()
        .map(|((cell, shape), (n, late))| Record::Arrived { cell, shape, n, late, probes: 0 })
        .collect()
}

fn done(outline: &Outline, samples: &[Sample]) -> Vec<Record> {
    let mut dones: BTreeMap<(u32, OpId, Outcome, Clean), Done> = BTreeMap::new();
    // What is `Unfinished` has no record: it is due, and nothing else is known of it.
    for sample in samples.iter().filter(|s| s.outcome.kind != Kind::Unfinished) {
        for op in both(sample) {
            let done = dones
                .entry((cell(outline, sample.intended), op, sample.outcome, sample.clean))
                .or_insert_with(|| {
                    Done::none(cell(outline, sample.intended), op, sample.outcome, sample.clean)
                });
            done.n += 1;
            if !sample.outcome.kind.counts() {
                continue;
            }
            let deadline = outline.operations[usize::from(op.0)].deadline;
            if sample.clean != Clean::LeftOut {
                done.clean.record(sample.clean_response(deadline));
            }
            done.attempts += u64::from(sample.work.attempts);
            done.tried += u64::from(sample.work.tried);
            done.response.record(sample.judged_response(deadline));
            done.service.record(sample.service());
            done.lag.record(sample.lag());
            done.wait.record(sample.pool_wait);
            if sample.work.held > Micros::ZERO {
                done.held.record(sample.work.held);
            }
        }
    }
    dones.into_values().map(|d| Record::Done(Box::new(d))).collect()
}

fn happened(outline: &Outline, samples: &[Sample]) -> Vec<Record> {
    let last = samples.iter().map(|s| cell(outline, s.done)).max().unwrap_or(0);
    let shapes = outline.shapes.len();
    let mut flying = vec![vec![0.0; shapes]; last as usize + 1];
    for sample in samples {
        // A user of a closed loop is one all the time.
        let closed = outline.shapes[shape_of(outline, sample)].closed;
        let from = if closed { sample.intended } else { sample.dequeued };
        for second in cell(outline, from)..=cell(outline, sample.done) {
            let start = outline.cell * i64::from(second);
            let overlap = sample.done.min(start + outline.cell) - from.max(start);
            flying[second as usize][shape_of(outline, sample)] += overlap.0 as f64 / outline.cell.0 as f64;
        }
    }
    let happened = |(i, in_flight): (usize, Vec<f64>)| {
        Record::Happened(Box::new(Happened { cell: i as u32, in_flight, ..Happened::default() }))
    };
    flying.into_iter().enumerate().map(happened).collect()
}

/// One operation that went right, or as `kind` says.
pub(crate) fn sample(op: u16, intended: Micros, response: Micros, kind: Kind) -> Sample {
    Sample {
        op: OpId(op),
        outcome: Outcome::new(kind, if kind.is_answer() { 200 } else { 0 }),
        intended,
        dequeued: intended,
        pool_wait: Micros::ZERO,
        first_byte: Some(intended),
        done: intended + response,
        work: Work { attempts: 1, tried: 1, sent: 100, received: 100, held: Micros::ZERO },
        clean: Clean::AsSeen,
    }
}

/// `rate` per second, evenly, over [from, to) seconds, each answered as `answer` says.
pub(crate) fn evenly(
    rate: i64,
    from: i64,
    to: i64,
    answer: impl Fn(Micros) -> (Micros, Kind),
) -> Vec<Sample> {
    let times = (from * rate..to * rate).map(|i| Micros(i * 1_000_000 / rate));
    times.map(|at| (at, answer(at))).map(|(at, (response, kind))| sample(0, at, response, kind)).collect()
}

pub(crate) fn poisson(rate: f64, seconds: i64, seed: u64) -> Vec<f64> {
    let arrival =
        Arrival { spacing: Spacing::Poisson, rate: Rate::Constant(rate), until: Micros::secs(seconds) };
    arrival.times(seed, 0).map(Micros::as_secs_f64).collect()
}

/// One server, first in first out, that works off what its clients have long given up.
#[derive(Clone)]
pub(crate) struct Fifo {
    /// Seconds of work in a job; drawn exponentially with `seed`, else exact.
    pub(crate) service: f64,
    pub(crate) exponential: Option<u64>,
    /// Nothing is worked on in here.
    pub(crate) stall: Option<(f64, f64)>,
    /// What arrives in here is queued at its end, all at once.
    pub(crate) hold: Option<(f64, f64)>,
    pub(crate) queue: Option<usize>,
    pub(crate) timeout: f64,
    pub(crate) retries: u32,
}

impl Fifo {
    pub(crate) fn new(service: f64) -> Fifo {
        Fifo { service, exponential: None, stall: None, hold: None, queue: None, timeout: 1e6, retries: 0 }
    }

    fn work(&self, index: u64, attempt: u32) -> f64 {
        let Some(seed) = self.exponential else { return self.service };
        let key = Key { seed, shape: 0, index, attempt, purpose: Purpose::Service };
        key.stream().exponential() * self.service
    }

    /// When work begun at `start` is done.
    fn worked(&self, start: f64, work: f64) -> f64 {
        match self.stall {
            Some((from, _)) if start + work <= from => start + work,
            Some((from, to)) if start < to => to + work - (from - start).max(0.0),
            _ => start + work,
        }
    }

    /// The samples of operation 0 for arrivals at these seconds.
    pub(crate) fn serve(&self, arrivals: &[f64]) -> Vec<Sample> {
        let key = |at: f64| Reverse((at * 1e9) as u64);
        let mut tries: BinaryHeap<(Reverse<u64>, Reverse<usize>, u32)> =
            arrivals.iter().enumerate().map(|(i, &at)| (key(at), Reverse(i), 0)).collect();
        let (mut busy, mut queue, mut samples) = (0.0_f64, VecDeque::new(), Vec::new());
        while let Some((Reverse(at), Reverse(index), tried)) = tries.pop() {
            let at = at as f64 / 1e9;
            let arrives = self.hold.filter(|h| h.0 <= at && at < h.1).map_or(at, |h| h.1);
            while queue.front().is_some_and(|&done| done <= arrives) {
                queue.pop_front();
            }
            let full = self.queue.is_some_and(|most| queue.len() >= most);
            if !full {
                busy = self.worked(busy.max(arrives), self.work(index as u64, tried));
                queue.push_back(busy);
            }
            let (answered, gives_up) =
                if full { (f64::MAX, arrives.min(at + self.timeout)) } else { (busy, at + self.timeout) };
            if answered > gives_up && tried < self.retries {
                tries.push((key(gives_up), Reverse(index), tried + 1));
                continue;
            }
            let intended = s(arrivals[index]);
            let kind = if answered <= gives_up { Kind::Ok } else { Kind::Timeout };
            let mut done = sample(0, intended, s(answered.min(gives_up)) - intended, kind);
            done.work.attempts = tried + 1;
            samples.push(done);
        }
        samples.sort_by_key(|s| s.intended);
        samples
    }
}
