//! What an objective or a live rule is worth over operations and scrapes.

use super::*;
use crate::objective::Objective;

#[test]
fn a_stall_shows_in_full_as_the_formula_says() {
    let arrivals: Vec<f64> = (0..40_000).map(|i| f64::from(i) / 2000.0).collect();
    let server = Fifo { stall: Some((8.0, 9.4)), ..Fifo::new(0.0001) };
    let plan = rooms(20).objective(p(0.99, s(1.0), RUN)).objective(p(0.95, s(1.0), RUN));
    let judged = verdict(plan, &server.serve(&arrivals));
    let near = |o: &JudgedObjective, expected: f64| {
        let got = o.measured.unwrap().value / 1e6;
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
    assert_eq!(judged.objectives[1].measured, Some(Quantity::share(0.5)));
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
        assert_eq!(windows::aggregated(&[&seen], aggregate), expected, "{aggregate:?}");
    }
    assert_eq!(windows::aggregated(&[], Aggregate::Last), None);
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

/// `errors < 5 % for 5s` in a phase.
fn errors_for_five_seconds(phase: PhaseName) -> crate::objective::Objective {
    let mut objective = expect(Metric::Errors, Comparison::Below, 0.05, phase);
    objective.window = Some(s(5.0));
    objective
}

/// It was judged by single windows and by their sum at once, and told as the former.
#[test]
fn a_count_for_a_while_is_that_of_all_of_it() {
    let rows = [
        (Comparison::Above, 50.0, Word::Pass),
        (Comparison::Above, 101.0, Word::Fail),
        (Comparison::Below, 50.0, Word::Fail),
        (Comparison::Below, 101.0, Word::Pass),
    ];
    for (comparison, limit, word) in rows {
        let mut objective = expect(Metric::Count, comparison, limit, RUN);
        objective.window = Some(s(5.0));
        let judged = verdict(rooms(60).objective(objective), &evenly(20, 0, 60, fine));
        let judged = &judged.objectives[0];
        assert_eq!(
            (judged.word, judged.measured.unwrap().value),
            (word, 100.0),
            "{limit}: {}",
            judged.reason
        );
    }
}

#[test]
fn for_a_while_means_on_end() {
    let timeout = (s(2.0), Kind::Timeout);
    let repeats = rooms(100).fault("x#1", 30.0, Some(4.0)).fault("x#2", 60.0, Some(4.0));
    let bad_in_both = |at: Micros| {
        if [30, 60].iter().any(|n| at >= s(*n as f64) && at < s(*n as f64 + 4.0)) {
            timeout
        } else {
            fine(at)
        }
    };
    let far_apart: Vec<Sample> = (0..10).flat_map(|n| evenly(20, n * 8, n * 8 + 1, |_| timeout)).collect();
    let paused = [evenly(20, 0, 3, |_| timeout), evenly(20, 20, 23, |_| timeout)].concat();
    let close: Vec<Sample> = (0..20).flat_map(|n| evenly(20, n * 4, n * 4 + 1, |_| timeout)).collect();
    let one_hit = |at: Micros| if at < s(1.0) { timeout } else { fine(at) };
    let rows = [
        ("not across repeats", repeats, evenly(100, 0, 100, bad_in_both), during("x"), Word::Inconclusive),
        ("not across silence longer than it", rooms(80), paused, RUN, Word::Inconclusive),
        ("but across what is its own", rooms(80), far_apart, RUN, Word::Fail),
        ("but across a shorter one", rooms(80), close, RUN, Word::Fail),
        ("a moment is no while", rooms(80), evenly(20, 0, 80, one_hit), RUN, Word::Pass),
    ];
    for (name, plan, samples, phase, word) in rows {
        let judged = verdict(plan.objective(errors_for_five_seconds(phase)), &samples);
        assert_eq!(judged.objectives[0].word, word, "{name}: {}", judged.objectives[0].reason);
    }
}

#[test]
fn a_closed_loop_that_hangs_is_broken_for_as_long_as_its_users_wait() {
    for (wait, word) in [(3.0, Word::Pass), (20.0, Word::Fail)] {
        let hung = |at: Micros| if at >= s(29.0) { (s(wait), Kind::Timeout) } else { fine(at) };
        let mut plan = Plan::new(80).shape("rooms", "create", s(wait));
        plan.outline.shapes[0].closed = true;
        let samples = [evenly(20, 0, 30, hung), evenly(20, 30 + wait as i64, 80, fine)].concat();
        let judged = verdict(plan.objective(errors_for_five_seconds(RUN)), &samples);
        assert_eq!(judged.objectives[0].word, word, "{wait} s: {}", judged.objectives[0].reason);
    }
}

#[test]
fn windows_of_a_burst_are_whole_periods() {
    let bad = |from: i64| {
        move |at: Micros| {
            if at >= s(from as f64) && at < s(from as f64 + 8.0) { (s(2.0), Kind::Timeout) } else { fine(at) }
        }
    };
    for (long, word) in [(8.0, Word::Fail), (12.0, Word::Pass)] {
        let samples: Vec<Sample> = (0..20).flat_map(|n| evenly(20, n * 4, n * 4 + 1, bad(40))).collect();
        let mut objective = errors_for_five_seconds(RUN);
        objective.window = Some(s(long));
        let mut plan = rooms(80).objective(objective);
        plan.outline.shapes[0].period = Some(s(4.0));
        let judged = verdict(plan, &samples);
        assert_eq!(judged.objectives[0].word, word, "{long} s: {}", judged.objectives[0].reason);
    }
}

#[test]
fn a_targets_metric_obeys_for_a_while() {
    let rows = [
        (Aggregate::Last, 13, Word::Pass),
        (Aggregate::Last, 16, Word::Fail),
        (Aggregate::Max, 13, Word::Pass),
    ];
    for (aggregate, to, word) in rows {
        let mut objective = queue_below(10.0, aggregate);
        objective.window = Some(s(5.0));
        let mut plan = rooms(100).objective(objective);
        scraped(&mut plan, |second| if (10..to).contains(&second) { 50.0 } else { 1.0 });
        let judged = verdict(plan, &evenly(20, 0, 100, fine));
        assert_eq!(judged.objectives[0].word, word, "{aggregate:?} to {to}: {}", judged.objectives[0].reason);
    }
    let mut objective = queue_below(10.0, Aggregate::Rate);
    objective.window = Some(s(5.0));
    let mut plan = rooms(100).objective(objective);
    scraped(&mut plan, |second| if second < 50 { 0.0 } else { 1e3 });
    let judged = verdict(plan, &evenly(20, 0, 100, fine));
    assert_eq!(judged.objectives[0].word, Word::Pass, "one leap: {}", judged.objectives[0].reason);
}

/// What was cut short, or is a smoke run, has not had its time to count so far; what does not rise never will.
#[test]
fn a_counter_of_the_target_that_was_cut_short_may_yet_come_to_more() {
    let rising: fn(u32) -> f64 = |second| 3.0 * f64::from(second);
    let rows = [
        ("cut short", rising, How::Interrupted, None, Word::Inconclusive),
        ("a smoke run", rising, How::Complete, Some(9.0), Word::Inconclusive),
        ("all of it", rising, How::Complete, None, Word::Fail),
        ("a gauge", |second| f64::from(second % 7), How::Interrupted, None, Word::Fail),
    ];
    for (name, value, how, smoke, expected) in rows {
        let more = queue_below(1e3, Aggregate::Last);
        let mut plan = rooms(if how == How::Complete { 100 } else { 300 })
            .objective(Objective { comparison: Comparison::AtLeast, ..more });
        scraped(&mut plan, value);
        (plan.how, plan.stopped) = (how, Some(s(100.0)).filter(|_| how != How::Complete));
        plan.outline.smoke = smoke;
        let (is, why) = word(plan, &evenly(20, 0, 100, fine));
        assert_eq!(is, expected, "{name}: {why}");
    }
}

/// A counter's rate was told as what the counter was.
#[test]
fn a_targets_metric_is_told_with_what_was_asked_of_it() {
    let rows = [
        (Aggregate::Last, "target.queue was 297;"),
        (Aggregate::Mean, "target.queue was 148 on average;"),
        (Aggregate::Max, "target.queue was 297 at most;"),
        (Aggregate::Rate, "target.queue rose by 3 per second;"),
    ];
    for (aggregate, said) in rows {
        let mut plan = rooms(100).objective(queue_below(2.0, aggregate));
        scraped(&mut plan, |second| 3.0 * f64::from(second));
        let judged = verdict(plan, &evenly(20, 0, 100, fine));
        assert!(judged.objectives[0].reason.contains(said), "{}", judged.objectives[0].reason);
    }
}

#[test]
fn a_rate_is_that_of_the_load_and_not_of_what_comes_after() {
    let mut objective = expect(Metric::Rate, Comparison::AtLeast, 50.0, RUN);
    for window in [None, Some(s(10.0))] {
        objective.window = window;
        let samples = [evenly(50, 0, 20, fine), evenly(1, 20, 40, fine)].concat();
        let judged = verdict(rooms(20).objective(objective.clone()), &samples);
        assert_eq!(judged.objectives[0].word, Word::Pass, "{window:?}: {}", judged.objectives[0].reason);
        assert_eq!(judged.operations[0].phases.last().map(|p| (p.n, p.rate)), Some((1020, 50.0)));
    }
}

#[test]
fn what_is_broken_by_nobody_knows_how_much_is_the_worst() {
    let tenth = |at: Micros| if at.0 % s(1.0).0 < 100_000 { (s(2.0), Kind::Timeout) } else { fine(at) };
    let plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.01, RUN));
    let judged = verdict(plan.objective(p(0.95, s(1.0), RUN)), &evenly(50, 0, 100, tenth));
    let told: Vec<_> = judged
        .objectives
        .iter()
        .map(|o| (o.word, o.ratio.unwrap().round(), o.measured.unwrap().is_bound()))
        .collect();
    assert_eq!(told, [(Word::Fail, 10.0, false), (Word::Fail, 2.0, true)]);
    assert!(judged.summary.verdict.contains("p95 has no upper end"), "{}", judged.summary.verdict);
}
