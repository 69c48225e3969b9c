//! One flow: its steps in order, a sample for every operation and one for the flow as a whole.

mod reading;
mod request;
mod untaken;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use minijinja::Value;
use tokio::task::coop::consume_budget;

use super::shape::ShapeRunner;
use super::{Over, Shard};
use crate::client::{If, Step, Usual, Vars};
use crate::random::Purpose;
use crate::record::ErrorSample;
use crate::sample::{Clean, Kind, OpId, Outcome, Sample, Work};
use crate::units::Micros;
use untaken::Untaken;

/// A running flow.
pub struct Flow {
    shard: Rc<Shard>,
    runner: Rc<ShapeRunner>,
    pub(super) vars: Arc<Vars>,
    /// Intended start of the next step.
    next: Micros,
    /// The flow belongs to the cell of the last step it reached.
    last_step: Option<Micros>,
    arrival: Micros,
    /// Sum of its operations' lags, as its response time is the sum of theirs.
    lag: Micros,
    /// Sum of its operations' response times.
    response: Micros,
    /// Sum of the deadlines of what it did: more than was planned for, where a list was long.
    allowed: Micros,
    /// Sum of its operations' work.
    work: Work,
    /// The operations that it has reached, and how often.
    reached: BTreeMap<OpId, u64>,
    /// One of its operations was squall's own doing.
    left_out: bool,
    /// The group under way: its requests are attempts of one operation.
    group: Option<Group>,
    /// A patient probe: no timeout, counted apart.
    patient: bool,
    /// Squall took it up in time, and has not begun to send it.
    in_time: bool,
    /// What a step which failed has left out.
    untaken: Untaken,
    /// Requests sent so far.
    sent: u32,
    /// Draws made for think times and choices so far.
    draws: u32,
}

/// A named group under way.
struct Group {
    op: OpId,
    intended: Micros,
    dequeued: Micros,
    /// Time spent thinking inside, which is not the target's.
    thought: Micros,
    /// Lags of the requests after the first: these too are in the response time.
    lag: Micros,
    /// Sum of the timeouts of its requests.
    allowed: Micros,
    pool_wait: Micros,
    first_byte: Option<Micros>,
    work: Work,
    left_out: bool,
}

/// What ended the flow before its last step.
#[derive(Clone, Copy)]
enum Stopped {
    /// A step failed in this way.
    Failed(Outcome),
    /// The end of the load.
    Cut,
}

impl Stopped {
    fn outcome(self) -> Outcome {
        match self {
            Stopped::Failed(outcome) => outcome,
            Stopped::Cut => Outcome::new(Kind::Cut, 0),
        }
    }
}

type Steps<'a> = Pin<Box<dyn Future<Output = Result<(), Stopped>> + 'a>>;

impl Flow {
    pub fn new(
        shard: Rc<Shard>,
        runner: Rc<ShapeRunner>,
        index: u64,
        intended: Micros,
        patient: bool,
    ) -> Flow {
        let user = runner.shape.users.map_or(index, |users| index % users.max(1));
        let vars = Arc::new(Vars::new(runner.facts.clone(), runner.index as u32, index, user));
        Flow {
            shard,
            runner,
            vars,
            next: intended,
            last_step: None,
            arrival: intended,
            lag: Micros::ZERO,
            response: Micros::ZERO,
            allowed: Micros::ZERO,
            work: Work::default(),
            reached: BTreeMap::new(),
            left_out: false,
            group: None,
            patient,
            in_time: false,
            untaken: Untaken::default(),
            sent: 0,
            draws: 0,
        }
    }

    /// Of an open shape: squall took it up, in time or not.
    pub fn taken_up(self, in_time: bool) -> Flow {
        Flow { in_time, ..self }
    }

    /// Runs to its end; returns when that was to be, and what its user has yet to think.
    pub async fn run(mut self) -> (Micros, Micros) {
        let runner = self.runner.clone();
        let ended = self.steps(&runner.program.steps).await;
        self.tell_untaken();
        self.finish(ended.map_or_else(Stopped::outcome, |()| Outcome::new(Kind::Ok, 0)));
        // Whom the end of the load cuts off thinks no more.
        (self.next.min(self.shard.world.now()), self.untaken.thinking)
    }

