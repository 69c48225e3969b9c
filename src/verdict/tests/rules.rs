//! Live rules: when an abort rule comes true, and when a service is steady.

use super::*;
use crate::objective::Objective;

/// `errors > 50 %`, for so many seconds.
fn failing(seconds: Option<f64>) -> Objective {
    Objective { window: seconds.map(s), ..expect(Metric::Errors, Comparison::Above, 0.5, RUN) }
}

fn bad(from: f64, to: f64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| if at >= s(from) && at < s(to) { (Micros::millis(1), Kind::Status) } else { fine(at) }
}

/// The first whole second at which a rule fires, as the run went on.
pub(super) fn fires(plan: &Plan, rule: &Objective, samples: &[Sample], seconds: i64) -> Option<i64> {
    let mut rule = AbortRule::new(rule);
    (1..=seconds).find(|&now| {
        let now = s(now as f64);
        let known: Vec<Sample> = samples.iter().filter(|sample| sample.intended < now).cloned().collect();
        let known: Vec<Sample> =
            known.into_iter().map(|sample| if sample.done <= now { sample } else { open(sample) }).collect();
        let mut timeline = plan.clone().timeline(&known);
        timeline.end = None;
        rule.fired(&timeline, now).is_some()
    })
}

fn open(sample: Sample) -> Sample {
    let outcome = crate::sample::Outcome::new(Kind::Unfinished, 0);
    Sample { outcome, ..sample }
}

#[test]
fn a_rule_over_ten_seconds_fires_after_ten_seconds_of_it() {
    let warm = |warmup: f64| {
        let mut plan = rooms(60);
        plan.outline.judge.warmup = s(warmup);
        plan.outline.shapes[0].planned = vec![50; 60];
        plan
    };
    let rows = [
        ("from the 20th second on", warm(0.0), bad(20.0, 60.0), Some(30)),
        ("for nine seconds", warm(0.0), bad(20.0, 29.0), None),
        ("a window that began before does not count", warm(0.0), bad(0.0, 9.0), None),
        ("nor does the warm-up", warm(5.0), bad(0.0, 60.0), Some(15)),
        ("two seconds after the warm-up", warm(5.0), bad(5.0, 7.0), None),
    ];
    for (name, plan, answer, at) in rows {
        let samples = evenly(50, 0, 60, answer);
        assert_eq!(fires(&plan, &failing(Some(10.0)), &samples, 60), at, "{name}");
    }
}

/// One burst tells of the moment in which it came, and two of the time from the one to the other.
#[test]
fn one_burst_that_failed_does_not_tell_of_ten_seconds() {
    let of_period = |period: usize, over: usize, until: i64| {
        let mut plan = rooms(120);
        plan.outline.shapes[0].period = Some(Micros::secs(period as i64));
        let bursts = (0..120).step_by(period);
        let answer = bad(60.0, until as f64);
        let samples: Vec<Sample> = bursts.flat_map(|at| evenly(50, at, at + over as i64, &answer)).collect();
        // Two bursts of which one failed are no half of each.
        let rule = Objective { value: 0.3, ..failing(Some(10.0)) };
        fires(&plan, &rule, &samples, 120)
    };
    for (period, over) in
        [5, 6, 7, 9, 10, 20, 30].into_iter().flat_map(|period| [1, 2, 3].map(|over| (period, over)))
    {
        let until = 60 + over as i64;
        assert_eq!(of_period(period, over, until), None, "one burst of each {period} s over {over} s");
        let at = of_period(period, over, 120);
        assert!(
            at.is_some_and(|at| at > 60 && at <= 71 + period as i64),
            "all of each {period} s over {over} s: {at:?}"
        );
    }
}

/// A second in which squall stood still ended a run as INVALID, of a target that failed before and after it, and of one that
/// was well.
#[test]
fn a_rule_that_squall_itself_made_true_waits_for_what_the_target_says() {
    let through_squall = |samples: &mut Vec<Sample>, from: f64, to: f64| {
        let hit = samples.iter_mut().filter(|sample| sample.intended >= s(from) && sample.intended < s(to));
        hit.for_each(|sample| {
            (sample.outcome.kind, sample.clean) = (Kind::Timeout, crate::sample::Clean::LeftOut);
        });
    };
    let fails = |from: f64, (lost, until): (f64, f64)| {
        let mut samples = evenly(50, 0, 60, bad(from, 60.0));
        through_squall(&mut samples, lost, until);
        samples
    };
    let rows = [
        ("a target that failed before and after", fails(20.0, (20.0, 22.0)), Some((27, false))),
        ("a target that was well", fails(60.0, (20.0, 26.0)), None),
        ("squall is not fit to tell", fails(60.0, (20.0, 60.0)), Some((35, true))),
    ];
    for (name, samples, expected) in rows {
        let mut rule = AbortRule::new(&failing(Some(5.0)));
        let found = (1..=60).find_map(|now| {
            let known: Vec<Sample> =
                samples.iter().filter(|sample| sample.intended < Micros::secs(now)).cloned().collect();
            let mut timeline = rooms(60).timeline(&known);
            timeline.end = None;
            Some((now, rule.fired(&timeline, Micros::secs(now))?.excuse.is_some()))
        });
        assert_eq!(found, expected, "{name}");
    }
}

