//! The engine: issues what the plan says is due, and counts what becomes of it.
//!
//! One shard per core, nothing shared between them: each has its own runtime, connections and counts
//! and sends records once a second. The plan comes first; nothing here waits for an answer before the
//! next arrival.

mod alarms;
mod counts;
mod flow;
mod frozen;
mod shape;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use alarms::Alarms;
pub use shape::{Share, common};

use crate::client::{Budget, RunFacts};
use crate::experiment::{Experiment, HttpTarget, Start};
use crate::random::{Key, Purpose};
use crate::record::Record;
use crate::redact::redact;
use crate::sample::OpId;
use crate::units::Micros;
use crate::world::{Programs, World};
use counts::Counts;
use flow::Flow;
use frozen::Frozen;
use shape::ShapeRunner;

const HEARTBEAT: Micros = Micros::millis(10);
/// Patient probes: this share of the arrivals, at least two a second, at most one in twenty, and at
/// most a thousand under way (VERDICTS.md 3).
const PROBE_SHARE: (f64, f64) = (0.01, 0.05);
const PROBE_RATE: f64 = 2.0;
const PROBES_UNDER_WAY: u64 = 1_000;
/// A closed loop whose flow ended at once waits this long, so that a refusal does not spin.
const CLOSED_LOOP_PAUSE: Micros = Micros::MILLISECOND;

/// Everything one shard needs; the same for all but `share`.
#[derive(Clone)]
pub struct Load {
    pub experiment: Arc<Experiment>,
    pub target: HttpTarget,
    pub facts: Arc<RunFacts>,
    pub share: Share,
    /// Turns true when no further arrival may be issued.
    pub stop: watch::Receiver<bool>,
    pub records: mpsc::UnboundedSender<Batch>,
}

/// What is said of a part of squall that panicked; the panic's own words stand on stderr.
pub const PANICKED: &str = "a part of squall panicked: please report it with what it printed";

/// What a shard sends.
pub enum Batch {
    /// Once a second.
    Records(Vec<Record>),
    /// Why it could not begin or go on, in words.
    Failed(String),
    /// The last of all: whatever is still open stays unfinished.
    Ended,
}

/// A shard at work.
pub struct Shard {
    pub world: World,
    pub alarms: Alarms,
    pub counts: RefCell<Counts>,
    frozen: RefCell<Frozen>,
    /// The load is over: no flow begins a further operation.
    over: Cell<Option<Over>>,
    /// When the last deadline of an operation that was begun has passed.
    decided: Cell<Micros>,
    load: Load,
    runners: Vec<Rc<ShapeRunner>>,
}

/// How the load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// At its planned end.
    Planned,
    /// By an abort rule or a user.
    Stopped,
}

/// The next arrival of one shape on this shard.
type Next = Reverse<(Micros, usize, u64)>;

/// Runs one shard's load until all is answered, or the last deadline after the end has passed. The
/// world's zero is the start of the load.
pub async fn run(world: World, load: Load) {
    let records = load.records.clone();
    let _last_words = LastWords { records: records.clone(), of_shard: true };
    let ended = run_shard(world, load).await;
    // The reader has gone only when the run is over.
    if let Err(error) = ended {
        let _ = records.send(Batch::Failed(error));
    }
    let _ = records.send(Batch::Ended);
}

/// Should its owner panic, the conductor hears of it, as nobody else would.
struct LastWords {
    records: mpsc::UnboundedSender<Batch>,
    /// The shard as a whole, not one of its tasks.
    of_shard: bool,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The reader has gone only when the run is over.
            let _ = self.records.send(Batch::Failed(PANICKED.to_owned()));
            let _ = self.of_shard.then(|| self.records.send(Batch::Ended));
        }
    }
}

