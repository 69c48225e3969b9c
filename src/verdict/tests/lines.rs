//! Lines of VERDICTS.md 2 that nothing else would miss, each with the history in which it decides.

use super::*;
use crate::objective::Objective;
use crate::record::{KeeperEvent, ServiceEvent, ServiceStage};

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

#[test]
fn a_live_rule_on_a_metric_that_is_seldom_read_waits_for_as_long() {
    let queue = queue_below(100.0, Aggregate::Last);
    let rule = Objective { comparison: Comparison::Above, window: Some(s(10.0)), ..queue };
    for (every, at) in [(1, 69), (5, 69), (15, 69)] {
        let fires = |now: i64| {
            let mut plan = rooms(100);
            let read = |second: i64| crate::record::Scrape {
                at: Micros::secs(second),
                name: "queue".to_owned(),
                value: if second >= 60 { 200.0 } else { 1.0 },
            };
            plan.events.extend((0..=now).step_by(every).map(read).map(Record::Scrape));
            fired(&plan.timeline(&evenly(10, 0, now, fine)), &rule, Micros::secs(now)).is_some()
        };
        assert_eq!((20..100).find(|&now| fires(now)), Some(at), "read every {every} s");
    }
}
