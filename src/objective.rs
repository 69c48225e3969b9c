//! One language for objectives, abort rules, steady state and conditions:
//! `metric[(selector)] op value [during PHASE|after TRIGGER] [for DURATION]` (SEMANTICS.md).
//!
//! Owns the syntax tree and its text form; what a measure is worth is for `verdict`.

use serde::{Deserialize, Serialize};

use crate::units::Micros;

/// A quantity that can be measured over a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `p50` to `p99.99`: the share in (0, 1), of response times.
    Quantile(f64),
    Mean,
    Max,
    /// bad / intended.
    Errors,
    /// 1 - errors.
    Goodput,
    /// Good operations per second.
    Rate,
    /// Operations intended.
    Count,
    /// Attempts per first try.
    Amplification,
    /// Of a trigger: the span of out-of-band windows from t_effective on.
    Outage,
    /// Of a trigger: the same from t_clear on.
    Recovery,
    /// A scraped metric of the target.
    Target {
        name: String,
        aggregate: Aggregate,
    },
}

/// How scraped values of a phase become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    Last,
    Mean,
    Max,
    /// Increase per second, counter resets excepted.
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// The stretch of the run that an expression speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    Warmup,
    Baseline,
    During(String),
    After(String),
    Run,
}

/// An expression, parsed. Values: latencies, outage and recovery in microseconds, shares as
/// fractions, rates per second, everything else plain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// As the user wrote it.
    pub text: String,
    pub metric: Metric,
    /// An operation, a shape or a trigger; none = each operation by itself, the worst decides.
    pub selector: Option<String>,
    pub comparison: Comparison,
    pub value: f64,
    pub phase: PhaseName,
    /// `for D`: broken only if broken in every window over D.
    pub window: Option<Micros>,
}