async fn run_shard(world: World, load: Load) -> Result<(), String> {
    let outline = &load.experiment.outline;
    let budget = Budget::of_shard(&world, load.share.shards, Programs::of(&load.experiment));
    let runners = (0..load.experiment.shapes.len())
        .map(|index| {
            ShapeRunner::new(&world, &load.experiment, &load.target, &load.facts, &budget, index).map(Rc::new)
        })
        .collect::<Result<Vec<_>, String>>()?;
    let counts = RefCell::new(Counts::new(load.share.shard, outline));
    let frozen = RefCell::new(Frozen::new(outline.cell));
    let alarms = Alarms::start(&world);
    let shard = Rc::new(Shard {
        world: world.clone(),
        alarms,
        counts,
        frozen,
        over: Cell::new(None),
        decided: Cell::new(Micros::ZERO),
        load,
        runners,
    });
    let beating = shard.spawn(shard.clone().beat());
    let flushing = shard.spawn(shard.clone().flush_each_cell());
    shard.clone().issue_all().await;
    shard.drain().await;
    beating.abort();
    flushing.abort();
    shard.flush(world.now(), None);
    shard.give_up(world.now());
    let addresses = shard.runners.iter().flat_map(|runner| runner.addresses());
    // The reader has gone only when the run is over.
    let _ = shard.load.records.send(Batch::Records(addresses.map(Record::Address).collect()));
    Ok(())
}

