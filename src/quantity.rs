//! A measured value with its unit, and whether it is exact or a lower bound: one type and one printer for
//! objectives, tables, charts and files.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{Micros, grouped, three_digits};

/// What a number is, so that it can be printed and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Microseconds.
    Duration,
    /// A fraction, printed as a percentage.
    Share,
    /// Per second.
    Rate,
    /// A plain number.
    Number,
}

/// How much is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    Exact,
    /// Operations that did not succeed lie at it: the true value is not known, and larger.
    AtLeast,
}

/// `412 ms`, or `>= 2 s` where the value is a lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    pub value: f64,
    pub unit: Unit,
    pub bound: Bound,
}

impl Quantity {
    /// An exact value, in the unit's own scale: microseconds, a share of 1, operations per second, a number.
    pub fn new(unit: Unit, value: f64) -> Quantity {
        Quantity { value, unit, bound: Bound::Exact }
    }

    pub fn time(value: Micros) -> Quantity {
        Quantity::new(Unit::Duration, value.0 as f64)
    }

    /// A share of 1: 0.031 is printed as `3.1 %`.
    pub fn share(value: f64) -> Quantity {
        Quantity::new(Unit::Share, value)
    }

    /// The same as a lower bound.
    pub fn at_least(self) -> Quantity {
        Quantity { bound: Bound::AtLeast, ..self }
    }

    /// It is a lower bound: what was measured is no better than this.
    pub fn is_bound(&self) -> bool {
        self.bound == Bound::AtLeast
    }

    /// A duration as such.
    pub fn micros(&self) -> Micros {
        Micros(self.value.round() as i64)
    }

    /// For a column of milliseconds: `3.14`, `14.2`, `1,204`; a lower bound is rounded down to three digits,
    /// as histograms give the upper end of a bucket.
    pub fn in_millis(&self) -> String {
        let millis = |value: Micros| match value.as_millis_f64() {
            ms if ms < 9.995 => format!("{ms:.2}"),
            ms if ms < 99.95 => format!("{ms:.1}"),
            ms => grouped(ms.round() as u64),
        };
        let value = self.micros().0.max(0);
        if !self.is_bound() {
            return millis(Micros(value));
        }
        let step = 10i64.pow(value.max(1).ilog10().saturating_sub(2));
        format!(">= {}", millis(Micros(value / step * step)))
    }
}

impl Quantity {
    /// The same as text beside a limit, with as many digits as it takes to tell them apart; of a lower bound, which
    /// histograms give as the upper end of a bucket, more than three would be too many.
    pub fn beside(&self, limit: f64) -> String {
        if self.is_bound() { self.to_string() } else { self.unit.show_beside(self.value, limit) }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_bound() { ">= " } else { "" };
        f.pad(&format!("{mark}{}", self.unit.show(self.value)))
    }
}

impl Unit {
    /// A value in this unit, for people: `412 ms`, `3.1 %`, `14.2/s`, `1,204`.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Duration => Micros(value.round() as i64).to_string(),
            Unit::Share => format!("{} %", three_digits(value * 100.0)),
            Unit::Rate => format!("{}/s", plain(value)),
            Unit::Number => plain(value),
        }
    }

    /// `94.95 %` beside 95 %, where three digits of both are the same.
    fn show_beside(self, value: f64, limit: f64) -> String {
        let short = self.show(value);
        if value == limit || short != self.show(limit) {
            return short;
        }
        let (scale, unit) = match self {
            Unit::Duration if value < 1e6 => (1e-3, " ms"),
            Unit::Duration => (1e-6, " s"),
            Unit::Share => (100.0, " %"),
            Unit::Rate => (1.0, "/s"),
            Unit::Number => (1.0, ""),
        };
        let shown = |x: f64, digits: usize| format!("{:.digits$}", x * scale);
        let apart = (1..=9).find(|&digits| shown(value, digits) != shown(limit, digits));
        apart.map_or(short, |digits| format!("{}{unit}", shown(value, digits)))
    }
}

/// A count or rate with at most three digits and grouped thousands.
pub fn plain(value: f64) -> String {
    match value {
        v if v >= 999.5 => grouped(v.round() as u64),
        v if v <= -999.5 => format!("-{}", grouped(v.abs().round() as u64)),
        v => three_digits(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_printed_in_its_unit_and_says_if_it_is_a_bound() {
        let rows = [
            (Quantity::time(Micros::millis(412)), "412 ms"),
            (Quantity::time(Micros::secs(2)).at_least(), ">= 2 s"),
            (Quantity::share(0.0314), "3.14 %"),
            (Quantity::new(Unit::Rate, 14.21), "14.2/s"),
            (Quantity::new(Unit::Number, 1204.0), "1,204"),
            (Quantity::new(Unit::Number, -1204.0), "-1,204"),
        ];
        for (quantity, text) in rows {
            assert_eq!(quantity.to_string(), text);
        }
        assert_eq!(Quantity::time(Micros(2_003_967)).at_least().in_millis(), ">= 2,000");
        let beside = [
            (Quantity::share(0.9495), 0.95, "94.95 %"),
            (Quantity::share(0.9495), 0.94, "95 %"),
            (Quantity::share(0.95), 0.95, "95 %"),
            (Quantity::time(Micros(2_000_400)), 2e6, "2.0004 s"),
            (Quantity::time(Micros(120_400_000)), 120e6, "120.4 s"),
            (Quantity::time(Micros(299_990)), 300e3, "299.99 ms"),
            (Quantity::time(Micros(1_000_447)).at_least(), 1e6, ">= 1 s"),
            (Quantity::new(Unit::Rate, 1204.2), 1204.0, "1204.2/s"),
        ];
        for (quantity, limit, text) in beside {
            assert_eq!(quantity.beside(limit), text);
        }
        assert_eq!(Quantity::time(Micros(14_213)).in_millis(), "14.2");
    }
}
