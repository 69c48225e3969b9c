//! The sentences of a judgement: plain words with numbers, for somebody who was not there.
//!
//! Owns wording only.

use super::judgement::{JudgedTrigger, ShapeTrigger};
use super::measure::Measured;
use crate::objective::{Aggregate, Comparison, Metric, Objective, PhaseName};
use crate::quantity::{Quantity, Unit};
use crate::timeline::phases::Return;
use crate::units::{Micros, clock, grouped, short_clock};

pub(super) fn percent(share: f64) -> String {
    Quantity::share(share).to_string()
}

/// Beside its limit: `412 ms`, `>= 2 s (3.1 % bad)`, `nothing`.
pub(super) fn measured(m: &Measured, limit: f64) -> String {
    match m.value {
        None => "nothing".to_owned(),
        Some(v) if v.is_bound() && m.bad > 0.0 => format!("{} ({} bad)", v.beside(limit), percent(m.bad)),
        Some(v) => v.beside(limit),
    }
}

/// `While store_slow was in force`.
pub(super) fn phase(name: &PhaseName) -> String {
    match name {
        PhaseName::Warmup => "During the warm-up".to_owned(),
        PhaseName::Baseline => "Before the first trigger".to_owned(),
        PhaseName::During(x) => format!("While {x} was in force"),
        PhaseName::After(x) => format!("After {x}"),
        PhaseName::Run => "Over the run".to_owned(),
    }
}

/// `1 in 100 create_room took 412 ms or more`, `72.8 % of create_room failed, counted at their deadline: p99 has no
/// upper end (>= 2 s)`.
pub(super) fn claim(objective: &Objective, op: &str, m: &Measured) -> String {
    let (metric, Some(value)) = (&objective.metric, m.value) else {
        return format!("nothing was measured of {op}");
    };
    let v = value.beside(objective.value);
    if value.is_bound() {
        let (bad, who) = (percent(m.bad), never_sent(m));
        return format!(
            "{bad} of {op} failed, counted at their deadline{who}: {metric} has no upper end ({v})"
        );
    }
    match metric {
        Metric::Quantile(q) if *q == 0.5 => format!("half of {op} took {v} or more"),
        Metric::Quantile(q) => format!("1 in {} {op} took {v} or more", one_in(*q)),
        Metric::Mean => format!("{op} took {v} on average"),
        Metric::Max => format!("the slowest {op} took {v}"),
        Metric::Errors => format!("{v} of {op} failed or came too late{}", never_sent(m)),
        Metric::Goodput => format!("{v} of {op} succeeded in time"),
        Metric::Rate => format!("{} {op} succeeded per second", v.trim_end_matches("/s")),
        Metric::Count => format!("{v} {op} were intended"),
        Metric::Amplification => format!("each {op} was tried {v} times on average"),
        Metric::Outage => format!("the outage of {op} lasted {v}"),
        Metric::Recovery => format!("recovery from {op} took {v}"),
        Metric::Target { name, aggregate } => match aggregate {
            Aggregate::Last => format!("target.{name} was {v}"),
            Aggregate::Mean => format!("target.{name} was {v} on average"),
            Aggregate::Max => format!("target.{name} was {v} at most"),
            Aggregate::Rate => format!("target.{name} rose by {v} per second"),
        },
    }
}

/// What the target was never asked for did not fail there: who looks for it must look at the steps before.
fn never_sent(m: &Measured) -> &'static str {
    match m.unreached {
        all if all >= 1.0 => " (none of these was sent, as a step before them failed)",
        most if most > 0.5 => " (most of these were never sent, as a step before them failed)",
        _ => "",
    }
}

fn one_in(q: f64) -> String {
    grouped((1.0 / (1.0 - q)).round() as u64)
}

/// `the limit is 300 ms`.
pub(super) fn limit(comparison: Comparison, text: &str) -> String {
    match comparison {
        Comparison::Below | Comparison::AtMost => format!("the limit is {text}"),
        Comparison::Above => format!("more than {text} is asked for"),
        Comparison::AtLeast => format!("at least {text} is asked for"),
        Comparison::Equal => format!("exactly {text} is asked for"),
    }
}

