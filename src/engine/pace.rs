//! A user's pace: how long it thinks, also in place of the steps that a failed flow does not take.

use minijinja::Value;

use super::flow::Flow;
use crate::client::Step;
use crate::experiment::Think;
use crate::random::Purpose;
use crate::units::Micros;

impl Flow {
    /// The think time of steps that are not taken; those of a repetition or a list are drawn once for all.
    pub(super) fn thinking(&mut self, steps: &[Step]) -> Micros {
        let mut sum = Micros::ZERO;
        for step in steps {
            sum += match step {
                Step::Request(_) => Micros::ZERO,
                Step::Think(think) => self.think_time(*think),
                Step::Repeat { times, steps, .. } => self.thinking(steps) * (*times).min(1 << 30) as i64,
                Step::Choice(branches) => {
                    let picked = self.pick(branches);
                    branches.get(picked).map_or(Micros::ZERO, |(_, steps)| self.thinking(steps))
                }
                Step::ForEach { list, steps, .. } => self.thinking(steps) * self.elements(list).len() as i64,
                Step::Group { steps, .. } => self.thinking(steps),
            };
        }
        sum
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
