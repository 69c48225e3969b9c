//! What a metric is worth over a tally of operations.
//!
//! Owns the numbers: point estimate, interval, sample size; what they say of a limit is `answer`'s.

use super::answer::{self, Answer, answer};
use super::judgement::Interval;
use crate::objective::{Metric, Objective};
use crate::quantity::{Quantity, Unit};
use crate::sample::Kind;
use crate::stats;
use crate::timeline::Tally;
use crate::units::Micros;

/// One measured value, and what it says of the expression it was measured for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    /// None if there was nothing to measure.
    pub(super) value: Option<Quantity>,
    /// The same over successes alone.
    pub(super) successes: Option<Quantity>,
    pub(super) interval: Option<Interval>,
    pub(super) n: u64,
    /// Share of them that was bad.
    pub(super) bad: f64,
    /// Share of what was bad that no step came to, as one before it failed.
    pub(super) unreached: f64,
    pub(super) answer: Answer,
}

impl Default for Measured {
    fn default() -> Measured {
        let answer = Answer::Unknown(None);
        Measured { value: None, successes: None, interval: None, n: 0, bad: 0.0, unreached: 0.0, answer }
    }
}

/// The same, decided by its point alone: one window of several.
pub(super) fn point(objective: &Objective, tally: &Tally, exposure: Exposure) -> Measured {
    let measured = measure(objective, tally, exposure);
    let answer = answer::by_point(objective, measured.value, tally);
    Measured { answer, ..measured }
}

/// Over which stretch of time operations were, and for how many each of them stands.
#[derive(Clone, Copy)]
pub(super) struct Exposure {
    pub(super) length: Micros,
    /// More than 1 where patient probes, which are counted apart, were among the arrivals.
    pub(super) weight: f64,
}

/// Measures operations.
pub(super) fn measure(objective: &Objective, tally: &Tally, exposure: Exposure) -> Measured {
    let bad = tally.bad_share();
    let exact = |hist: Option<Micros>| hist.map(Quantity::time);
    let (value, successes) = match &objective.metric {
        Metric::Quantile(q) => (tally.quantile(*q), exact(tally.successes.quantile(*q))),
        Metric::Mean => (tally.mean(), exact(tally.successes.mean())),
        Metric::Max => (tally.quantile(1.0), exact(tally.successes.max())),
        Metric::Errors => (bad.map(Quantity::share), None),
        Metric::Goodput => (tally.good_share().map(Quantity::share), None),
        Metric::Rate => (per_second(tally, exposure), None),
        Metric::Count => {
            let all = (tally.intended as f64 * exposure.weight).round();
            (Some(Quantity::new(Unit::Number, all)), None)
        }
        Metric::Amplification => (tally.amplification().map(|a| Quantity::new(Unit::Number, a)), None),
        Metric::Outage | Metric::Recovery | Metric::Target { .. } => (None, None),
    };
    Measured {
        value,
        successes,
        interval: interval(&objective.metric, tally),
        n: tally.intended,
        bad: bad.unwrap_or(0.0),
        unreached: tally.of_kind(Kind::Unreached) as f64 / tally.bad().max(1) as f64,
        answer: answer(objective, value, tally),
    }
}

/// Good operations per second.
pub(super) fn per_second(tally: &Tally, Exposure { length, weight }: Exposure) -> Option<Quantity> {
    let rate = tally.good() as f64 * weight / length.as_secs_f64();
    (length > Micros::ZERO).then(|| Quantity::new(Unit::Rate, rate))
}

fn interval(metric: &Metric, tally: &Tally) -> Option<Interval> {
    match metric {
        Metric::Quantile(q) => {
            let n = tally.intended;
            let (low, high) = stats::quantile_ranks(n, *q)?;
            let at = |rank: u64| tally.quantile((rank as f64 - 0.5) / n as f64).map(|v| v.value);
            Some(Interval { low: at(low)?, high: at(high)? })
        }
        Metric::Errors => {
            stats::wilson(tally.bad(), tally.intended).map(|(low, high)| Interval { low, high })
        }
        Metric::Goodput => {
            stats::wilson(tally.good(), tally.intended).map(|(low, high)| Interval { low, high })
        }
        _ => None,
    }
}
