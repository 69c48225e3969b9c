//! Latency that grows with time, before a trigger as after it: as of a list of what the load itself makes.
//!
//! Owns whether it does; what that excuses is for `returns`.

use std::ops::Range;

use super::baseline::Window;
use super::pace::By;
use super::series::Series;
use super::view::View;
use crate::quantity::Quantity;
use crate::stats;
use crate::units::Micros;

/// A line through ln of latency, the same before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    /// Of one second.
    slope: f64,
    by: By,
    /// The middle of the baseline, seconds.
    origin: f64,
}

impl Grown {
    /// None where it does not grow by more than chance in both times together, or grew less in the first by more than that.
    pub(super) fn of(view: &View, series: &Series, after: Range<Micros>) -> Option<Grown> {
        let start = |cell: u32| view.timeline.cell_start(cell);
        let baseline = view.frame().baseline();
        By::BOTH.into_iter().find_map(|by| {
            let points = |span: &Range<Micros>| -> Vec<(f64, f64)> {
                let within =
                    |w: &&Window| start(w.from) >= span.start && start(w.to) <= span.end && !w.unknown;
                let point =
                    |w: &Window| Some((start(w.from).as_secs_f64(), w.pace(by).varies?.max(1.0).ln()));
                series.windows.iter().filter(within).filter_map(point).collect()
            };
            let (before, after) = (points(&baseline), points(&after));
            let origin = stats::median(&before.iter().map(|(x, _)| *x).collect::<Vec<f64>>())?;
            let slope = stats::common_slope(&[&before, &after]).filter(|slope| *slope > 0.0)?;
            let off_line: Vec<(f64, f64)> = before.iter().map(|(x, y)| (*x, y - slope * x)).collect();
            let is_less = stats::common_slope(&[&off_line]).is_some_and(|slope| slope < 0.0);
            (!is_less).then_some(Grown { slope, by, origin })
        })
    }

    /// As if it had not grown since the baseline.
    pub(super) fn levelled(self, view: &View, series: &Series) -> Series {
        let mut level = series.clone();
        for window in &mut level.windows {
            let since = view.timeline.cell_start(window.from).as_secs_f64() - self.origin;
            let pace = &mut window.paces[self.by as usize];
            pace.latency = pace.latency.map(|v| v / (self.slope * since).exp());
        }
        level.with_slow_marked()
    }

    pub(super) fn why(self, shape: &str) -> String {
        let share = Quantity::share(self.slope.exp_m1());
        format!(
            "latency of {shape} grows by {share} a second, before the trigger as after it, and leaves its band by that alone"
        )
    }
}
