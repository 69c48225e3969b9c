//! Scales: values to pixels, and the ticks that people read them by.
//!
//! Owns arithmetic only; nothing is drawn here. Every result is finite, whatever goes in.

use crate::units::Micros;

/// A linear map onto pixels, on the value or on its logarithm, clamped to the ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Scale {
        Scale { log: false, low, high, from, to }
    }

    /// `low` and `high` above 0.
    pub(super) fn log(low: f64, high: f64, from: f64, to: f64) -> Scale {
        Scale { log: true, low: low.ln(), high: high.ln(), from, to }
    }

    /// The pixel of a value; the nearer end for what lies outside.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let share = ((value - self.low) / (self.high - self.low).max(1e-12)).clamp(0.0, 1.0);
        if share.is_nan() { self.from } else { self.from + share * (self.to - self.from) }
    }
}

/// The ends of a log axis that holds all values: 1, 2 or 5 times a power of ten, at least a decade apart.
pub(super) fn log_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for v in values.filter(|v| *v > 0.0) {
        (low, high) = (low.min(v), high.max(v));
    }
    if high == 0.0 {
        (low, high) = (1_000.0, 10_000.0);
    }
    let (low, high) = (round_down(low * 0.9), round_up(high * 1.15));
    if high / low < 10.0 { (low, round_up(low * 9.99)) } else { (low, high) }
}

fn round_down(v: f64) -> f64 {
    let decade = 10f64.powf(v.log10().floor());
    [5.0, 2.0].into_iter().map(|m| m * decade).find(|&step| step <= v * 1.000_001).unwrap_or(decade)
}

fn round_up(v: f64) -> f64 {
    let decade = 10f64.powf(v.log10().floor());
    let steps = [1.0, 2.0, 5.0].into_iter().map(|m| m * decade);
    steps.into_iter().find(|&step| step >= v * 0.999_999).unwrap_or(10.0 * decade)
}

/// Ticks of a log axis: powers of ten, and 2 and 5 times them where that leaves too few.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let within = |steps: &[f64]| -> Vec<f64> {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|e| steps.iter().map(move |m| m * 10f64.powi(e)));
        all.filter(|t| (low * 0.999..=high * 1.001).contains(t)).collect()
    };
    let decades = within(&[1.0]);
    if decades.len() >= 3 { decades } else { within(&[1.0, 2.0, 5.0]) }
}

/// A step of 1, 2 or 5 times a power of ten that cuts [0, high] into at most `most` parts.
pub(super) fn linear_step(high: f64, most: usize) -> f64 {
    if high > 0.0 { round_up(high / most.max(1) as f64) } else { 1.0 }
}

/// A step in time, as clocks have them, that cuts `length` into at most `most` parts.
pub(super) fn time_step(length: Micros, most: usize) -> Micros {
    const SECONDS: [i64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600];
    let fits = |step: &Micros| length.0 <= step.0 * most.max(1) as i64;
    SECONDS.into_iter().map(Micros::secs).find(fits).unwrap_or(Micros::secs(86_400))
}

/// Where a quantile stands on an axis of nines: 0 at 0, 1 at 90 %, 2 at 99 %.
pub(super) fn nines(q: f64) -> f64 {
    -(1.0 - q).max(1e-9).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_axis_holds_its_values_and_has_three_to_nine_ticks() {
        let rows: [&[f64]; 6] = [&[3.0, 2_100.0], &[1.0], &[], &[900.0, 1_100.0], &[0.0, 5.0], &[1.0, 3.6e9]];
        for values in rows {
            let (low, high) = log_range(values.iter().copied());
            let ticks = log_ticks(low, high);
            assert!(values.iter().filter(|v| **v > 0.0).all(|v| (low..=high).contains(v)), "{values:?}");
            assert!((3..=11).contains(&ticks.len()), "{values:?}: {low} to {high}, {ticks:?}");
            assert!(ticks.windows(2).all(|w| w[0] < w[1]));
        }
    }

    #[test]
    fn time_steps_are_those_of_a_clock() {
        let rows =
            [(90, 10, 10), (150, 10, 15), (20, 4, 5), (3_600, 8, 600), (1, 10, 1), (360_000, 4, 86_400)];
        for (length, most, step) in rows {
            assert_eq!(time_step(Micros::secs(length), most), Micros::secs(step), "{length} in {most}");
        }
    }

    #[test]
    fn linear_steps_are_round() {
        for (high, most, step) in [(100.0, 4, 50.0), (97.0, 5, 20.0), (0.0, 4, 1.0), (3.0, 3, 1.0)] {
            assert!((linear_step(high, most) - step).abs() < 1e-9, "{high} in {most}");
        }
    }

    #[test]
    fn scales_clamp_and_stay_finite() {
        let log = Scale::log(1.0, 100.0, 50.0, 0.0);
        assert!((log.at(10.0) - 25.0).abs() < 1e-9);
        for v in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!((0.0..=50.0).contains(&log.at(v)), "{v}");
            assert!(Scale::linear(0.0, 0.0, 0.0, 9.0).at(v).is_finite(), "{v}");
        }
        assert!((nines(0.999) - 3.0).abs() < 1e-9 && nines(1.0).is_finite());
    }
}
