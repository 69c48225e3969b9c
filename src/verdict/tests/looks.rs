//! What fresh eyes found: histories that the judge once called by a wrong name.

use super::*;
use crate::objective::Objective;

/// Users of a closed loop who ask every ten seconds, three at a time, each answered as `answer` says.
fn thinkers(answer: impl Fn(Micros) -> (Micros, Kind)) -> (Plan, Vec<Sample>) {
    let mut plan = rooms(200).fault("x", 100.0, Some(5.0)).objective(recovery_within(5.0));
    plan.outline.shapes[0].closed = true;
    plan.outline.judge.windows = 5;
    let samples = (0..20).flat_map(|n| evenly(3, n * 10, n * 10 + 1, &answer)).collect();
    (plan, samples)
}

#[test]
fn users_who_think_leave_no_bad_windows_and_no_normal_of_nothing() {
    let (plan, samples) = thinkers(fine);
    let judged = verdict(plan, &samples);
    assert_ne!(judged.objectives[0].word, Word::Fail, "{}", judged.objectives[0].reason);
    let dead = |at: Micros| if at >= s(100.0) { (Micros::millis(1), Kind::Connect) } else { fine(at) };
    let (plan, samples) = thinkers(dead);
    let judged = verdict(plan, &samples);
    assert_ne!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
}

#[test]
fn users_who_wait_make_every_window_bad_until_they_are_answered() {
    let mut plan = rooms(200).fault("x", 100.0, Some(5.0)).objective(recovery_within(30.0));
    plan.outline.shapes[0].closed = true;
    let mut samples = evenly(20, 0, 100, fine);
    samples.extend(evenly(20, 100, 101, |_| (s(15.0), Kind::Timeout)));
    samples.extend(evenly(20, 115, 200, fine));
    let judged = verdict(plan, &samples);
    assert_eq!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
    let outage = judged.triggers[0].outage.unwrap();
    assert!(outage >= s(13.0) && outage <= s(18.0), "{outage}");
}

#[test]
fn windows_with_holes_are_no_windows_on_end() {
    // All fails until 100 s, and from there on two cells of three; the next trigger comes at 130 s, and an operation
    // may take 30 s.
    let answer = |at: Micros| {
        let cell = at.0 / 1_000_000;
        let bad = (65..100).contains(&cell) || ((100..130).contains(&cell) && cell % 3 != 0);
        if bad { (Micros::millis(1), Kind::Status) } else { fine(at) }
    };
    let mut plan = Plan::new(190).shape("rooms", "create", s(30.0));
    plan = plan.fault("a", 65.0, Some(5.0)).fault("b", 130.0, Some(5.0));
    plan.outline.judge.windows = 20;
    let objective = Objective { selector: Some("a".to_owned()), ..recovery_within(40.0) };
    let judged = verdict(plan.objective(objective), &evenly(50, 0, 190, answer));
    assert_ne!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
}

#[test]
fn a_mean_with_failures_in_it_fires_only_where_it_is_beyond_the_limit_for_sure() {
    let twentieth = |at: Micros| if at.0 / 10_000 % 20 == 0 { (s(0.001), Kind::Status) } else { fine(at) };
    let samples = evenly(100, 0, 60, twentieth);
    for (limit, comes_true) in [(1.0, false), (0.05, true)] {
        let rule = Objective {
            window: Some(s(5.0)),
            ..expect(Metric::Mean, Comparison::Above, s(limit).0 as f64, RUN)
        };
        let hit = fired(&rooms(60).timeline(&samples), &rule, s(60.0));
        assert_eq!(hit.is_some(), comes_true, "{limit} s: {hit:?}");
    }
}