    /// Not sent: the in-flight cap was reached. Bad for the flow and for its first operation; it comes to no other.
    pub fn shed(mut self) {
        let runner = self.runner.clone();
        let now = self.shard.world.now();
        // It may be the first to wake after a standstill.
        self.shard.stood_still_since(self.arrival, now);
        self.lag = now - self.arrival;
        let outcome = Outcome::new(Kind::Shed, 0);
        if let Some(op) = self.first_op(&runner.program.steps) {
            self.shard.counts.borrow_mut().due(op, self.arrival);
            self.finished(self.unsent(op, self.arrival, now, outcome));
            self.reached.insert(op, 1);
            self.leave_out_but(Some(op), &runner.program.steps);
            self.tell_untaken();
        }
        self.finish(outcome);
    }

    fn first_op(&mut self, steps: &[Step]) -> Option<OpId> {
        steps.iter().find_map(|step| match step {
            Step::Request(request) => request.op,
            Step::Group { op, .. } => Some(*op),
            Step::Think(_) => None,
            Step::Repeat { steps, .. } | Step::ForEach { steps, .. } => self.first_op(steps),
            Step::Choice(branches) => {
                let picked = self.pick(branches);
                self.first_op(&branches.get(picked)?.1)
            }
            Step::If(either) => {
                let way = self.way(either).unwrap_or(&either.then);
                self.first_op(way)
            }
        })
    }

    fn unsent(&self, op: OpId, intended: Micros, now: Micros, outcome: Outcome) -> Sample {
        Sample {
            op,
            outcome,
            intended,
            dequeued: now,
            pool_wait: Micros::ZERO,
            first_byte: None,
            done: now,
            work: Work::default(),
            clean: left_out_if(self.left_out || self.shard.stood_still_at(intended)),
        }
    }

    /// Counts the flow as a whole: its response time is the sum of its operations', it lies in the cell
    /// of the last step it reached.
    fn finish(&mut self, mut outcome: Outcome) {
        let op = self.runner.shape.op;
        let intended = self.last_step.unwrap_or(self.arrival);
        let deadline = self.shard.counts.borrow().deadline(op).max(self.allowed);
        if outcome.kind == Kind::Ok && self.response > deadline {
            outcome.kind = Kind::Late;
        }
        let sample = Sample {
            op,
            outcome,
            intended,
            dequeued: intended + self.lag,
            pool_wait: Micros::ZERO,
            first_byte: None,
            done: intended + self.response,
            work: self.work,
            clean: left_out_if(self.left_out || self.shard.stood_still_at(self.arrival)),
        };
        let sample = excused(sample, deadline);
        self.finished(sample);
    }

