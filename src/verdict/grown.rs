//! Latency that grows with time, before a trigger as after it: as of a list of what the load itself makes.
//!
//! Owns whether it does; what that excuses is for `returns`.

use std::ops::Range;

use super::baseline::Window;
use super::pace::{By, SLOWER};
use super::series::{Measures, Series};
use super::view::View;
use crate::quantity::Quantity;
use crate::stats;
use crate::units::Micros;

/// What is so many deviations less is no chance (a one-sided 1 %).
const LESS: f64 = 2.33;

/// In the baseline alone it is as steep as that, at least.
const LIKE: f64 = 0.33;

/// Lines through what each measure of latency is, the same before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    /// Of the latency that is usual, in a second.
    slopes: [Option<f64>; 2],
    /// The middle of the baseline, seconds.
    origin: f64,
}

impl Grown {
    /// None where nothing grows by more than chance in both times together, or it grew less than that in a part of them: a third as
    /// fast before, or by more than chance less in either half of what came after. Who becomes slower at once does not grow.
    pub(super) fn of(view: &View, series: &Series, after: Range<Micros>) -> Option<Grown> {
        let known = |span: &Range<Micros>| -> Vec<&Window> {
            series.within(view.timeline, span).into_iter().filter(|w| !w.unknown).collect()
        };
        let (before, after) = (known(&view.frame().baseline()), known(&after));
        let at = |w: &Window| view.timeline.cell_start(w.from).as_secs_f64();
        let origin = stats::median(&before.iter().map(|w| at(w)).collect::<Vec<f64>>())?;
        let (one, other) = after.split_at(after.len() / 2);
        let slopes = By::BOTH.map(|by| {
            let points = |some: &[&Window]| -> Vec<(f64, f64)> {
                some.iter().filter_map(|w| Some((at(w), w.pace(by).varies?))).collect()
            };
            let parts = [&before[..], one, other].map(points);
            let usual = stats::median(&parts[0].iter().map(|(_, y)| *y).collect::<Vec<f64>>())?;
            let slope = stats::common_slope(&[&parts[0], &points(&after)], stats::UPPER)
                .filter(|slope| *slope > 0.0)?;
            let is_less = |points: &Vec<(f64, f64)>| {
                let off_line: Vec<(f64, f64)> = points.iter().map(|(x, y)| (*x, y - slope * x)).collect();
                stats::common_slope(&[&off_line], LESS).is_some_and(|slope| slope < 0.0)
            };
            let own = stats::theil_sen(&parts[0])?;
            (own > slope * LIKE && !parts.iter().any(is_less)).then_some(slope / usual)
        });
        slopes.iter().any(Option::is_some).then_some(Grown { slopes, origin })
    }

    /// As if it had not grown since the baseline; as much as it takes longer, more are in flight.
    pub(super) fn levelled(self, view: &View, series: &Series) -> Series {
        let mut level = series.clone();
        for window in &mut level.windows {
            let since = view.timeline.cell_start(window.from).as_secs_f64() - self.origin;
            let times = self.slopes.map(|slope| (1.0 + slope.unwrap_or(0.0) * since).max(0.1));
            for (pace, times) in window.paces.iter_mut().zip(times) {
                pace.latency = pace.latency.map(|v| v / times);
            }
            window.in_flight = window.in_flight.map(|flying| flying / times[By::Average as usize]);
        }
        level.with_slow_marked()
    }

    pub(super) fn why(self, shape: &str) -> String {
        let most = self.slopes.into_iter().flatten().fold(0.0, f64::max);
        format!(
            "latency of {shape} grows by {} of what is usual a second, before the trigger as after it, and leaves its band by that \
             alone; let the load delete what it makes, or judge by a limit of its own, such as `p99 < 300ms`",
            Quantity::share(most)
        )
    }
}

/// Why latency that left its band after it had been well at first may come of that of another shape of the target which rises by
/// itself, as of lists that take ever longer: who waits behind them waits no longer than they take.
pub(super) fn beside(view: &View, series: &Series, after: Range<Micros>) -> Option<String> {
    let windows = series.within(view.timeline, &after);
    let first = &windows[..windows.len().min(2 * series.stretch.windows)];
    if !first.windows(2).any(|two| two.iter().all(|w| !series.out(w, Measures::All))) {
        return None;
    }
    let takes = |windows: &[&Window]| {
        let takes = windows.iter().filter_map(|w| w.pace(By::Average).latency);
        stats::median(&takes.collect::<Vec<f64>>())
    };
    let out: Vec<&Window> = windows.into_iter().filter(|w| series.out(w, Measures::All)).collect();
    let longer = takes(&out)? - series.band.latency?.median;
    let moves = |other: &&Series| {
        let moved = By::BOTH.iter().filter_map(|by| other.band.latency_by(*by)).any(|band| band.moved);
        let now = takes(&other.within(view.timeline, &after)).unwrap_or(0.0);
        let rises = || moved && other.band.latency.is_some_and(|band| now > band.median * SLOWER);
        let grows = || rises() || Grown::of(view, other, after.clone()).is_some();
        other.shape != series.shape && longer <= now && grows()
    };
    let other = view.series.iter().find(moves)?;
    Some(format!(
        "latency of {} rises by itself, and that of {} may with it",
        other.band.shape, series.band.shape
    ))
}
