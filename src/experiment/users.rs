//! What users of closed loops come to at most, as they think: where that is too few for an expression, the plan tells.

use std::ops::Range;

use crate::experiment::walk::{mean_thinking, thinks};
use crate::experiment::watch::Watch;
use crate::experiment::{Start, Step, each_step, least_thinking};
use crate::objective::{Metric, Objective};
use crate::timeline::phases;
use crate::units::{Micros, grouped};

/// The fewest operations that users come to at most, of those which an expression speaks of.
struct Most<'w> {
    n: u64,
    users: u64,
    think: Micros,
    operation: &'w str,
}

impl Most<'_> {
    fn users(&self) -> String {
        format!("{} users who think for {}", self.users, self.think)
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
        let value = match objective.metric {
            Metric::Count => Some(most.n as f64),
            Metric::Rate => Some(most.n as f64 / long.as_secs_f64()),
            _ => None,
        };
        let asked = objective.comparison.wants_more() && objective.window.is_none();
        if value.is_some_and(|most| asked && !objective.comparison.holds(most, objective.value)) {
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
        let needed = rule.least();
        (most.n < needed).then(|| {
            format!(
                "`steady: {}` will not be found, and the run then ends as INVALID: {} come to {} {} at most in the {} at which it looks, and it takes {}; take more users, look at more with `for`, or ask it of another operation",
                rule.text.trim(),
                most.users(),
                grouped(most.n),
                most.operation,
                until - from,
                grouped(needed),
            )
        })
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
            // Of some a round ends as the time begins.
            let rounds: i64 = lasts.iter().map(|long| long.0 / think.0 + 1).sum();
            let n = users as f64 * rounds as f64 * self.counted(op, o)?;
            let mut drawn = least < think || thinks(&shape.flow) > think;
            each_step(&shape.flow, &mut |step| drawn |= matches!(step, Step::Choice(_)));
            // What is drawn by chance may be more: by so much in one of a hundred cases or fewer.
            let n = if drawn { n + 2.0 * n.sqrt() } else { n };
            Some(Most { n: n as u64, users, think, operation: &o.name })
        });
        each.min_by_key(|most| most.n)
    }
}