/// What became of the service after a trigger.
pub(super) fn aftermath(
    trigger: &JudgedTrigger,
    back: Return,
    until: Micros,
    left_out: &[String],
    beside: Option<&str>,
) -> String {
    let (name, end) = (&trigger.name, trigger.t_clear.unwrap_or(until));
    let over = if trigger.just_happens() { "happened" } else { "ended" };
    match (back, trigger.outage, trigger.recovery) {
        (Return::At(_), Some(Micros::ZERO), _) => {
            match trigger.shapes.iter().filter(|s| s.briefly).map(|s| s.window).max() {
                Some(window) => format!(
                    "{name} pushed the service out of its normal band for single windows of {window} at most, which is no outage."
                ),
                None => format!("{name} did not push the service out of its normal band."),
            }
        }
        (Return::At(_), Some(outage), Some(recovery)) => {
            let back = match recovery {
                Micros::ZERO => format!("as soon as {name} {over}"),
                later => format!("{later} after {name} {over}"),
            };
            let unseen = trigger.shapes.iter().filter_map(|s| Some((s.unseen?, &s.shape)));
            let unseen = unseen.max_by_key(|((from, to), _)| *to - *from).map_or(String::new(), |((from, to), who)| {
                format!(
                    "; no user of {who} asked from {} to {}, and it may have been out for as long: shorter sessions or a shape that asks all the time would tell",
                    clock(from),
                    clock(to)
                )
            });
            format!(
                "The service was out of its normal band for {outage} and back {back} (each to within {}); {}{}{unseen}.",
                trigger.margin,
                harm(trigger),
                hit(trigger),
            )
        }
        (Return::Never, ..) => {
            // None of one shape is less than any.
            let well = trigger.shapes.iter().filter(|s| s.recovered.is_none()).map(|s| s.well_for).min();
            let out = match (well.flatten(), still_out(trigger)) {
                (Some(well), who) => format!("{who} out of the normal band again, after {well} in it"),
                (None, who) => format!("{who} still out of the normal band"),
            };
            format!(
                "The service did not recover from {name}: {} after it {over} at {}, where what was watched ends, {out}{}.",
                until - end,
                clock(end),
                hit(trigger),
            )
        }
        _ if trigger.t_clear.is_none() => {
            format!("{name} was never proven to be over, so nothing can be said of recovery.")
        }
        _ if trigger.shapes.is_empty() && !left_out.is_empty() => {
            format!("No shape had load after {name} to tell whether the service recovered.")
        }
        _ if trigger.shapes.is_empty() => format!("No shape has a normal band to recover into after {name}."),
        _ => {
            if let Some(other) = beside.filter(|_| trigger.needed.is_none()) {
                return format!(
                    "{other} was still in force when {name} was over, and what was out of band from then on may be its doing."
                );
            }
            let needed = trigger.needed.map_or(String::new(), |needed| {
                format!("; undisturbed load until {} would tell", clock(needed))
            });
            // It was healed after the load had ended, or was over while another trigger was in force.
            if until <= end {
                return format!("When {name} was over no undisturbed load was left to recover in{needed}.");
            }
            let watched = until - end;
            format!(
                "The {watched} after {name} were too short to prove that the service had recovered, or that it had not{needed}."
            )
        }
    }
}

/// `latency was`, `goodput and latency of browse were`: what of the shapes that did not come back is out at last, and
/// of which where others did.
fn still_out(trigger: &JudgedTrigger) -> String {
    let shapes: Vec<&ShapeTrigger> = trigger.shapes.iter().filter(|s| !s.still_out.is_empty()).collect();
    let mut what: Vec<&str> = Vec::new();
    for name in shapes.iter().flat_map(|s| &s.still_out) {
        if !what.contains(&name.as_str()) {
            what.push(name);
        }
    }
    let all = shapes.len() == trigger.shapes.len();
    let whose: Vec<&str> = shapes.iter().filter(|_| !all).map(|s| s.shape.as_str()).collect();
    let of = if whose.is_empty() { String::new() } else { format!(" of {}", whose.join(" and ")) };
    match what[..] {
        [] => "it was".to_owned(),
        [one] => format!("{one}{of} was"),
        _ => format!("{}{of} were", what.join(" and ")),
    }
}

