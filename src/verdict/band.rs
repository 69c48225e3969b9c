//! Bands: how far a measure may stray from its baseline, and whether the baseline stood still
//! (VERDICTS.md 3).

use super::baseline::Window;
use super::judgement::{Band, ShapeBand, Tail};
use super::pace::{By, LEEWAY, SLOWER, Yardstick};
use crate::objective::Metric;
use crate::stats;
use crate::timeline::{Tally, Timeline};
use crate::units::Micros;

/// Estimates a standard deviation from the median absolute deviation of a normal sample.
const SIGMA_PER_MAD: f64 = 1.4826;

/// Fewer windows do not tell by how much they differ, where users of a closed loop were to ask in more than they did.
pub(super) const MEASURED: usize = 4;

/// How one measure is banded: on which scale, and how tight at least.
struct Rule<'n> {
    name: &'n str,
    values: Vec<f64>,
    /// What is held against it, where that is not the same.
    compared: Vec<f64>,
    /// On logarithms; `floor` is a ratio then.
    log: bool,
    floor: f64,
    /// Never tighter than this, in the measure's own unit.
    absolute: f64,
    /// -1 where less is worse.
    side: f64,
    /// Operations of its two halves that are on the worse side, of how many: where these do not differ, nothing moved.
    halves: Option<[(u64, u64); 2]>,
}

/// All that was intended in one half of the baseline's windows, and how much of it took longer than so many microseconds.
pub(super) struct Half<'h> {
    pub(super) tally: Tally,
    pub(super) slower: Box<dyn Fn(By, f64) -> u64 + 'h>,
}

