//! What users of closed loops come to at most, as they think: where that is too few for an expression, the plan tells.

use std::ops::Range;

use crate::experiment::walk::{mean_thinking, most_within, thinks};
use crate::experiment::watch::Watch;
use crate::experiment::{Shape, Start, Step, each_step, expected, least_thinking, of_operation};
use crate::objective::{Metric, Objective};
use crate::sample::OpId;
use crate::timeline::phases;
use crate::units::{Micros, grouped};

/// The fewest operations that users come to at most, of those which an expression speaks of.
struct Most<'w> {
    n: u64,
    users: u64,
    /// None of flows that go round within themselves.
    think: Option<Micros>,
    operation: &'w str,
}

impl Most<'_> {
    fn users(&self) -> String {
        match self.think {
            Some(think) => format!("{} users who think for {think}", self.users),
            None => format!("{} users, as they think,", self.users),
        }
    }

    /// The rate or the count that they come to, where more than that is asked for.
    fn falls_short(&self, asked: &Objective, long: Micros) -> bool {
        let value = match asked.metric {
            Metric::Count => self.n as f64,
            Metric::Rate => self.n as f64 / long.as_secs_f64(),
            _ => return false,
        };
        asked.comparison.wants_more() && !asked.comparison.holds(value, asked.value)
    }
}

impl Watch<'_> {
    /// An objective for which they are too few.
    pub(super) fn thoughtful(&self, objective: &Objective) -> Option<String> {
        let cell = self.outline.cell;
        // What is gone a moment after it was to be has the cell in which it ends.
        let outer = |span: &Range<Micros>| {
            let cells = phases::cells(
                &objective.phase,
                &(span.start..(span.end + Micros(1)).min(self.outline.duration)),
                cell,
            );
            cell * i64::from(cells.start)..cell * i64::from(cells.end)
        };
        let spans: Vec<_> = self.longest(&objective.phase).iter().map(outer).collect();
        let most = self.most(objective, &spans)?;
        let (text, users) = (objective.text.trim(), most.users());
        let told = format!("{users} come to {} {} at most", grouped(most.n), most.operation);
        let long: Micros = spans.iter().map(|span| span.end - span.start).fold(Micros::ZERO, |a, b| a + b);
        if objective.window.is_none() && most.falls_short(objective, long) {
            return Some(format!(
                "`{text}` will not hold: {told} in {long}; ask for less, or take more users"
            ));
        }
        let needed = objective.least();
        (most.n < needed).then(|| {
            format!(
                "`{text}` will not be told to hold: {told}, and it takes {}; take more users, or let it last longer",
                grouped(needed),
            )
        })
    }

    /// A steady state for which they are too few, where it looks.
    pub(super) fn never_steady_users(&self, rule: &Objective) -> Option<String> {
        let until = self.outline.first_trigger()? - self.outline.cell;
        let long = self.outline.cell * self.looks_at(rule) as i64;
        let from = (until - long).max(self.outline.judge.warmup);
        let most = self.most(rule, std::slice::from_ref(&(from..until)))?;
        let (text, long, needed) = (rule.text.trim(), until - from, rule.least());
        if most.falls_short(rule, long) {
            return Some(format!(
                "`steady: {text}` will not be found, and the run then ends as INVALID: {} come to {} {} at most in the {long} at which it looks; ask for less, or take more users",
                most.users(),
                grouped(most.n),
                most.operation,
            ));
        }
        (most.n < needed).then(|| {
            format!(
                "`steady: {text}` will not be found, and the run then ends as INVALID: {} come to {} {} at most in the {long} at which it looks, and it takes {}; take more users, look at more with `for`, or ask it of another operation",
                most.users(),
                grouped(most.n),
                most.operation,
                grouped(needed),
            )
        })
    }

    /// For how long the users of a closed loop ask nothing, where all of them think the same: then they ask at once.
    pub(super) fn think_at_once(&self, shape: usize, width: Micros) -> Micros {
        let Some(Shape { arrival: Start::Closed { .. }, flow, .. }) = self.shapes.get(shape) else {
            return Micros::ZERO;
        };
        let think = mean_thinking(flow);
        if least_thinking(flow) < think || thinks(flow) > think {
            return Micros::ZERO;
        }
        let times = expected(flow, &|step| matches!(step, Step::Think(think) if think.least > width));
        if times > 0.0 { Micros((think.0 as f64 / times) as i64) } else { Micros::ZERO }
    }

    fn most(&self, rule: &Objective, spans: &[Range<Micros>]) -> Option<Most<'_>> {
        let counted = !matches!(rule.metric, Metric::Outage | Metric::Recovery | Metric::Target { .. });
        let all = self.outline.operations.iter().enumerate().filter(|(_, o)| counted && o.is_meant_by(rule));
        let each = all.filter_map(|(op, o)| {
            let (shape, outline) = (self.shapes.get(o.shape)?, self.outline.shapes.get(o.shape)?);
            let Start::Closed { users, .. } = shape.arrival else { return None };
            let (think, least) = (mean_thinking(&shape.flow), least_thinking(&shape.flow));
            let within = |span: &Range<Micros>| span.end.min(outline.end) - span.start.max(outline.start);
            let lasts: Vec<Micros> = spans.iter().map(within).filter(|&long| long > Micros::ZERO).collect();
            if lasts.is_empty() || think <= Micros::ZERO {
                return None;
            }
            let (each, op) = (self.counted(op, o)?, OpId(op as u16));
            let rounds: f64 =
                lasts.iter().map(|&long| rounds_within(shape, (!o.flow).then_some(op), long)).sum();
            let n = users as f64 * rounds * each;
            let mut drawn = least < think || thinks(&shape.flow) > think;
            let mut goes_round = false;
            each_step(&shape.flow, &mut |step| {
                drawn |= matches!(step, Step::Choice(_));
                goes_round |= matches!(step, Step::Repeat { .. });
            });
            let think = (!goes_round).then_some(think);
            // What is drawn by chance may be more: by so much in one of a hundred cases or fewer.
            let n = if drawn { n + 2.0 * n.sqrt() } else { n };
            Some(Most { n: n as u64, users, think, operation: &o.name })
        });
        each.min_by_key(|most| most.n)
    }
}

/// How many rounds a user's operations, or those of one kind, are worth within so long at most.
fn rounds_within(shape: &Shape, op: Option<OpId>, long: Micros) -> f64 {
    let of = |op: &OpId| of_operation(&shape.flow, *op) > 0.0;
    match op.filter(of) {
        Some(op) => most_within(&shape.flow, op, long) / of_operation(&shape.flow, op),
        // Of some a round ends as the time begins.
        None => (long.0 / mean_thinking(&shape.flow).0.max(1) + 1) as f64,
    }
}
