//! Latency histograms: microseconds, three significant digits, merged without loss.
//!
//! A thin layer over HdrHistogram that cannot lie: an empty one has no percentile, and the wire form is the V2-deflate
//! format that other HdrHistogram tools read.

mod wire;

use std::borrow::Cow;

use base64::Engine as _;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::units::Micros;

/// Distinct values up to which a histogram lists them.
const FEW: usize = 256;
/// A thousand hours: longer ones count as that, so that it stands for "at least".
pub const MAX_MICROS: u64 = 3_600_000_000_000;

/// A histogram of durations in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Hist {
    counts: Counts,
}

/// Few histograms of a run have many values, and a place for each that there could be takes 16 to 150 kB: after a
/// target stood still, its operations have a histogram for each second of that, all at a time.
#[derive(Clone, Debug)]
enum Counts {
    /// Values, each the highest of its place, ascending, and how often each was recorded: few, or what was read.
    Listed(Vec<(u64, u64)>),
    Places(Box<Places>),
}

type Places = hdrhistogram::Histogram<u64>;

impl Default for Counts {
    fn default() -> Counts {
        Counts::Listed(Vec::new())
    }
}

impl Counts {
    fn places(&self) -> Cow<'_, Places> {
        match self {
            Counts::Places(places) => Cow::Borrowed(places),
            Counts::Listed(listed) => {
                let mut places = hdrhistogram::Histogram::new(3).expect("three digits are valid");
                places.auto(true);
                for &(value, n) in listed {
                    places.record_n(value, n).expect("an auto-resizing histogram takes every value");
                }
                Cow::Owned(places)
            }
        }
    }

    /// Adds a value to the few; false if there is no list, or no room in it.
    fn list(&mut self, value: u64, n: u64) -> bool {
        let Counts::Listed(listed) = self else { return false };
        let value = wire::highest_beside(value);
        match listed.binary_search_by_key(&value, |(listed, _)| *listed) {
            Ok(at) => listed[at].1 = listed[at].1.saturating_add(n),
            Err(_) if listed.len() >= FEW => return false,
            Err(_) if n == 0 => {}
            Err(at) => listed.insert(at, (value, n)),
        }
        true
    }

    fn places_mut(&mut self) -> &mut Places {
        if let Counts::Listed(_) = self {
            *self = Counts::Places(Box::new(self.places().into_owned()));
        }
        match self {
            Counts::Places(places) => places,
            Counts::Listed(_) => unreachable!("it was just given places"),
        }
    }
}

impl Hist {
    /// Adds a value; one below zero counts as zero, one above the range as its end.
    pub fn record(&mut self, value: Micros) {
        self.record_n(value, 1);
    }

    /// The same, `n` times.
    pub fn record_n(&mut self, value: Micros, n: u64) {
        let value = (value.0.max(0) as u64).min(MAX_MICROS);
        if !self.counts.list(value, n) {
            let places = self.counts.places_mut();
            places.record_n(value, n).expect("an auto-resizing histogram takes every value");
        }
    }

    /// Adds all values of another, without loss.
    pub fn merge(&mut self, other: &Hist) {
        match &other.counts {
            Counts::Places(places) => {
                self.counts
                    .places_mut()
                    .add(&**places)
                    .expect("an auto-resizing histogram takes every value");
            }
            Counts::Listed(listed) => {
                listed.iter().for_each(|&(value, n)| self.record_n(Micros(value as i64), n));
            }
        }
    }

    /// How many values were recorded.
    pub fn len(&self) -> u64 {
        match &self.counts {
            Counts::Listed(listed) => listed.iter().map(|(_, n)| n).sum(),
            Counts::Places(places) => places.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The smallest value that at least the share `q` of all values does not exceed (nearest rank);
    /// none if empty, and none for a `q` outside (0, 1], of which there is no such value.
    pub fn quantile(&self, q: f64) -> Option<Micros> {
        let any = !self.is_empty() && q > 0.0 && q <= 1.0;
        any.then(|| {
            let places = self.counts.places();
            Micros(places.value_at_quantile(q).min(places.max()) as i64)
        })
    }

    /// The largest value, to the histogram's resolution; none if empty.
    pub fn max(&self) -> Option<Micros> {
        match &self.counts {
            Counts::Listed(listed) => listed.last().map(|(value, _)| Micros(*value as i64)),
            Counts::Places(places) => (!places.is_empty()).then(|| Micros(places.max() as i64)),
        }
    }

    /// The mean of all values, rounded to a microsecond; none if empty.
    pub fn mean(&self) -> Option<Micros> {
        (!self.is_empty()).then(|| Micros(self.counts.places().mean().round() as i64))
    }

    /// The sum of all values, in microseconds; as rounded as the mean.
    pub fn sum(&self) -> f64 {
        self.mean().map_or(0.0, |mean| mean.0 as f64 * self.len() as f64)
    }

    /// How many values are at most `limit` (to the histogram's resolution).
    pub fn count_at_most(&self, limit: Micros) -> u64 {
        if limit.0 < 0 || self.is_empty() {
            return 0;
        }
        let limit = wire::highest_beside((limit.0 as u64).min(MAX_MICROS));
        self.values().take_while(|(value, _)| value.0 as u64 <= limit).map(|(_, n)| n).sum()
    }

    /// Every recorded value with its count, ascending.
    pub fn values(&self) -> impl Iterator<Item = (Micros, u64)> + '_ {
        let (listed, places) = match &self.counts {
            Counts::Listed(listed) => (&listed[..], None),
            Counts::Places(places) => (&[][..], Some(places)),
        };
        let recorded = places.into_iter().flat_map(|places| places.iter_recorded());
        let recorded = recorded.map(|v| (v.value_iterated_to(), v.count_at_value()));
        listed.iter().copied().chain(recorded).map(|(value, n)| (Micros(value as i64), n))
    }

    /// V2-deflate, base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.counts.places(), &mut bytes)
            .expect("writing to memory does not fail");
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
    }

