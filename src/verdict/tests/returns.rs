//! Recovery and outage: when a service was away, and when it was back.

use super::*;
use crate::objective::Objective;
use crate::outline::FaultOutline;

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
            ..JudgeSettings::default()
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
    assert_eq!(errors.measured, Some(Quantity::share(1.0)));
    assert!(p99.measured_text.starts_with(">= "), "{}", p99.measured_text);
    let shape = &judged.triggers[0].shapes[0];
    assert!((shape.depth_during - 1.0).abs() < 1e-9, "{shape:?}");
    assert_eq!(shape.time_to_detect.map(|t| t <= shape.window * 2), Some(true));
    assert_eq!(judged.errors[0].kind, Kind::Unfinished);
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

/// Out of order in [from, to) seconds.
fn down(from: f64, to: f64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| if at >= s(from) && at < s(to) { (Micros::millis(1), Kind::Connect) } else { fine(at) }
}

#[test]
fn a_shape_whose_load_ends_before_the_trigger_does_says_nothing_of_recovery() {
    let plan = || {
        let plan = rooms(200).shape("lists", "list", s(2.0)).fault("x", 100.0, Some(10.0));
        plan.objective(recovery_within(10.0))
    };
    let ended = of_lists(evenly(100, 0, 105, down(100.0, 110.0)));
    let both = [evenly(100, 0, 200, down(100.0, 112.0)), ended.clone()].concat();
    let judged = verdict(plan(), &both);
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
    let told =
        judged.notes.iter().any(|n| n.contains("leaves out lists, whose load ended before x was over"));
    assert!(told, "{:?}", judged.notes);
    let judged = verdict(plan(), &ended);
    let objective = &judged.objectives[0];
    assert_eq!(objective.word, Word::Inconclusive, "{}", objective.reason);
    assert!(objective.reason.contains("lists: its load ended before"), "{}", objective.reason);
}

#[test]
fn what_one_shape_proves_no_other_shape_hides() {
    let creeping = |at: Micros| (Micros::millis(5) + Micros(at.0 / 1000), Kind::Ok);
    let rows = [
        ("cut short", of_lists(evenly(100, 0, 125, fine)), Word::Inconclusive),
        ("unsteady", of_lists(evenly(100, 0, 200, creeping)), Word::Invalid),
        ("well", of_lists(evenly(100, 0, 200, fine)), Word::Pass),
    ];
    for (name, lists, alone) in rows {
        let judged = |rooms_down_to: f64| {
            let plan = rooms(200).shape("lists", "list", s(2.0)).fault("x", 100.0, Some(10.0));
            let samples = [evenly(100, 0, 200, down(100.0, rooms_down_to)), lists.clone()].concat();
            verdict(plan.objective(recovery_within(10.0)), &samples)
        };
        for (to, word) in [(111.0, alone), (130.0, Word::Fail), (200.0, Word::Fail)] {
            let objective = &judged(to).objectives[0];
            assert_eq!(objective.word, word, "{name}, rooms down to {to}: {}", objective.reason);
            let named = word == Word::Fail && !objective.reason.starts_with("rooms: ");
            assert!(!named, "{name}: {}", objective.reason);
        }
    }
}

/// A latency that crept does not excuse a goodput of zero, and a latency that is far off its normal does not
/// break where there is no normal.
#[test]
fn what_moved_within_the_baseline_breaks_nothing_and_excuses_nothing_else() {
    let creeping = |at: Micros| Micros::millis(5) + Micros(at.0 / 1000);
    let rows: [(&str, Answers, Word); 2] =
        [("dead", |_| (s(2.0), Kind::Timeout), Word::Fail), ("slow", |_| (s(1.5), Kind::Ok), Word::Invalid)];
    for (name, then, word) in rows {
        let answer = |at: Micros| if at < s(100.0) { (creeping(at), Kind::Ok) } else { then(at) };
        let plan = rooms(200).fault("kill", 100.0, None).objective(p(0.5, s(1.0), after("kill")));
        let judged = verdict(plan.objective(recovery_within(10.0)), &evenly(100, 0, 200, answer));
        let words: Vec<Word> = judged.objectives.iter().map(|o| o.word).collect();
        assert_eq!(words, [word, word], "{name}: {}", judged.objectives[1].reason);
    }
}

