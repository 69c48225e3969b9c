//! What an objective or a live rule is worth over operations and scrapes.

use super::*;

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
fn scraped_metrics_become_one_number() {
    let seen = [(0.0, 10.0), (1.0, 30.0), (2.0, 5.0), (4.0, 15.0)];
    let rows = [
        (Aggregate::Last, Some(15.0)),
        (Aggregate::Mean, Some(15.0)),
        (Aggregate::Max, Some(30.0)),
        (Aggregate::Rate, Some(7.5)),
    ];
    for (aggregate, expected) in rows {
        assert_eq!(crate::verdict::objectives::aggregated(&seen, aggregate), expected, "{aggregate:?}");
    }
    assert_eq!(crate::verdict::objectives::aggregated(&[], Aggregate::Last), None);
}

#[test]
fn each_operation_is_judged_by_itself_and_the_worst_is_named() {
    let plan = rooms(30).shape("lists", "list", s(2.0)).objective(p(0.99, s(0.1), RUN));
    let mut samples = evenly(100, 0, 30, fine);
    samples.extend(of_lists(evenly(100, 0, 30, |_| (s(0.4), Kind::Ok))));
    let judged = verdict(plan, &samples);
    assert_eq!(judged.objectives[0].decided.as_deref(), Some("list"));
    assert!(
        judged.objectives[0].reason.contains("1 in 100 list took 400 ms"),
        "{}",
        judged.objectives[0].reason
    );
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
