//! Lines of VERDICTS.md 2 that nothing else would miss, each with the history in which it decides.

use super::*;
use crate::objective::Objective;
use crate::record::{KeeperEvent, ServiceEvent, ServiceStage};
use crate::sample::Clean;

fn errors(comparison: Comparison, limit: f64, phase: PhaseName) -> Objective {
    expect(Metric::Errors, comparison, limit, phase)
}

fn of(trigger: &str, objective: Objective) -> Objective {
    Objective { selector: Some(trigger.to_owned()), ..objective }
}

fn bad(from: f64, to: f64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| if at >= s(from) && at < s(to) { (Micros::MILLISECOND, Kind::Status) } else { fine(at) }
}

#[test]
fn what_answers_when_a_service_has_ended_supports_no_pass() {
    for (at, expected) in [(30.0, Word::Invalid), (70.0, Word::Pass)] {
        let mut plan = rooms(60).objective(errors(Comparison::Below, 0.05, RUN));
        let (service, detail) = ("api".to_owned(), "exit status 1".to_owned());
        plan.events.push(Record::Service(ServiceEvent {
            at: s(at),
            service,
            what: ServiceStage::Ended,
            detail,
        }));
        let (is, why) = word(plan, &evenly(100, 0, 60, fine));
        assert_eq!(is, expected, "{why}");
    }
}

#[test]
fn a_shape_as_a_trigger_lasts_until_its_last_operation_was_to_begin() {
    let mut plan = rooms(80).shape("storm", "list", s(2.0)).objective(of("storm", recovery_within(5.0)));
    plan.outline.judge = at_half_time(rooms(1), recovery_within(1.0)).outline.judge;
    let storm = &mut plan.outline.shapes[1];
    (storm.trigger, storm.start, storm.end, storm.first) = (true, s(30.0), s(31.0), Some(s(30.0)));
    let mut samples = evenly(100, 0, 80, bad(30.0, 46.0));
    samples.extend(of_lists(evenly(5, 30, 46, fine)));
    let (is, why) = word(plan, &samples);
    assert_eq!(is, Word::Pass, "{why}");
}

#[test]
fn what_follows_something_that_did_not_come_back_fails() {
    let mut plan = at_half_time(rooms(60), errors(Comparison::Below, 0.5, after("x")));
    plan.event("x", 30.0, FaultStage::NotBack);
    let (is, why) = word(plan, &evenly(100, 0, 60, fine));
    assert_eq!(is, Word::Fail, "{why}");
}

#[test]
fn a_fault_that_stays_spoils_the_recovery_from_a_later_one() {
    let mut plan = at_half_time(rooms(80), of("later", recovery_within(30.0)));
    plan.event("x", 31.0, FaultStage::NotCleared);
    let (is, why) = word(plan.fault("later", 50.0, Some(5.0)), &evenly(100, 0, 80, bad(50.0, 55.0)));
    assert_eq!(is, Word::Invalid, "{why}");
    assert!(why.contains("could not be undone"), "{why}");
}

#[test]
fn what_is_out_within_a_deadline_of_the_next_trigger_may_be_that_ones_doing() {
    let plan = at_half_time(rooms(90), of("x", recovery_within(12.0))).fault("next", 45.0, Some(5.0));
    let down = |at: Micros| if at < s(40.0) { bad(25.0, 39.0)(at) } else { bad(43.0, 50.0)(at) };
    let (is, why) = word(plan, &evenly(1_000, 0, 90, down));
    assert_eq!(is, Word::Inconclusive, "{why}");
}

/// A deadline is the shape's own: others may wait for longer, as long polls do.
#[test]
fn what_is_out_before_the_next_trigger_is_known_where_its_shape_had_its_own_deadline() {
    let polls = rooms(90).shape("polls", "poll", s(12.0));
    let plan = at_half_time(polls, of("x", recovery_within(12.0))).fault("next", 45.0, Some(5.0));
    // One second of eight is out, eleven before the next trigger.
    let down = |at: Micros| if at < s(30.0) { bad(25.0, 30.0)(at) } else { bad(33.0, 34.0)(at) };
    let (is, why) = word(plan, &evenly(1_000, 0, 90, down));
    assert_eq!(is, Word::Pass, "{why}");
}

