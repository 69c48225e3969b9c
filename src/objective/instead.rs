//! What to write instead of a value that cannot be read: the user's own number in the metric's unit where it can be made
//! right, else an example of the same metric and sense.

use super::{Comparison, Metric};
use crate::quantity::Unit;
use crate::units::{parse_duration, parse_rate, parse_share};

/// Whether a value is one of this metric's.
pub(super) fn read(metric: &Metric, word: &str) -> Option<f64> {
    match metric.unit() {
        Unit::Duration => parse_duration(word).map(|d| d.0 as f64).ok(),
        // More than all of them is a slip that nothing could ever break.
        Unit::Share => parse_share(word).ok().filter(|s| (0.0..=1.0).contains(s)),
        Unit::Rate => parse_rate(word).ok(),
        Unit::Number => word.parse().ok().filter(|n: &f64| n.is_finite()),
    }
}

/// The user's own value in the metric's unit, in every way in which it may have been meant.
pub(super) fn values(metric: &Metric, comparison: Comparison, word: &str) -> Vec<String> {
    let number = word.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let own = match (metric.unit(), number) {
        (Unit::Duration, Some(_)) if matches!(metric, Metric::Outage | Metric::Recovery) => {
            vec![format!("{word}s")]
        }
        (Unit::Duration, Some(n)) if n < 10.0 => vec![format!("{word}s"), format!("{word}ms")],
        (Unit::Duration, Some(_)) => vec![format!("{word}ms")],
        // A fraction; and all of them, of what is good.
        (Unit::Share, Some(n)) if n < 1.0 || (n == 1.0 && *metric == Metric::Goodput) => {
            let percent = format!("{:.6}", n * 100.0);
            vec![format!("{}%", percent.trim_end_matches('0').trim_end_matches('.'))]
        }
        (Unit::Share, Some(_)) => vec![format!("{word}%")],
        (Unit::Rate, Some(_)) => vec![format!("{word}/s")],
        (Unit::Number, _) => vec![word.replace(',', "")],
        (_, None) => Vec::new(),
    };
    let right: Vec<String> = own.into_iter().filter(|value| read(metric, value).is_some()).collect();
    if right.is_empty() { vec![example(metric, comparison).to_owned()] } else { right }
}

fn example(metric: &Metric, comparison: Comparison) -> &'static str {
    match (metric, comparison.wants_less(), comparison.wants_more()) {
        (Metric::Errors, true, _) => "1%",
        (Metric::Errors, _, true) => "50%",
        (Metric::Errors, ..) => "0%",
        (Metric::Goodput, true, _) => "90%",
        (Metric::Goodput, _, true) => "99%",
        (Metric::Goodput, ..) => "100%",
        (Metric::Outage | Metric::Recovery, ..) => "20s",
        (Metric::Rate, ..) => "50/s",
        (Metric::Count, ..) => "1000",
        (Metric::Amplification, ..) => "1.2",
        (Metric::Target { .. }, ..) => "10",
        (Metric::Quantile(_) | Metric::Mean | Metric::Max, ..) => "300ms",
    }
}
