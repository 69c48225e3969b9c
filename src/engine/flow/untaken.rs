//! The steps that a failed flow does not take: its user thinks all the same, and what it never reached counts.

use minijinja::Value;

use super::Flow;
use crate::client::{Odds, Step};
use crate::experiment::{Start, Think};
use crate::random::Purpose;
use crate::sample::{Kind, OpId, Outcome};
use crate::units::Micros;

/// What one round of some steps would have come to.
#[derive(Default)]
pub(super) struct Untaken {
    thinking: Micros,
    /// How often each operation before the load's end, in the order of the steps.
    ops: Vec<(OpId, u64)>,
}

impl Untaken {
    fn of(op: Option<OpId>) -> Untaken {
        Untaken { ops: op.map(|op| (op, 1)).into_iter().collect(), ..Untaken::default() }
    }

    fn and(&mut self, more: Untaken) {
        self.thinking += more.thinking;
        self.ops.extend(more.ops);
    }
}

impl Flow {
    /// A step failed: so many rounds of these steps are not taken, the last ones having come `pace` apart. Each
    /// operation among them that the flow never reached is due and bad, once; further rounds are told. The user thinks
    /// all the same.
    pub(super) fn leave_out(&mut self, steps: &[Step], rounds: u64, pace: Micros) {
        let one = self.untaken(steps, self.next);
        let all = self.rounds_of(one, rounds, self.next, pace);
        self.lose(all);
    }

    /// The same of one round of which an operation has been told.
    pub(super) fn leave_out_but(&mut self, told: Option<OpId>, steps: &[Step]) {
        let mut one = self.untaken(steps, self.next);
        if let Some((_, n)) = one.ops.iter_mut().find(|(op, _)| Some(*op) == told) {
            *n = n.saturating_sub(1);
        }
        self.lose(one);
    }

    fn lose(&mut self, all: Untaken) {
        self.owed += all.thinking;
        all.ops.into_iter().for_each(|(op, n)| self.miss(op, n));
    }

    /// So many rounds from then on, of which those count that would begin before the load ends; in a closed loop before
    /// the user, having thought, begins again with the first.
    fn rounds_of(&self, one: Untaken, rounds: u64, from: Micros, pace: Micros) -> Untaken {
        let (thinking, pace) = (one.thinking * rounds.min(1 << 30) as i64, pace.max(one.thinking));
        let mut left = self.shard.load.experiment.outline.duration - from;
        if let Start::Closed { .. } = self.runner.shape.arrival {
            left = left.min(thinking);
        }
        let in_time = match (left > Micros::ZERO, pace > Micros::ZERO) {
            (false, _) => 0,
            (true, false) => rounds,
            (true, true) => rounds.min((left.0 as u64).div_ceil(pace.0 as u64)),
        };
        let ops = one.ops.into_iter().map(|(op, n)| (op, n.saturating_mul(in_time))).collect();
        Untaken { thinking, ops }
    }

    /// The think time of a repetition or a list is drawn once for all.
    fn untaken(&mut self, steps: &[Step], from: Micros) -> Untaken {
        let mut all = Untaken::default();
        for step in steps {
            let at = from + all.thinking;
            all.and(match step {
                Step::Request(request) => Untaken::of(request.op),
                Step::Think(think) => Untaken { thinking: self.think_time(*think), ..Untaken::default() },
                Step::Repeat { times, steps, .. } => {
                    let one = self.untaken(steps, at);
                    self.rounds_of(one, *times, at, Micros::ZERO)
                }
                Step::Choice(branches) => {
                    let picked = self.pick(branches);
                    branches.get(picked).map_or(Untaken::default(), |(_, steps)| self.untaken(steps, at))
                }
                Step::ForEach { list, steps, odds, .. } => self.elements_left(list, steps, odds, at),
                Step::If(either) => {
                    // What it turns on may never have been captured: it goes as the others do, or steps that few
                    // come to would answer for the failures of all.
                    let way = self.way(either).unwrap_or_else(|_| match either.odds.guess() {
                        true => &either.then,
                        false => &either.otherwise,
                    });
                    self.untaken(way, at)
                }
                Step::Group { op, steps } => {
                    let mut group = Untaken::of(Some(*op));
                    group.and(self.untaken(steps, at));
                    group
                }
            });
        }
        all
    }

    /// A list that nobody got is of some length where those before it were, and takes nobody any time.
    fn elements_left(&mut self, list: &str, steps: &[Step], odds: &Odds, from: Micros) -> Untaken {
        let known = self.vars.own.contains_key(list).then(|| self.elements(list).len() as u64);
        match known {
            Some(0) => Untaken::default(),
            Some(n) => {
                let one = self.untaken(steps, from);
                self.rounds_of(one, n, from, Micros::ZERO)
            }
            None if odds.guess() => Untaken { thinking: Micros::ZERO, ..self.untaken(steps, from) },
            None => Untaken::default(),
        }
    }

    /// An operation that a failed flow did not come to, so many times: if never, it is due all the same, and bad,
    /// where the flow ended.
    fn miss(&mut self, op: OpId, rounds: u64) {
        if self.group.is_some() {
            return;
        }
        let at = self.last_step.unwrap_or(self.arrival);
        let first = !self.reached.contains(&op);
        if first {
            self.reached.push(op);
        }
        if self.patient {
            return;
        }
        if first {
            self.shard.counts.borrow_mut().due(op, at);
            self.finished(self.unsent(op, at, at, Outcome::new(Kind::Unreached, 0)));
        }
        let further = rounds.saturating_sub(u64::from(first));
        if further > 0 {
            self.shard.counts.borrow_mut().forgone(op, at, further);
        }
    }

    pub(super) fn think_time(&mut self, think: Think) -> Micros {
        let spread = (think.most - think.least).0 as f64;
        think.least + Micros((self.draw(Purpose::Think) * spread).round() as i64)
    }

    /// The elements of a captured list; none where it is no list.
    pub(super) fn elements(&self, list: &str) -> Vec<Value> {
        let listed = self.vars.own.get(list).and_then(|value| value.try_iter().ok());
        listed.map(Iterator::collect).unwrap_or_default()
    }
}