/// What is known of an outage becomes known all at once where little is asked and deadlines are long: no D on end of it may
/// be passed over.
#[test]
fn no_time_on_end_is_passed_over_where_what_was_asked_hangs_for_longer() {
    let hangs = |from: f64, to: f64| {
        move |at: Micros| if at >= s(from) && at < s(to) { (s(20.0), Kind::Timeout) } else { fine(at) }
    };
    let bursts = |answer: &dyn Fn(Micros) -> (Micros, Kind)| -> Vec<Sample> {
        (0..120).step_by(7).flat_map(|at| evenly(16, at, at + 1, answer)).collect()
    };
    let seldom = |answer: &dyn Fn(Micros) -> (Micros, Kind)| -> Vec<Sample> {
        let at = |n: i64| (Micros::secs(n * 13), answer(Micros::secs(n * 13)));
        (0..9).map(at).map(|(at, (took, kind))| sample(0, at, took, kind)).collect()
    };
    let rows = [
        ("bursts, for good", Some(7.0), bursts(&hangs(40.0, 120.0)), 3.0, Some(70)),
        ("bursts, and it came back", Some(7.0), bursts(&hangs(40.0, 50.0)), 3.0, Some(70)),
        ("one burst", Some(7.0), bursts(&hangs(40.0, 43.0)), 3.0, None),
        ("one in thirteen seconds, for good", None, seldom(&hangs(37.0, 120.0)), 10.0, Some(72)),
        ("one in thirteen seconds, and it came back", None, seldom(&hangs(37.0, 60.0)), 10.0, Some(72)),
        ("one of them", None, seldom(&hangs(37.0, 50.0)), 10.0, None),
    ];
    for (name, period, samples, long, expected) in rows {
        let mut plan = Plan::new(120).shape("rooms", "create", s(20.0));
        plan.outline.shapes[0].period = period.map(s);
        assert_eq!(fires(&plan, &failing(Some(long)), &samples, 120), expected, "{name}");
    }
    let over =
        fired(&rooms(120).timeline(&evenly(1, 0, 110, hangs(40.0, 60.0))), &failing(Some(10.0)), s(110.0));
    let told = over.unwrap().measured;
    assert!(told.ends_with("of 10 in the 10 s before 1:00.00"), "it is over by now: {told}");
}

/// Bursts each 0.7 s: windows of whole periods, 7 s, told of 5 s what was true of 3.
#[test]
fn bursts_that_come_more_often_than_once_a_second_are_judged_second_by_second() {
    let at = |until: f64| {
        let bursts = (0..85).flat_map(|n| (0..6).map(move |i| Micros::millis(n * 700 + i)));
        let answers = bad(20.0, until);
        let one = |at: Micros| sample(0, at, answers(at).0, answers(at).1);
        let mut plan = rooms(60);
        plan.outline.shapes[0].period = Some(Micros::millis(700));
        fires(&plan, &failing(Some(5.0)), &bursts.map(one).collect::<Vec<_>>(), 60)
    };
    assert_eq!((at(23.5), at(60.0)), (None, Some(25)));
}

#[test]
fn a_target_that_swallows_everything_is_seen_once_its_deadlines_have_passed() {
    let swallowed =
        |deadline: f64| move |at: Micros| if at >= s(20.0) { (s(deadline), Kind::Timeout) } else { fine(at) };
    for deadline in [2.0, 20.0] {
        let plan = Plan::new(60).shape("rooms", "create", s(deadline));
        let samples = evenly(50, 0, 60, swallowed(deadline));
        let at = fires(&plan, &failing(Some(5.0)), &samples, 60).map(|at| at as f64 - deadline);
        assert_eq!(at, Some(25.0), "D {deadline}");
    }
}

