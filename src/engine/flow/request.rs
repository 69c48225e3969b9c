//! One request of a flow: sent, read, judged by its step, and counted.

use std::sync::Arc;

use super::{Flow, Stopped, left_out_if};
use crate::client::{Answer, Attempt, Ending, Request, attempt, read_answer};
use crate::experiment::NO_TIMEOUT;
use crate::record::{ErrorSample, ItemsEvent, ProbeEvent};
use crate::sample::{Kind, OpId, Outcome, Sample};
use crate::units::{Micros, cut};

/// Characters of a request line and of a detail that a sample keeps.
const SHOWN: usize = 300;

impl Flow {
    pub(super) async fn request(&mut self, request: &Request) -> Result<(), Stopped> {
        self.may_go_on()?;
        let allowed = request.timeout.or(self.runner.shape.timeout).unwrap_or(NO_TIMEOUT);
        if let Some(group) = &mut self.group {
            group.allowed += allowed;
            self.shard.decided_by(self.next + allowed);
        }
        let (intended, dequeued) = (self.next, self.shard.world.now());
        if self.group.is_none() {
            self.reach(request.op, intended);
        }
        let count = self.counts(request, dequeued);
        let mut attempt = match self.send(request, dequeued, count).await {
            Ok(attempt) => attempt,
            Err(detail) => Attempt::unsent(detail, dequeued, self.shard.world.now()),
        };
        self.next = attempt.done;
        let stood_still = self.shard.stood_still(dequeued, attempt.done);
        attempt.work.held = attempt.work.held.max(stood_still);
        if !self.patient && matches!(attempt.ending, Ending::Answer(_)) {
            self.shard.counts.borrow_mut().answered(self.runner.index);
        }
        let outcome = self.judge(request, &attempt, count).await;
        self.count(request, &attempt, (intended, dequeued), outcome, allowed);
        if outcome.kind.is_success() { Ok(()) } else { Err(Stopped::Failed(outcome)) }
    }

    /// The length of its list is wanted.
    fn counts(&self, request: &Request, now: Micros) -> bool {
        let op = request.op.unwrap_or(self.runner.shape.op);
        request.asked.items.is_some() && self.shard.counts.borrow_mut().wants_items(op, now)
    }

    async fn send(&mut self, request: &Request, dequeued: Micros, count: bool) -> Result<Attempt, String> {
        let runner = self.runner.clone();
        let auth = runner.tokens.header(&self.vars, self.shard.world.wall())?;
        let rendered = runner.program.render(request, &self.vars, auth.as_ref())?;
        let timeout = request.timeout.or(runner.shape.timeout).unwrap_or(NO_TIMEOUT);
        let whole = count || request.needs_body();
        let world = &self.shard.world;
        if !self.patient {
            self.shard.counts.borrow_mut().attempted(runner.index);
            return Ok(attempt(world, &runner.pool, rendered, dequeued, Some(timeout), whole).await);
        }
        let op = request.op.unwrap_or(runner.shape.op);
        let event = ProbeEvent { op, index: self.vars.index, intended: self.next, done: None };
        self.shard.counts.borrow_mut().probe(event.clone());
        let attempt = attempt(world, &runner.probe_pool, rendered, dequeued, None, whole).await;
        self.shard.counts.borrow_mut().probe(ProbeEvent { done: Some(attempt.done), ..event });
        Ok(attempt)
    }

    /// Reads the answer: outcome, captures, list sizes, samples of errors.
    async fn judge(&mut self, request: &Request, attempt: &Attempt, count: bool) -> Outcome {
        let runner = self.runner.clone();
        let op = request.op.unwrap_or(runner.shape.op);
        let (outcome, detail, excerpt) = match &attempt.ending {
            Ending::Failed { kind, detail } => (Outcome::new(*kind, 0), detail.clone(), String::new()),
            Ending::Answer(answer) => {
                let (world, vars) = (&self.shard.world, &self.vars);
                let finding = read_answer(world, &runner.program, request, vars, answer, count).await;
                self.read_aside(answer, attempt.done);
                if let Some(items) = finding.items {
                    let service =
                        attempt.reading.first_byte.map_or(Micros::ZERO, |first| attempt.done - first);
                    let bytes = attempt.reading.received;
                    let event = ItemsEvent { at: attempt.done, op, items, bytes, service };
                    self.shard.counts.borrow_mut().items(event);
                }
                for (name, value) in finding.captured {
                    Arc::make_mut(&mut self.vars).own.insert(name, value);
                }
                let excerpt =
                    String::from_utf8_lossy(&answer.body[..answer.body.len().min(512)]).into_owned();
                let status = runner.counted_as(op, answer.status);
                (Outcome::new(finding.kind, status), finding.detail, excerpt)
            }
        };
        if outcome.kind != Kind::Ok && !self.patient {
            self.note_error(op, request, attempt, outcome, (detail, excerpt));
        }
        outcome
    }

    /// To read a long answer is the user's own time, as thinking is.
    fn read_aside(&mut self, answer: &Answer, done: Micros) {
        if answer.is_long() {
            let spent = self.shard.world.now() - done;
            self.next += spent;
            self.group.iter_mut().for_each(|group| group.thought += spent);
        }
    }

    fn note_error(
        &self,
        op: OpId,
        request: &Request,
        attempt: &Attempt,
        outcome: Outcome,
        text: (String, String),
    ) {
        let mut counts = self.shard.counts.borrow_mut();
        if !counts.wants_error(op, outcome, attempt.done, &format!("{} {}", text.0, text.1)) {
            return;
        }
        let line = format!("{} {}", request.method, self.runner.program.path_of(request, &self.vars));
        let detail = match outcome.kind {
            Kind::Template => format!("{}: {}", request.place, text.0),
            _ => text.0,
        };
        counts.error(ErrorSample {
            at: attempt.done,
            op,
            kind: outcome.kind,
            status: outcome.status,
            request: cut(&self.shard.redact(&line), SHOWN),
            detail: cut(&self.shard.redact(&detail), SHOWN),
            body: self.shard.redact(&text.1),
        });
    }

    fn count(
        &mut self,
        request: &Request,
        attempt: &Attempt,
        (intended, dequeued): (Micros, Micros),
        outcome: Outcome,
        allowed: Micros,
    ) {
        let left_out = outcome.kind.is_own()
            || timed_out_through_squall(outcome, attempt.done - dequeued, attempt.work.held, allowed);
        if let Some(group) = &mut self.group {
            if group.work.attempts > 0 {
                group.lag += dequeued - intended;
            }
            group.work += attempt.work;
            group.pool_wait += attempt.pool_wait;
            group.first_byte = group.first_byte.or(attempt.reading.first_byte);
            group.left_out |= left_out;
            return;
        }
        let sample = Sample {
            op: request.op.unwrap_or(self.runner.shape.op),
            outcome,
            intended,
            dequeued,
            pool_wait: attempt.pool_wait,
            first_byte: attempt.reading.first_byte,
            done: attempt.done,
            work: attempt.work,
            clean: left_out_if(left_out),
        };
        self.settle(sample, Micros::ZERO);
    }
}

/// A time-out is squall's own doing where squall held the operation up for a quarter of its time or more. The
/// microseconds that every wake is late must not excuse a target that hangs.
fn timed_out_through_squall(outcome: Outcome, took: Micros, held: Micros, allowed: Micros) -> bool {
    // A connection that did not come about in time, and none that was refused.
    let timed_out = outcome.kind == Kind::Timeout || (outcome.kind == Kind::Connect && took >= allowed);
    timed_out && held * 4 >= allowed
}
