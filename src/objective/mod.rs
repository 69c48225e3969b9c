//! One language for objectives, abort rules, steady state and conditions:
//! `metric[(selector)] op value [during PHASE|after TRIGGER] [for DURATION]` (SEMANTICS.md).
//!
//! Owns the syntax tree, its parser and its text form; what a measure is worth is for `verdict`.

mod enough;
mod instead;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use parse::{METRICS, Mistake, Names, parse};

use serde::{Deserialize, Serialize};

use crate::quantity::Unit;
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

/// How a value is held against a limit.
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

impl Metric {
    /// What the value of this metric is written in.
    pub fn unit(&self) -> Unit {
        match self {
            Metric::Quantile(_) | Metric::Mean | Metric::Max | Metric::Outage | Metric::Recovery => {
                Unit::Duration
            }
            Metric::Errors | Metric::Goodput => Unit::Share,
            Metric::Rate => Unit::Rate,
            Metric::Count | Metric::Amplification | Metric::Target { .. } => Unit::Number,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Quantile(q) => write!(f, "p{}", quantile_text(*q)),
            Metric::Mean => f.write_str("mean"),
            Metric::Max => f.write_str("max"),
            Metric::Errors => f.write_str("errors"),
            Metric::Goodput => f.write_str("goodput"),
            Metric::Rate => f.write_str("rate"),
            Metric::Count => f.write_str("count"),
            Metric::Amplification => f.write_str("amplification"),
            Metric::Outage => f.write_str("outage"),
            Metric::Recovery => f.write_str("recovery"),
            Metric::Target { name, aggregate: Aggregate::Last } => write!(f, "target.{name}"),
            Metric::Target { name, aggregate } => write!(f, "{}(target.{name})", aggregate.word()),
        }
    }
}

/// 0.999 as `99.9`, without the digits that binary fractions bring.
fn quantile_text(q: f64) -> String {
    let text = format!("{:.6}", q * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Aggregate {
    fn word(self) -> &'static str {
        match self {
            Aggregate::Last => "last",
            Aggregate::Mean => "mean",
            Aggregate::Max => "max",
            Aggregate::Rate => "rate",
        }
    }
}

impl Comparison {
    /// As written: `<`.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Equal => "=",
        }
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PhaseName::Warmup => f.write_str("warmup"),
            PhaseName::Baseline => f.write_str("baseline"),
            PhaseName::During(trigger) => write!(f, "during {trigger}"),
            PhaseName::After(trigger) => write!(f, "after {trigger}"),
            PhaseName::Run => f.write_str("run"),
        }
    }
}

/// `p99(create_room) < 300 ms during store_slow`: one form however it was written.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric)?;
        if let Some(selector) = &self.selector {
            write!(f, "({selector})")?;
        }
        write!(f, " {} {}", self.comparison.sign(), self.metric.unit().show(self.value).replace(',', ""))?;
        match &self.phase {
            PhaseName::Run => {}
            PhaseName::Warmup | PhaseName::Baseline => write!(f, " during {}", self.phase)?,
            PhaseName::During(_) | PhaseName::After(_) => write!(f, " {}", self.phase)?,
        }
        self.window.map_or(Ok(()), |w| write!(f, " for {w}"))
    }
}