impl Shard {
    fn spawn<F: Future + 'static>(&self, task: F) -> tokio::task::JoinHandle<F::Output> {
        let last_words = LastWords { records: self.load.records.clone(), of_shard: false };
        self.world.spawn(async move {
            let _last_words = last_words;
            task.await
        })
    }

    /// Text with everything secret taken out.
    pub fn redact(&self, text: &str) -> String {
        redact(text, &self.load.experiment.secrets)
    }

    /// The name of an operation.
    fn operation(&self, op: OpId) -> &str {
        &self.load.experiment.outline.operations[usize::from(op.0)].name
    }

    /// An operation that was begun has until then.
    fn decided_by(&self, at: Micros) {
        self.decided.set(self.decided.get().max(at));
    }

    fn stopped(&self) -> bool {
        *self.load.stop.borrow()
    }

    /// Whether this shard stood still then, or made up for it, as far as was noticed.
    fn stood_still_at(&self, at: Micros) -> bool {
        self.frozen.borrow().hit(at)
    }

    /// For how long this shard stood still between some time and now.
    fn stood_still_since(&self, from: Micros, now: Micros) -> Micros {
        let mut frozen = self.frozen.borrow_mut();
        frozen.notice(now);
        frozen.within(from, now)
    }

    /// The same between two times that have passed, as far as was noticed.
    fn stood_still_within(&self, from: Micros, to: Micros) -> Micros {
        self.frozen.borrow().within(from, to)
    }

    /// Issues every arrival at its time, then waits for the end of the load.
    async fn issue_all(self: Rc<Shard>) {
        let mut stop = self.load.stop.clone();
        let mut arrivals = self.arrivals();
        self.clone().start_closed_loops();
        let mut pacer = self.world.pacer();
        let end = self.load.experiment.outline.duration;
        loop {
            let next = arrivals.peek();
            let wake = next.map_or(end, |at| at.min(end));
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => return,
                () = pacer.until(wake) => {}
            }
            let now = self.world.now();
            while let Some((at, shape, index)) = arrivals.pop_due(now) {
                self.issue(shape, index, at);
            }
            if arrivals.peek().is_none() && now >= end {
                return;
            }
        }
    }

    fn arrivals(&self) -> Arrivals {
        let mut arrivals = Arrivals { heap: BinaryHeap::new(), sources: Vec::new() };
        let experiment = &self.load.experiment;
        for (n, shape) in experiment.shapes.iter().enumerate() {
            let (start, share, owner) = (shape.start, self.load.share, shape.clone());
            let source: Source = match &shape.arrival {
                Start::Closed { .. } => Box::new(std::iter::empty()),
                Start::Open(arrival) => {
                    let times = arrival.times(experiment.outline.seed, n as u32).enumerate();
                    let ours = times.filter(move |(i, _)| share.owns(n, &owner, *i as u64));
                    Box::new(ours.map(move |(i, at)| (start + at, i as u64)))
                }
            };
            arrivals.sources.push(source);
            arrivals.advance(n);
        }
        arrivals
    }

    fn issue(self: &Rc<Shard>, shape: usize, index: u64, intended: Micros) {
        let runner = self.runners[shape].clone();
        let probe = self.is_probe(&runner, index);
        let in_time = self.counts.borrow_mut().arrived(shape, intended, self.world.now(), probe);
        if probe {
            runner.probes.set(runner.probes.get() + 1);
            let flow = Flow::new(self.clone(), runner.clone(), index, intended, true);
            self.spawn(async move {
                flow.run().await;
                runner.probes.set(runner.probes.get() - 1);
            });
            return;
        }
        let flow = Flow::new(self.clone(), runner.clone(), index, intended, false).taken_up(in_time);
        self.counts.borrow_mut().due(runner.shape.op, intended);
        let cap = runner.shape.in_flight_cap.unwrap_or(u64::MAX);
        if self.counts.borrow().in_flight_now(shape) >= cap {
            flow.shed();
            return;
        }
        self.counts.borrow_mut().in_flight(shape, 1, self.world.now());
        let shard = self.clone();
        self.spawn(async move {
            let (done, _) = flow.run().await;
            shard.counts.borrow_mut().in_flight(shape, -1, done);
        });
    }

    fn is_probe(&self, runner: &ShapeRunner, index: u64) -> bool {
        let shape = &runner.shape;
        let Start::Open(arrival) = &shape.arrival else { return false };
        if !shape.probes || runner.probes.get() >= PROBES_UNDER_WAY {
            return false;
        }
        let seconds = arrival.until.as_secs_f64().max(1e-6);
        let rate = arrival.expected(Micros::ZERO, arrival.until) / seconds;
        let share = PROBE_SHARE.0.max(PROBE_RATE / rate.max(1e-9)).min(PROBE_SHARE.1);
        let seed = self.load.experiment.outline.seed;
        let key = Key { seed, shape: runner.index as u32, index, attempt: 0, purpose: Purpose::Probe };
        key.stream().unit() < share
    }

    fn start_closed_loops(self: Rc<Shard>) {
        for (n, runner) in self.runners.iter().enumerate() {
            let Start::Closed { users, until } = runner.shape.arrival else { continue };
            let ours = (0..users).filter(|&user| self.load.share.owns(n, &runner.shape, user));
            for user in ours {
                self.spawn(self.clone().closed_loop(runner.clone(), user, users, until));
            }
        }
    }

    /// One user, starting again when done. The intended start is when the last flow was to end: a user who thought
    /// for longer since squall slept is late. One that failed keeps its user's pace, and the rest of its think time
    /// is spent first.
    async fn closed_loop(self: Rc<Shard>, runner: Rc<ShapeRunner>, user: u64, users: u64, until: Micros) {
        self.alarms.until(runner.shape.start).await;
        let (mut index, mut intended) = (user, runner.shape.start);
        while intended < until && self.over.get().is_none() && !self.stopped() {
            self.counts.borrow_mut().due(runner.shape.op, intended);
            self.counts.borrow_mut().in_flight(runner.index, 1, self.world.now());
            let flow = Flow::new(self.clone(), runner.clone(), index, intended, false);
            let (done, owed) = flow.run().await;
            self.counts.borrow_mut().in_flight(runner.index, -1, self.world.now());
            let pause = if done <= intended { CLOSED_LOOP_PAUSE } else { Micros::ZERO };
            intended = done + owed.max(pause);
            self.alarms.until(intended).await;
            index += users;
        }
    }

    /// The load is over. What was begun has its whole deadline, everything else is cut off.
    async fn drain(&self) {
        self.over.set(Some(if self.stopped() { Over::Stopped } else { Over::Planned }));
        self.alarms.ring_early();
        // Flows that are cut off now, or time out at the very end, need a moment to say so.
        let over = self.world.now();
        let last = |now| drained_by(over, self.decided.get(), self.stood_still_since(over, now));
        while self.counts.borrow().all_in_flight() > 0 && self.world.now() < last(self.world.now()) {
            self.alarms.until(self.world.now() + HEARTBEAT).await;
            if self.stopped() && self.over.replace(Some(Over::Stopped)) != Some(Over::Stopped) {
                self.alarms.ring_early();
            }
        }
    }

    async fn beat(self: Rc<Shard>) {
        let mut at = Micros::ZERO;
        loop {
            self.alarms.until(at).await;
            let now = self.world.now();
            self.counts.borrow_mut().heartbeat(now - at);
            // A beat that comes late is one late beat; those it swallowed are not made up.
            at = (at + HEARTBEAT).max(now);
            self.frozen.borrow_mut().beat(now, at);
        }
    }

    async fn flush_each_cell(self: Rc<Shard>) {
        let cell = self.load.experiment.outline.cell;
        let mut at = cell;
        let mut processor = ProcessorClock::start(&self.world);
        loop {
            self.alarms.until(at).await;
            let now = self.world.now();
            if now - at >= cell {
                // Frozen for a while: what came of it belongs to the cell that is under way.
                at = cell * (now.0 / cell.0 + 1);
                continue;
            }
            let cpu = if self.load.share.shard == 0 { processor.share(&self.world) } else { None };
            self.flush(at, cpu);
            at += cell;
        }
    }

    /// Tells of what is left when the drain is over: it had its time, unless squall stood still in it.
    fn give_up(&self, now: Micros) {
        let left = self.counts.borrow().given_up(now, |since| self.stood_still_since(since, now));
        let _ = self.load.records.send(Batch::Records(left));
    }

    fn flush(&self, at: Micros, cpu: Option<f64>) {
        self.runners.iter().for_each(|runner| runner.close_unused());
        let connects = self.runners.iter().map(|runner| runner.take_opened()).collect();
        let records = self.counts.borrow_mut().flush(at, connects, cpu);
        // The reader has gone only when the run is over.
        let _ = self.load.records.send(Batch::Records(records));
    }
}