/// Of the windows of a baseline, and their halves.
pub(super) fn band(
    timeline: &Timeline,
    shape: &str,
    yardstick: &Yardstick,
    windows: &[Window],
    halves: &[Half<'_>; 2],
) -> ShapeBand {
    let cell = timeline.outline().cell;
    let values = |of: fn(&Window) -> Option<f64>| windows.iter().filter_map(of).collect::<Vec<f64>>();
    let linear = |name, values, floor, side| Rule {
        name,
        values,
        compared: Vec::new(),
        log: false,
        floor,
        absolute: 0.0,
        side,
        halves: None,
    };
    let log = |name, values, floor, absolute| Rule {
        name,
        values,
        compared: Vec::new(),
        log: true,
        floor,
        absolute,
        side: 1.0,
        halves: None,
    };
    let quantile = yardstick.quantile.map_or(String::new(), |q| Metric::Quantile(q).to_string());
    let [goodput, in_flight, amplification] = [
        linear("goodput", values(|w| Some(w.goodput())), 0.02, -1.0),
        log("the number of flows in flight", values(|w| w.in_flight), 1.5, 2.0),
        linear("amplification", values(Window::amplification), 0.05, 1.0),
    ];
    let average = log("latency", values(|w| w.pace(By::Average).varies), SLOWER, 0.0);
    let average = Rule { compared: values(|w| w.pace(By::Average).latency), ..average };
    let tail = log(&quantile, values(|w| w.pace(By::Tail).latency), SLOWER, LEEWAY * cell.as_secs_f64());
    let rules = [
        goodput.of(halves, |half| (half.tally.bad(), half.tally.intended)),
        average.of_latency(halves, By::Average),
        tail.of_latency(halves, By::Tail),
        in_flight,
        amplification.of(halves, |half| (half.tally.retried().min(half.tally.tried), half.tally.tried)),
    ];
    // What fails by chance is known of a single window, and how far these stray is not.
    let asked = timeline.outline().judge.windows as usize;
    // A smoke run's one window is squall's choice.
    let asked = if timeline.outline().smoke.is_some() { MEASURED } else { asked };
    let enough = windows.len() >= MEASURED.min(asked);
    // What has no band has none to move by.
    let moves = |rule: &&Rule| (enough || !rule.log) && rule.moves();
    let moved: Vec<&str> = rules.iter().filter(moves).map(|rule| rule.name).collect();
    let [mut goodput, latency, tail, in_flight, amplification] = rules.map(|rule| rule.band());
    // What is no normal to come back to is not within it.
    if let Some(band) = &mut goodput {
        band.limit = band.limit.max(timeline.outline().judge.goodput.min(band.median));
    }
    let [latency, tail, in_flight] = [latency, tail, in_flight].map(|band| band.filter(|_| enough));
    ShapeBand {
        shape: shape.to_owned(),
        none: None,
        window: windows.first().map_or(Micros::ZERO, |w| cell * i64::from(w.to - w.from)),
        windows: windows.len() as u64,
        goodput,
        latency,
        each: yardstick.each.clone(),
        tail: yardstick.quantile.zip(tail).map(|(quantile, band)| Tail { quantile, band }),
        in_flight,
        amplification,
        unsteady: (!moved.is_empty()).then(|| {
            format!(
                "{} of {shape} moved by more than half a band within the baseline; a longer `warmup`, or a calmer machine or \
                 service, would help",
                moved.join(" and ")
            )
        }),
        broken: None,
    }
}

impl<'n> Rule<'n> {
    fn of(self, halves: &[Half<'_>; 2], worse: impl Fn(&Half<'_>) -> (u64, u64)) -> Rule<'n> {
        Rule { halves: Some([worse(&halves[0]), worse(&halves[1])]), ..self }
    }

    /// What takes longer than the median of what is compared is on the worse side.
    fn of_latency(self, halves: &[Half<'_>; 2], by: By) -> Rule<'n> {
        let values = if self.compared.is_empty() { &self.values } else { &self.compared };
        let median = stats::median(values).unwrap_or(0.0);
        self.of(halves, |half| ((half.slower)(by, median), half.tally.intended))
    }

    fn scaled(&self, values: &[f64]) -> Vec<f64> {
        let scale = |v: &f64| if self.log { v.max(1e-9).ln() } else { *v };
        values.iter().map(scale).collect()
    }

    /// max(4 x 1.4826 x MAD, floor), on the rule's scale; `few` corrects the deviation for the number of values.
    fn half_width(&self, scaled: &[f64], few: impl Fn(usize) -> f64) -> Option<f64> {
        let floor = if self.log { self.floor.ln() } else { self.floor };
        Some((4.0 * SIGMA_PER_MAD * stats::mad(scaled)? * few(scaled.len())).max(floor))
    }

    fn band(&self) -> Option<Band> {
        let (scaled, moved) = (self.scaled(&self.values), self.moves());
        let half = self.half_width(&scaled, stats::widened)?;
        let compared = Some(self.scaled(&self.compared)).filter(|some| !some.is_empty());
        let median = stats::median(&compared.unwrap_or(scaled))?;
        if !self.log {
            return Some(Band { median, limit: median + self.side * half.max(self.absolute), moved });
        }
        let limit = (median + half).exp().max(median.exp() + self.absolute);
        Some(Band { median: median.exp(), limit, moved })
    }

    /// Whether the halves of the baseline differ by more than half a band (from its median to its
    /// limit), or a Theil-Sen line through it rises or falls by as much. The band is that of the
    /// deviations from the halves, or from the line: what moves must not widen the band that it is held against. Few
    /// operations differ from window to window by themselves: more of them in one half must be more than chance.
    fn moves(&self) -> bool {
        let scaled = self.scaled(&self.values);
        let n = scaled.len();
        let points: Vec<(f64, f64)> = scaled.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect();
        let Some(slope) = stats::theil_sen(&points) else { return false };
        let (first, second) = (&scaled[..n / 2], &scaled[n - n / 2..]);
        let Some((a, b)) = stats::median(first).zip(stats::median(second)) else { return false };
        let off_line: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
        let off_halves: Vec<f64> = first.iter().map(|v| v - a).chain(second.iter().map(|v| v - b)).collect();
        let few = stats::drifted(n);
        // Of very few, halves of one or two values have no deviation.
        let halves = few.is_finite().then(|| ((a - b).abs(), off_halves));
        let steps = [((slope * n as f64).abs(), off_line)].into_iter().chain(halves);
        let beyond =
            |(by, rest): &(f64, Vec<f64>)| self.half_width(rest, |_| few).is_some_and(|half| *by > half);
        let Some(shift) = steps.filter(beyond).map(|(by, _)| by).reduce(f64::max) else { return false };
        let median = stats::median(&scaled).unwrap_or(0.0);
        let visible = if self.log { median.exp() * (shift.exp() - 1.0) } else { shift };
        let differ = self.halves.is_none_or(|[first, second]| stats::differ(first, second));
        visible > self.absolute && differ
    }
}
