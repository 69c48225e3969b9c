//! Arrivals: when flows start. A pure function of the plan and the seed, never of the answers.
//!
//! Every open arrival is a process of unit rate (even spacing, or Poisson) pulled through the inverse
//! of the cumulative rate, so constant, staged and bursting rates share one piece of code.

use serde::{Deserialize, Serialize};

use crate::random::{Key, Purpose};
use crate::units::Micros;

/// An open-loop arrival process. Times count from the shape's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    pub spacing: Spacing,
    pub rate: Rate,
    /// No arrivals at or after this time.
    pub until: Micros,
}

/// How arrivals lie between each other at a rate of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    Even,
    Poisson,
}

/// How many arrivals are expected when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Operations per second.
    Constant(f64),
    /// Linear from the rate before to `to`, over `over`; held after the last one.
    Stages { from: f64, stages: Vec<Stage> },
    /// `size` arrivals at once every `every`, spread evenly over `over`.
    Bursts { size: u64, every: Micros, over: Micros },
}

/// One piece of a rate that changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub to: f64,
    pub over: Micros,
}

impl Arrival {
    /// The times of all arrivals in ascending order. `shape` and `seed` key the draws.
    pub fn times(&self, seed: u64, shape: u32) -> impl Iterator<Item = Micros> + use<> {
        let arrival = self.clone();
        let mut unit = UnitProcess { seed, shape, spacing: self.spacing, index: 0, sum: 0.0 };
        std::iter::from_fn(move || {
            let mass = unit.next_mass();
            arrival.rate.time_of(mass).filter(|&at| at < arrival.until)
        })
    }

    /// How many of `times` lie before each of the ascending `bounds`, one after the other. Even spacing is counted
    /// without looking at each arrival.
    pub fn counts_before(&self, seed: u64, shape: u32, bounds: impl Iterator<Item = Micros>) -> Vec<u64> {
        let bounds = bounds.map(|bound| bound.min(self.until));
        match self.spacing {
            Spacing::Even => bounds.map(|bound| self.even_before(bound)).collect(),
            Spacing::Poisson => {
                let mut unit = UnitProcess { seed, shape, spacing: self.spacing, index: 0, sum: 0.0 };
                let (mut mass, mut n) = (unit.next_mass(), 0);
                let count = |bound: Micros| {
                    // Far below the bound's own mass nothing needs a time.
                    let surely = self.rate.mass_before(bound.max(Micros::ZERO)) * (1.0 - 1e-9) - 2.0;
                    while mass < surely || self.rate.time_of(mass).is_some_and(|at| at < bound) {
                        mass = unit.next_mass();
                        n += 1;
                    }
                    n
                };
                bounds.map(count).collect()
            }
        }
    }

    /// The first index of an even process that does not lie before `bound`: by its mass, and from there to the
    /// microsecond that `times` rounds to.
    fn even_before(&self, bound: Micros) -> u64 {
        let before = |index: u64| self.rate.time_of(index as f64).is_some_and(|at| at < bound);
        if bound <= Micros::ZERO {
            return 0;
        }
        let mut n = self.expected(Micros::ZERO, bound).round() as u64;
        while n > 0 && !before(n - 1) {
            n -= 1;
        }
        while before(n) {
            n += 1;
        }
        n
    }

    /// Expected arrivals in [from, to) of the shape's own time.
    pub fn expected(&self, from: Micros, to: Micros) -> f64 {
        let clip = |at: Micros| self.rate.mass_before(at.max(Micros::ZERO).min(self.until));
        (clip(to) - clip(from)).max(0.0)
    }
}

/// Cumulative mass at which arrival i happens: i for even spacing, a sum of i + 1 exponentials for
/// Poisson.
struct UnitProcess {
    seed: u64,
    shape: u32,
    spacing: Spacing,
    index: u64,
    sum: f64,
}

