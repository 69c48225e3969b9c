//! The steps that a failed flow does not take: its user thinks all the same, and what it never reached counts.

use minijinja::Value;

use super::Flow;
use crate::client::Step;
use crate::experiment::{Start, Think};
use crate::random::Purpose;
use crate::sample::{Kind, OpId, Outcome};
use crate::units::Micros;

/// What some steps would have come to.
#[derive(Default)]
pub(super) struct Untaken {
    pub(super) thinking: Micros,
    /// In the order of the steps.
    ops: Vec<Rounds>,
    /// How long it would have taken, as far as is known.
    lasts: Micros,
}

/// An operation so many times, the first time at `from`.
#[derive(Clone, Copy)]
struct Rounds {
    op: OpId,
    n: u64,
    from: Micros,
    pace: Micros,
}

impl Rounds {
    /// All but the first of them.
    fn without_first(self) -> Rounds {
        Rounds { n: self.n.saturating_sub(1), from: self.from + self.pace, ..self }
    }

    /// Those that would have been before then.
    fn before(self, end: Micros) -> Rounds {
        let left = (end - self.from).0.max(0) as u64;
        let n = match (left, self.pace.0 as u64) {
            (0, _) => 0,
            (_, 0) => self.n,
            (left, pace) => self.n.min(left.div_ceil(pace)),
        };
        Rounds { n, ..self }
    }

    /// Beside as many as were made, those that this share of all would have been; squeezed into the time after `start`.
    fn owed(self, (made, share): (u64, f64), (start, squeeze): (Micros, f64)) -> Rounds {
        let owed = (self.n as f64 * share - made as f64 * (1.0 - share)).round().max(0.0) as u64;
        let at = |time: Micros| start + Micros(((time - start).0 as f64 * squeeze).round() as i64);
        let (from, to) = (at(self.from), at(self.last()));
        Rounds { n: owed, from, pace: Micros((to - from).0 / owed.max(2).saturating_sub(1) as i64), ..self }
    }

    fn last(&self) -> Micros {
        self.from + times(self.pace, self.n.saturating_sub(1))
    }
}

impl Untaken {
    fn of(op: Option<OpId>, from: Micros) -> Untaken {
        let one = |op| Rounds { op, n: 1, from, pace: Micros::ZERO };
        Untaken { ops: op.map(one).into_iter().collect(), ..Untaken::default() }
    }

    fn and(&mut self, more: Untaken) {
        self.thinking = (self.thinking + more.thinking).min(NEVER);
        self.lasts = (self.lasts + more.lasts).min(NEVER);
        self.ops.extend(more.ops);
    }

    /// So many rounds, `pace` apart or as far as one takes by itself. Where nobody knows how long one takes, no more than
    /// the first is known to have been left out. Of rounds within rounds each comes as far after the one before as they do
    /// on average.
    fn rounds(self, n: u64, pace: Option<Micros>) -> Untaken {
        let known = pace.is_some() || self.lasts > Micros::ZERO;
        let (n, pace) = (if known { n } else { n.min(1) }, pace.unwrap_or_default().max(self.lasts));
        let many = |of: Rounds| Rounds {
            n: of.n.saturating_mul(n),
            pace: Micros(pace.0 / of.n.max(1) as i64),
            ..of
        };
        let ops = if n > 1 { self.ops.into_iter().map(many).collect() } else { self.ops };
        Untaken { thinking: times(self.thinking, n), lasts: times(pace, n), ops }
    }
}

/// Longer than any load, and far from where sums of it overflow.
const NEVER: Micros = Micros(1 << 60);

fn times(each: Micros, n: u64) -> Micros {
    Micros(each.0.saturating_mul(i64::try_from(n).unwrap_or(i64::MAX))).min(NEVER)
}

impl Flow {
    /// A step failed: so many rounds of these steps are not taken, which come `pace` apart.
    pub(super) fn leave_out(&mut self, steps: &[Step], rounds: u64, pace: Option<Micros>) {
        if rounds == 0 {
            return;
        }
        // What is left of the round that failed has been left out before.
        let all = self.untaken(steps, self.next + self.untaken.lasts).rounds(rounds, pace);
        self.untaken.and(all);
    }

