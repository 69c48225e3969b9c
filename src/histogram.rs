//! Latency histograms: microseconds, three significant digits, merged without loss.
//!
//! A thin layer over HdrHistogram that cannot lie: an empty one has no percentile, what saturates is
//! counted, and the wire form is the V2-deflate format that other HdrHistogram tools read.

use base64::Engine as _;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::units::Micros;

/// Values above a thousand hours saturate.
pub const MAX_MICROS: u64 = 3_600_000_000_000;

/// A histogram of durations in microseconds.
#[derive(Clone, Debug)]
pub struct Hist {
    inner: hdrhistogram::Histogram<u64>,
    saturated: u64,
}

impl Default for Hist {
    fn default() -> Hist {
        let mut inner = hdrhistogram::Histogram::new(3).expect("three digits are valid");
        inner.auto(true);
        Hist { inner, saturated: 0 }
    }
}

impl Hist {
    pub fn record(&mut self, value: Micros) {
        self.record_n(value, 1);
    }

    pub fn record_n(&mut self, value: Micros, n: u64) {
        let value = value.0.max(0) as u64;
        if value > MAX_MICROS {
            self.saturated += n;
        }
        self.inner.record_n(value.min(MAX_MICROS), n).expect("an auto-resizing histogram takes every value");
    }

    pub fn merge(&mut self, other: &Hist) {
        self.inner.add(&other.inner).expect("an auto-resizing histogram takes every value");
        self.saturated += other.saturated;
    }

    pub fn len(&self) -> u64 {
        self.inner.len()
    }

    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// How many values were above the range.
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// The smallest value that at least the share `q` of all values does not exceed (nearest rank);
    /// none if empty, and none for a `q` outside (0, 1], of which there is no such value.
    pub fn quantile(&self, q: f64) -> Option<Micros> {
        let any = !self.is_empty() && q > 0.0 && q <= 1.0;
        any.then(|| Micros(self.inner.value_at_quantile(q).min(self.inner.max()) as i64))
    }

    pub fn max(&self) -> Option<Micros> {
        (!self.is_empty()).then(|| Micros(self.inner.max() as i64))
    }

    pub fn mean(&self) -> Option<Micros> {
        (!self.is_empty()).then(|| Micros(self.inner.mean().round() as i64))
    }

    /// How many values are at most `limit` (to the histogram's resolution).
    pub fn count_at_most(&self, limit: Micros) -> u64 {
        if limit.0 < 0 || self.is_empty() {
            return 0;
        }
        let limit = self.inner.highest_equivalent((limit.0 as u64).min(MAX_MICROS));
        self.inner
            .iter_recorded()
            .take_while(|v| v.value_iterated_to() <= limit)
            .map(|v| v.count_at_value())
            .sum()
    }

    /// Every recorded value with its count, ascending.
    pub fn values(&self) -> impl Iterator<Item = (Micros, u64)> + '_ {
        self.inner.iter_recorded().map(|v| (Micros(v.value_iterated_to() as i64), v.count_at_value()))
    }

    /// V2-deflate, base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.inner, &mut bytes)
            .expect("writing to memory does not fail");
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
    }

    /// Reads what `encode` wrote; `saturated` is kept beside it by those who need it.
    pub fn decode(text: &str) -> Result<Hist, String> {
        let bytes =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).map_err(|e| e.to_string())?;
        let mut inner: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| e.to_string())?;
        inner.auto(true);
        let saturated = inner.count_at(MAX_MICROS);
        Ok(Hist { inner, saturated })
    }
}

impl PartialEq for Hist {
    fn eq(&self, other: &Hist) -> bool {
        self.inner == other.inner
    }
}

impl Serialize for Hist {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.is_empty() { s.serialize_str("") } else { s.serialize_str(&self.encode()) }
    }
}

impl<'de> Deserialize<'de> for Hist {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Hist, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        if text.is_empty() {
            return Ok(Hist::default());
        }
        Hist::decode(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[i64]) -> Hist {
        let mut h = Hist::default();
        values.iter().for_each(|&v| h.record(Micros(v)));
        h
    }

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(Hist::default().quantile(0.99), None);
        assert_eq!(Hist::default().max(), None);
    }

    #[test]
    fn there_is_no_quantile_outside_of_zero_to_one() {
        let h = of(&[1, 2, 3]);
        let none = [0.0, -0.5, 1.000_001, 99.0, f64::NAN, f64::INFINITY].map(|q| h.quantile(q));
        assert_eq!(none, [None; 6]);
        assert_eq!((h.quantile(1e-9), h.quantile(1.0)), (Some(Micros(1)), Some(Micros(3))));
    }

    #[test]
    fn quantiles_are_nearest_rank_within_a_thousandth() {
        let h = of(&(1..=1000).map(|i| i * 1000).collect::<Vec<_>>());
        for (q, expected) in [(0.5, 500_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
            let got = h.quantile(q).unwrap().0 as f64;
            assert!((got - expected).abs() <= expected / 1000.0, "q{q}: {got}");
        }
        assert_eq!(h.count_at_most(Micros(100_000)), 100);
    }

    #[test]
    fn merging_and_the_wire_form_lose_nothing() {
        let (mut a, b) = (of(&[1, 20, 300]), of(&[4_000, 50_000, 3_000_000]));
        a.merge(&b);
        assert_eq!(a, of(&[1, 20, 300, 4_000, 50_000, 3_000_000]));
        assert_eq!(Hist::decode(&a.encode()).unwrap(), a);
        let json = serde_json::to_string(&a).unwrap();
        assert_eq!(serde_json::from_str::<Hist>(&json).unwrap(), a);
        assert_eq!(serde_json::from_str::<Hist>("\"\"").unwrap(), Hist::default());
    }

    #[test]
    fn what_saturates_is_counted() {
        let h = of(&[5, i64::MAX]);
        assert_eq!((h.len(), h.saturated()), (2, 1));
    }
}