/// What alone left its band, where goodput and latency kept to theirs in all shapes: a leak, a pool, retries.
fn quietly(trigger: &JudgedTrigger) -> Option<&str> {
    let was_out = |s: &&ShapeTrigger| s.slowest.is_some() || s.outage_so_far > Micros::ZERO;
    let out = trigger.shapes.iter().filter(|s| was_out(s) || s.quietly.is_some());
    let all: Option<Vec<&str>> = out.map(|s| s.quietly.as_deref()).collect();
    all?.first().copied()
}

/// The worst of what was lost: goodput, time, or both, each where it left its band.
fn harm(trigger: &JudgedTrigger) -> String {
    let lossy = || trigger.shapes.iter().filter(|s| s.lossy);
    let depth = lossy().map(|s| s.depth_during.max(s.depth_after)).fold(0.0, f64::max);
    let deepest = lossy().max_by(|a, b| a.deepest.total_cmp(&b.deepest)).filter(|s| s.deepest >= 0.01);
    let slow = trigger.slowest().and_then(|s| slowness(trigger, s));
    if depth >= 0.01 && deepest.is_none_or(|s| depth >= s.deepest / 3.0) {
        let slow = slow.map_or(String::new(), |slow| format!(", and {slow}"));
        return format!("at worst it lost {} of its goodput{slow}", percent(depth));
    }
    // A loss that is too short for a median of three windows is told by its count.
    let lost = trigger.shapes.iter().map(|s| s.area_during + s.area_after).sum::<f64>().round();
    let kept = match lost as u64 {
        0 => "it kept answering".to_owned(),
        lost => format!("of good operations it lost {}", grouped(lost)),
    };
    if let Some(what) = quietly(trigger) {
        return format!("{kept}, and what left its band was {what}");
    }
    let kept = if deepest.is_some() && lost == 0.0 { String::new() } else { kept + ", and " };
    let window =
        deepest.map(|s| format!("a window of {} lost {} of its goodput", s.window, percent(s.deepest)));
    let worst: Vec<String> = [window, slow].into_iter().flatten().collect();
    match worst.is_empty() {
        true => format!("{kept}no window was out of its band by itself"),
        false => format!("{kept}at worst {}", worst.join(", and ")),
    }
}

/// `list took 912 ms on average (usually 1 ms)`, `its p95 was 412 ms`.
fn slowness(trigger: &JudgedTrigger, s: &ShapeTrigger) -> Option<String> {
    let slow = s.slowest?;
    let took = match (s.quantile, &s.operation, s.usually) {
        (None, Some(name), Some(usually)) => format!("{name} took {slow} on average (usually {usually})"),
        (q, ..) => {
            let q = Metric::Quantile(q.unwrap_or(0.5));
            match &trigger.shapes[..] {
                [_] => format!("its {q} was {slow}"),
                _ => format!("{q} of {} was {slow}", s.shape),
            }
        }
    };
    let row = if s.in_a_row { ", within the limit of one window, but not of several in a row" } else { "" };
    Some(took + row)
}

/// `; of rare 20 of 20 failed from 0:25 to 0:50`: one operation that lost most of its own, where its shape lost little.
pub(super) fn hit(trigger: &JudgedTrigger) -> String {
    let hits = trigger.shapes.iter().filter_map(|s| s.hit.as_ref());
    let worst = hits.max_by(|a, b| (a.bad * b.n).cmp(&(b.bad * a.n)));
    worst.map_or(String::new(), |hit| {
        let (bad, n, from, to) =
            (grouped(hit.bad), grouped(hit.n), short_clock(hit.from), short_clock(hit.to));
        format!("; of {} {bad} of {n} failed from {from} to {to}", hit.operation)
    })
}

/// A value in the unit of a metric: `300 ms`.
pub(super) fn value(unit: Unit, value: f64) -> String {
    unit.show(value)
}
