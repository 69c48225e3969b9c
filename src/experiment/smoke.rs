//! `--smoke`: the same plan in seconds, to see that everything in it works.
//!
//! Owns which times shrink: the clock of the plan does (load, shapes, ramps, faults, warm-up, baseline), by one
//! factor, so that nothing overlaps that did not before. What a request or a process takes does not: timeouts,
//! think times, rates, delays, the time to get ready. Such a run proves nothing, and its verdict says so.

use super::Experiment;
use super::fault::SETTLE;
use super::resolve::{Flags, Lookup, resolve_once};
use crate::chaos_plan::ChaosPlan;
use crate::diagnose::Problem;
use crate::profile::{Arrival, Profile};
use crate::units::Micros;
use crate::written::Duration;
use crate::yaml::{At, Document};

/// Resolves and checks. The problems of the documents themselves come first; what could not be read
/// is not held against the rest.
pub fn resolve(
    profile: &Document<Profile>,
    chaos: Option<&Document<ChaosPlan>>,
    flags: &Flags,
    lookup: Lookup<'_>,
) -> Result<Experiment, Vec<Problem>> {
    let shortened = resolve_once(profile, chaos, flags, lookup);
    if shortened.is_ok() || !flags.smoke {
        return shortened;
    }
    // What is wrong with the whole plan is told in its own times.
    let whole = Flags { smoke: false, ..flags.clone() };
    resolve_once(profile, chaos, &whole, lookup).and(shortened)
}

/// The length that is aimed at.
const LENGTH: Micros = Micros::secs(10);
/// No fault gets shorter than this: it must come about, be seen, and go.
const LEAST_FAULT: Micros = Micros::millis(500);

/// How many times shorter a load of this length becomes; 1 where it is short enough.
pub(super) fn factor(duration: Micros, plan: &ChaosPlan) -> f64 {
    let lengths = plan.timeline.iter().filter_map(|fault| {
        let outage = fault.failover.as_ref().map(|f| f.outage.value.0);
        [fault.length.as_ref().map(|at| at.value.0), outage].into_iter().flatten().min()
    });
    let shortest = lengths.min().map_or(f64::MAX, |shortest| ratio(shortest, LEAST_FAULT));
    ratio(duration, LENGTH).min(shortest).max(1.0)
}

fn ratio(a: Micros, b: Micros) -> f64 {
    a.0 as f64 / b.0.max(1) as f64
}

/// A time so many times shorter. Rounded down: what fits into a longer one together still does.
pub(super) fn shorter(time: Micros, factor: f64) -> Micros {
    Micros((time.0 as f64 / factor + 1e-6).floor() as i64)
}

/// Shortens a profile's clock; the load itself is the caller's.
pub(super) fn profile(written: &mut Profile, factor: f64) {
    for (_, shape) in &mut written.shapes.0 {
        let shape = &mut shape.value;
        let times = [&mut shape.start, &mut shape.length].into_iter().flatten();
        times.for_each(|at| shorten(&mut at.value, factor));
        if let Some(arrival) = &mut shape.arrival
            && let Arrival::Stages(stages) = &mut arrival.value
        {
            stages.steps.iter_mut().for_each(|stage| shorten(&mut stage.over, factor));
        }
    }
}

/// Shortens a chaos plan's clock.
pub(super) fn plan(written: &mut ChaosPlan, factor: f64) {
    for fault in &mut written.timeline.value {
        let fault = &mut fault.value;
        fault.settle.get_or_insert(At { value: Duration(SETTLE), span: fault.name.span });
        let times = [&mut fault.at, &mut fault.length, &mut fault.every, &mut fault.settle];
        times.into_iter().flatten().for_each(|at| shorten(&mut at.value, factor));
        fault.failover.iter_mut().for_each(|at| shorten(&mut at.value.outage.value, factor));
        fault.then.value.iter_mut().for_each(|action| shorten(&mut action.value.after.value, factor));
    }
    // There is no time to look for it.
    written.steady.clear();
}

fn shorten(time: &mut Duration, factor: f64) {
    time.0 = shorter(time.0, factor);
}
