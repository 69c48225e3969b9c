//! The sentences of a judgement: plain words with numbers, for somebody who was not there.
//!
//! Owns wording only.

use super::judgement::Unit;
use super::measure::Measured;
use crate::objective::{Comparison, Metric, PhaseName};
use crate::units::{Micros, grouped, three_digits};

/// `412 ms`, `3.1 %`, `14.2/s`, `1,204`.
pub(super) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Duration => Micros(value.round() as i64).to_string(),
        Unit::Share => percent(value),
        Unit::Rate => format!("{}/s", number(value)),
        Unit::Number => number(value),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", three_digits(share * 100.0))
}

fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", grouped(value.abs().round() as u64))
    } else {
        three_digits(value)
    }
}

/// `412 ms`, `>= 2 s (3.1 % bad)`, `nothing`.
pub(super) fn measured(unit: Unit, m: &Measured) -> String {
    match m.value {
        None => "nothing".to_owned(),
        Some(v) if m.censored => format!(">= {} ({} bad)", value(unit, v), percent(m.bad)),
        Some(v) => value(unit, v),
    }
}

/// `While store_slow was in force`.
pub(super) fn phase(name: &PhaseName) -> String {
    match name {
        PhaseName::Warmup => "During the warm-up".to_owned(),
        PhaseName::Baseline => "Before the first trigger".to_owned(),
        PhaseName::During(x) => format!("While {x} was in force"),
        PhaseName::After(x) => format!("After {x}"),
        PhaseName::Run => "Over the run".to_owned(),
    }
}

/// `1 in 100 create_room took 412 ms or more`.
pub(super) fn claim(metric: &Metric, op: &str, m: &Measured) -> String {
    let Some(v) = m.value else { return format!("nothing was measured of {op}") };
    let duration = || value(Unit::Duration, v);
    let open = if m.censored { " (some never got an answer)" } else { "" };
    match metric {
        Metric::Quantile(q) if *q == 0.5 => format!("half of {op} took {} or more{open}", duration()),
        Metric::Quantile(q) => {
            let one_in = grouped((1.0 / (1.0 - q)).round() as u64);
            format!("1 in {one_in} {op} took {} or more{open}", duration())
        }
        Metric::Mean => format!("{op} took {} on average{open}", duration()),
        Metric::Max => format!("the slowest {op} took {}{open}", duration()),
        Metric::Errors => format!("{} of {op} failed or came too late", percent(v)),
        Metric::Goodput => format!("{} of {op} succeeded in time", percent(v)),
        Metric::Rate => format!("{} {op} succeeded per second", number(v)),
        Metric::Count => format!("{} {op} were intended", number(v)),
        Metric::Amplification => format!("each {op} was tried {} times on average", three_digits(v)),
        Metric::Outage => format!("the outage of {op} lasted {}", duration()),
        Metric::Recovery => format!("recovery from {op} took {}", duration()),
        Metric::Target { name, .. } => format!("target.{name} was {}", number(v)),
    }
}

/// `the limit is 300 ms`.
pub(super) fn limit(comparison: Comparison, text: &str) -> String {
    match comparison {
        Comparison::Below | Comparison::AtMost => format!("the limit is {text}"),
        Comparison::Above => format!("more than {text} is asked for"),
        Comparison::AtLeast => format!("at least {text} is asked for"),
        Comparison::Equal => format!("exactly {text} is asked for"),
    }
}

/// The name of a metric as it is written.
pub(super) fn metric(metric: &Metric) -> String {
    match metric {
        Metric::Quantile(q) => quantile(*q),
        Metric::Mean => "mean".to_owned(),
        Metric::Max => "max".to_owned(),
        Metric::Errors => "errors".to_owned(),
        Metric::Goodput => "goodput".to_owned(),
        Metric::Rate => "rate".to_owned(),
        Metric::Count => "count".to_owned(),
        Metric::Amplification => "amplification".to_owned(),
        Metric::Outage => "outage".to_owned(),
        Metric::Recovery => "recovery".to_owned(),
        Metric::Target { name, .. } => format!("target.{name}"),
    }
}

/// `p99`, `p99.9`.
pub(super) fn quantile(q: f64) -> String {
    format!("p{}", three_or_more(q * 100.0))
}

fn three_or_more(x: f64) -> String {
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