impl UnitProcess {
    fn next_mass(&mut self) -> f64 {
        let (i, key_index) = (self.index as f64, self.index);
        self.index += 1;
        match self.spacing {
            Spacing::Even => i,
            Spacing::Poisson => {
                let (seed, shape) = (self.seed, self.shape);
                let key = Key { seed, shape, index: key_index, attempt: 0, purpose: Purpose::Arrival };
                self.sum += key.stream().exponential();
                self.sum
            }
        }
    }
}

impl Rate {
    /// The time at which the cumulative rate reaches `mass`; none if it never does.
    fn time_of(&self, mass: f64) -> Option<Micros> {
        match self {
            Rate::Constant(rate) => (*rate > 0.0).then(|| Micros::from_secs_f64(mass / rate)),
            Rate::Stages { from, stages } => time_in_stages(*from, stages, mass),
            Rate::Bursts { size, every, over } => {
                let burst = (mass / *size as f64).floor();
                let within = mass - burst * *size as f64;
                let offset = over.0 as f64 * within / *size as f64;
                (*size > 0).then(|| *every * burst as i64 + Micros(offset.round() as i64))
            }
        }
    }

    /// Expected arrivals before `at`.
    fn mass_before(&self, at: Micros) -> f64 {
        match self {
            Rate::Constant(rate) => rate * at.as_secs_f64(),
            Rate::Stages { from, stages } => mass_in_stages(*from, stages, at.as_secs_f64()),
            Rate::Bursts { size, every, over } => {
                let (period, rest) = (at.0.div_euclid(every.0.max(1)), at.0.rem_euclid(every.0.max(1)));
                let share = match (rest, over.0) {
                    (0, _) => 0.0,
                    (_, 0) => 1.0,
                    (rest, over) => (rest as f64 / over as f64).min(1.0),
                };
                *size as f64 * (period as f64 + share)
            }
        }
    }
}

/// Solves r t + (a/2) t^2 = m for t >= 0, a the slope of the rate; none if the mass is never reached.
fn time_on_ramp(rate: f64, slope: f64, mass: f64) -> Option<f64> {
    if mass <= 0.0 {
        return Some(0.0);
    }
    let root = rate * rate + 2.0 * slope * mass;
    if root < 0.0 {
        return None;
    }
    let denominator = rate + root.sqrt();
    (denominator > 0.0).then(|| 2.0 * mass / denominator)
}

fn time_in_stages(from: f64, stages: &[Stage], mass: f64) -> Option<Micros> {
    let (mut rate, mut start, mut left) = (from, 0.0, mass);
    for stage in stages {
        let over = stage.over.as_secs_f64();
        let whole = (rate + stage.to) / 2.0 * over;
        if left < whole {
            let slope = if over > 0.0 { (stage.to - rate) / over } else { 0.0 };
            return time_on_ramp(rate, slope, left).map(|t| Micros::from_secs_f64(start + t));
        }
        (left, start, rate) = (left - whole, start + over, stage.to);
    }
    (rate > 0.0).then(|| Micros::from_secs_f64(start + left / rate))
}

