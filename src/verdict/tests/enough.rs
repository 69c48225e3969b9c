//! How much is enough: what few operations can tell, and what those that never succeeded do to a value.

use super::*;
use crate::objective::Objective;

fn timed_out(_: Micros) -> (Micros, Kind) {
    (s(2.0), Kind::Timeout)
}

fn mostly_refused(at: Micros) -> (Micros, Kind) {
    if at >= s(30.0) { (s(0.001), Kind::Connect) } else { fine(at) }
}

/// One in `n` of a hundred a second times out.
fn one_in(n: i64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| if at.0 / 10_000 % n == 0 { timed_out(at) } else { fine(at) }
}

fn mean(limit: f64) -> crate::objective::Objective {
    expect(Metric::Mean, Comparison::Below, s(limit).0 as f64, RUN)
}

fn max(limit: f64) -> crate::objective::Objective {
    expect(Metric::Max, Comparison::Below, s(limit).0 as f64, RUN)
}

#[test]
fn what_never_answered_breaks_every_limit_also_one_above_its_deadline() {
    let rows = [
        ("p99", p(0.99, s(3.0), RUN), Word::Fail),
        ("p50", p(0.5, s(3_000.0), RUN), Word::Fail),
        ("max", max(3_000.0), Word::Fail),
        ("mean", mean(3.0), Word::Fail),
    ];
    for (name, objective, word) in rows {
        for answer in [timed_out, mostly_refused] {
            let judged = verdict(rooms(100).objective(objective.clone()), &evenly(100, 0, 100, answer));
            assert_eq!(judged.verdict, word, "{name}: {}", judged.summary.verdict);
            let reason = &judged.objectives[0].reason;
            assert!(reason.contains(" % of create failed, counted at their deadline"), "{reason}");
        }
    }
}

