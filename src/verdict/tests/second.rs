//! What a second look found: histories that the judge once called by a wrong name.

use super::*;
use crate::objective::Objective;

fn down(from: f64, to: f64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| if at >= s(from) && at < s(to) { (Micros::millis(1), Kind::Connect) } else { fine(at) }
}

/// So many of a thousand fail.
fn bad_of_a_thousand(bad: i64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| {
        if at.0 / 10_000 % 1_000 * 7 % 1_000 < bad { (Micros::millis(1), Kind::Status) } else { fine(at) }
    }
}

#[test]
fn a_share_that_lies_at_its_limit_is_neither_more_nor_less() {
    let names = crate::objective::Names::default();
    let read = |text: String| crate::objective::parse(&text, &names).unwrap();
    let mut wrong = Vec::new();
    for bad in 1..1_000 {
        let timeline = rooms(10).timeline(&evenly(100, 0, 10, bad_of_a_thousand(bad)));
        let tally = timeline.tally(crate::sample::OpId(0), &timeline.all_cells());
        assert_eq!((tally.intended, tally.bad()), (1_000, bad as u64));
        let percent = |n: i64| format!("{}.{}%", n / 10, n % 10);
        let (errors, goodput) = (percent(bad), percent(1_000 - bad));
        let exposure = measure::Exposure { length: s(10.0), weight: 1.0 };
        let rows = [
            (format!("errors <= {errors}"), true),
            (format!("errors < {errors}"), false),
            (format!("errors >= {errors}"), true),
            (format!("goodput >= {goodput}"), true),
            (format!("goodput > {goodput}"), false),
            (format!("goodput = {goodput}"), true),
        ];
        for (text, holds) in rows {
            let got = measure::measure(&read(text.clone()), &tally, exposure).answer;
            if (got == answer::Answer::Holds) != holds {
                wrong.push(text);
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}

/// Stopped by its user at this second.
fn stopped(plan: Plan, at: i64, answer: impl Fn(Micros) -> (Micros, Kind)) -> JudgedObjective {
    let plan = Plan { how: How::Interrupted, stopped: Some(Micros::secs(at)), ..plan };
    verdict(plan, &evenly(1_000, 0, at, answer)).objectives.remove(0)
}

#[test]
fn a_run_that_was_stopped_proves_nothing_of_what_takes_longer() {
    let brief = || Plan::new(300).shape("rooms", "create", s(0.1));
    let away = Objective { metric: Metric::Outage, ..recovery_within(30.0) };
    let after_kill = expect(Metric::Errors, Comparison::Below, 0.5, after("kill"));
    let many = |phase: PhaseName| expect(Metric::Count, Comparison::AtLeast, 2e5, phase);
    let rows = [
        (
            "recovery",
            brief().fault("x", 100.0, Some(5.0)).objective(recovery_within(30.0)),
            107,
            Word::Inconclusive,
        ),
        (
            "recovery, watched for long enough",
            brief().fault("x", 100.0, Some(5.0)).objective(recovery_within(30.0)),
            140,
            Word::Fail,
        ),
        ("outage", brief().fault("x", 100.0, Some(5.0)).objective(away), 107, Word::Inconclusive),
        (
            "stopped within the fault",
            brief().fault("x", 100.0, Some(5.0)).objective(recovery_within(30.0)),
            103,
            Word::Inconclusive,
        ),
        (
            "after a one-shot",
            brief().fault("kill", 100.0, None).objective(after_kill.clone()),
            103,
            Word::Inconclusive,
        ),
        ("long after a one-shot", brief().fault("kill", 100.0, None).objective(after_kill), 160, Word::Fail),
        ("a count", brief().objective(many(RUN)), 107, Word::Inconclusive),
        (
            "a count of what was over",
            brief().fault("x", 50.0, Some(5.0)).objective(many(during("x"))),
            107,
            Word::Fail,
        ),
    ];
    for (name, plan, at, word) in rows {
        let judged = stopped(plan, at, down(100.0, 200.0));
        assert_eq!(judged.word, word, "{name}: {}", judged.reason);
        assert!(!judged.reason.contains("The -"), "{name}: {}", judged.reason);
    }
}

#[test]
fn a_trigger_that_left_a_one_shot_no_time_does_not_make_its_after_fail() {
    let brief = Plan::new(300).shape("rooms", "create", s(0.1));
    let plan = brief.fault("kill", 100.0, None).fault("b", 104.0, Some(3.0));
    let plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.5, after("kill")));
    let judged = verdict(plan, &evenly(1_000, 0, 300, down(100.0, 107.0)));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive, "{}", judged.objectives[0].reason);
}