#[test]
fn a_rate_that_falls_is_seen_whatever_single_draws_are() {
    let arrivals = poisson(100.0, 60, 3);
    let dead = |at: f64| if at >= 20.0 { (s(0.001), Kind::Connect) } else { (s(0.005), Kind::Ok) };
    let each = arrivals.iter().map(|&at| (at, dead(at)));
    let samples: Vec<Sample> = each.map(|(at, (took, kind))| sample(0, s(at), took, kind)).collect();
    let rule = Objective { window: Some(s(30.0)), ..expect(Metric::Rate, Comparison::Below, 85.0, RUN) };
    assert!(fired(&rooms(60).timeline(&samples), &rule, s(55.0)).is_some());
}

#[test]
fn a_trigger_that_was_hardly_sent_supports_no_pass() {
    let mut plan = rooms(200).shape("storm", "list", s(2.0)).objective(recovery_within(10.0));
    let storm = &mut plan.outline.shapes[1];
    (storm.trigger, storm.start, storm.end, storm.first) = (true, s(100.0), s(110.0), Some(s(100.0)));
    plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.01, during("storm")));
    let samples = [evenly(100, 0, 200, fine), of_lists(evenly(50, 100, 101, fine))].concat();
    let mut timeline_plan = plan.clone();
    let records = timeline_plan.records(&samples);
    timeline_plan.outline.shapes[1].planned =
        (0..200).map(|c| if (100..110).contains(&c) { 50 } else { 0 }).collect();
    let mut timeline = Timeline::new(timeline_plan.header());
    records.iter().for_each(|record| timeline.apply(record));
    let judged = judge(&timeline);
    let words: Vec<Word> = judged.objectives.iter().map(|o| o.word).collect();
    assert_eq!(words, [Word::Invalid, Word::Invalid], "{}", judged.summary.verdict);
}

#[test]
fn never_takes_as_long_as_the_limit_unless_the_load_ends() {
    let out = |to: f64| {
        move |at: Micros| {
            if at >= s(80.0) && at < s(to) { (Micros::millis(1), Kind::Connect) } else { fine(at) }
        }
    };
    let mut plan = rooms(200).fault("a", 80.0, Some(4.0)).fault("b", 90.0, Some(4.0));
    plan.outline.judge.stretch = s(10.0);
    let objective = Objective { selector: Some("a".to_owned()), ..recovery_within(30.0) };
    let judged = verdict(plan.objective(objective), &evenly(100, 0, 200, out(94.0)));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive, "{}", judged.objectives[0].reason);
}

#[test]
fn a_blip_is_no_while_for_a_quantile_either() {
    let blip = |at: Micros| if at >= s(30.0) && at < s(31.0) { (s(1.5), Kind::Ok) } else { fine(at) };
    let objective = Objective { window: Some(s(10.0)), ..p(0.99, s(0.9), RUN) };
    let samples = evenly(50, 0, 60, blip);
    let judged = verdict(rooms(60).objective(objective), &samples);
    assert_eq!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
    let rule = Objective {
        window: Some(s(10.0)),
        ..expect(Metric::Quantile(0.99), Comparison::Above, s(0.9).0 as f64, RUN)
    };
    assert!((11..60).all(|now| fired(&rooms(60).timeline(&samples), &rule, s(now as f64)).is_none()));
}

#[test]
fn for_a_while_holds_no_more_of_few_than_without_it() {
    let objective =
        Objective { window: Some(s(10.0)), ..expect(Metric::Errors, Comparison::Below, 0.001, RUN) };
    let judged = verdict(rooms(30).objective(objective), &evenly(1, 0, 30, fine));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive, "{}", judged.objectives[0].reason);
}

#[test]
fn one_failure_of_two_ends_no_run() {
    let sparse: Vec<Sample> = (0..12)
        .map(|i| {
            let kind = if i == 4 { Kind::Status } else { Kind::Ok };
            sample(0, s(f64::from(i) * 5.0), Micros::millis(5), kind)
        })
        .collect();
    let rule = expect(Metric::Errors, Comparison::Above, 0.01, RUN);
    assert!((10..60).all(|now| fired(&rooms(60).timeline(&sparse), &rule, s(f64::from(now))).is_none()));
}