#[test]
fn one_failure_ends_no_run_that_was_not_asked_to_end_by_one() {
    let first = |at: Micros| if at < s(1.0) { (Micros::millis(1), Kind::Status) } else { fine(at) };
    assert_eq!(fires(&rooms(20), &failing(None), &evenly(1, 0, 20, first), 20), None);
    let any = Objective { window: Some(s(1.0)), ..expect(Metric::Errors, Comparison::Above, 0.0, RUN) };
    assert_eq!(fires(&rooms(20), &any, &evenly(1, 0, 20, first), 20), Some(1), "asked to end by one");
}

/// The last steps of a shape that ended in an outage of eight seconds, and users who ask once in forty: two that fail do not
/// tell of half a minute.
#[test]
fn a_few_that_came_together_tell_nothing_of_the_time_after_them() {
    let at = |times: &[f64], answer: &dyn Fn(Micros) -> (Micros, Kind)| -> Vec<Sample> {
        let each = |&at: &f64| (at, answer(s(at)));
        times.iter().map(each).map(|(at, (took, kind))| sample(0, s(at), took, kind)).collect()
    };
    let ends = [evenly(10, 0, 20, bad(18.0, 26.0)), at(&[20.3, 21.8], &bad(18.0, 26.0))].concat();
    let seldom = [0.0, 2.0, 38.0, 40.0, 42.0, 78.0, 80.0, 82.0, 118.0];
    let slow = |at: Micros| (s(if at == s(80.0) { 1.9 } else { 0.005 }), Kind::Ok);
    let tail = |seconds| {
        let rule = expect(Metric::Quantile(0.99), Comparison::Above, s(1.0).0 as f64, RUN);
        Objective { window: Some(s(seconds)), ..rule }
    };
    let evenly_seldom: Vec<f64> = (0..9).map(|i| f64::from(i) * 14.0).collect();
    let down = |to: f64| bad(36.0, to);
    let rows = [
        ("what ended in an outage", failing(Some(10.0)), ends.clone(), None),
        ("the same, for longer", failing(Some(30.0)), ends, None),
        ("users who ask seldom", failing(Some(30.0)), at(&seldom, &down(44.0)), None),
        ("one that was slow", tail(30.0), at(&seldom, &slow), None),
        ("down for good", failing(Some(60.0)), at(&seldom, &down(200.0)), Some(119)),
        ("down for good, asked evenly", failing(Some(30.0)), at(&evenly_seldom, &down(200.0)), Some(85)),
    ];
    for (name, rule, samples, expected) in rows {
        assert_eq!(fires(&rooms(120), &rule, &samples, 120), expected, "{name}");
    }
}

/// Three users who think for five seconds: where D began in the midst of a round, what they still waited for was silence,
/// and a target that was gone for good ended no run. Who is refused at once waits for nothing, whatever the deadline.
#[test]
fn a_target_that_is_gone_for_good_ends_a_run_of_users_who_think() {
    type Answer = (Micros, Kind);
    let asks = |think: f64, (gone, back): (f64, f64), answer: Answer| -> Vec<Sample> {
        let took = move |at: Micros| if at >= s(gone) && at < s(back) { answer } else { fine(at) };
        let next = move |&at: &Micros| Some(at + took(at).0 + s(think)).filter(|at| *at < s(260.0));
        let rounds = std::iter::successors(Some(Micros::ZERO), next);
        let each = rounds.flat_map(|at| (0..3).map(move |user| at + Micros::millis(user)));
        each.map(|at| (at, took(at))).map(|(at, (took, kind))| sample(0, at, took, kind)).collect()
    };
    let hangs = |seconds: f64| (s(seconds), Kind::Timeout);
    let refused = (Micros::MILLISECOND, Kind::Connect);
    let rows = [
        ("it hangs for good", 20.0, 60.0, asks(5.0, (100.0, 260.0), hangs(20.0)), Some(171)),
        ("it hangs for one round", 20.0, 60.0, asks(5.0, (100.0, 121.0), hangs(20.0)), None),
        ("a round as long as the rule", 5.0, 10.0, asks(5.0, (100.0, 260.0), hangs(5.0)), Some(116)),
        ("for less than the rule", 5.0, 10.0, asks(5.0, (100.0, 104.0), hangs(5.0)), None),
        ("a round longer than the rule", 5.0, 3.0, asks(0.2, (100.0, 260.0), hangs(5.0)), Some(111)),
        ("by the defaults", 30.0, 10.0, asks(0.2, (100.0, 260.0), hangs(30.0)), Some(161)),
        (
            "by the defaults, from the midst of a second",
            30.0,
            10.0,
            asks(0.2, (100.5, 260.0), hangs(30.0)),
            Some(192),
        ),
        ("and who thinks for longer, too", 5.0, 3.0, asks(4.0, (100.0, 260.0), hangs(5.0)), Some(115)),
        ("it lost what it was asked for a moment", 5.0, 3.0, asks(0.2, (100.0, 100.5), hangs(5.0)), None),
        ("refused for a while", 30.0, 30.0, asks(40.0, (118.0, 126.0), refused), None),
        ("refused for good", 30.0, 30.0, asks(40.0, (118.0, 260.0), refused), Some(161)),
    ];
    let fired = rows.iter().map(|(name, deadline, long, samples, _)| {
        let mut plan = Plan::new(260).shape("rooms", "create", s(*deadline));
        plan.outline.shapes[0].closed = true;
        (*name, fires(&plan, &failing(Some(*long)), samples, 260))
    });
    assert_eq!(fired.collect::<Vec<_>>(), rows.iter().map(|row| (row.0, row.4)).collect::<Vec<_>>());
}

