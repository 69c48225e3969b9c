//! What must be true of every history (VERDICTS.md 2): more failures never improve a word, squall's own delay
//! never makes a FAIL, a hiccup excuses no gross breach, and scaling all times changes nothing.

use proptest::prelude::*;

use super::*;
use crate::objective::Objective;
use crate::record::FaultEvent;
use crate::sample::Clean;

const LENGTH: i64 = 60;

/// Operations of a minute: each its time in odd milliseconds, and whether it failed.
fn answers(rate: i64) -> impl Strategy<Value = Vec<(i64, bool)>> {
    let one = (0i64..60, prop::bool::weighted(0.04)).prop_map(|(ms, bad)| (2 * ms + 1, bad));
    prop::collection::vec(one, (rate * LENGTH) as usize)
}

fn samples(rate: i64, answers: &[(i64, bool)]) -> Vec<Sample> {
    let each = answers.iter().enumerate();
    let times = each.map(|(i, (ms, bad))| (Micros(i as i64 * 1_000_000 / rate), Micros::millis(*ms), *bad));
    let kind = |bad| if bad { Kind::Status } else { Kind::Ok };
    times.map(|(at, took, bad)| sample(0, at, took, kind(bad))).collect()
}

/// Limits in even milliseconds, near to what is measured and far from it.
fn objectives() -> impl Strategy<Value = Objective> {
    let time = (1i64..2_000).prop_map(|ms| Micros::millis(2 * ms).0 as f64);
    let quantile = prop::sample::select(vec![0.5, 0.95, 0.99, 0.999]);
    let phase = prop::sample::select(vec![RUN, during("x"), after("x"), PhaseName::Baseline]);
    let latency = prop_oneof![quantile.prop_map(Metric::Quantile), Just(Metric::Mean), Just(Metric::Max),];
    let latency = (latency, time.clone()).prop_map(|(metric, limit)| (metric, Comparison::Below, limit));
    let share = (0.0f64..0.3).prop_map(|x| (Metric::Errors, Comparison::Below, x));
    let goodput = (0.7f64..1.0).prop_map(|x| (Metric::Goodput, Comparison::AtLeast, x));
    let rate = (1.0f64..60.0).prop_map(|x| (Metric::Rate, Comparison::AtLeast, x));
    let back = time.prop_map(|limit| (Metric::Recovery, Comparison::Below, limit * 10.0));
    let window = prop::option::of(Just(s(5.0)));
    (prop_oneof![latency, share, goodput, rate, back], phase, window).prop_map(|(what, phase, window)| {
        let (metric, comparison, value) = what;
        let of_trigger = metric == Metric::Recovery;
        let (phase, window) = if of_trigger { (RUN, None) } else { (phase, window) };
        Objective { window, ..expect(metric, comparison, value, phase) }
    })
}

fn plan(objective: Objective) -> Plan {
    at_half_time(rooms(LENGTH), objective)
}

/// The generator's own delay: sent late by the one, read late by the other.
pub(super) fn delayed(sample: &Sample, lag: Micros, held: Micros) -> Sample {
    let mut late = sample.clone();
    late.dequeued += lag;
    late.work.held += held;
    late.done += lag + held;
    if late.outcome.kind == Kind::Ok && late.response() > s(2.0) {
        (late.outcome.kind, late.clean) = (Kind::Late, Clean::InTime);
    }
    late
}