fn mass_in_stages(from: f64, stages: &[Stage], at: f64) -> f64 {
    let (mut rate, mut start, mut mass) = (from, 0.0, 0.0);
    for stage in stages {
        let over = stage.over.as_secs_f64();
        if at < start + over {
            let t = at - start;
            return mass + rate * t + (stage.to - rate) / over * t * t / 2.0;
        }
        mass += (rate + stage.to) / 2.0 * over;
        (start, rate) = (start + over, stage.to);
    }
    mass + rate * (at - start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn even(rate: Rate, until: i64) -> Arrival {
        Arrival { spacing: Spacing::Even, rate, until: Micros::secs(until) }
    }

    fn times(a: &Arrival) -> Vec<i64> {
        a.times(7, 0).map(|t| t.0 / 1000).collect()
    }

    #[test]
    fn each_rate_places_its_arrivals() {
        let ramp = Rate::Stages { from: 0.0, stages: vec![Stage { to: 2.0, over: Micros::secs(2) }] };
        let rows = [
            ("constant starts at zero", even(Rate::Constant(4.0), 1), vec![0, 250, 500, 750]),
            ("a ramp of 1/s per second has mass t^2/2", even(ramp, 3), vec![0, 1414, 2000, 2500]),
            (
                "bursts spread over a tenth of a second",
                even(Rate::Bursts { size: 2, every: Micros::secs(1), over: Micros::millis(100) }, 2),
                vec![0, 50, 1000, 1050],
            ),
            ("a rate of zero has none", even(Rate::Constant(0.0), 10), vec![]),
        ];
        for (name, arrival, expected) in rows {
            assert_eq!(times(&arrival), expected, "{name}");
        }
    }

    #[test]
    fn poisson_gaps_are_exponential_by_kolmogorov_smirnov() {
        let arrival =
            Arrival { spacing: Spacing::Poisson, rate: Rate::Constant(100.0), until: Micros::secs(100) };
        let at: Vec<f64> = arrival.times(11, 2).map(|t| t.as_secs_f64()).collect();
        let mut gaps: Vec<f64> = at.windows(2).map(|w| w[1] - w[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(i, g)| ((1.0 - (-100.0 * g).exp()) - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "0.1 % point of Kolmogorov's distribution: {distance}");
        assert!((n - 10_000.0).abs() < 400.0, "four standard deviations of a Poisson count: {n}");
    }

    fn counted_one_by_one(arrival: &Arrival, bounds: &[Micros]) -> Vec<u64> {
        let times: Vec<Micros> = arrival.times(7, 0).collect();
        bounds.iter().map(|bound| times.iter().filter(|at| *at < bound).count() as u64).collect()
    }

    #[test]
    fn a_day_of_five_thousand_a_second_is_counted_without_a_look_at_each() {
        let day = even(Rate::Constant(5_000.0), 86_400);
        let counts = day.counts_before(7, 0, (1..=86_400).map(Micros::secs));
        assert_eq!(counts.last(), Some(&432_000_000));
        assert!(counts.windows(2).all(|pair| pair[1] - pair[0] == 5_000));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_times_however_arrivals_are_spaced(
            (rate, poisson) in (0.1..300.0f64, any::<bool>()),
            (size, every, over) in (1u64..40, 1i64..3_000, 0i64..3_000),
            stages in prop::collection::vec((0.0..80.0f64, 0i64..5), 0..4),
            cell in 1i64..1_500,
            until in 1i64..12_000,
        ) {
            let stages = stages.into_iter().map(|(to, s)| Stage { to, over: Micros::secs(s) }).collect();
            let burst = |over: i64| Rate::Bursts { size, every: Micros::millis(every), over: Micros::millis(over) };
            let rates = [Rate::Constant(rate), Rate::Stages { from: rate, stages }, burst(over.min(every)), burst(0)];
            let spacing = if poisson { Spacing::Poisson } else { Spacing::Even };
            let bounds: Vec<Micros> = (0..15).map(|n| Micros::millis(cell * n)).collect();
            for rate in rates {
                let arrival = Arrival { spacing, rate, until: Micros::millis(until) };
                let counts = arrival.counts_before(7, 0, bounds.iter().copied());
                prop_assert_eq!(counts, counted_one_by_one(&arrival, &bounds), "{:?}", arrival);
            }
        }

        #[test]
        fn times_ascend_and_match_the_expected_count(
            from in 0.0..50.0f64,
            stages in prop::collection::vec((0.0..80.0f64, 1i64..5), 1..5),
        ) {
            let stages: Vec<Stage> =
                stages.into_iter().map(|(to, s)| Stage { to, over: Micros::secs(s) }).collect();
            let arrival = even(Rate::Stages { from, stages }, 20);
            let at: Vec<Micros> = arrival.times(1, 0).collect();
            prop_assert!(at.is_sorted());
            let expected = arrival.expected(Micros::ZERO, Micros::secs(20));
            prop_assert!((at.len() as f64 - expected).abs() <= 1.001, "{} {expected}", at.len());
        }
    }
}