#[test]
fn a_rate_is_judged_against_what_was_planned_by_then() {
    let slow = Objective { window: Some(s(5.0)), ..expect(Metric::Rate, Comparison::Below, 50.0, RUN) };
    let ramp: Vec<Sample> =
        (0..30).flat_map(|second| evenly(10 * second, second, second + 1, fine)).collect();
    assert_eq!(fires(&rooms(30), &slow, &ramp, 30), None, "a ramp");
    let later = evenly(100, 12, 22, fine);
    assert_eq!(fires(&rooms(40), &slow, &later, 40), None, "a shape that starts later");
    let dead = evenly(100, 0, 40, bad(20.0, 40.0));
    assert_eq!(fires(&rooms(40), &slow, &dead, 40), Some(25), "a target that dies");
}

#[test]
fn a_service_is_steady_only_if_that_is_known() {
    let rule = expect(Metric::Errors, Comparison::Below, 0.01, RUN);
    let at = |samples: &[Sample], now: f64| unsteady(&rooms(60).timeline(samples), &rule, s(now));
    assert_eq!(at(&evenly(50, 0, 20, fine), 20.0), None);
    let told = at(&evenly(50, 0, 20, bad(15.0, 20.0)), 20.0).unwrap();
    assert!(told.contains("50 % of create"), "{told}");
    let told = at(&evenly(1, 0, 20, fine), 20.0).unwrap();
    assert!(told.contains("too little"), "{told}");
    assert!(at(&[], 20.0).is_some());
}

/// With a deadline of 30 s nothing is known yet of what hangs since 25 s.
#[test]
fn a_service_that_hangs_is_not_steady_though_its_deadline_is_to_come() {
    let mut plan = rooms(60);
    plan.outline.operations.iter_mut().for_each(|operation| operation.deadline = s(30.0));
    let took = |long: f64, from: f64, until: f64| {
        let samples = evenly(50, 0, 44, |at| match at >= s(from) && at < s(until) {
            true => (s(30.0), Kind::Timeout),
            false => (s(long), Kind::Ok),
        });
        let seen = |sample: Sample| if sample.done <= s(43.0) { sample } else { open(sample) };
        samples.into_iter().filter(|sample| sample.intended < s(43.0)).map(seen).collect::<Vec<_>>()
    };
    let rules = [
        ("errors", expect(Metric::Errors, Comparison::Below, 0.05, RUN)),
        ("p95", p(0.95, s(25.0), RUN)),
        ("rate", expect(Metric::Rate, Comparison::Above, 5.0, RUN)),
    ];
    for (name, rule) in rules {
        let told = |samples: &[Sample]| {
            let mut timeline = plan.clone().timeline(samples);
            timeline.end = None;
            unsteady(&timeline, &rule, s(43.0))
        };
        assert!(told(&took(0.01, 25.0, 60.0)).is_some(), "{name}: hangs for good");
        assert_eq!(told(&took(0.01, 60.0, 60.0)), None, "{name}: answers at once");
        assert_eq!(told(&took(20.0, 60.0, 60.0)), None, "{name}: takes 20 s for each answer");
        assert_eq!(told(&took(0.01, 25.0, 25.02)), None, "{name}: one hangs");
        assert_eq!(told(&took(0.01, 42.0, 60.0)), None, "{name}: hangs for no longer than a second");
    }
}

