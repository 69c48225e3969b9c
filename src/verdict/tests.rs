//! What the judge must say of histories that are known by construction (VERDICTS.md 4 and 5).

use super::*;
use crate::objective::{Aggregate, Metric, PhaseName};
use crate::outline::JudgeSettings;
use crate::record::{FaultStage, Record, RuleEvent, Second, Touched};
use crate::sample::{Kind, Sample};
use crate::timeline::fake::{Fifo, Plan, evenly, expect, p, poisson, s, sample};
use crate::units::Micros;

const RUN: PhaseName = PhaseName::Run;

fn rooms(seconds: i64) -> Plan {
    Plan::new(seconds).shape("rooms", "create", s(2.0))
}

fn during(x: &str) -> PhaseName {
    PhaseName::During(x.to_owned())
}

fn after(x: &str) -> PhaseName {
    PhaseName::After(x.to_owned())
}

fn fine(_: Micros) -> (Micros, Kind) {
    (Micros::millis(5), Kind::Ok)
}

fn verdict(plan: Plan, samples: &[Sample]) -> Judgement {
    judge(&plan.timeline(samples))
}

fn recovery_within(seconds: f64) -> crate::objective::Objective {
    expect(Metric::Recovery, Comparison::Below, s(seconds).0 as f64, RUN)
}

#[test]
fn a_stall_shows_in_full_as_the_formula_says() {
    let arrivals: Vec<f64> = (0..40_000).map(|i| f64::from(i) / 2000.0).collect();
    let server = Fifo { stall: Some((8.0, 9.4)), ..Fifo::new(0.0001) };
    let plan = rooms(20).objective(p(0.99, s(1.0), RUN)).objective(p(0.95, s(1.0), RUN));
    let judged = verdict(plan, &server.serve(&arrivals));
    let near = |o: &JudgedObjective, expected: f64| {
        let got = o.measured.unwrap() / 1e6;
        assert!((got / expected - 1.0).abs() < 0.01, "{got} instead of {expected}");
    };
    near(&judged.objectives[0], 1.240);
    near(&judged.objectives[1], 0.600);
    assert_eq!(judged.objectives[0].word, Word::Fail);
    assert_eq!(judged.objectives[1].word, Word::Pass);
    assert_eq!((judged.verdict, judged.exit.code), (Word::Fail, 99));
    assert_eq!(
        judged.objectives[0].reason,
        "Over the run, 1 in 100 create took 1.24 s or more; the limit is 1 s."
    );
}

/// The rig of F1 to F4: 300/s, ten seconds of hold.
fn rig(load: f64, seconds: i64, hold: f64, seed: u64, server: &Fifo) -> Judgement {
    let server = Fifo { timeout: 1.0, hold: Some((hold, hold + 10.0)), ..server.clone() };
    let deadline = s(1.0) * i64::from(server.retries + 1);
    let plan = Plan::new(seconds).shape("rooms", "create", deadline).fault("hold", hold, Some(10.0));
    let plan = plan.objective(recovery_within(200.0));
    verdict(plan, &server.serve(&poisson(load, seconds, seed)))
}