    fn finished(&self, sample: Sample) {
        if !self.patient {
            let since = (sample.op == self.runner.shape.op).then_some(self.arrival);
            self.shard.counts.borrow_mut().finished(self.vars.index, &sample, since);
        }
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<(), Stopped> {
        for (n, step) in steps.iter().enumerate() {
            if let Err(stopped) = self.step(step).await {
                self.give_up(stopped, &steps[n + 1..], 1, None);
                return Err(stopped);
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stopped> {
        match step {
            Step::Request(request) => self.request(request).await?,
            Step::Think(think) => {
                let length = self.think_time(*think);
                self.think(length).await?;
            }
            Step::Repeat { times, steps, pace, .. } => {
                for n in 0..*times {
                    let began = self.next;
                    if let Err(stopped) = self.round(steps).await {
                        self.give_up(stopped, steps, *times - n - 1, pace.time());
                        return Err(stopped);
                    }
                    pace.saw((self.next - began).0);
                }
            }
            Step::Choice(branches) => {
                let picked = self.pick(branches);
                if let Some((_, steps)) = branches.get(picked) {
                    self.nested(steps).await?;
                }
            }
            Step::ForEach { list, name, steps, odds, lengths, pace } => {
                let elements = self.elements(list);
                odds.saw(!elements.is_empty());
                if !elements.is_empty() {
                    lengths.saw(elements.len() as i64);
                }
                self.for_each(elements, name, steps, pace).await?;
            }
            Step::Group { op, steps } => self.group(*op, steps).await?,
            Step::If(either) => match self.way(either) {
                Ok(steps) => self.nested(steps).await?,
                Err(why) => return Err(self.cannot_tell(either, why)),
            },
        }
        Ok(())
    }

    /// The way that an `if` takes, by what is known now.
    pub(super) fn way<'s>(&self, either: &'s If) -> Result<&'s [Step], String> {
        self.runner.program.way(either, &self.vars)
    }

    /// Which way an `if` goes cannot be worked out, which is nobody's fault but the profile's: the first operation
    /// of its first way is taken for it.
    fn cannot_tell(&mut self, either: &If, why: String) -> Stopped {
        let outcome = Outcome::new(Kind::Template, 0);
        let (now, intended) = (self.shard.world.now(), self.next);
        let op = self.first_op(&either.then).filter(|_| self.group.is_none());
        if op.is_some() {
            self.reach(op, intended);
            let op = op.unwrap_or(self.runner.shape.op);
            self.settle(
                Sample { clean: Clean::LeftOut, ..self.unsent(op, intended, now, outcome) },
                Micros::ZERO,
            );
        }
        let told = op;
        let op = op.or(self.group.as_ref().map(|group| group.op)).unwrap_or(self.runner.shape.op);
        self.left_out = true;
        self.group.iter_mut().for_each(|group| group.left_out = true);
        self.note(ErrorSample {
            at: now,
            op,
            kind: outcome.kind,
            status: outcome.status,
            request: "if".to_owned(),
            detail: format!("{}: {why}", either.place),
            body: String::new(),
        });
        self.leave_out_but(told, &either.then);
        Stopped::Failed(outcome)
    }

    /// Where a step failed, so many rounds of these are not taken, which come `pace` apart. What the end of the load cuts
    /// off owes nothing.
    fn give_up(&mut self, stopped: Stopped, steps: &[Step], rounds: u64, pace: Option<Micros>) {
        if let Stopped::Failed(_) = stopped {
            self.leave_out(steps, rounds, pace);
        }
    }

    /// One round of a loop. Rounds in which nobody waits for anything, as each takes no way of an `if`, must neither
    /// hold up all others of this thread nor outlast the load.
    async fn round(&mut self, steps: &[Step]) -> Result<(), Stopped> {
        self.may_go_on()?;
        consume_budget().await;
        self.nested(steps).await
    }

    fn nested<'a>(&'a mut self, steps: &'a [Step]) -> Steps<'a> {
        Box::pin(self.steps(steps))
    }

    pub(super) fn draw(&mut self, purpose: Purpose) -> f64 {
        self.draws += 1;
        self.vars.key(self.draws, purpose).stream().unit()
    }

    pub(super) fn pick(&mut self, branches: &[(f64, Vec<Step>)]) -> usize {
        let total: f64 = branches.iter().map(|(weight, _)| weight).sum();
        let mut left = self.draw(Purpose::Choice) * total;
        for (n, (weight, _)) in branches.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return n;
            }
        }
        branches.len().saturating_sub(1)
    }

    /// Thinks until its time, or until the load ends: who thinks then does nothing more. A group that has
    /// begun goes on, unless the load was stopped.
    async fn think(&mut self, length: Micros) -> Result<(), Stopped> {
        self.next += length;
        if let Some(group) = &mut self.group {
            group.thought += length;
            self.shard.decided_by(self.next);
        }
        while self.shard.world.now() < self.next {
            self.may_go_on()?;
            self.shard.alarms.until_or_early(self.next).await;
        }
        Ok(())
    }

    async fn for_each(
        &mut self,
        elements: Vec<Value>,
        name: &str,
        steps: &[Step],
        pace: &Usual,
    ) -> Result<(), Stopped> {
        let all = elements.len() as u64;
        for (n, element) in (0..).zip(elements) {
            let began = self.next;
            Arc::make_mut(&mut self.vars).own.insert(name.to_owned(), element);
            if let Err(stopped) = self.round(steps).await {
                self.give_up(stopped, steps, all - n - 1, pace.time());
                return Err(stopped);
            }
            pace.saw((self.next - began).0);
        }
        Ok(())
    }

