//! One request of a flow on its way: due, sent under its timeout, and what came of it handed on to be read.

use super::{Flow, Stopped};
use crate::client::{Attempt, Ending, Request, attempt};
use crate::experiment::NO_TIMEOUT;
use crate::record::ProbeEvent;
use crate::units::Micros;

impl Flow {
    pub(super) async fn request(&mut self, request: &Request) -> Result<(), Stopped> {
        self.may_go_on()?;
        let allowed = request.timeout.or(self.runner.shape.timeout).unwrap_or(NO_TIMEOUT);
        let (intended, dequeued) = (self.next, self.shard.world.now());
        if !self.patient {
            // Its timeout runs from when it leaves.
            self.shard.decided_by(dequeued + allowed);
        }
        if let Some(group) = &mut self.group {
            group.allowed += allowed;
        }
        if self.group.is_none() {
            self.reach(request.op, intended);
        }
        let count = self.counts(request, dequeued);
        let mut attempt = match self.send(request, dequeued, count).await {
            Ok(attempt) => attempt,
            Err(detail) => Attempt::unsent(detail, dequeued, self.shard.world.now()),
        };
        self.next = attempt.done;
        let stood_still = self.shard.stood_still_since(dequeued, attempt.done);
        attempt.work.held = attempt.work.held.max(stood_still);
        self.left(&attempt, (intended, dequeued));
        if !self.patient && matches!(attempt.ending, Ending::Answer(_)) {
            self.shard.counts.borrow_mut().answered(self.runner.index);
        }
        let outcome = self.judge(request, &attempt, count).await;
        self.count(request, &attempt, (intended, dequeued), outcome, allowed);
        if !outcome.kind.is_success() {
            return Err(Stopped::Failed(outcome));
        }
        [&request.pace, &self.runner.pace].iter().for_each(|pace| pace.saw((attempt.done - intended).0));
        Ok(())
    }

    /// Its first request left: late by how long squall took to begin it and then held it up, as one at its limit does.
    fn left(&mut self, attempt: &Attempt, (intended, dequeued): (Micros, Micros)) {
        if !std::mem::take(&mut self.in_time) {
            return;
        }
        let stood_still = self.shard.stood_still_within(dequeued, dequeued + attempt.pool_wait);
        let late = dequeued - intended + attempt.held_unsent.max(stood_still);
        self.shard.counts.borrow_mut().left(self.runner.index, self.arrival, late);
    }

    /// The length of its list is wanted.
    fn counts(&self, request: &Request, now: Micros) -> bool {
        let op = request.op.unwrap_or(self.runner.shape.op);
        request.asked.items.is_some() && self.shard.counts.borrow_mut().wants_items(op, now)
    }

    async fn send(&mut self, request: &Request, dequeued: Micros, count: bool) -> Result<Attempt, String> {
        let runner = self.runner.clone();
        let auth = runner.tokens.header(&self.vars, self.shard.world.wall())?;
        let render = || runner.program.render(request, &self.vars, auth.as_ref());
        let (rendered, again) = (render()?, || render().ok());
        let timeout = request.timeout.or(runner.shape.timeout).unwrap_or(NO_TIMEOUT);
        let whole = count || request.asked.needs_body();
        let (world, nth) = (&self.shard.world, self.sent);
        self.sent += 1;
        if !self.patient {
            self.shard.counts.borrow_mut().attempted(runner.index);
            let pool = (&runner.pool, nth);
            return Ok(attempt(world, pool, rendered, &again, dequeued, Some(timeout), whole).await);
        }
        let op = request.op.unwrap_or(runner.shape.op);
        let event = ProbeEvent { op, index: self.vars.index, intended: self.next, done: None };
        self.shard.counts.borrow_mut().probe(event.clone());
        let attempt =
            attempt(world, (&runner.probe_pool, nth), rendered, &again, dequeued, None, whole).await;
        self.shard.counts.borrow_mut().probe(ProbeEvent { done: Some(attempt.done), ..event });
        Ok(attempt)
    }
}