#[test]
fn one_trigger_is_not_charged_with_anothers_outage() {
    let plan = rooms(200).fault("a", 100.0, Some(5.0)).fault("b", 102.0, Some(20.0));
    let objective = Objective { selector: Some("a".to_owned()), ..recovery_within(5.0) };
    let out = |at: Micros| {
        if at >= s(102.0) && at < s(122.0) { (Micros::millis(1), Kind::Connect) } else { fine(at) }
    };
    let judged = verdict(plan.objective(objective), &evenly(100, 0, 200, out));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive, "{}", judged.objectives[0].reason);
}

#[test]
fn a_rate_is_no_broken_normal_before_its_load_begins() {
    let mut plan = rooms(200).fault("a", 100.0, Some(5.0));
    plan.outline.shapes[0].start = s(50.0);
    plan =
        plan.objective(recovery_within(5.0)).objective(expect(Metric::Rate, Comparison::AtLeast, 85.0, RUN));
    plan.outline.judge.windows = 5;
    let judged = verdict(plan, &evenly(100, 50, 200, fine));
    assert_eq!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
}

#[test]
fn patient_probes_are_none_that_a_rate_or_a_count_misses() {
    let mut plan = rooms(100).objective(expect(Metric::Count, Comparison::AtLeast, 1_000.0, RUN));
    plan = plan.objective(expect(Metric::Rate, Comparison::AtLeast, 9.9, RUN));
    plan.events.extend((0..100).map(|cell| Record::Arrived { cell, shape: 0, n: 1, late: 0, probes: 1 }));
    let judged = verdict(plan, &evenly(9, 0, 100, fine));
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
    let told = judged.operations[0].phases.iter().find(|p| p.phase == RUN).map(|p| p.rate);
    assert_eq!(
        told,
        judged.objectives[1].measured.map(|m| m.value),
        "the table says what the objective does"
    );
}

/// More windows were out than a stretch may have, no two of them in a row: that it was not back is what they say.
#[test]
fn latency_that_comes_and_goes_after_a_fault_puts_off_the_recovery() {
    let comes_and_goes = |every: i64, to: f64| {
        move |at: Micros| match at >= s(31.0) && at < s(to) && at.0 / 1_000_000 % every == 1 {
            true => (Micros::millis(50), Kind::Ok),
            false => fine(at),
        }
    };
    let rows = [(2, 60.0, 28.0), (2, 90.0, 58.0), (3, 90.0, 55.0), (20, 90.0, 0.0)];
    for (every, to, least) in rows {
        let plan = at_half_time(rooms(120), recovery_within(5.0));
        let judged = verdict(plan, &evenly(1_000, 0, 120, comes_and_goes(every, to)));
        let expected = if least > 0.0 { Word::Fail } else { Word::Pass };
        let took = judged.triggers[0].recovery;
        assert_eq!(judged.objectives[0].word, expected, "every {every} s until {to}: {took:?}");
        assert!(took >= Some(s(least)) && took <= Some(s(to - 28.0)), "every {every} s until {to}: {took:?}");
    }
}

/// Squall slept until the fault was over: what it did to the service nobody saw.
#[test]
fn what_follows_a_fault_that_hardly_met_any_load_is_not_known() {
    let of_after = expect(Metric::Errors, Comparison::Below, 0.01, after("x"));
    for (objective, closed) in [
        (recovery_within(60.0), false),
        (of_after.clone(), false),
        (recovery_within(60.0), true),
        (of_after, true),
    ] {
        for (to, expected) in [(105.2, Word::Invalid), (102.0, Word::Pass)] {
            let mut plan = rooms(400).fault("x", 100.0, Some(5.0)).objective(objective.clone());
            plan.outline.shapes[0].closed = closed;
            let mut record = Happened { cell: to as u32, ..Happened::default() };
            record.heartbeat.record(s(to - 99.9));
            plan.events.push(Record::Happened(Box::new(record)));
            let mut samples = generator::frozen(&evenly(100, 0, 400, fine), 99.9, to);
            samples.retain(|sample| !closed || sample.dequeued == sample.intended);
            let (is, why) = word(plan, &samples);
            assert_eq!(is, expected, "asleep until {to}, closed {closed}: {why}");
            assert_eq!(why.contains("stood still for 5.3 s"), is == Word::Invalid, "{why}");
        }
    }
}

