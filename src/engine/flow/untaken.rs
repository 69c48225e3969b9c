//! The steps that a failed flow does not take: its user thinks all the same, and what it never reached counts.

use minijinja::Value;

use super::Flow;
use crate::client::{Odds, Step};
use crate::experiment::Think;
use crate::random::Purpose;
use crate::units::Micros;

impl Flow {
    /// Leaves steps out: each operation on the flow's drawn path that it never reached is due and bad, once. Gives
    /// back the think time among them; that of a repetition or a list is drawn once for all.
    pub(super) fn leave_out(&mut self, steps: &[Step]) -> Micros {
        let mut thinking = Micros::ZERO;
        for step in steps {
            thinking += match step {
                Step::Request(request) => {
                    self.miss(request.op);
                    Micros::ZERO
                }
                Step::Think(think) => self.think_time(*think),
                Step::Repeat { times, steps, .. } => self.leave_out(steps) * (*times).min(1 << 30) as i64,
                Step::Choice(branches) => {
                    let picked = self.pick(branches);
                    branches.get(picked).map_or(Micros::ZERO, |(_, steps)| self.leave_out(steps))
                }
                Step::ForEach { list, steps, odds, .. } => self.leave_out_each(list, steps, odds),
                Step::If(either) => {
                    // What it turns on may never have been captured: it goes as the others do, or steps that few
                    // come to would answer for the failures of all.
                    let way = self.way(either).unwrap_or_else(|_| match either.odds.guess() {
                        true => &either.then,
                        false => &either.otherwise,
                    });
                    self.leave_out(way)
                }
                Step::Group { op, steps } => {
                    self.miss(Some(*op));
                    self.leave_out(steps)
                }
            };
        }
        thinking
    }

    /// A list that nobody got is of some length where those before it were, and takes nobody any time.
    fn leave_out_each(&mut self, list: &str, steps: &[Step], odds: &Odds) -> Micros {
        let n = self.elements(list).len();
        let led = if self.vars.own.contains_key(list) { n > 0 } else { odds.guess() };
        if led { self.leave_out(steps) * n as i64 } else { Micros::ZERO }
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