#[test]
fn never_needs_evidence_and_a_tail_that_could_be_a_beginning_is_none() {
    // A stretch is 30 s; the fault is over at 110 s.
    let rows = [
        ("well from the fourth second on, 30 s watched", 114.0, 140, Word::Inconclusive),
        ("well from the fourth second on, long enough", 114.0, 150, Word::Pass),
        ("bad until the end", 200.0, 140, Word::Fail),
        ("bad for longer than the limit, and well since", 130.0, 145, Word::Fail),
        ("nothing was watched", 110.0, 110, Word::Inconclusive),
    ];
    for (name, to, seconds, word) in rows {
        let plan = rooms(seconds).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
        let judged = verdict(plan, &evenly(100, 0, seconds, down(100.0, to)));
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
        let told = judged.objectives[0].reason.contains("would tell");
        assert_eq!(
            told,
            word == Word::Inconclusive && seconds > 110,
            "{name}: {}",
            judged.objectives[0].reason
        );
    }
}

/// One-shots are over when the service is back: what may be the beginning of that is no time after them.
#[test]
fn an_after_that_may_have_begun_is_inconclusive() {
    let rows = [("too short", 125, Word::Inconclusive), ("long enough", 160, Word::Pass)];
    for (name, seconds, word) in rows {
        let plan = rooms(seconds).fault("kill", 100.0, None);
        let plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.5, after("kill")));
        let judged = verdict(plan, &evenly(100, 0, seconds, down(100.0, 105.0)));
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
    }
}

#[test]
fn a_baseline_that_is_itself_broken_proves_nothing() {
    let share = |bad: i64| {
        move |at: Micros| {
            if at.0 / 10_000 % 10 < bad { (Micros::millis(1), Kind::Status) } else { fine(at) }
        }
    };
    let rows = [
        ("half of it fails", 5, None, Word::Invalid),
        ("a tenth fails", 1, None, Word::Pass),
        ("an objective of the run is already broken", 1, Some(0.01), Word::Invalid),
    ];
    for (name, bad, errors, word) in rows {
        let mut plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
        if let Some(limit) = errors {
            plan = plan.objective(expect(Metric::Errors, Comparison::Below, limit, RUN));
        }
        let judged = verdict(plan, &evenly(100, 0, 200, share(bad)));
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
    }
    for (least, word) in [(0.45, Word::Pass), (0.95, Word::Invalid)] {
        let mut plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
        plan.outline.judge.goodput = least;
        let bad = if word == Word::Pass { 5 } else { 1 };
        let judged = verdict(plan, &evenly(100, 0, 200, share(bad)));
        assert_eq!(judged.objectives[0].word, word, "`goodput: {least}`: {}", judged.objectives[0].reason);
    }
}

#[test]
fn a_trigger_that_sent_nothing_supports_no_pass() {
    let mut plan = rooms(200).shape("storm", "list", s(1.0)).objective(recovery_within(10.0));
    plan.outline.shapes[1].trigger = true;
    (plan.outline.shapes[1].first, plan.outline.shapes[1].start) = (Some(s(100.0)), s(100.0));
    plan.outline.shapes[1].end = s(110.0);
    let judged = verdict(plan, &evenly(100, 0, 200, fine));
    assert_eq!(judged.verdict, Word::Inconclusive, "{}", judged.summary.verdict);
    assert!(judged.summary.verdict.contains("storm sent nothing"), "{}", judged.summary.verdict);
}

#[test]
fn a_fault_that_could_not_be_undone_spoils_what_comes_after_it() {
    let stuck = |phase: PhaseName| {
        let mut plan = rooms(200).unproven("x", 100.0, Some(10.0)).fault("y", 150.0, Some(5.0));
        for (at, stage) in
            [(100.1, FaultStage::Effective), (110.0, FaultStage::Clearing), (115.0, FaultStage::NotCleared)]
        {
            plan.event("x", at, stage);
        }
        plan.objective(expect(Metric::Errors, Comparison::Below, 0.2, phase)).objective(recovery_within(10.0))
    };
    let rows = [
        ("broken by what stayed", stuck(RUN), down(110.0, 200.0), Word::Invalid),
        ("held all the same", stuck(RUN), down(300.0, 301.0), Word::Invalid),
        ("of a later trigger", stuck(after("y")), down(300.0, 301.0), Word::Invalid),
        ("broken before", stuck(PhaseName::Baseline), down(20.0, 90.0), Word::Fail),
    ];
    for (name, plan, answer, word) in rows {
        let judged = verdict(plan, &evenly(100, 0, 200, answer));
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
        assert_eq!(judged.objectives[1].word, Word::Invalid, "{name}: {}", judged.objectives[1].reason);
        assert_eq!(judged.exit.code, 110, "{name}");
    }
}