/// Undisturbed load until a time before the next trigger is nothing that there was not.
#[test]
fn what_was_too_near_to_the_next_trigger_is_told_with_its_deadline() {
    let plan = at_half_time(rooms(90), of("x", recovery_within(12.0))).fault("next", 45.0, Some(5.0));
    let down = |at: Micros| if at < s(40.0) { bad(25.0, 36.0)(at) } else { bad(43.0, 50.0)(at) };
    let judged = verdict(plan, &evenly(1_000, 0, 90, down));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive);
    assert_eq!(judged.triggers[0].needed, Some(s(46.0)), "eight seconds from 0:36 on, and two for the last");
}

#[test]
fn every_other_window_out_is_no_recovery() {
    let flaps = |at: Micros| match at >= s(25.0) && at.0 / 1_000_000 % 2 == 1 {
        true => (Micros::MILLISECOND, Kind::Status),
        false => fine(at),
    };
    let (is, why) = word(at_half_time(rooms(60), recovery_within(20.0)), &evenly(1_000, 0, 60, flaps));
    assert_eq!(is, Word::Fail, "{why}");
}

#[test]
fn what_a_keeper_that_was_away_let_through_late_is_squalls_own_for_twice_as_long_and_no_longer() {
    let silent = |to: Option<f64>| KeeperEvent::Silent { from: s(30.0), to: to.map(s) };
    let rows = [
        (
            "stood still",
            vec![KeeperEvent::Beats { from: s(30.0), at: s(31.0), late: s(1.0) }],
            33.0,
            Word::Invalid,
        ),
        ("silent", vec![silent(Some(31.0))], 33.0, Word::Invalid),
        ("told twice", vec![silent(None), silent(Some(31.0))], 33.0, Word::Invalid),
        ("long over", vec![silent(None), silent(Some(31.0))], 50.0, Word::Fail),
    ];
    for (name, events, until, expected) in rows {
        let mut plan = rooms(60).objective(errors(Comparison::Below, 0.015, RUN));
        plan.events.extend(events.into_iter().map(Record::Keeper));
        let (is, why) = word(plan, &evenly(100, 0, 60, bad(31.0, until)));
        assert_eq!(is, expected, "{name}: {why}");
    }
}

#[test]
fn a_live_rule_needs_all_of_its_time_and_its_phase() {
    let fires = |rule: &Objective, from: i64, now: i64| {
        let mut plan = at_half_time(rooms(60), rule.clone());
        plan.outline.shapes[0].start = Micros::secs(from);
        fired(&plan.timeline(&evenly(100, from, now, bad(0.0, 60.0))), rule, Micros::secs(now)).is_some()
    };
    let long = |phase| Objective { window: Some(s(10.0)), ..errors(Comparison::Above, 0.5, phase) };
    assert_eq!([24, 29, 30].map(|now| fires(&long(RUN), 20, now)), [false, false, true]);
    let short = Objective { window: Some(s(3.0)), ..long(during("x")) };
    assert_eq!([20, 27, 28].map(|now| fires(&short, 0, now)), [false, false, true]);
}

