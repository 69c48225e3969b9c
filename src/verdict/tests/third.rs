//! What squall itself tried again, what a smoke run has no time for, and the edges of other rules.

use super::*;
use crate::objective::Objective;
use crate::sample::Clean;

/// What squall slept through timed out, and was tried again three times.
fn tried_again(samples: &[Sample], from: f64, to: f64) -> Vec<Sample> {
    let mut all = generator::frozen(samples, from, to);
    let hit = |sample: &&mut Sample| sample.clean == Clean::LeftOut && sample.intended < s(to);
    all.iter_mut().filter(hit).for_each(|sample| sample.work.attempts = 4);
    all
}

#[test]
fn retries_that_squall_itself_caused_are_not_the_targets() {
    let objective = |limit| expect(Metric::Amplification, Comparison::Below, limit, RUN);
    let slept = tried_again(&evenly(200, 0, 60, fine), 40.0, 43.0);
    let (is, why) = word(rooms(60).objective(objective(1.1)), &slept);
    assert_eq!(is, Word::Invalid, "{why}");
    let mut retried = slept.clone();
    retried.iter_mut().for_each(|sample| sample.work.attempts = 4);
    let (is, why) = word(rooms(60).objective(objective(1.1)), &retried);
    assert_eq!(is, Word::Fail, "{why}");
}

#[test]
fn a_recovery_is_not_put_off_by_what_squall_itself_tried_again() {
    let down = |at: Micros| if at >= s(25.0) && at < s(30.0) { (s(1.0), Kind::Status) } else { fine(at) };
    let slept = tried_again(&evenly(200, 0, 60, down), 30.2, 33.2);
    let (is, why) = word(at_half_time(rooms(60), recovery_within(1.5)), &slept);
    assert_eq!(is, Word::Invalid, "{why}");
}

#[test]
fn what_a_smoke_run_has_no_time_for_fails_nothing() {
    let back_late = |at: Micros| if at >= s(4.0) { (Micros::MILLISECOND, Kind::Status) } else { fine(at) };
    let after_x = expect(Metric::Errors, Comparison::Below, 0.5, after("x"));
    let rows = [
        ("enough of them", None, expect(Metric::Count, Comparison::AtLeast, 5_000.0, RUN), Word::Fail),
        ("back within a minute", Some(Some(1.0)), recovery_within(60.0), Word::Fail),
        ("back within a second", Some(Some(1.0)), recovery_within(1.0), Word::Fail),
        ("back after a one-shot", Some(None), after_x, Word::Fail),
    ];
    for (name, fault, objective, whole) in rows {
        let limit = objective.value;
        let plan = |smoke| {
            let mut plan = rooms(10).objective(objective.clone());
            plan.outline.smoke = smoke;
            (plan.outline.judge.windows, plan.outline.judge.stretch_windows) = (1, 1);
            plan.outline.judge.stretch = s(1.0);
            match fault {
                Some(length) => {
                    plan = plan.fault("x", 4.0, length);
                    plan.outline.faults[0].settle = s(1.0);
                    plan
                }
                None => plan,
            }
        };
        let samples = evenly(100, 0, 10, back_late);
        let (is, why) = word(plan(None), &samples);
        assert_eq!(is, whole, "{name}: {why}");
        let (is, why) = word(plan(Some(6.0)), &samples);
        let lost = limit == s(1.0).0 as f64;
        assert_eq!(is, if lost { Word::Fail } else { Word::Inconclusive }, "{name}: {why}");
    }
}

/// A restart takes its second in a fault of ten and in one of two.
#[test]
fn what_breaks_in_the_shorter_phases_of_a_smoke_run_fails_nothing_by_itself() {
    let broken = |_: Micros| (Micros::MILLISECOND, Kind::Status);
    let hurt =
        |at: Micros| if at >= s(6.0) && at < s(7.0) { (Micros::MILLISECOND, Kind::Status) } else { fine(at) };
    let soon =
        |at: Micros| if at >= s(2.0) && at < s(3.0) { (Micros::MILLISECOND, Kind::Status) } else { fine(at) };
    let judged_from = |from: f64, phase: PhaseName, smoke, answer: fn(Micros) -> (Micros, Kind)| {
        let mut plan = rooms(12).fault("x", from, Some(2.0));
        plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.05, phase));
        plan.outline.smoke = smoke;
        plan.outline.judge.warmup = s(1.0);
        word(plan, &evenly(100, 0, 12, answer))
    };
    let judged = |phase, smoke, answer| judged_from(6.0, phase, smoke, answer);
    for phase in [during("x"), RUN] {
        assert_eq!(judged(phase.clone(), None, hurt).0, Word::Fail);
        let (is, why) = judged(phase.clone(), Some(5.0), hurt);
        assert_eq!(is, Word::Inconclusive, "{why}");
        assert!(why.contains("in a smoke run phases are 5 times shorter"), "{why}");
        assert_eq!(judged(phase.clone(), Some(5.0), broken).0, Word::Fail);
        // The warm-up and one deadline leave no baseline.
        assert_eq!(judged_from(2.0, phase.clone(), Some(5.0), broken).0, Word::Fail);
        assert_eq!(judged_from(2.0, phase, Some(5.0), soon).0, Word::Inconclusive);
    }
}