/// What starts for longer than the plan leaves it is broken again as it has just come back.
#[test]
fn a_service_that_had_just_come_back_does_not_make_the_after_of_its_restart_fail() {
    let judged = |there: f64, next: f64, until: f64| {
        let mut plan = Plan::new(300).shape("rooms", "create", s(0.1)).fault("x#1", 100.0, None);
        plan.event("x#1", there, FaultStage::Verified);
        let mut plan = plan.fault("x#2", next, None);
        plan.event("x#2", until, FaultStage::Verified);
        let plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.5, after("x")));
        let judged = verdict(plan, &evenly(100, 0, 300, down(100.0, until)));
        (judged.objectives[0].word, judged.objectives[0].reason.clone())
    };
    let (word, why) = judged(113.0, 113.02, 126.0);
    assert_eq!(word, Word::Inconclusive, "{why}");
    assert!(why.ends_with("still out of the normal band; it was back only at 1:53.00."), "{why}");
    for (there, next) in [(100.0, 113.0), (108.0, 113.0), (113.0, 130.0)] {
        let (word, why) = judged(there, next, 140.0);
        assert_eq!(word, Word::Fail, "{there}, {next}: {why}");
    }
}

/// What is out while both are in force, or the other alone, may be the other's doing; what is well is well.
#[test]
fn a_trigger_is_not_charged_with_one_that_began_before_or_with_it_and_goes_on() {
    let rows = [
        ("before", 80.0, 160.0, Word::Inconclusive),
        ("at the same time", 100.0, 160.0, Word::Inconclusive),
        ("a moment later", 100.004, 160.0, Word::Inconclusive),
        ("before, and well beside it", 80.0, 105.0, Word::Pass),
        ("at the same time, and well beside it", 100.0, 105.0, Word::Pass),
        ("a moment later, and well beside it", 100.004, 105.0, Word::Pass),
        ("later, and well beside it", 103.0, 105.0, Word::Inconclusive),
    ];
    for (name, first, until, word) in rows {
        let plan = rooms(300).fault("a", first, Some(160.0 - first)).fault("b", 100.0, Some(5.0));
        let objective = Objective { selector: Some("b".to_owned()), ..recovery_within(10.0) };
        let judged = verdict(plan.objective(objective), &evenly(100, 0, 300, down(100.0, until)));
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
    }
}

#[test]
fn a_hiccup_of_squalls_in_the_baseline_excuses_no_dead_service() {
    let samples = generator::frozen(&evenly(100, 0, 300, down(100.0, 300.0)), 40.0, 40.15);
    let plan = rooms(300).fault("x", 100.0, Some(5.0)).objective(recovery_within(10.0));
    let slowest = expect(Metric::Max, Comparison::Below, s(0.1).0 as f64, PhaseName::Baseline);
    let judged = verdict(plan.objective(slowest), &samples);
    assert_eq!(judged.objectives[0].word, Word::Fail, "{}", judged.objectives[0].reason);
}

#[test]
fn a_service_is_steady_for_ten_seconds_and_not_in_one_of_them() {
    let samples = evenly(50, 0, 30, down(20.0, 28.0));
    for window in [None, Some(s(10.0))] {
        let rule = Objective { window, ..expect(Metric::Errors, Comparison::Below, 0.01, RUN) };
        assert!(unsteady(&rooms(60).timeline(&samples), &rule, s(30.0)).is_some(), "{window:?}");
        assert_eq!(unsteady(&rooms(60).timeline(&samples), &rule, s(20.0)), None);
    }
}

#[test]
fn an_abort_rule_sees_all_of_its_time_whatever_windows_it_is_made_of() {
    let loads = [(1, 1), (2, 1), (5, 1), (50, 1), (20, 3), (20, 4), (20, 7)];
    for (n, period) in loads {
        let mut plan = rooms(120);
        plan.outline.shapes[0].period = (period > 1).then(|| Micros::secs(period));
        let each = |answer: Answers| {
            let bursts = (0..120).step_by(period as usize);
            plan.clone().timeline(&bursts.flat_map(|at| evenly(n, at, at + 1, answer)).collect::<Vec<_>>())
        };
        let (dead, well) = (each(|_| (Micros::millis(1), Kind::Connect)), each(fine));
        for long in (2 * period).max(4)..40 {
            let rule = Objective {
                window: Some(Micros::secs(long)),
                ..expect(Metric::Errors, Comparison::Above, 0.5, RUN)
            };
            for now in 60..70 {
                let name = format!("{n} every {period} s for {long} s at {now}");
                assert!(fired(&dead, &rule, Micros::secs(now)).is_some(), "{name}");
                assert!(fired(&well, &rule, Micros::secs(now)).is_none(), "{name}");
            }
        }
    }
}