/// Until when those that were begun may end after the load was over. For as long as the shard stood still meanwhile
/// they could not, and what they had to say is not the target's; but one that hardly runs comes to its end, too.
fn drained_by(over: Micros, decided: Micros, still: Micros) -> Micros {
    let wait = (decided - over).max(Micros::ZERO) + HEARTBEAT;
    over + wait + still.min(wait)
}

type Source = Box<dyn Iterator<Item = (Micros, u64)>>;

/// The arrivals of all shapes on one shard, merged by time.
struct Arrivals {
    heap: BinaryHeap<Next>,
    sources: Vec<Source>,
}

impl Arrivals {
    fn advance(&mut self, shape: usize) {
        if let Some((at, index)) = self.sources[shape].next() {
            self.heap.push(Reverse((at, shape, index)));
        }
    }

    fn peek(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    fn pop_due(&mut self, now: Micros) -> Option<(Micros, usize, u64)> {
        if self.peek()? > now {
            return None;
        }
        let Reverse(next) = self.heap.pop()?;
        self.advance(next.1);
        Some(next)
    }
}

/// The processor time that this process uses, as a share of one core.
struct ProcessorClock {
    used: f64,
    at: Micros,
}

impl ProcessorClock {
    fn start(world: &World) -> ProcessorClock {
        ProcessorClock { used: used_seconds(), at: world.now() }
    }

    /// Since the last call; none in virtual time.
    fn share(&mut self, world: &World) -> Option<f64> {
        let (used, now) = (used_seconds(), world.now());
        let share = (used - self.used) / (now - self.at).as_secs_f64().max(1e-6);
        (self.used, self.at) = (used, now);
        (!world.is_virtual()).then_some((share * 1e4).round() / 1e4)
    }
}

fn used_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_load_waits_longer_by_what_squall_stood_still_in_it_and_at_most_twice() {
        let (over, decided) = (Micros::secs(20), Micros::secs(22));
        let until = |still| drained_by(over, decided, still) - HEARTBEAT;
        assert_eq!(until(Micros::ZERO), decided);
        assert_eq!(until(Micros::millis(700)), decided + Micros::millis(700));
        assert_eq!(until(Micros::secs(60)), Micros::secs(24) + HEARTBEAT, "it hardly runs at all");
        assert_eq!(drained_by(over, Micros::secs(3), Micros::ZERO), over + HEARTBEAT, "nothing is open");
    }
}