/// Its deadline of two seconds leaves nothing of a baseline that ends after three and a half.
#[test]
fn what_was_broken_before_any_fault_fails_a_smoke_run_whose_deadlines_leave_no_baseline() {
    let hurt =
        |at: Micros| if at >= s(3.5) && at < s(4.5) { (Micros::MILLISECOND, Kind::Status) } else { fine(at) };
    let rows: [(Answers, Word); 2] =
        [(|_| (Micros::MILLISECOND, Kind::Status), Word::Fail), (hurt, Word::Inconclusive)];
    for (answer, expected) in rows {
        let mut plan = rooms(12).fault("x", 3.5, Some(2.0));
        plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.05, during("x")));
        (plan.outline.smoke, plan.outline.judge.warmup) = (Some(5.0), s(1.0));
        let (is, why) = word(plan, &evenly(100, 0, 12, answer));
        assert_eq!(is, expected, "{why}");
    }
}

/// The baseline of a smoke run brings as little as the rest of it.
#[test]
fn a_count_that_a_smoke_run_does_not_reach_in_a_phase_fails_nothing() {
    let counted = |comparison, smoke| {
        let mut plan = rooms(12).fault("x", 6.0, Some(2.0));
        plan = plan.objective(expect(Metric::Count, comparison, 500.0, during("x")));
        plan.outline.smoke = smoke;
        plan.outline.judge.warmup = s(1.0);
        word(plan, &evenly(if comparison == Comparison::AtLeast { 100 } else { 400 }, 0, 12, fine))
    };
    for (comparison, smoked) in [(Comparison::AtLeast, Word::Inconclusive), (Comparison::AtMost, Word::Fail)]
    {
        assert_eq!(counted(comparison, None).0, Word::Fail);
        let (is, why) = counted(comparison, Some(5.0));
        assert_eq!(is, smoked, "{why}");
    }
}

#[test]
fn few_that_all_fail_are_not_exactly_one_in_a_hundred() {
    for (metric, value) in [(Metric::Errors, 0.01), (Metric::Goodput, 0.99)] {
        let objective: Objective = expect(metric, Comparison::Equal, value, RUN);
        let (is, why) = word(rooms(50).objective(objective), &evenly(1, 0, 50, |_| (s(1.0), Kind::Status)));
        assert_eq!(is, Word::Fail, "{why}");
    }
}

/// Its queue is long before squall slept, and in the burst after that: of ten seconds on end eight are squall's.
#[test]
fn a_metric_of_which_squall_spoilt_most_did_not_last_on_end() {
    for (asleep, expected) in [(0.0, Word::Fail), (5.0, Word::Invalid)] {
        let queue = queue_below(100.0, Aggregate::Last);
        let mut plan = rooms(100).objective(Objective { window: Some(s(10.0)), ..queue });
        scraped(&mut plan, |second| if (38..50).contains(&second) { 120.0 } else { 50.0 });
        plan.events.push(generator::heartbeat(45, s(asleep)));
        let samples = generator::frozen(&evenly(50, 0, 100, fine), 40.5, 40.5 + asleep);
        let (is, why) = word(plan, &samples);
        assert_eq!(is, expected, "asleep for {asleep} s: {why}");
    }
}

#[test]
fn a_metric_that_was_not_read_any_more_does_not_hold() {
    let rows = [
        (1, 100, Word::Pass),
        (1, 60, Word::Pass),
        (1, 40, Word::Inconclusive),
        (7, 100, Word::Pass),
        (50, 20, Word::Inconclusive),
    ];
    for (every, until, expected) in rows {
        let mut plan = rooms(100).objective(queue_below(100.0, Aggregate::Max));
        let read = |second: i64| crate::record::Scrape {
            at: Micros::secs(second),
            name: "queue".to_owned(),
            value: 1.0,
        };
        plan.events.extend((0..until).step_by(every).map(read).map(Record::Scrape));
        let (is, why) = word(plan, &evenly(10, 0, 100, fine));
        assert_eq!(is, expected, "every {every} s until {until} s: {why}");
        assert!(is == Word::Pass || why.contains(" of 1 min 40 s only"), "{why}");
    }
}