    async fn group(&mut self, op: OpId, steps: &[Step]) -> Result<(), Stopped> {
        self.may_go_on()?;
        let (intended, dequeued) = (self.next, self.shard.world.now());
        self.reach(Some(op), intended);
        self.group = Some(Group {
            op,
            intended,
            dequeued,
            thought: Micros::ZERO,
            lag: Micros::ZERO,
            allowed: Micros::ZERO,
            pool_wait: Micros::ZERO,
            first_byte: None,
            work: Work::default(),
            left_out: false,
        });
        let ended = self.nested(steps).await;
        let Some(group) = self.group.take() else { return ended };
        let outcome = ended.map_or_else(Stopped::outcome, |()| Outcome::new(Kind::Ok, 0));
        let sample = Sample {
            op: group.op,
            outcome,
            intended: group.intended,
            dequeued: group.dequeued + group.lag,
            pool_wait: group.pool_wait,
            first_byte: group.first_byte,
            done: self.next - group.thought,
            work: group.work,
            clean: left_out_if(group.left_out),
        };
        self.settle(sample, group.allowed);
        ended
    }

    /// A step is reached: its operation is due, and the flow moves to its cell.
    fn reach(&mut self, op: Option<OpId>, intended: Micros) {
        if let Some(op) = op {
            *self.reached.entry(op).or_default() += 1;
        }
        if self.patient {
            return;
        }
        let mut counts = self.shard.counts.borrow_mut();
        if let Some(op) = op {
            counts.due(op, intended);
            self.shard.decided_by(intended + counts.deadline(op));
        }
        let last = self.last_step.unwrap_or(self.arrival);
        counts.due_moves(self.runner.shape.op, last, intended);
        self.last_step = Some(intended);
    }

    /// Adds an operation's sample to the flow and to the counts. Its deadline is the planned one, or what
    /// its requests were allowed together where those were more.
    fn settle(&mut self, mut sample: Sample, allowed: Micros) {
        let deadline = self.shard.counts.borrow().deadline(sample.op).max(allowed);
        self.allowed += deadline;
        if sample.outcome.kind == Kind::Ok && sample.response() > deadline {
            sample.outcome.kind = Kind::Late;
            sample = excused(sample, deadline);
            self.note_late(&sample, deadline);
        }
        if self.shard.stood_still_at(sample.intended) {
            sample.clean = Clean::LeftOut;
        }
        self.left_out |= sample.clean == Clean::LeftOut;
        self.response += sample.judged_response(deadline);
        self.lag += sample.lag();
        self.work += sample.work;
        self.finished(sample);
    }

    /// No answer shows what was wrong with it: its times do.
    fn note_late(&self, sample: &Sample, deadline: Micros) {
        if !self.wants_error(sample.op, sample.outcome, sample.done, "") {
            return;
        }
        let name = self.shard.operation(sample.op).to_owned();
        let (response, lag, held) = (sample.response(), sample.lag(), sample.work.held);
        let detail = format!(
            "succeeded {response} after it was due, its deadline is {deadline}; squall began it {lag} late and held it \
             up for {held}"
        );
        let (kind, status) = (sample.outcome.kind, sample.outcome.status);
        let body = String::new();
        self.keep_error(ErrorSample {
            at: sample.done,
            op: sample.op,
            kind,
            status,
            request: name,
            detail,
            body,
        });
    }

    /// Whether the flow may begin a step: not once the load has ended, but for the steps of a group that had
    /// begun by then.
    fn may_go_on(&self) -> Result<(), Stopped> {
        let over = match self.shard.over.get() {
            None => false,
            Some(Over::Planned) => self.group.is_none(),
            Some(Over::Stopped) => true,
        };
        if over { Err(Stopped::Cut) } else { Ok(()) }
    }
}

fn left_out_if(left_out: bool) -> Clean {
    if left_out { Clean::LeftOut } else { Clean::AsSeen }
}

/// What is late only through squall is in time for the clean count.
fn excused(sample: Sample, deadline: Micros) -> Sample {
    let late = sample.outcome.kind == Kind::Late && sample.clean == Clean::AsSeen;
    let clean = if late && sample.without_own_part() <= deadline { Clean::InTime } else { sample.clean };
    Sample { clean, ..sample }
}
