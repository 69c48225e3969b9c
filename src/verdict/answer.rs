//! How much is enough: what a measured value says of a limit, and how many operations that takes
//! (VERDICTS.md 2).
//!
//! Owns the rule for each metric; which operations are counted, and whose fault a breach was, is asked
//! elsewhere.

use crate::objective::{Comparison, Metric, Objective};
use crate::quantity::Quantity;
use crate::stats;
use crate::timeline::Tally;
use crate::units::Micros;

/// What one count says of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Holds,
    Breaks,
    /// Too little to tell; with so many operations it could be told.
    Unknown(Option<u64>),
}

impl Answer {
    fn of(holds: bool) -> Answer {
        if holds { Answer::Holds } else { Answer::Breaks }
    }
}

impl Comparison {
    /// How bad a value is: the greater the worse.
    pub(super) fn badness(self, value: f64, limit: f64) -> f64 {
        match self {
            Comparison::Below | Comparison::AtMost => value,
            Comparison::Above | Comparison::AtLeast => -value,
            Comparison::Equal => (value - limit).abs(),
        }
    }
}

/// What operations say of the expression; `value` is the metric's of them.
pub(super) fn answer(objective: &Objective, value: Option<Quantity>, tally: &Tally) -> Answer {
    match objective.metric {
        Metric::Quantile(q) => quantile(objective, value, tally, q),
        Metric::Max => of_latency(objective, value),
        Metric::Mean => mean(objective, value, tally),
        Metric::Errors => share(objective, value, tally, objective.comparison.wants_more()),
        Metric::Goodput => share(objective, value, tally, objective.comparison.wants_less()),
        _ => of_value(objective, value),
    }
}

/// The same by the value alone, however few operations it is of: one window of several.
pub(super) fn by_point(objective: &Objective, value: Option<Quantity>, tally: &Tally) -> Answer {
    match objective.metric {
        Metric::Quantile(_) => of_latency(objective, value),
        Metric::Errors | Metric::Goodput => of_value(objective, value),
        _ => answer(objective, value, tally),
    }
}

/// What a plain value says.
pub(super) fn of_value(objective: &Objective, value: Option<Quantity>) -> Answer {
    match value {
        Some(value) => Answer::of(objective.comparison.holds(value.value, objective.value)),
        None => Answer::Unknown(None),
    }
}

/// Too few operations bound no quantile from above; that it lies above the limit can be certain of few.
fn quantile(objective: &Objective, value: Option<Quantity>, tally: &Tally, q: f64) -> Answer {
    let enough = objective.least();
    if tally.intended >= enough {
        return of_latency(objective, value);
    }
    let above = tally.above(Micros(objective.value as i64));
    match stats::exceeds(above, tally.intended, 1.0 - q) {
        true if objective.comparison.wants_more() => Answer::Holds,
        true => Answer::Breaks,
        false => Answer::Unknown(Some(enough)),
    }
}

/// A time of which only a lower bound may be known: a quantile or maximum among operations that did not
/// succeed is beyond every limit.
fn of_latency(objective: &Objective, value: Option<Quantity>) -> Answer {
    let (comparison, limit) = (objective.comparison, objective.value);
    let Some(value) = value else { return Answer::Unknown(Some(1)) };
    match comparison {
        _ if !value.is_bound() => Answer::of(comparison.holds(value.value, limit)),
        _ => Answer::of(comparison.wants_more()),
    }
}

/// A mean with operations in it that did not succeed is a lower bound: where it lies beyond the limit so does the
/// mean, and below it nothing is known; where most of them did not, the mean has no upper end.
fn mean(objective: &Objective, value: Option<Quantity>, tally: &Tally) -> Answer {
    let (comparison, limit) = (objective.comparison, objective.value);
    let Some(bound) = value.filter(Quantity::is_bound) else {
        return of_latency(objective, value);
    };
    let endless = tally.censored() * 2 > tally.intended;
    match comparison.holds(bound.value, limit) {
        true if comparison.wants_more() => Answer::Holds,
        false if !comparison.wants_more() => Answer::Breaks,
        _ if endless => Answer::of(comparison.wants_more()),
        _ => Answer::Unknown(None),
    }
}

/// The share of bad operations against its limit; `more` asks for at least so many.
fn share(objective: &Objective, value: Option<Quantity>, tally: &Tally, more: bool) -> Answer {
    let (Some(value), Some(limit)) = (value, objective.bad_limit()) else { return Answer::Unknown(Some(1)) };
    let enough = objective.least();
    if tally.intended >= enough {
        return Answer::of(objective.comparison.holds(value.value, objective.value));
    }
    match stats::exceeds(tally.bad(), tally.intended, limit) {
        true => Answer::of(more),
        false => Answer::Unknown(Some(enough)),
    }
}