/// A service that gives empty lists while it is broken, and one of which a branch asks only then.
#[test]
fn whom_flows_were_led_to_before_a_fault_was_not_passed_by_in_it() {
    let led = |within: Within| {
        let (plan, samples) = lists_and_items(within);
        word(at_half_time(plan, expect(Metric::Errors, Comparison::Below, 0.01, during("x"))), &samples)
    };
    let (is, why) = led(|at| at < s(25.0) || at >= s(32.0));
    assert_eq!(is, Word::Inconclusive, "{why}");
    assert_eq!(led(|at| at >= s(32.0)).0, Word::Pass);
    assert_eq!(led(|_| true).0, Word::Pass);
}

/// Nothing is the rate of what flows come to no more, as a list is empty or what goes before it hangs; not of what they
/// had no time to come to yet.
#[test]
fn what_flows_come_to_no_more_has_no_rate() {
    let rows: [(&str, Within, bool, Word); 6] = [
        ("all the time", |_| true, false, Word::Pass),
        ("all the time, asked by users", |_| true, true, Word::Pass),
        ("no more", |at| at < s(30.0), false, Word::Fail),
        ("no more, asked by users", |at| at < s(30.0), true, Word::Fail),
        ("not for five seconds", |at| at < s(30.0) || at >= s(35.0), false, Word::Pass),
        ("from then on", |at| at >= s(30.0), false, Word::Pass),
    ];
    for (name, within, closed, expected) in rows {
        let rate = expect(Metric::Rate, Comparison::AtLeast, 5.0, RUN);
        let of_item = Objective { selector: Some("item".to_owned()), window: Some(s(10.0)), ..rate };
        let (mut plan, samples) = lists_and_items(within);
        plan.outline.shapes[0].closed = closed;
        let (is, why) = word(plan.objective(of_item), &samples);
        assert_eq!(is, expected, "{name}: {why}");
    }
}

/// Ten seconds after each burst of lists come items, none of which was planned for the time between.
#[test]
fn silence_between_bursts_is_the_plans() {
    let (mut plan, lists_and_items) = lists_and_items(|at| at.0 % 20_000_000 < 1_000_000);
    let in_burst = |sample: &Sample| sample.intended.0 % 20_000_000 < 1_000_000;
    let mut samples: Vec<Sample> = lists_and_items.into_iter().filter(in_burst).collect();
    for item in samples.iter_mut().filter(|sample| sample.op == crate::sample::OpId(2)) {
        (item.intended, item.dequeued, item.done) =
            (item.intended + s(10.0), item.dequeued + s(10.0), item.done + s(10.0));
    }
    plan.outline.shapes[0].period = Some(s(20.0));
    let rate = expect(Metric::Rate, Comparison::AtLeast, 1.0, RUN);
    let of_item = Objective { selector: Some("item".to_owned()), window: Some(s(5.0)), ..rate };
    let (is, why) = word(plan.objective(of_item), &samples);
    assert_eq!(is, Word::Pass, "{why}");
}

/// Whether those who ask for a list then ask for an item.
type Within = fn(Micros) -> bool;