/// Two readings above it, five seconds apart, are no ten seconds: what it was after the last one nobody knows yet.
#[test]
fn a_live_rule_on_a_metric_that_is_seldom_read_waits_for_as_long() {
    let queue = queue_below(100.0, Aggregate::Last);
    let rule = Objective { comparison: Comparison::Above, window: Some(s(10.0)), ..queue };
    let never = 0..0;
    let rows = [
        (1, 60..100, never.clone(), Some(69)),
        (5, 60..100, never.clone(), Some(70)),
        (15, 60..100, never.clone(), Some(75)),
        (5, 60..66, never.clone(), None),
        (15, 60..61, never, None),
        // Away after one high reading, as a service is that was killed, for good and for a while.
        (1, 60..100, 61..100, None),
        (5, 60..100, 61..100, None),
        (1, 60..100, 61..80, Some(89)),
    ];
    for (every, above, away, at) in rows {
        let mut rule = AbortRule::new(&rule);
        let mut fires = |now: i64| {
            let mut plan = rooms(100);
            let read = |second: i64| crate::record::Scrape {
                at: Micros::secs(second),
                name: "queue".to_owned(),
                value: if above.contains(&second) { 200.0 } else { 1.0 },
            };
            let seen = (0..=now).step_by(every).filter(|second| !away.contains(second));
            plan.events.extend(seen.map(read).map(Record::Scrape));
            let mut timeline = plan.timeline(&evenly(10, 0, now, fine));
            timeline.forget((now - 12) as u32);
            rule.fired(&timeline, Micros::secs(now)).is_some()
        };
        let found = (20..100).find(|&now| fires(now));
        assert_eq!(found, at, "read every {every} s, above it in {above:?}, away in {away:?}");
    }
}

/// Every fiftieth timed out, and only through squall.
fn spoilt(every: usize, kind: Kind) -> Vec<Sample> {
    let mut all = evenly(100, 0, 60, fine);
    for sample in all.iter_mut().step_by(every) {
        (sample.outcome.kind, sample.clean) = (kind, Clean::LeftOut);
    }
    all
}

#[test]
fn what_is_left_out_of_a_rate_takes_its_time_with_it() {
    for (limit, expected) in [(99.0, Word::Invalid), (101.0, Word::Fail)] {
        let rate = expect(Metric::Rate, Comparison::AtLeast, limit, RUN);
        let (is, why) = word(rooms(60).objective(rate), &spoilt(50, Kind::Timeout));
        assert_eq!(is, expected, "{why}");
    }
}

#[test]
fn what_is_left_out_of_a_count_was_asked_all_the_same() {
    for (limit, expected) in [(5_900.0, Word::Fail), (6_000.0, Word::Pass)] {
        let count = expect(Metric::Count, Comparison::AtMost, limit, RUN);
        let (is, why) = word(rooms(60).objective(count), &spoilt(20, Kind::Ok));
        assert_eq!(is, expected, "{why}");
    }
}

#[test]
fn users_whom_squall_holds_up_stand_for_more() {
    let up = |_: usize, _: Micros| (Micros::millis(100), Kind::Ok);
    let (held, slept) = ((&[][..], Micros::millis(100)), (&[(10.0, 20.0)][..], Micros::ZERO));
    let rows = [
        ("held up for half of the time", held, Metric::Rate, 60.0, Word::Invalid),
        ("held up, and slow besides", held, Metric::Rate, 100.0, Word::Fail),
        ("slept for ten seconds", slept, Metric::Count, 4_400.0, Word::Invalid),
        ("slept, and slow besides", slept, Metric::Count, 7_000.0, Word::Fail),
    ];
    for (name, (frozen, held), metric, limit, expected) in rows {
        let plan = closed::closed(60, frozen).objective(expect(metric, Comparison::AtLeast, limit, RUN));
        let (is, why) = word(plan, &closed::users(8, 60, &up, frozen, held));
        assert_eq!(is, expected, "{name}: {why}");
    }
}

#[test]
fn of_a_rate_nothing_is_known_where_squall_did_not_send_it() {
    for (unsent, expected) in [(20, Word::Invalid), (4, Word::Fail)] {
        let rate = expect(Metric::Rate, Comparison::AtLeast, 90.0, RUN);
        let mut plan = rooms(60).objective(rate);
        plan.outline.shapes[0].planned = vec![unsent; 60];
        let (is, why) = word(plan, &evenly(80, 0, 60, fine));
        assert_eq!(is, expected, "{unsent} of {} unsent: {why}", 80 + unsent);
    }
}

/// What squall holds up is in flight for as long.
#[test]
fn flows_that_squall_keeps_in_flight_put_off_no_recovery() {
    let mut samples = evenly(200, 0, 60, bad(25.0, 30.0));
    for sample in samples.iter_mut().filter(|sample| sample.intended >= s(30.0) && sample.intended < s(45.0))
    {
        (sample.work.held, sample.done) = (s(0.05), sample.done + s(0.05));
    }
    let (is, why) = word(at_half_time(rooms(60), recovery_within(5.0)), &samples);
    assert_eq!(is, Word::Invalid, "{why}");
}

