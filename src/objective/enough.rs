//! How much an expression needs before it can be told to hold: one rule for the judge, who knows how many there
//! were, and for the plan, which knows how many there will be (VERDICTS.md 2).

use super::{Comparison, Metric, Objective};
use crate::stats;

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

    /// A small value satisfies it: `<` and `<=`.
    pub fn wants_less(self) -> bool {
        matches!(self, Comparison::Below | Comparison::AtMost)
    }

    /// A large value satisfies it: `>` and `>=`.
    pub fn wants_more(self) -> bool {
        matches!(self, Comparison::Above | Comparison::AtLeast)
    }
}

impl Objective {
    /// The share of bad operations that the expression turns on.
    pub fn bad_limit(&self) -> Option<f64> {
        match self.metric {
            Metric::Errors => Some(self.value),
            Metric::Goodput => Some(1.0 - self.value),
            _ => None,
        }
    }

    /// Operations without which the expression cannot be told to hold: what a finite two-sided 95 % bound of a
    /// quantile takes, and one over the limit of a share.
    pub fn least(&self) -> u64 {
        match (&self.metric, self.bad_limit()) {
            (Metric::Quantile(q), _) => stats::n_min(*q),
            (_, Some(share)) if share > 0.0 && share < 1.0 => (1.0 / share - 1e-9).ceil() as u64,
            (Metric::Count, _) => 0,
            _ => 1,
        }
    }

    /// Whether it asks how operations fared, whichever came: one that no flow came to do has nothing to answer for. A
    /// rate or a count asks how many came.
    pub fn asks_whoever_came(&self) -> bool {
        self.selector.is_none() && !matches!(self.metric, Metric::Rate | Metric::Count)
    }

    /// The same expression asking for another metric, in the user's own words: `p95(list) < 1s during slow`.
    pub fn asking(&self, metric: &Metric) -> String {
        let text = self.text.trim();
        let end = text.find(|c: char| c == '(' || c == '<' || c == '>' || c == '=' || c.is_whitespace());
        format!("{metric}{}", &text[end.unwrap_or(text.len())..])
    }

    /// The same expression over another time, in the user's own words: `p99 > 1s for 37s`.
    pub fn lasting(&self, window: &str) -> String {
        let text = self.text.trim();
        let before = text.rfind(" for ").filter(|_| self.window.is_some()).map_or(text, |at| &text[..at]);
        format!("{} for {window}", before.trim_end())
    }

    /// The largest of the usual quantiles below its own that `n` operations can carry; none if it is no quantile.
    pub fn quantile_of(&self, n: u64) -> Option<Metric> {
        let Metric::Quantile(own) = self.metric else { return None };
        let usual = [0.999, 0.99, 0.95, 0.9, 0.5];
        usual.into_iter().find(|q| *q < own && stats::n_min(*q) <= n).map(Metric::Quantile)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Names, parse};
    use super::*;

    fn read(text: &str) -> Objective {
        parse(text, &Names { operations: None, triggers: None }).unwrap()
    }

    #[test]
    fn a_quantile_needs_its_bound_and_a_share_one_over_its_limit() {
        let rows = [
            ("p95 < 1s", 72),
            ("p99 < 1s", 368),
            ("errors < 0.1%", 1_000),
            ("goodput > 99%", 100),
            ("errors < 3%", 34),
            ("errors = 0%", 1),
            ("mean < 1s", 1),
            ("count > 5", 0),
        ];
        for (text, least) in rows {
            assert_eq!(read(text).least(), least, "{text}");
        }
    }

    #[test]
    fn advice_keeps_the_users_own_words() {
        let rule = read("p99(list)  >=  1500ms during slow for 5s");
        assert_eq!(rule.asking(&Metric::Quantile(0.95)), "p95(list)  >=  1500ms during slow for 5s");
        assert_eq!(rule.lasting("37s"), "p99(list)  >=  1500ms during slow for 37s");
        assert_eq!(read("p99 < 1s").lasting("37s"), "p99 < 1s for 37s");
        assert_eq!(rule.quantile_of(100), Some(Metric::Quantile(0.95)));
        assert_eq!(rule.quantile_of(3), None);
    }
}