#[test]
fn what_does_not_come_back_is_the_targets_failure() {
    let mut plan = rooms(200).unproven("kill", 100.0, Some(5.0)).objective(recovery_within(10.0));
    plan.event("kill", 100.1, FaultStage::Effective);
    plan.event("kill", 105.0, FaultStage::Clearing);
    plan.event("kill", 120.0, FaultStage::NotBack);
    let Some(Record::Fault(last)) = plan.events.last_mut() else { panic!() };
    last.detail = "schema 7 is newer".to_owned();
    let judged = verdict(plan, &evenly(100, 0, 200, down(100.0, 300.0)));
    assert_eq!((judged.verdict, judged.exit.code), (Word::Fail, 99), "{}", judged.summary.verdict);
    assert!(judged.summary.verdict.contains("schema 7 is newer"), "{}", judged.summary.verdict);
}

#[test]
fn a_window_in_which_all_arrivals_were_probes_is_skipped() {
    let mut plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(10.0));
    let probed = |at: i64| at % 4 == 3;
    plan.outline.shapes[0].planned = (0..200).map(|cell| u64::from(probed(cell))).collect();
    let probe = |index: i64| crate::record::ProbeEvent {
        op: crate::sample::OpId(0),
        index: index as u64,
        intended: Micros::secs(index),
        done: None,
    };
    for at in (0..200).filter(|&at| probed(at)) {
        plan.events.push(Record::Arrived { cell: at as u32, shape: 0, n: 1, late: 0, probes: 1 });
        plan.events.push(Record::Probe(probe(at)));
    }
    // Of one arrival a second, every fourth is a probe; windows of a second leave no other choice.
    plan.outline.judge.windows = 60;
    let judged = verdict(
        plan,
        &(0..200).filter(|&at| !probed(at)).flat_map(|at| evenly(1, at, at + 1, fine)).collect::<Vec<_>>(),
    );
    assert_eq!(judged.verdict, Word::Pass, "{} {:?}", judged.summary.verdict, judged.baseline);
    assert_eq!(judged.baseline[0].goodput.map(|b| b.median), Some(1.0));
    assert_eq!(judged.triggers[0].shapes[0].outage, Some(Micros::ZERO));
}

#[test]
fn what_was_not_watched_at_all_has_no_length_and_what_never_began_says_so() {
    // Stopped by hand while x is in force: it is healed a moment after the load has ended. y was to come.
    let mut plan = rooms(200).unproven("x", 100.0, Some(20.0));
    plan.event("x", 100.0, FaultStage::Effective);
    plan.event("x", 105.0, FaultStage::Clearing);
    plan.event("x", 105.003, FaultStage::Verified);
    let later = FaultOutline {
        name: "y".into(),
        trigger: "y".into(),
        at: s(150.0),
        ..plan.outline.faults[0].clone()
    };
    plan.outline.faults.push(later);
    (plan.how, plan.stopped) = (How::Interrupted, Some(s(105.0)));
    plan.outline.shapes[0].planned = [vec![0; 105], vec![100; 95]].concat();
    let of = |name: &str| Objective { selector: Some(name.into()), ..recovery_within(10.0) };
    let plan = plan.objective(of("x")).objective(of("y"));
    let judged = verdict(plan, &evenly(100, 0, 105, fine));
    let [x, y] = &judged.objectives[..] else { panic!("{:?}", judged.objectives) };
    assert_eq!((x.word, y.word), (Word::Inconclusive, Word::Inconclusive));
    let left = "When x was over no undisturbed load was left to recover in; undisturbed load until 2:15.00 would tell.";
    assert_eq!((x.reason.as_str(), judged.summary.recovery.as_deref()), (left, Some(left)));
    assert_eq!((x.measured_text.as_str(), x.measured, x.ratio), ("nothing", None, None));
    assert_eq!(y.reason, "y never came to pass, so there is nothing to recover from.");

    // x goes on until after y has begun, and y is still in force when x is over.
    let plan = rooms(200).fault("x", 100.0, Some(20.0)).fault("y", 110.0, Some(30.0)).objective(of("x"));
    let judged = verdict(plan, &evenly(100, 0, 200, fine));
    assert!(judged.objectives[0].reason.starts_with("When x was over no"), "{}", judged.objectives[0].reason);
}