#[test]
fn a_quantile_below_what_failed_stands_and_a_mean_with_it_does_not() {
    let rows = [
        ("one in 200, p99", p(0.99, s(1.0), RUN), 200, Word::Pass),
        ("one in 50, p99", p(0.99, s(3.0), RUN), 50, Word::Fail),
        ("one in 50, mean below the bound", mean(3.0), 50, Word::Inconclusive),
        ("one in 50, mean beyond the bound", mean(0.01), 50, Word::Fail),
        ("one in 200, max", max(3.0), 200, Word::Fail),
    ];
    for (name, objective, n, word) in rows {
        let judged = verdict(rooms(100).objective(objective), &evenly(100, 0, 100, one_in(n)));
        assert_eq!(judged.verdict, word, "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn few_can_prove_a_breach_and_never_that_a_limit_holds() {
    let share = |x: f64| expect(Metric::Errors, Comparison::Below, x, RUN);
    let goodput = |x: f64| expect(Metric::Goodput, Comparison::AtLeast, x, RUN);
    let three_of_four = |at: Micros| if at.0 / 50_000 % 4 == 0 { fine(at) } else { timed_out(at) };
    let rows: Vec<(&str, crate::objective::Objective, Vec<Sample>, Word)> = vec![
        ("100 of 100 break a p99", p(0.99, s(1.0), RUN), evenly(10, 0, 10, timed_out), Word::Fail),
        ("three of four break a p99", p(0.99, s(0.3), RUN), evenly(20, 0, 8, three_of_four), Word::Fail),
        ("100 that are fine prove no p99", p(0.99, s(1.0), RUN), evenly(10, 0, 10, fine), Word::Inconclusive),
        (
            "one slow of 100 breaks none",
            p(0.99, s(1.0), RUN),
            evenly(10, 0, 10, one_in(1000)),
            Word::Inconclusive,
        ),
        ("0 of 10 prove no 0.1 %", share(0.001), evenly(1, 0, 10, fine), Word::Inconclusive),
        ("0 of 1,000 do", share(0.001), evenly(100, 0, 10, fine), Word::Pass),
        ("10 of 10 break 0.1 %", share(0.001), evenly(1, 0, 10, timed_out), Word::Fail),
        ("0 of 10 prove no 99.9 %", goodput(0.999), evenly(1, 0, 10, fine), Word::Inconclusive),
        ("10 of 10 break 99.9 %", goodput(0.999), evenly(1, 0, 10, timed_out), Word::Fail),
    ];
    for (name, objective, samples, word) in rows {
        let judged = verdict(rooms(10).objective(objective), &samples);
        assert_eq!(judged.verdict, word, "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn where_arrivals_were_planned_and_nothing_came_of_them_rate_and_count_are_zero() {
    let mut plan = rooms(20).shape("lists", "list", s(2.0));
    plan.outline.shapes[1].planned = vec![10; 20];
    plan.events.extend((0..20).map(|cell| Record::Arrived { cell, shape: 1, n: 10, late: 0, probes: 0 }));
    let of_list = |objective: crate::objective::Objective| crate::objective::Objective {
        selector: Some("list".to_owned()),
        ..objective
    };
    for metric in [Metric::Rate, Metric::Count] {
        let objective = of_list(expect(metric.clone(), Comparison::AtLeast, 1.0, RUN));
        let judged = verdict(plan.clone().objective(objective), &evenly(100, 0, 20, fine));
        assert_eq!(judged.verdict, Word::Fail, "{metric:?}: {}", judged.summary.verdict);
        assert_eq!(judged.objectives[0].measured.map(|m| m.value), Some(0.0));
    }
    let judged = verdict(plan.objective(of_list(p(0.5, s(1.0), RUN))), &evenly(100, 0, 20, fine));
    assert_eq!(judged.verdict, Word::Inconclusive, "{}", judged.summary.verdict);
}

#[test]
fn steps_that_were_never_reached_are_bad_and_what_the_end_cut_is_not_counted() {
    let rows = [(Kind::Unreached, Word::Fail), (Kind::Cut, Word::Pass)];
    for (kind, word) in rows {
        let tenth = |at: Micros| if at.0 % 1_000_000 < 100_000 { (Micros::ZERO, kind) } else { fine(at) };
        let plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.05, RUN));
        let judged = verdict(plan, &evenly(50, 0, 100, tenth));
        assert_eq!(judged.verdict, word, "{kind:?}: {}", judged.summary.verdict);
        let phase = judged.operations[0].phases.last().unwrap();
        let counted = if kind == Kind::Cut { (4_500, 0, 500) } else { (5_000, 500, 0) };
        assert_eq!((phase.n, phase.unreached, phase.cut), counted);
    }
}

/// A login that fails took the blame to the step after it: "of order failed", of which the server had not seen one.
#[test]
fn what_was_never_sent_is_told_as_that() {
    let errors = expect(Metric::Errors, Comparison::Below, 0.05, RUN);
    let rows = [
        (
            errors.clone(),
            1,
            "10 % of create failed or came too late (none of these was sent, as a step before them failed);",
        ),
        (
            errors.clone(),
            4,
            "10 % of create failed or came too late (most of these were never sent, as a step before them failed);",
        ),
        (errors, 2, "10 % of create failed or came too late;"),
        (
            p(0.99, s(1.0), RUN),
            1,
            "failed, counted at their deadline (none of these was sent, as a step before them failed): p99",
        ),
        (p(0.99, s(1.0), RUN), 2, "10 % of create failed, counted at their deadline: p99"),
    ];
    for (objective, one_in, said) in rows {
        let sent = |at: Micros| one_in > 1 && at.0 / 1_000_000 % one_in == 0;
        let tenth = |at: Micros| match at.0 % 1_000_000 < 100_000 {
            true if sent(at) => (s(2.0), Kind::Timeout),
            true => (Micros::ZERO, Kind::Unreached),
            false => fine(at),
        };
        let judged = verdict(rooms(100).objective(objective), &evenly(50, 0, 100, tenth));
        let reason = &judged.objectives[0].reason;
        assert!(reason.contains(said), "{reason}");
    }
}

#[test]
fn without_an_objective_nothing_is_proven() {
    let judged = verdict(rooms(30), &evenly(50, 0, 30, fine));
    assert_eq!((judged.verdict, judged.exit.code), (Word::Inconclusive, 98));
    assert!(judged.summary.verdict.contains("No objective was set"), "{}", judged.summary.verdict);
}

/// Every fourth was slow: "only 116 create were intended for 8 s on end; it takes 36".
#[test]
fn what_too_few_say_of_a_while_is_not_told_of_the_whole() {
    let slow = |at: Micros| if at.0 / 500_000 % 4 == 0 { (s(1.5), Kind::Ok) } else { fine(at) };
    let objective = Objective { window: Some(s(8.0)), ..p(0.9, s(1.0), RUN) };
    let (is, why) = word(rooms(60).objective(objective), &evenly(2, 0, 60, slow));
    assert_eq!(is, Word::Inconclusive, "{why}");
    assert!(why.contains("1 in 10 create took 1.5 s") && !why.contains("only"), "{why}");
    assert!(why.ends_with("but of too few: it takes 36 create for 8 s on end to tell."), "{why}");
}