/// Everything `k` times as long.
pub(super) fn scaled(plan: &Plan, samples: &[Sample], k: i64) -> (Plan, Vec<Sample>) {
    let mut plan = plan.clone();
    let outline = &mut plan.outline;
    (outline.cell, outline.duration) = (outline.cell * k, outline.duration * k);
    outline.shapes.iter_mut().for_each(|shape| shape.end = shape.end * k);
    outline.operations.iter_mut().for_each(|op| op.deadline = op.deadline * k);
    for fault in &mut outline.faults {
        (fault.at, fault.settle) = (fault.at * k, fault.settle * k);
        fault.length = fault.length.map(|length| length * k);
    }
    let judge = &mut outline.judge;
    (judge.warmup, judge.baseline, judge.stretch) = (judge.warmup * k, judge.baseline * k, judge.stretch * k);
    for objective in &mut outline.objectives {
        objective.window = objective.window.map(|window| window * k);
        objective.value *= match objective.metric.unit() {
            Unit::Duration => k as f64,
            Unit::Rate => 1.0 / k as f64,
            _ => 1.0,
        };
    }
    let event = |record: &Record| match record {
        Record::Fault(event) => Record::Fault(FaultEvent { at: event.at * k, ..event.clone() }),
        other => other.clone(),
    };
    plan.events = plan.events.iter().map(event).collect();
    let longer = |sample: &Sample| Sample {
        intended: sample.intended * k,
        dequeued: sample.dequeued * k,
        first_byte: sample.first_byte.map(|at| at * k),
        done: sample.done * k,
        ..sample.clone()
    };
    (plan, samples.iter().map(longer).collect())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn more_bad_operations_never_improve_a_word(
        answers in answers(20), objective in objectives(), share in 0.0f64..1.0, seed in any::<u64>(),
    ) {
        let before = samples(20, &answers);
        let mut after = before.clone();
        // What is normal is not to change with it.
        let from = if objective.metric == Metric::Recovery { s(30.0) } else { Micros::ZERO };
        for (i, sample) in after.iter_mut().enumerate().filter(|(_, sample)| sample.intended >= from) {
            let draw = crate::random::Key { seed, shape: 0, index: i as u64, attempt: 0, purpose: crate::random::Purpose::Data };
            if draw.stream().unit() < share {
                sample.outcome.kind = Kind::Timeout;
                sample.done = sample.intended + s(2.0);
            }
        }
        let ((was, why), (is, then)) = (word(plan(objective.clone()), &before), word(plan(objective), &after));
        prop_assert!(is >= was, "{was:?} ({why}) became {is:?} ({then})");
    }

    #[test]
    fn more_delay_of_squalls_own_never_makes_a_fail(
        answers in answers(20), objective in objectives(), lag in 0i64..400, held in 0i64..3_000, from in 0i64..60,
    ) {
        let before = samples(20, &answers);
        let late = |sample: &Sample| match sample.intended >= s(from as f64) {
            true => delayed(sample, Micros::millis(lag), Micros::millis(held)),
            false => sample.clone(),
        };
        let after: Vec<Sample> = before.iter().map(late).collect();
        let ((was, _), (is, why)) = (word(plan(objective.clone()), &before), word(plan(objective), &after));
        prop_assert!(was == Word::Fail || is != Word::Fail, "{was:?} became FAIL: {why}");
    }

    #[test]
    fn a_hiccup_never_turns_a_tenfold_breach_into_invalid(
        answers in answers(20), at in 3.0f64..55.0, kind in prop::sample::select(vec![Kind::Status, Kind::Timeout]),
    ) {
        let share = expect(Metric::Errors, Comparison::Below, 0.02, RUN);
        for objective in [share, p(0.95, s(0.2), RUN)] {
            let mut gross = samples(20, &answers);
            for sample in gross.iter_mut().step_by(4) {
                (sample.outcome.kind, sample.done) = (kind, sample.intended + s(2.0));
            }
            let hiccup = generator::frozen(&gross, at, at + 0.15);
            let (is, why) = word(plan(objective), &hiccup);
            prop_assert_eq!(is, Word::Fail, "{}", why);
        }
    }

    #[test]
    fn a_target_that_only_fails_is_called_so_whatever_squall_does_beside(from in 3.0f64..50.0, long in 0.1f64..6.0) {
        let all = samples(20, &vec![(1, true); 20 * LENGTH as usize]);
        let beside = generator::frozen(&all, from, from + long);
        let (is, why) = word(plan(expect(Metric::Errors, Comparison::Below, 0.5, RUN)), &beside);
        prop_assert_eq!(is, Word::Fail, "{}", why);
    }

    #[test]
    fn scaling_all_times_changes_nothing(answers in answers(20), objective in objectives(), k in 2i64..6) {
        let (plan, samples) = (plan(objective), samples(20, &answers));
        let (long, longer) = scaled(&plan, &samples, k);
        let ((was, why), (is, then)) = (word(plan, &samples), word(long, &longer));
        prop_assert_eq!(was, is, "{} became {}", why, then);
    }
}