#[test]
fn times_to_recover_are_those_of_the_oracle() {
    let plain = Fifo::new(1.0 / 300.0);
    let retry = Fifo { retries: 1, ..plain.clone() };
    let capped = |queue| Fifo { queue: Some(queue), ..retry.clone() };
    let rows = [
        ("F2 no retries", 280.0, 120.0, plain.clone(), 115.0..=170.0),
        ("F3 120/s", 120.0, 220.0, retry.clone(), 30.0..=70.0),
        ("F4 queue of 150", 280.0, 120.0, capped(150), 0.0..=20.0),
        ("F4 queue of 250", 280.0, 120.0, capped(250), 0.0..=20.0),
    ];
    for (name, load, hold, server, expected) in rows {
        for seed in 0..5 {
            let judged = rig(load, 440, hold, seed, &server);
            let took = judged.triggers[0].recovery.map_or(-1.0, Micros::as_secs_f64);
            assert!(expected.contains(&took), "{name}, seed {seed}: {took} {:?}", judged.baseline);
            assert_eq!(judged.objectives[0].word, Word::Pass, "{name}: {}", judged.objectives[0].reason);
            assert!(judged.triggers[0].shapes[0].flapping.is_empty(), "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_service_that_never_comes_back_fails_and_the_sentence_says_so() {
    for queue in [None, Some(600)] {
        let judged = rig(280.0, 440, 120.0, 3, &Fifo { retries: 1, queue, ..Fifo::new(1.0 / 300.0) });
        assert_eq!(judged.objectives[0].word, Word::Fail);
        assert_eq!(judged.objectives[0].measured_text, "never");
        assert!(
            judged.objectives[0].reason.contains("did not recover from hold"),
            "{:?}",
            judged.objectives[0]
        );
        let shape = &judged.triggers[0].shapes[0];
        assert!(shape.depth_after > 0.9 && shape.area_after > 50_000.0, "{shape:?}");
    }
}

#[test]
fn healthy_queues_with_bursts_neither_fail_nor_flap() {
    for seed in 0..30 {
        let rate = 500.0 + 100.0 * (seed % 3) as f64;
        let mut arrivals = poisson(rate, 240, seed);
        arrivals.extend(
            (0..48).flat_map(|burst| (0..20).map(move |i| f64::from(burst) * 5.0 + f64::from(i) * 0.001)),
        );
        arrivals.sort_by(f64::total_cmp);
        let server = Fifo { exponential: Some(seed), ..Fifo::new(0.001) };
        let plan = rooms(240).fault("noop", 120.0, Some(10.0)).objective(p(0.99, s(0.5), RUN));
        let judged = verdict(plan.objective(recovery_within(10.0)), &server.serve(&arrivals));
        assert_eq!(judged.verdict, Word::Pass, "seed {seed}: {}", judged.summary.verdict);
        assert!(judged.triggers[0].shapes[0].flapping.is_empty(), "seed {seed}");
    }
}

#[test]
fn healthy_ninety_second_demos_neither_fail_nor_flap() {
    for seed in 0..60 {
        let rate = [30.0, 80.0, 200.0, 500.0][seed as usize % 4];
        let server = Fifo { exponential: Some(seed), ..Fifo::new(0.65 / rate) };
        let mut plan = rooms(90).fault("noop", 32.0, Some(15.0)).objective(recovery_within(10.0));
        plan.outline.judge = JudgeSettings {
            warmup: s(5.0),
            baseline: s(25.0),
            windows: 10,
            stretch: s(10.0),
            stretch_windows: 5,
        };
        let judged = verdict(plan, &server.serve(&poisson(rate, 90, seed)));
        assert_eq!(
            judged.verdict,
            Word::Pass,
            "seed {seed}: {} {:?}",
            judged.summary.verdict,
            judged.baseline
        );
        assert!(judged.triggers[0].shapes[0].flapping.is_empty(), "seed {seed}");
    }
}

#[test]
fn an_outage_after_a_kill_is_measured_though_it_begins_late() {
    let down = |at: Micros| {
        if at >= s(103.0) && at < s(112.0) { (Micros::millis(1), Kind::Connect) } else { fine(at) }
    };
    let plan =
        rooms(200).fault("kill", 100.0, None).objective(expect(Metric::Outage, Comparison::Below, 15e6, RUN));
    let judged = verdict(plan.objective(p(0.5, s(1.0), after("kill"))), &evenly(1000, 0, 200, down));
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
    let trigger = &judged.triggers[0];
    assert_eq!(
        (trigger.outage, trigger.recovery, trigger.recovered),
        (Some(s(9.0)), Some(s(12.0)), Some(s(112.0)))
    );
    assert_eq!(trigger.shapes[0].time_to_detect, Some(s(5.0)));
    assert!((trigger.shapes[0].area_during - 9000.0).abs() < 1.0, "{trigger:?}");
}

#[test]
fn a_run_too_short_to_see_the_stretch_is_inconclusive() {
    let plan = rooms(125).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
    let judged = verdict(plan, &evenly(100, 0, 125, fine));
    assert_eq!(judged.verdict, Word::Inconclusive, "{}", judged.summary.verdict);
    assert!(judged.objectives[0].reason.contains("too short"), "{}", judged.objectives[0].reason);
}

#[test]
fn a_target_that_swallows_everything_makes_every_window_bad() {
    let mut samples = evenly(50, 0, 60, fine);
    samples.extend(evenly(50, 60, 120, |_| (Micros::ZERO, Kind::Unfinished)));
    samples.extend(evenly(50, 120, 200, fine));
    let plan = rooms(200).fault("hole", 62.0, Some(58.0));
    let plan = plan.objective(p(0.99, s(1.0), during("hole"))).objective(expect(
        Metric::Errors,
        Comparison::Below,
        0.01,
        during("hole"),
    ));
    let judged = verdict(plan.objective(recovery_within(30.0)), &samples);
    let [p99, errors, recovery] = &judged.objectives[..] else { panic!() };
    assert_eq!((p99.word, errors.word, recovery.word), (Word::Fail, Word::Fail, Word::Pass));
    assert_eq!(errors.measured, Some(1.0));
    assert!(p99.measured_text.starts_with(">= "), "{}", p99.measured_text);
    let shape = &judged.triggers[0].shapes[0];
    assert!((shape.depth_during - 1.0).abs() < 1e-9, "{shape:?}");
    assert_eq!(shape.time_to_detect.map(|t| t <= shape.window * 2), Some(true));
    assert_eq!(judged.errors[0].kind, Kind::Unfinished);
}

#[test]
fn fast_errors_do_not_look_fast() {
    let half = |at: Micros| {
        if at.0 / 5_000 % 2 == 0 { (Micros::millis(1), Kind::Status) } else { (Micros::millis(50), Kind::Ok) }
    };
    let plan = rooms(20).objective(p(0.99, s(0.1), RUN)).objective(expect(
        Metric::Goodput,
        Comparison::AtLeast,
        0.99,
        RUN,
    ));
    let judged = verdict(plan, &evenly(200, 0, 20, half));
    assert_eq!(judged.objectives[0].word, Word::Fail);
    assert_eq!(judged.objectives[0].measured_text, ">= 2 s (50 % bad)");
    assert_eq!(judged.objectives[0].successes.map(|v| v.to_string()), Some("50 ms".to_owned()));
    assert_eq!(judged.objectives[1].measured, Some(0.5));
}

#[test]
fn a_fault_that_was_not_applied_or_not_removed_is_invalid() {
    let measured = |plan: Plan| {
        let plan = plan.objective(p(0.99, s(1.0), during("x"))).objective(recovery_within(10.0));
        verdict(plan, &evenly(100, 0, 200, fine))
    };
    let mut no_effect = rooms(200).unproven("x", 100.0, Some(10.0));
    no_effect.event("x", 101.0, FaultStage::NotEffective);
    let mut stuck = rooms(200).unproven("x", 100.0, Some(10.0));
    stuck.event("x", 100.0, FaultStage::Effective);
    stuck.event("x", 115.0, FaultStage::NotCleared);
    let mut quiet = rooms(200).fault("x", 100.0, Some(10.0));
    let Some(Record::Fault(last)) = quiet.events.last_mut() else { panic!() };
    last.touched = Some(Touched::default());
    let rows = [("no effect", no_effect, 97), ("not removed", stuck, 110), ("no traffic", quiet, 97)];
    for (name, plan, exit) in rows {
        let judged = measured(plan);
        assert!(judged.objectives.iter().all(|o| o.word == Word::Invalid), "{name}: {:?}", judged.objectives);
        assert_eq!((judged.verdict, judged.exit.code), (Word::Invalid, exit), "{name}");
        assert!(judged.summary.verdict.contains('x'), "{name}: {}", judged.summary.verdict);
    }
}

/// squall stands still in [from, to): what was intended in it leaves late, and answers are read late.
fn frozen(samples: &[Sample], from: f64, to: f64) -> Vec<Sample> {
    let inside = |at: Micros| s(from) <= at && at < s(to);
    let late = |sample: &Sample| {
        let mut late = sample.clone();
        if inside(late.intended) {
            let moved = s(to) - late.intended;
            (late.dequeued, late.done) = (late.dequeued + moved, late.done + moved);
        } else if inside(late.done) {
            late.done = s(to);
        }
        late
    };
    samples.iter().map(late).collect()
}

fn heartbeat(second: u32, late: Micros) -> Record {
    let mut record = Second { second, ..Second::default() };
    record.heartbeat.record(late);
    Record::Second(Box::new(record))
}

#[test]
fn a_frozen_generator_never_fails_a_target_that_is_fine() {
    for (to, seconds) in [(100.5, 0.5), (105.0, 5.0)] {
        let samples = frozen(&evenly(200, 0, 200, fine), 100.0, to);
        let mut plan = rooms(200).objective(p(0.99, s(0.1), RUN)).objective(p(0.999, s(0.1), RUN));
        plan.events.push(heartbeat(100 + seconds as u32, s(seconds)));
        let judged = verdict(plan.objective(expect(Metric::Max, Comparison::Below, 1e5, RUN)), &samples);
        assert_ne!(judged.verdict, Word::Fail, "{}", judged.summary.verdict);
        assert_eq!(judged.objectives[2].word, Word::Invalid, "{:?}", judged.objectives[2]);
        assert!(judged.objectives[2].reason.contains("squall itself"), "{}", judged.objectives[2].reason);
        assert!(
            !judged.generator.sound && judged.generator.sentence.contains("first at 1:"),
            "{:?}",
            judged.generator
        );
    }
}

#[test]
fn a_slow_target_still_fails_beside_a_late_generator() {
    let slow = frozen(&evenly(200, 0, 200, |_| (s(0.8), Kind::Ok)), 100.0, 102.0);
    let judged = verdict(rooms(200).objective(p(0.99, s(0.5), RUN)), &slow);
    assert_eq!(judged.verdict, Word::Fail, "{}", judged.summary.verdict);
}

#[test]
fn what_the_generator_lost_makes_even_a_pass_invalid() {
    let local = |at: Micros| if at < s(20.0) { (Micros::ZERO, Kind::Local) } else { fine(at) };
    let plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.5, RUN));
    let judged = verdict(plan, &evenly(50, 0, 100, local));
    assert_eq!(judged.verdict, Word::Invalid);
    let mut plan = rooms(100).objective(p(0.5, s(1.0), RUN));
    plan.outline.shapes[0].planned = vec![50; 100];
    let judged = verdict(plan, &evenly(10, 0, 100, fine));
    assert_eq!(
        (judged.verdict, judged.generator.sound),
        (Word::Invalid, false),
        "{}",
        judged.summary.verdict
    );
}

#[test]
fn late_measurement_alone_does_not_take_a_pass_away() {
    let samples = frozen(&evenly(100, 0, 100, fine), 40.0, 48.0);
    let judged = verdict(rooms(100).objective(p(0.5, s(0.1), RUN)), &samples);
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
}

#[test]
fn too_little_is_inconclusive_and_fail_outranks_everything() {
    let few = evenly(1, 0, 100, fine);
    let rows = [
        ("p99 of 100", rooms(100).objective(p(0.99, s(1.0), RUN)), Word::Inconclusive, 98),
        ("p95 of 100", rooms(100).objective(p(0.95, s(1.0), RUN)), Word::Pass, 0),
        (
            "without a trigger the whole run is the baseline",
            rooms(100).objective(p(0.5, s(1.0), PhaseName::Baseline)),
            Word::Pass,
            0,
        ),
        (
            "a phase of a trigger that is not there",
            rooms(100).objective(p(0.5, s(1.0), PhaseName::During("gone".to_owned()))),
            Word::Inconclusive,
            98,
        ),
        (
            "a fault unproven, an objective broken",
            rooms(100).unproven("x", 50.0, Some(5.0)).objective(p(0.5, s(0.001), RUN)),
            Word::Fail,
            99,
        ),
        (
            "invalid and inconclusive",
            rooms(100).unproven("x", 50.0, Some(5.0)).objective(p(0.99, s(1.0), RUN)),
            Word::Invalid,
            97,
        ),
    ];
    for (name, plan, word, exit) in rows {
        let judged = verdict(plan, &few);
        assert_eq!((judged.verdict, judged.exit.code), (word, exit), "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn flows_that_count_in_a_later_cell_are_delivered_all_the_same() {
    let mut plan = rooms(100).objective(p(0.5, s(1.0), RUN));
    let later = |record: Record| match record {
        Record::Due { cell, op, n } => Record::Due { cell: cell + u32::from(op.0 % 2), op, n },
        Record::Done(mut done) => {
            done.cell += u32::from(done.op.0 % 2);
            Record::Done(done)
        }
        other => other,
    };
    let records: Vec<Record> = plan.records(&evenly(20, 0, 100, fine)).into_iter().map(later).collect();
    let mut timeline = Timeline::new(plan.header());
    records.iter().for_each(|r| timeline.apply(r));
    let judged = judge(&timeline);
    assert_eq!(
        (judged.verdict, judged.generator.delivered),
        (Word::Pass, Some(1.0)),
        "{:?}",
        judged.generator
    );
}

#[test]
fn scraped_metrics_become_one_number() {
    let seen = [(0.0, 10.0), (1.0, 30.0), (2.0, 5.0), (4.0, 15.0)];
    let rows = [
        (Aggregate::Last, Some(15.0)),
        (Aggregate::Mean, Some(15.0)),
        (Aggregate::Max, Some(30.0)),
        (Aggregate::Rate, Some(7.5)),
    ];
    for (aggregate, expected) in rows {
        assert_eq!(objectives::aggregated(&seen, aggregate), expected, "{aggregate:?}");
    }
    assert_eq!(objectives::aggregated(&[], Aggregate::Last), None);
}

#[test]
fn each_operation_is_judged_by_itself_and_the_worst_is_named() {
    let plan = rooms(30).shape("lists", "list", s(2.0)).objective(p(0.99, s(0.1), RUN));
    let mut samples = evenly(100, 0, 30, fine);
    samples.extend(evenly(100, 0, 30, |_| (s(0.4), Kind::Ok)).into_iter().map(|mut s| {
        s.op = crate::sample::OpId(2);
        s
    }));
    let judged = verdict(plan, &samples);
    assert_eq!(judged.objectives[0].decided.as_deref(), Some("list"));
    assert!(
        judged.objectives[0].reason.contains("1 in 100 list took 400 ms"),
        "{}",
        judged.objectives[0].reason
    );
}

#[test]
fn rules_and_ends_decide_before_objectives() {
    let rule = |rule: &str| {
        Record::Rule(RuleEvent {
            at: s(10.0),
            text: "errors < 5%".into(),
            rule: rule.into(),
            measured: "9 % failed".into(),
        })
    };
    let rows = [
        (Some(rule("abort")), How::Aborted, Word::Fail, 99),
        (Some(rule("steady")), How::Unsteady, Word::Invalid, 97),
        (None, How::Interrupted, Word::Inconclusive, 105),
        (None, How::Failed, Word::Inconclusive, 107),
    ];
    for (rule, how, word, exit) in rows {
        let mut plan = rooms(20).objective(p(0.5, s(1.0), RUN));
        plan.events.extend(rule);
        plan.how = how;
        let judged = verdict(plan, &evenly(100, 0, 11, fine));
        assert_eq!((judged.verdict, judged.exit.code), (word, exit), "{how:?}");
    }
}

#[test]
fn an_after_that_never_came_fails() {
    let broken = |at: Micros| if at < s(100.0) { fine(at) } else { (s(2.0), Kind::Timeout) };
    let plan = rooms(200).fault("kill", 100.0, None).objective(p(0.5, s(1.0), after("kill")));
    let judged = verdict(plan, &evenly(100, 0, 200, broken));
    assert_eq!(judged.objectives[0].word, Word::Fail, "{:?}", judged.objectives[0]);
    assert!(judged.objectives[0].reason.contains("did not recover"), "{}", judged.objectives[0].reason);
}

#[test]
fn for_a_while_means_broken_in_every_window_of_it() {
    let dip = |from: f64, to: f64| {
        move |at: Micros| if at >= s(from) && at < s(to) { (s(2.0), Kind::Timeout) } else { fine(at) }
    };
    let rows = [(8.0, 12.0, Word::Pass), (8.0, 14.0, Word::Fail)];
    for (from, to, word) in rows {
        let mut objective = expect(Metric::Errors, Comparison::Below, 0.05, RUN);
        objective.window = Some(s(5.0));
        let judged = verdict(rooms(40).objective(objective), &evenly(100, 0, 40, dip(from, to)));
        assert_eq!(judged.objectives[0].word, word, "{from} to {to}: {}", judged.objectives[0].reason);
    }
}

#[test]
fn closed_loops_carry_their_warning() {
    let mut plan = rooms(20).objective(p(0.5, s(1.0), RUN));
    plan.outline.shapes[0].closed = true;
    let judged = verdict(plan, &evenly(100, 0, 20, fine));
    assert!(judged.objectives[0].notes[0].contains("closed loop"), "{:?}", judged.objectives[0].notes);
}

#[test]
fn a_baseline_that_moves_makes_recovery_invalid_but_not_absolute_objectives() {
    let creeping = |at: Micros| (Micros::millis(5) + Micros(at.0 / 1000), Kind::Ok);
    let plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0)).objective(p(
        0.99,
        s(1.0),
        RUN,
    ));
    let judged = verdict(plan, &evenly(100, 0, 200, creeping));
    assert_eq!(judged.objectives.iter().map(|o| o.word).collect::<Vec<_>>(), [Word::Invalid, Word::Pass]);
}

#[test]
fn shapes_that_are_triggers_or_vary_have_no_band() {
    let mut plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
    plan.outline.shapes[0].planned = vec![0; 200];
    let mut samples = evenly(100, 0, 50, fine);
    samples.extend(evenly(200, 50, 200, fine));
    let judged = verdict(plan, &samples);
    assert!(judged.baseline[0].none.as_ref().unwrap().contains("varies"), "{:?}", judged.baseline);
    assert_eq!(judged.verdict, Word::Inconclusive);
}

#[test]
fn live_rules_see_a_target_that_swallows_everything_and_spare_a_healthy_one() {
    let rule = expect(Metric::Errors, Comparison::Below, 0.5, RUN);
    let healthy = rooms(100).timeline(&evenly(100, 0, 60, fine));
    assert_eq!(live(&healthy, &rule, s(60.0)).map(|l| l.holds), Some(true));
    let mut samples = evenly(100, 0, 40, fine);
    samples.extend(evenly(100, 40, 60, |_| (Micros::ZERO, Kind::Unfinished)));
    for deadline in [2.0, 20.0] {
        let plan = Plan::new(100).shape("rooms", "create", s(deadline));
        let timeline = plan.timeline(&samples);
        let at = |now: f64| live(&timeline, &rule, s(now)).map(|l| l.holds);
        assert_eq!(at(41.0), Some(true), "too early to tell: D {deadline}");
        assert_eq!(at(51.0 + deadline), Some(false), "D {deadline}");
    }
    assert_eq!(live(&healthy, &rule, s(0.0)), None);
}

#[test]
fn a_judgement_survives_its_json() {
    let plan = rooms(100).fault("x", 50.0, Some(10.0)).objective(p(0.99, s(1.0), during("x")));
    let judged =
        verdict(plan, &[evenly(100, 0, 100, fine), vec![sample(0, s(99.0), s(9.0), Kind::Late)]].concat());
    let json = serde_json::to_string_pretty(&judged).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&json).unwrap(), judged);
}
