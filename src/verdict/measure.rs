//! What a metric is worth over a tally of operations.
//!
//! Owns the numbers only: point estimate, interval, sample size. Holding them against a limit is
//! `objectives`'.

use super::judgement::{Interval, Unit};
use crate::objective::{Comparison, Metric};
use crate::stats;
use crate::timeline::Tally;
use crate::units::Micros;

/// One measured value, in the units of `Objective::value`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// None if there was nothing to measure.
    pub(super) value: Option<f64>,
    /// Operations without an answer make it a lower bound.
    pub(super) censored: bool,
    /// The same over successes alone.
    pub(super) successes: Option<Micros>,
    pub(super) interval: Option<Interval>,
    pub(super) n: u64,
    pub(super) bad: f64,
}

/// Measures operations over a stretch of `length` in time with deadline D.
pub(super) fn measure(metric: &Metric, tally: &Tally, length: Micros, deadline: Micros) -> Measured {
    let bad = tally.bad_share();
    let (value, successes) = match metric {
        Metric::Quantile(q) => (tally.response.quantile(*q).map(micros), tally.successes.quantile(*q)),
        Metric::Mean => (tally.response.mean().map(micros), tally.successes.mean()),
        Metric::Max => (tally.response.max().map(micros), tally.successes.max()),
        Metric::Errors => (bad, None),
        Metric::Goodput => (bad.map(|b| 1.0 - b), None),
        Metric::Rate => (per_second(tally, length), None),
        Metric::Count => (Some(tally.intended as f64), None),
        Metric::Amplification => (tally.amplification(), None),
        Metric::Outage | Metric::Recovery | Metric::Target { .. } => (None, None),
    };
    Measured {
        censored: value.is_some_and(|v| is_censored(metric, v, tally, deadline)),
        value,
        successes,
        interval: interval(metric, tally),
        n: tally.intended,
        bad: bad.unwrap_or(0.0),
    }
}

fn micros(value: Micros) -> f64 {
    value.0 as f64
}

fn per_second(tally: &Tally, length: Micros) -> Option<f64> {
    (tally.intended > 0 && length > Micros::ZERO).then(|| tally.good() as f64 / length.as_secs_f64())
}

/// A latency is a lower bound if it lies where operations without an answer were put: at D or above.
fn is_censored(metric: &Metric, value: f64, tally: &Tally, deadline: Micros) -> bool {
    tally.censored() > 0
        && match metric {
            Metric::Quantile(_) | Metric::Max => value >= micros(deadline),
            Metric::Mean => true,
            _ => false,
        }
}

fn interval(metric: &Metric, tally: &Tally) -> Option<Interval> {
    let bad = tally.intended - tally.good();
    match metric {
        Metric::Quantile(q) => {
            let n = tally.response.len();
            let (low, high) = stats::quantile_ranks(n, *q)?;
            let at = |rank: u64| tally.response.quantile((rank as f64 - 0.5) / n as f64).map(micros);
            Some(Interval { low: at(low)?, high: at(high)? })
        }
        Metric::Errors => stats::wilson(bad, tally.intended).map(|(low, high)| Interval { low, high }),
        Metric::Goodput => {
            stats::wilson(tally.good(), tally.intended).map(|(low, high)| Interval { low, high })
        }
        _ => None,
    }
}

/// Operations below which the metric says too little.
pub(super) fn least(metric: &Metric) -> u64 {
    match metric {
        Metric::Quantile(q) => stats::n_min(*q),
        Metric::Count => 0,
        _ => 1,
    }
}

pub(super) fn unit(metric: &Metric) -> Unit {
    match metric {
        Metric::Quantile(_) | Metric::Mean | Metric::Max | Metric::Outage | Metric::Recovery => {
            Unit::Duration
        }
        Metric::Errors | Metric::Goodput => Unit::Share,
        Metric::Rate => Unit::Rate,
        Metric::Count | Metric::Amplification | Metric::Target { .. } => Unit::Number,
    }
}

impl Comparison {
    /// Whether `value` satisfies the comparison with `limit`.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Equal => value == limit,
        }
    }

    /// How bad a value is: the greater the worse.
    pub(super) fn badness(self, value: f64, limit: f64) -> f64 {
        match self {
            Comparison::Below | Comparison::AtMost => value,
            Comparison::Above | Comparison::AtLeast => -value,
            Comparison::Equal => (value - limit).abs(),
        }
    }
}
