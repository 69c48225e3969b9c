//! What is said of the harm that a fault did: what was lost, or how slow it was, and neither where it was not so.

use super::super::words;
use super::*;
use crate::timeline::phases::Return;

/// The sentence on a fault of a second after which nothing is the matter; windows are of a second each.
fn judged(answer: impl Fn(Micros) -> (Micros, Kind)) -> JudgedTrigger {
    let mut plan = Plan::new(200).shape("rooms", "create", s(5.0)).fault("x", 100.0, None);
    plan.outline.judge.windows = 60;
    plan.outline.faults[0].settle = s(10.0);
    let judgement = verdict(plan.objective(recovery_within(30.0)), &evenly(100, 0, 200, answer));
    judgement.triggers[0].clone()
}

fn within(at: Micros) -> bool {
    (s(100.0)..s(101.0)).contains(&at)
}

#[test]
fn of_what_fails_at_once_it_is_told_what_was_lost_and_never_a_time_for_which_nobody_waited() {
    let all = judged(|at| if within(at) { (Micros::millis(1), Kind::Status) } else { fine(at) });
    let expected = "of good operations it lost 100, and at worst a window of 1 s lost 100 % of its goodput";
    assert!(all.sentence.contains(expected), "{}", all.sentence);
    assert_eq!((all.shapes[0].slowest, all.shapes[0].operation.as_ref()), (None, None));
    let some = |at: Micros| within(at) && at.0 % 200_000 < 50_000;
    let some = judged(|at| if some(at) { (Micros::millis(1), Kind::Status) } else { fine(at) });
    let expected = "of good operations it lost 25, and at worst a window of 1 s lost 25 % of its goodput";
    assert!(some.sentence.contains(expected), "{}", some.sentence);
}

/// Each fourth one takes forty times as long as the others.
#[test]
fn what_loses_some_and_is_not_slow_is_told_by_what_it_lost() {
    let usual = |at: Micros| (Micros::millis(if at.0 / 10_000 % 4 == 0 { 41 } else { 1 }), Kind::Ok);
    let lost = |at: Micros| within(at) && at.0 % 200_000 < 50_000;
    let lossy = judged(|at| if lost(at) { (Micros::millis(1), Kind::Status) } else { usual(at) });
    assert!(lossy.sentence.contains("a window of 1 s lost 25 % of its goodput"), "{}", lossy.sentence);
    let slow = judged(|at| (if within(at - s(1.0)) || within(at) { s(0.6) } else { usual(at).0 }, Kind::Ok));
    assert!(
        slow.sentence
            .contains("it kept answering, and at worst create took 600 ms on average (usually 11 ms)"),
        "{}",
        slow.sentence
    );
}

#[test]
fn where_no_window_was_out_nothing_is_told_of_a_worst_one() {
    let mut dragged = judged(|at| if within(at) { (Micros::millis(1), Kind::Status) } else { fine(at) });
    let shape = &mut dragged.shapes[0];
    (shape.depth_during, shape.depth_after, shape.deepest) = (0.0, 0.0, 0.0);
    (shape.area_during, shape.area_after) = (2.0, 0.0);
    let said = words::aftermath(&dragged, Return::At(s(102.0)), s(200.0), &[], None);
    assert!(
        said.contains("; of good operations it lost 2, and no window was out of its band by itself."),
        "{said}"
    );
}

#[test]
fn what_is_out_only_as_several_windows_in_a_row_are_is_told_to_be_within_the_limit_of_one() {
    let slow = |at: Micros| (s(99.0)..s(103.0)).contains(&at);
    let mut seen = judged(|at| (if slow(at) { s(0.6) } else { s(0.005) }, Kind::Ok));
    assert!(seen.shapes[0].slowest.is_some() && !seen.shapes[0].in_a_row, "{:?}", seen.shapes[0]);
    seen.shapes[0].in_a_row = true;
    let said = words::aftermath(&seen, Return::At(s(103.0)), s(200.0), &[], None);
    assert!(
        said.contains(
            " took 600 ms on average (usually 5 ms), within the limit of one window, but not of several in a row."
        ),
        "{said}"
    );
}