/// Flows that ask for a list, and some of them for an item of it.
fn lists_and_items(within: Within) -> (Plan, Vec<Sample>) {
    let mut plan = Plan::new(60).shape("rooms", "list", s(2.0)).shape("beside", "item", s(2.0));
    plan.outline.operations[2].shape = 0;
    let lists = evenly(50, 0, 60, fine);
    let items = of_lists(lists.iter().filter(|list| within(list.intended)).cloned().collect());
    (plan, [lists, items].concat())
}

/// Slow for a window alone is no outage by VERDICTS.md 3; that nothing happened it is not either.
#[test]
fn a_window_that_was_slow_alone_is_told() {
    let slow_for = |seconds: f64| {
        let answer = move |at: Micros| {
            let slow = (s(26.0)..s(26.0 + seconds)).contains(&at);
            (Micros::millis(if slow { 400 } else { 5 }), Kind::Ok)
        };
        let mut plan = at_half_time(rooms(80), recovery_within(5.0));
        plan.outline.judge.stretch = s(20.0);
        verdict(plan, &evenly(100, 0, 80, answer)).triggers[0].sentence.clone()
    };
    assert_eq!(slow_for(0.0), "x did not push the service out of its normal band.");
    let told = slow_for(1.0);
    assert!(told.contains("for single windows of 2 s at most, which is no outage"), "{told}");
    assert!(slow_for(4.0).starts_with("The service was out of its normal band for "), "{}", slow_for(4.0));
}

/// What another load does to the service after it was back is none of the trigger's harm.
#[test]
fn harm_ends_as_the_service_is_back() {
    let lost = |later: bool| {
        let answer = move |at: Micros| {
            let kind = if later && (s(50.0)..s(56.0)).contains(&at) { Kind::Status } else { Kind::Ok };
            (Micros::millis(if (s(25.0)..s(31.0)).contains(&at) { 400 } else { 5 }), kind)
        };
        let mut plan = Plan::new(80).shape("rooms", "create", s(5.0)).fault("x", 25.0, Some(4.0));
        plan.outline.judge.stretch = s(10.0);
        verdict(plan.objective(recovery_within(5.0)), &evenly(100, 0, 80, answer)).triggers[0].clone()
    };
    let (later, alone) = (lost(true), lost(false));
    assert_eq!(later.sentence, alone.sentence);
    assert!(later.shapes[0].area_after == 0.0 && later.shapes[0].depth_after == 0.0, "{:?}", later.shapes[0]);
}

/// It came back for a stretch, and went again for good with nothing else in sight: PASS, with a note of FLAPPING, for a
/// service that is dead at the end of the run. Where more load comes meanwhile it may be that one's doing.
#[test]
fn a_service_that_relapses_for_good_never_came_back() {
    let judged = |until: f64, more: i64| {
        let gone = |at: Micros| (s(30.0)..s(34.0)).contains(&at) || (s(60.0)..s(until)).contains(&at);
        let answer = |at: Micros| if gone(at) { (s(0.001), Kind::Status) } else { fine(at) };
        let mut plan = Plan::new(120).shape("rooms", "create", s(5.0)).fault("x", 30.0, Some(4.0));
        plan.outline.judge.stretch = s(10.0);
        let mut samples = evenly(100, 0, 58, answer);
        samples.extend(evenly(100 + more, 58, 120, answer));
        let judged = verdict(plan.objective(recovery_within(5.0)), &samples);
        (judged.objectives[0].word, judged.triggers[0].sentence.clone(), judged.notes.join(" "))
    };
    let (word, said, _) = judged(120.0, 0);
    assert_eq!(word, Word::Fail, "{said}");
    assert!(said.ends_with("goodput was out of the normal band again, after 26 s in it."), "{said}");
    for (until, more, expected) in [(70.0, 0, Word::Pass), (120.0, 50, Word::Invalid)] {
        let (word, said, notes) = judged(until, more);
        assert_eq!(word, expected, "{said}");
        assert!(notes.contains("FLAPPING after x: it relapsed (rooms at 1:00"), "{notes}");
    }
}
