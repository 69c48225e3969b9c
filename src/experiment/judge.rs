//! The judge's settings: what a profile says, what a chaos plan says instead, and the defaults.

use crate::diagnose::Span;
use crate::experiment::notes::Notes;
use crate::experiment::smoke;
use crate::outline::JudgeSettings;
use crate::profile::Judge;
use crate::units::Micros;
use crate::written::Duration;
use crate::yaml::At;

type TimeKey = fn(&Judge) -> &Option<At<Duration>>;
type CountKey = fn(&Judge) -> &Option<At<u32>>;

/// Key by key the plan's, else the profile's, else the default. What is wrong is noted where it was written;
/// `span` is the place of the load's duration; `smoke` is how many times shorter everything is.
pub(super) fn settings(
    (notes, chaos_notes): (&mut Notes, &mut Notes),
    (profile, plan): (&Judge, &Judge),
    smoke: Option<f64>,
    duration: Micros,
    span: Span,
) -> JudgeSettings {
    let default = JudgeSettings::default();
    zero_windows(notes, profile);
    zero_windows(chaos_notes, plan);
    let time =
        |key: TimeKey, default| key(plan).as_ref().or(key(profile).as_ref()).map_or(default, |at| at.value.0);
    let time = |key, default| smoke::shorter(time(key, default), smoke.unwrap_or(1.0));
    let count =
        |key: CountKey, default| key(plan).as_ref().or(key(profile).as_ref()).map_or(default, |at| at.value);
    // Of a smoke run nothing is compared with anything.
    let count = |key, default| if smoke.is_some() { 1 } else { count(key, default) };
    let settings = JudgeSettings {
        warmup: time(|j| &j.warmup, default.warmup),
        baseline: time(|j| &j.baseline, default.baseline),
        windows: count(|j| &j.windows, default.windows),
        stretch: time(|j| &j.stretch, default.stretch),
        stretch_windows: count(|j| &j.stretch_windows, default.stretch_windows),
        goodput: plan.goodput.as_ref().or(profile.goodput.as_ref()).map_or(default.goodput, |at| at.value.0),
    };
    if settings.warmup >= duration {
        let message = format!("the load ends at {duration}, before the warm-up of {} does", settings.warmup);
        let help = "shorten it, or raise `duration`";
        match (&plan.warmup, &profile.warmup) {
            (Some(at), _) => chaos_notes.add(at.span, message, help),
            (None, Some(at)) => notes.add(at.span, message, help),
            (None, None) => notes.add(span, message, "raise `duration`, or set `judge: {warmup: ...}`"),
        }
    }
    settings
}

fn zero_windows(notes: &mut Notes, judge: &Judge) {
    for at in [&judge.windows, &judge.stretch_windows].into_iter().flatten() {
        if at.value == 0 {
            notes.add(at.span, "0 windows show nothing", "write 1 or more");
        }
    }
}