/// A second's load leaves at once when squall wakes, and the target works it off: what of it was due in the window
/// before is in flight in the next.
#[test]
fn the_burst_after_a_standstill_puts_off_no_recovery() {
    let mut samples = generator::frozen(&evenly(200, 0, 60, bad(25.0, 29.2)), 29.2, 30.2);
    let burst = samples.iter_mut().filter(|sample| sample.intended >= s(29.2) && sample.intended < s(30.2));
    for (i, sample) in burst.enumerate() {
        sample.done = sample.dequeued + Micros::millis(3 * i as i64);
    }
    let mut plan = at_half_time(rooms(60), recovery_within(4.0));
    plan.outline.judge.windows = 3;
    let mut record = Happened { cell: 30, ..Happened::default() };
    record.heartbeat.record(s(1.0));
    plan.events.push(Record::Happened(Box::new(record)));
    let (is, why) = word(plan, &samples);
    assert_eq!(is, Word::Invalid, "{why}");
}

/// The history of a run that was killed: it has no end.
fn killed(mut plan: Plan, samples: &[Sample]) -> Judgement {
    let records = plan.records(samples);
    let mut timeline = Timeline::new(plan.header());
    let told = records.iter().filter(|record| !matches!(record, Record::End(_)));
    told.for_each(|record| timeline.apply(record));
    judge(&timeline)
}

#[test]
fn what_was_open_when_squall_was_killed_had_not_its_time() {
    let rows = [
        (2.0, 29.5, Word::Invalid),
        (2.0, 20.0, Word::Fail),
        (1.0, 29.5, Word::Invalid),
        (0.4, 29.7, Word::Invalid),
    ];
    for (deadline, since, expected) in rows {
        let plan = Plan::new(60).shape("rooms", "create", s(deadline));
        let mut samples = evenly(100, 0, 30, fine);
        let open = samples.iter_mut().filter(|sample| sample.intended >= s(since));
        open.for_each(|sample| sample.outcome.kind = Kind::Unfinished);
        let judged = killed(plan.objective(errors(Comparison::Below, 0.005, RUN)), &samples);
        assert_eq!(
            judged.objectives[0].word, expected,
            "open since {since}, {deadline} s each: {}",
            judged.objectives[0].reason
        );
        let squalls =
            judged.objectives[0].reason.contains("(the history breaks off at 0:30.00, with operations open)");
        assert_eq!(squalls, expected == Word::Invalid, "{}", judged.objectives[0].reason);
        let notes = &judged.objectives[0].notes;
        let clean = notes
            .iter()
            .any(|note| note.starts_with("Without squall's own part: ") && note.contains(" %, n = "));
        assert_eq!(clean, expected == Word::Fail, "{notes:?}");
    }
}

/// Nor does it tell of what was to come that nothing had come by then.
#[test]
fn a_run_that_was_cut_short_in_its_warm_up_is_not_failed_by_a_count() {
    let mut plan = rooms(60).objective(expect(Metric::Count, Comparison::Above, 100.0, RUN));
    plan.outline.judge.warmup = s(10.0);
    let judged = killed(plan, &evenly(100, 0, 5, fine));
    assert_eq!(judged.objectives[0].word, Word::Inconclusive, "{}", judged.objectives[0].reason);
}

#[test]
fn users_who_waited_when_squall_was_killed_were_there() {
    let hung = |_: usize, at: Micros| match at >= s(20.0) {
        true => (s(20.0), Kind::Timeout),
        false => (s(0.1), Kind::Ok),
    };
    let plan = closed::closed(60, &[]).objective(expect(Metric::Rate, Comparison::AtLeast, 60.0, RUN));
    let judged = killed(plan, &closed::users(8, 21, &hung, &[], Micros::ZERO));
    assert!(judged.run.lasted >= s(40.0), "{}", judged.run.lasted);
    assert_eq!(judged.objectives[0].word, Word::Fail, "{}", judged.objectives[0].reason);
}