/// The sentence on a fault of six seconds and on what came of it in another shape.
fn with_lists(rooms: impl Fn(Micros) -> (Micros, Kind), lists: impl Fn(Micros) -> (Micros, Kind)) -> String {
    let mut plan = Plan::new(200).shape("rooms", "create", s(5.0)).shape("lists", "list", s(5.0));
    plan = plan.fault("x", 100.0, Some(6.0)).objective(recovery_within(30.0));
    plan.outline.judge.windows = 60;
    let samples = [evenly(100, 0, 200, rooms), of_lists(evenly(100, 0, 200, lists))].concat();
    verdict(plan, &samples).triggers[0].sentence.clone()
}

fn in_force(at: Micros) -> bool {
    (s(100.0)..s(106.0)).contains(&at)
}

/// One in so many takes too long, and all others are as slow as this.
fn slow_and_late(every: i64) -> impl Fn(Micros) -> (Micros, Kind) {
    move |at| match at {
        at if !in_force(at) => fine(at),
        at if at.0 / 10_000 % every == 0 => (s(5.0), Kind::Timeout),
        _ => (Micros::millis(900), Kind::Ok),
    }
}

#[test]
fn where_goodput_kept_to_its_band_latency_that_left_it_is_the_worst() {
    let said = with_lists(slow_and_late(70), fine);
    let expected =
        "; of good operations it lost 9, and at worst create took 900 ms on average (usually 5 ms).";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn latency_that_left_its_band_is_told_beside_the_goodput_that_was_lost_of_another_shape_too() {
    let said = with_lists(slow_and_late(10), fine);
    let expected =
        "; at worst it lost 10 % of its goodput, and create took 900 ms on average (usually 5 ms).";
    assert!(said.ends_with(expected), "{said}");
    let fails = |at: Micros| match in_force(at) && at.0 / 10_000 % 10 == 0 {
        true => (Micros::millis(1), Kind::Status),
        false => fine(at),
    };
    let slow = |at: Micros| if in_force(at) { (Micros::millis(900), Kind::Ok) } else { fine(at) };
    let said = with_lists(fails, slow);
    let expected = "; at worst it lost 10 % of its goodput, and list took 900 ms on average (usually 5 ms).";
    assert!(said.ends_with(expected), "{said}");
}

/// Of forty in a second one is `rare`, which fails from 100 to `until`; a fault of five seconds fails `lists` in so much of its time.
fn with_rare(until: f64, lists: f64) -> Judgement {
    let mut plan = Plan::new(200).shape("users", "list", s(2.0)).fault("x", 100.0, Some(5.0));
    let [rare, its_flow] = [0, 1].map(|i| plan.outline.operations[i].clone());
    let rare = crate::outline::OperationOutline { name: "rare".to_owned(), ..rare };
    plan.outline.operations.extend([rare, its_flow]);
    plan.outline.judge.windows = 10;
    let fails = move |until: f64| {
        move |at: Micros| match (s(100.0)..s(until)).contains(&at) {
            true => (Micros::millis(1), Kind::Status),
            false => fine(at),
        }
    };
    let samples = [evenly(39, 0, 200, fails(lists)), of_lists(evenly(1, 0, 200, fails(until)))].concat();
    verdict(plan.objective(recovery_within(10.0)), &samples)
}

#[test]
fn one_operation_of_many_that_lost_most_of_its_own_is_named() {
    let rows = [
        (
            "it alone",
            125.0,
            100.0,
            "; of rare 25 of 25 failed from 1:40 to 2:05; for the recovery the limit is ",
        ),
        (
            "for longer",
            125.0,
            103.0,
            "; of rare 25 of 25 failed from 1:40 to 2:05; for the recovery the limit is ",
        ),
        (
            "for good",
            200.0,
            100.0,
            ", goodput was still out of the normal band; of rare 100 of 100 failed from 1:40 to 3:20;",
        ),
    ];
    for (name, rare, lists, expected) in rows {
        let judged = with_rare(rare, lists);
        assert_eq!(judged.verdict, Word::Fail, "{name}");
        let reason = &judged.objectives[0].reason;
        assert!(reason.contains(expected), "{name}: {reason}");
    }
    for (name, rare, lists) in [("all fail", 125.0, 125.0), ("none fails", 100.0, 100.0)] {
        let judged = with_rare(rare, lists);
        assert!(!judged.triggers[0].sentence.contains("rare"), "{name}: {}", judged.triggers[0].sentence);
    }
}