#[test]
fn objectives_that_are_lost_already_are_told_while_the_run_goes_on() {
    let errors = expect(Metric::Errors, Comparison::Below, 0.01, during("x"));
    let mut plan = rooms(100).fault("x", 30.0, Some(10.0)).objective(errors).objective(p(0.99, s(1.0), RUN));
    plan.outline.shapes[0].planned = vec![50; 100];
    let samples = evenly(50, 0, 60, bad(32.0, 34.0));
    let told = |now: f64| {
        let known: Vec<Sample> = samples.iter().filter(|sample| sample.intended < s(now)).cloned().collect();
        let mut timeline = plan.clone().timeline(&known);
        timeline.end = None;
        timeline.faults.retain(|event| event.at <= s(now));
        let broken =
            |standing| if let Standing::Broken(broken) = standing { Some(broken.measured) } else { None };
        standings(&timeline, s(now)).into_iter().filter_map(broken).collect::<Vec<_>>()
    };
    assert!(told(29.0).is_empty());
    assert!(told(31.0).is_empty(), "in force, and nothing is bad yet");
    let [errors, quantile] = &told(60.0)[..] else { panic!("{:?}", told(60.0)) };
    assert_eq!(errors, "20 % of create failed or came too late, of 500 since 0:30.00");
    assert!(quantile.contains("3.33 % of create failed"), "{quantile}");
}

/// Of a run that is longer than what the live fold holds, the last minute was told as if it were the run.
#[test]
fn what_only_the_rest_of_a_phase_breaks_is_told_as_of_late() {
    let errors = expect(Metric::Errors, Comparison::Below, 0.1, RUN);
    let mut timeline = rooms(100).objective(errors).timeline(&evenly(50, 0, 90, bad(80.0, 86.0)));
    timeline.end = None;
    let broken = |timeline: &Timeline| match &standings(timeline, s(95.0))[..] {
        [Standing::Broken(broken)] => Some((broken.of_late, broken.measured.clone())),
        _ => None,
    };
    assert_eq!(broken(&timeline), None, "6 of more than 60 s");
    timeline.forget(60);
    let (of_late, measured) = broken(&timeline).expect("6 of 30 s");
    assert!(of_late && measured.ends_with(" since 1:00.00"), "{measured}");
}

#[test]
fn a_smoke_run_is_inconclusive_at_best_and_may_fail() {
    let judged = |answer: fn(Micros) -> (Micros, Kind)| {
        let mut plan = rooms(60).objective(expect(Metric::Errors, Comparison::Below, 0.1, RUN));
        plan.outline.smoke = Some(9.0);
        verdict(plan, &evenly(50, 0, 60, answer))
    };
    let fine = judged(fine);
    assert_eq!((fine.verdict, fine.objectives[0].word), (Word::Inconclusive, Word::Pass));
    assert!(
        fine.summary.verdict.starts_with("This is a smoke run, 9 times shorter"),
        "{}",
        fine.summary.verdict
    );
    assert_eq!(judged(|_| (Micros::millis(1), Kind::Status)).verdict, Word::Fail);
}

#[test]
fn what_the_history_knows_of_the_exit_is_in_the_judgement() {
    let exit = |code: Option<u8>, how: How| {
        let mut timeline = Plan { how, ..rooms(10) }.timeline(&evenly(50, 0, 10, fine));
        timeline.end.iter_mut().for_each(|end| end.exit = code);
        judge(&timeline).exit.code
    };
    assert_eq!(exit(Some(104), How::Failed), 104);
    assert_eq!(exit(Some(110), How::Interrupted), 110);
    assert_eq!((exit(None, How::Failed), exit(None, How::Interrupted)), (107, 105));
}

#[test]
fn what_patient_probes_are_counted_in_is_not_told_as_of_fewer() {
    let mut plan = rooms(60);
    plan.events.extend((0..60).map(|cell| Record::Arrived { cell, shape: 0, n: 2, late: 0, probes: 2 }));
    let timeline = plan.timeline(&evenly(18, 0, 60, fine));
    let said = |metric: Metric| unsteady(&timeline, &expect(metric, Comparison::Above, 500.0, RUN), s(40.0));
    let told = |said: Option<String>| said.unwrap().replace(&rooms(60).outline.operations[0].name, "it");
    assert_eq!(told(said(Metric::Count)), "200 it were intended in the last 10 s");
    assert_eq!(told(said(Metric::Rate)), "20 it succeeded per second, of 200 in the last 10 s");
}