#[test]
fn one_window_that_is_slow_by_itself_is_no_outage() {
    for (to, expected) in [(29.0, Word::Pass), (30.0, Word::Fail)] {
        let slow = |at: Micros| match at >= s(28.0) && at < s(to) {
            true => (Micros::millis(50), Kind::Ok),
            false => fine(at),
        };
        let outage = Objective { metric: Metric::Outage, ..recovery_within(0.5) };
        let (is, why) = word(at_half_time(rooms(60), outage), &evenly(1_000, 0, 60, slow));
        assert_eq!(is, expected, "slow until {to}: {why}");
    }
}

#[test]
fn the_quantile_of_a_band_is_one_that_its_windows_can_carry() {
    for (rate, window, quantile) in [(1_000, 1.0, Some(0.99)), (100, 2.0, Some(0.95)), (99, 2.0, None)] {
        let judged = verdict(at_half_time(rooms(60), recovery_within(5.0)), &evenly(rate, 0, 60, fine));
        let band = &judged.baseline[0];
        assert_eq!((band.window, band.tail.map(|tail| tail.quantile)), (s(window), quantile), "{rate}/s");
    }
}

#[test]
fn a_rate_that_rises_from_one_half_of_the_baseline_to_the_other_is_no_normal() {
    for (second, steady) in [(100, true), (130, false)] {
        let samples = [evenly(100, 0, 12, fine), evenly(second, 12, 60, fine)].concat();
        let judged = verdict(at_half_time(rooms(60), recovery_within(5.0)), &samples);
        let why = judged.baseline[0].none.clone();
        assert_eq!(why.is_none(), steady, "{second}/s: {why:?}");
    }
}

#[test]
fn of_a_phase_that_squall_slept_through_no_count_is_known() {
    let up = |_: usize, _: Micros| (Micros::millis(100), Kind::Ok);
    let frozen = &[(24.5, 32.0)][..];
    for metric in [Metric::Count, Metric::Rate] {
        let plan = closed::closed(60, frozen);
        let plan = at_half_time(plan, expect(metric, Comparison::AtLeast, 10.0, during("x")));
        let (is, why) = word(plan, &closed::users(8, 60, &up, frozen, Micros::ZERO));
        assert_eq!(is, Word::Invalid, "{why}");
    }
}

/// Four seconds of silence are no hundred a second on end, though one of every five has as many.
#[test]
fn what_lasted_on_end_is_told_as_what_it_was_at_best() {
    let objective = expect(Metric::Rate, Comparison::AtLeast, 30.0, RUN);
    let plan = rooms(60).objective(Objective { window: Some(s(5.0)), ..objective });
    let (is, why) = word(plan, &evenly(100, 0, 60, bad(30.0, 34.0)));
    assert_eq!(is, Word::Pass, "{why}");
    assert!(why.contains("succeeded per second at best for 5 s on end"), "{why}");
}

/// What came of the beginning of a second was told before squall was killed in it: the rest of it was not sent too late.
#[test]
fn the_second_in_which_squall_was_killed_is_no_load_that_it_did_not_send() {
    let samples: Vec<Sample> = evenly(100, 0, 4, fine).into_iter().filter(|a| a.intended < s(3.05)).collect();
    let mut plan = rooms(60).objective(errors(Comparison::Below, 0.05, RUN));
    plan.outline.shapes[0].planned =
        (0..60).map(|cell| [0, 0, 0, 95].get(cell).copied().unwrap_or(100)).collect();
    let records = plan.records(&samples);
    let mut timeline = Timeline::new(plan.header());
    let told = |record: &&Record| match record {
        Record::End(_) => false,
        Record::Happened(happened) => happened.cell < 3,
        _ => true,
    };
    records.iter().filter(told).for_each(|record| timeline.apply(record));
    let judged = judge(&timeline);
    assert_eq!((judged.generator.delivered, judged.generator.sound), (Some(1.0), true));
    assert_ne!(judged.objectives[0].word, Word::Invalid, "{}", judged.objectives[0].reason);
}