    /// The same of one round of which an operation has been told.
    pub(super) fn leave_out_but(&mut self, told: Option<OpId>, steps: &[Step]) {
        let mut one = self.untaken(steps, self.next);
        if let Some(first) = one.ops.iter_mut().find(|rounds| Some(rounds.op) == told) {
            *first = first.without_first();
        }
        self.untaken.and(one);
    }

    /// What was left out before the load would have ended: each operation that the flow never reached is due and bad,
    /// once, where the flow ended; further rounds are told. A user of a closed loop begins again, having thought all the
    /// same: of the flow that failed it lost as much as would have been done in the time that it took all the same,
    /// wherever in it users think.
    pub(super) fn tell_untaken(&mut self) {
        let (end, start) = (self.shard.load.experiment.outline.duration, self.next);
        let (spent, Untaken { thinking, lasts, .. }) = (start - self.arrival, &self.untaken);
        let part = |some: Micros, all: Micros| if all > some { some.0 as f64 / all.0 as f64 } else { 1.0 };
        let (share, squeeze) = match self.runner.shape.arrival {
            Start::Closed { .. } => (part(spent + *thinking, spent + *lasts), part(*thinking, *lasts)),
            Start::Open(_) => (1.0, 1.0),
        };
        let at = self.last_step.unwrap_or(self.arrival);
        for mut rounds in std::mem::take(&mut self.untaken.ops) {
            let (op, in_time) = (rounds.op, rounds.from < end);
            let made = self.reached.get_mut(&op).map(std::mem::take);
            rounds = rounds.owed((made.unwrap_or_default(), share), (start, squeeze));
            if made.is_none() && in_time {
                self.reached.insert(op, 0);
                rounds = rounds.without_first();
                if !self.patient {
                    self.shard.counts.borrow_mut().due(op, at);
                    self.finished(self.unsent(op, at, at, Outcome::new(Kind::Unreached, 0)));
                }
            }
            let further = rounds.before(end);
            if further.n > 0 && !self.patient {
                self.shard.counts.borrow_mut().forgone(op, at, (further.from, further.last()), further.n);
            }
        }
    }

    /// The think time of a repetition or a list is drawn once for all.
    fn untaken(&mut self, steps: &[Step], from: Micros) -> Untaken {
        let mut all = Untaken::default();
        for step in steps {
            let at = from + all.lasts;
            all.and(match step {
                Step::Request(request) => {
                    let lasts = request.pace.time().or(self.runner.pace.time()).unwrap_or_default();
                    Untaken { lasts, ..Untaken::of(request.op, at) }
                }
                Step::Think(think) => {
                    let thinking = self.think_time(*think);
                    Untaken { thinking, lasts: thinking, ..Untaken::default() }
                }
                Step::Repeat { times, steps, pace, .. } => {
                    self.untaken(steps, at).rounds(*times, pace.time())
                }
                Step::Choice(branches) => {
                    let picked = self.pick(branches);
                    branches.get(picked).map_or(Untaken::default(), |(_, steps)| self.untaken(steps, at))
                }
                Step::ForEach { list, steps, odds, lengths, pace, .. } => {
                    let known = self.vars.own.contains_key(list).then(|| self.elements(list).len() as u64);
                    let n = known
                        .unwrap_or_else(|| if odds.guess() { lengths.mean().unwrap_or(1) as u64 } else { 0 });
                    let all = match n {
                        0 => Untaken::default(),
                        n => self.untaken(steps, at).rounds(n, pace.time()),
                    };
                    // A list that nobody got takes nobody any time.
                    Untaken { thinking: if known.is_some() { all.thinking } else { Micros::ZERO }, ..all }
                }
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
                    let mut group = Untaken::of(Some(*op), at);
                    group.and(self.untaken(steps, at));
                    group
                }
            });
        }
        all
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