#[test]
fn nothing_is_said_to_have_come_back_from_what_was_not_proven_or_to_what_was_no_normal() {
    let plan = || at_half_time(rooms(60), recovery_within(10.0));
    let told = |plan: Plan, answer: Answers| {
        let judged = verdict(plan, &evenly(50, 0, 60, answer));
        assert_eq!(judged.triggers[0].outage, Some(Micros::ZERO), "it was seen in its band");
        (judged.summary.recovery.clone(), judged.triggers[0].sentence.clone())
    };
    let (head, sentence) = told(plan(), fine);
    assert_eq!(sentence, "x did not push the service out of its normal band.");
    assert_eq!(head, Some(sentence));
    let (head, sentence) = told(plan(), |_| (Micros::millis(1), Kind::Status));
    assert!(
        head.is_none() && sentence.starts_with("What x did to the service is not known: only 0 %"),
        "{sentence}"
    );
    let mut quiet = plan();
    let Some(Record::Fault(last)) = quiet.events.last_mut() else { panic!("a fault has events") };
    last.touched = Some(Touched::default());
    let (head, sentence) = told(quiet, fine);
    assert!(head.is_none() && sentence.ends_with("is not known: it was not proven."), "{sentence}");

    let mut without_effect = rooms(60).unproven("x", 30.0, Some(5.0)).objective(recovery_within(10.0));
    without_effect.event("x", 31.0, FaultStage::NotEffective);
    without_effect.event("x", 35.0, FaultStage::Verified);
    let judged = verdict(without_effect, &evenly(50, 0, 60, fine));
    let sentence = &judged.triggers[0].sentence;
    assert_eq!(sentence, "What x did to the service is not known: it was not proven.");
    assert_eq!(judged.summary.recovery, None, "the shape has a normal band, and the fault had no effect");
}

#[test]
fn the_head_tells_of_what_lost_the_most_before_what_lasted_longest() {
    let plan = rooms(200).fault("slow", 80.0, Some(20.0)).fault("gone", 140.0, Some(8.0));
    let answer = |at: Micros| match at {
        at if at >= s(80.0) && at < s(100.0) => (s(0.2), Kind::Ok),
        at if at >= s(140.0) && at < s(148.0) => (s(0.01), Kind::Status),
        at => fine(at),
    };
    let judged = verdict(plan, &evenly(100, 0, 200, answer));
    let [slow, gone] = &judged.triggers[..] else { panic!("{:?}", judged.triggers) };
    assert!(slow.outage > gone.outage && slow.recovery == gone.recovery, "{slow:?}, {gone:?}");
    assert_eq!(judged.summary.recovery.as_ref(), Some(&gone.sentence));
}

#[test]
fn what_was_lost_in_a_single_window_is_not_told_as_the_little_that_the_next_one_lost() {
    let said = |to: f64| {
        let mut plan = rooms(200).fault("x", 100.0, Some(3.0)).objective(recovery_within(30.0));
        // Of a second each.
        plan.outline.judge.windows = 60;
        let gone = |at: Micros| (s(100.0)..s(to)).contains(&at);
        let answer = |at: Micros| if gone(at) { (s(2.0), Kind::Timeout) } else { fine(at) };
        verdict(plan, &evenly(100, 0, 200, answer)).summary.recovery.unwrap()
    };
    let brief = said(101.03);
    assert!(brief.contains("of good operations it lost 103") && !brief.contains("3 %"), "{brief}");
    // A loss that lasts is a share, as ever.
    assert!(said(103.0).contains("at worst it lost 100 % of its goodput"), "{}", said(103.0));
}

/// A service that came back, and died of something else before it was well for a whole stretch.
#[test]
fn what_was_well_for_a_while_is_not_told_to_be_still_out_of_band() {
    let said = |well: f64| {
        let mut plan = rooms(200).fault("x", 100.0, Some(5.0)).objective(recovery_within(30.0));
        // Of a second each.
        plan.outline.judge.windows = 60;
        let gone = |at: Micros| (s(100.0)..s(105.0)).contains(&at) || at >= s(105.0 + well);
        let answer = |at: Micros| if gone(at) { (s(2.0), Kind::Timeout) } else { fine(at) };
        verdict(plan, &evenly(100, 0, 200, answer)).summary.recovery.unwrap()
    };
    let back = said(15.0);
    assert!(back.ends_with("goodput was out of the normal band again, after 13 s in it."), "{back}");
    assert!(said(0.0).ends_with("goodput was still out of the normal band."), "{}", said(0.0));
}