#[test]
fn the_branch_that_no_flow_took_keeps_nothing_from_holding() {
    let rule = errors(None, 0.01);
    let mut plan = rooms(60);
    let seldom =
        crate::outline::OperationOutline { name: "seldom".to_owned(), ..plan.outline.operations[0].clone() };
    plan.outline.operations.push(seldom);
    let all = evenly(50, 0, 60, fine);

    let judged = verdict(plan.clone().objective(rule.clone()), &all);
    assert_eq!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
    assert_eq!(judged.objectives[0].notes, ["No flow came to seldom, so nothing is said of it."]);
    assert_eq!(unsteady(&plan.clone().timeline(&all), &rule, s(30.0)), None);

    // What was named was asked for, a rate asks how many came, and where no flow came either all of it is missing.
    let (is, why) = word(plan.clone().objective(errors(Some("seldom"), 0.01)), &all);
    assert_eq!(is, Word::Inconclusive, "{why}");
    let rate = expect(Metric::Rate, Comparison::Above, 5.0, RUN);
    assert_eq!(word(plan.clone().objective(rate), &all).0, Word::Fail);
    plan.outline.shapes[0].planned = vec![50; 60];
    assert_ne!(word(plan.clone().objective(rule.clone()), &[]).0, Word::Pass);
    assert!(unsteady(&plan.timeline(&[]), &rule, s(30.0)).is_some());
}

#[test]
fn what_failed_for_a_moment_is_not_said_to_have_kept_answering() {
    let down = |at: Micros| if at >= s(25.0) && at < s(25.6) { (s(1.0), Kind::Status) } else { fine(at) };
    let judged = verdict(at_half_time(rooms(60), recovery_within(20.0)), &evenly(1_000, 0, 60, down));
    let told = &judged.triggers[0].sentence;
    assert!(told.contains("lost") && !told.contains("kept answering"), "{told}");
}

fn errors(of: Option<&str>, limit: f64) -> Objective {
    let selector = of.map(str::to_owned);
    Objective { selector, ..expect(Metric::Errors, Comparison::Below, limit, RUN) }
}

/// Of what fails at once and squall held up, the time that it was in flight is squall's own, as it is of what succeeds.
#[test]
fn what_failed_at_once_and_was_held_up_keeps_no_flows_in_flight() {
    let mostly_fine = |at: Micros| match at.0 / 20_000 % 25 == 0 {
        true => (s(0.001), Kind::Status),
        false => fine(at),
    };
    let before = evenly(50, 0, 80, mostly_fine);
    for (held, expected) in [(0.0, Word::Pass), (1.9, Word::Invalid), (2.3, Word::Invalid)] {
        let late = |sample: &Sample| match sample.intended >= s(16.0) {
            true => properties::delayed(sample, Micros::ZERO, s(held)),
            false => sample.clone(),
        };
        let samples: Vec<Sample> = before.iter().map(late).collect();
        let (is, why) = word(at_half_time(rooms(80), recovery_within(5.8)), &samples);
        assert_eq!(is, expected, "held up for {held} s: {why}");
    }
}

/// A second in which squall stood still leaves more of a burst's four: that is no mean of all of them.
#[test]
fn what_is_left_of_the_time_of_a_burst_is_not_all_of_it() {
    let in_burst = |sample: &Sample| sample.intended.0 % 4_000_000 < 100_000;
    let bursts: Vec<Sample> = evenly(900, 0, 80, fine).into_iter().filter(in_burst).collect();
    for stood_still in [false, true] {
        let mut plan = at_half_time(rooms(80), recovery_within(5.0));
        plan.outline.shapes[0].period = Some(s(4.0));
        in_flight(&mut plan, 0..80, |_| vec![0.0]);
        if stood_still {
            let cells = [34, 35, 46, 47, 58, 59, 70, 71];
            plan.events.extend(cells.map(|cell| generator::heartbeat(cell, s(0.2))));
        }
        let late = |sample: &Sample| match sample.intended >= s(26.0) {
            true => properties::delayed(sample, Micros::ZERO, s(0.1)),
            false => sample.clone(),
        };
        let samples: Vec<Sample> = bursts.iter().map(late).collect();
        let (is, why) = word(plan, &samples);
        assert_eq!(is, Word::Invalid, "{why}");
    }
}