    /// Reads what `encode` wrote.
    pub fn decode(text: &str) -> Result<Hist, String> {
        let bytes =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).map_err(|e| e.to_string())?;
        let mut listed = match wire::listed(&bytes) {
            Some(listed) => listed,
            None => of_any_settings(&bytes)?,
        };
        listed.shrink_to_fit();
        Ok(Hist { counts: Counts::Listed(listed) })
    }
}

/// What another tool wrote.
fn of_any_settings(bytes: &[u8]) -> Result<Vec<(u64, u64)>, String> {
    let places: Places = Deserializer::new().deserialize(&mut &*bytes).map_err(|e| e.to_string())?;
    Ok(places.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect())
}

impl PartialEq for Hist {
    fn eq(&self, other: &Hist) -> bool {
        self.values().eq(other.values())
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_list_says_what_places_say(
            values in prop::collection::vec((0u32..42, 0u64..1_000, 1u64..1_000), 0..400),
            q in 0.000_1..=1.0f64,
            limit in 0i64..100_000_000_000,
        ) {
            let (mut listed, mut placed) = (Hist::default(), Hist::default());
            placed.counts.places_mut();
            for (doublings, value, n) in values {
                let value = Micros((value << doublings).min(MAX_MICROS) as i64);
                listed.record_n(value, n);
                placed.record_n(value, n);
            }
            prop_assert_eq!(&listed, &placed);
            prop_assert_eq!((listed.len(), listed.max()), (placed.len(), placed.max()));
            prop_assert_eq!((listed.quantile(q), listed.mean()), (placed.quantile(q), placed.mean()));
            let limit = Micros(limit);
            prop_assert_eq!(listed.count_at_most(limit), placed.count_at_most(limit));
            prop_assert_eq!(listed.encode(), placed.encode());
        }

        #[test]
        fn what_was_written_is_read_to_the_last_place_by_both_readers(
            values in prop::collection::vec((0u32..42, 0u64..1_000, 1u64..1_000_000_000_000), 0..60),
        ) {
            let mut hist = Hist::default();
            for (doublings, value, n) in values {
                hist.record_n(Micros((value << doublings).min(MAX_MICROS) as i64), n);
            }
            let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(hist.encode()).unwrap();
            let read = wire::listed(&bytes);
            prop_assert_eq!(read.as_ref(), Some(&of_any_settings(&bytes).unwrap()));
            let written: Vec<(u64, u64)> = hist.values().map(|(value, n)| (value.0 as u64, n)).collect();
            prop_assert_eq!(read, Some(written));
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(mut text in "[a-zA-Z0-9+/]{0,80}", whole in any::<bool>()) {
            if whole {
                text.insert_str(0, "HISTFAAAAB94nJNpmSzMwMDAxAABzFCaEUoz2X");
            }
            let _ = Hist::decode(&text);
        }
    }

    /// While a target stands still for a minute, each of its operations has a histogram for each second of it at a time.
    #[test]
    fn a_few_values_take_no_place_for_each_that_there_could_be() {
        let hist = of(&(1..=100).map(|i| i * 173_000).collect::<Vec<_>>());
        assert!(matches!(hist.counts, Counts::Listed(_)));
        let mut both = of(&[5, 20_000_000]);
        both.merge(&hist);
        assert!(matches!(both.counts, Counts::Listed(_)));
    }

    #[test]
    fn what_lies_outside_of_the_range_counts_as_its_end() {
        let h = of(&[-5, i64::MAX]);
        assert_eq!((h.len(), h.count_at_most(Micros::ZERO)), (2, 1));
        let max = h.max().unwrap().0 as f64;
        assert!((max / MAX_MICROS as f64 - 1.0).abs() <= 0.001, "{max}");
    }
}
