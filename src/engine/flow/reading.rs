//! What becomes of an attempt: its answer read, its captures kept, its sample counted.

use std::sync::Arc;

use super::{Flow, left_out_if};
use crate::client::{Answer, Attempt, Ending, READING, Request, read_answer};
use crate::record::{ErrorSample, ItemsEvent};
use crate::sample::{Kind, OpId, Outcome, Sample};
use crate::units::{Micros, cut};

/// Characters of a request line and of a detail that a sample keeps.
const SHOWN: usize = 300;

impl Flow {
    /// Reads the answer: outcome, captures, list sizes, samples of errors.
    pub(super) async fn judge(&mut self, request: &Request, attempt: &Attempt, count: bool) -> Outcome {
        let runner = self.runner.clone();
        let op = request.op.unwrap_or(runner.shape.op);
        let (outcome, detail, excerpt) = match &attempt.ending {
            Ending::Failed { kind, detail } => (Outcome::new(*kind, 0), detail.clone(), String::new()),
            Ending::Answer(answer) => {
                if answer.is_long() {
                    // It has come: the end of the load must not cut it off unread.
                    self.shard.decided_by(self.shard.world.now() + READING);
                }
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
                for captured in finding.captured {
                    Arc::make_mut(&mut self.vars).learn(captured);
                }
                let excerpt =
                    String::from_utf8_lossy(&answer.body[..answer.body.len().min(512)]).into_owned();
                let status = runner.counted_as(op, answer.status);
                (Outcome::new(finding.kind, status), finding.detail, excerpt)
            }
        };
        if outcome.kind != Kind::Ok && !self.patient {
            let detail = match outcome.kind {
                Kind::Template => format!("{}: {detail}", request.place),
                _ => detail,
            };
            self.note(ErrorSample {
                at: attempt.done,
                op,
                kind: outcome.kind,
                status: outcome.status,
                request: format!("{} {}", request.method, runner.program.path_of(request, &self.vars)),
                detail,
                body: excerpt,
            });
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

    /// Keeps a sample of an error if one of its kind is still wanted.
    pub(super) fn note(&self, sample: ErrorSample) {
        let outcome = Outcome::new(sample.kind, sample.status);
        let text = format!("{} {}", sample.detail, sample.body);
        if self.wants_error(sample.op, outcome, sample.at, &text) {
            self.keep_error(sample);
        }
    }

    pub(super) fn wants_error(&self, op: OpId, outcome: Outcome, at: Micros, text: &str) -> bool {
        !self.patient && self.shard.counts.borrow_mut().wants_error(op, outcome, at, text)
    }

    /// Keeps a sample that is wanted, cut, and without secrets.
    pub(super) fn keep_error(&self, sample: ErrorSample) {
        let told = |text: &str| self.shard.redact(text);
        self.shard.counts.borrow_mut().error(ErrorSample {
            request: cut(&told(&sample.request), SHOWN),
            detail: cut(&told(&sample.detail), SHOWN),
            body: told(&sample.body),
            ..sample
        });
    }

    pub(super) fn count(
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
