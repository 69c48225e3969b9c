//! What long runs cost: live rules late in a day, the judge over many hours.

use std::time::Duration;

use super::*;
use crate::objective::Objective;

const DAY: i64 = 86_400;

/// The processor time that something takes: other work on the machine is none of it.
fn cost<T>(of: impl FnOnce() -> T) -> (T, Duration) {
    let now = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let began = now();
    let got = of();
    (got, now() - began)
}

fn two_a_second(from: i64, to: i64) -> Vec<Sample> {
    evenly(2, from, to, fine)
}

/// The fold of a run that goes on, as the recorder keeps it, at this second of a day, with a fault each 85 s until then.
fn fold(at: i64) -> Timeline {
    let faults = (1..at / 85).map(|n| (format!("x#{n}"), (85 * n) as f64));
    let mut plan = faults.fold(rooms(DAY), |plan, (name, at)| plan.fault(&name, at, Some(10.0)));
    plan.outline.shapes[0].planned = vec![2; DAY as usize];
    let read = |second: i64| {
        let name = "queue".to_owned();
        Record::Scrape(crate::record::Scrape { at: Micros::secs(second), name, value: 1.0 })
    };
    plan.events.extend((at - 400..at).map(read));
    let mut timeline = plan.timeline(&two_a_second(at - 400, at));
    timeline.end = None;
    timeline.keep(100);
    timeline
}

#[test]
fn live_rules_cost_the_same_in_the_last_hour_of_a_day_as_in_the_first() {
    let errors = expect(Metric::Errors, Comparison::Above, 0.5, RUN);
    let queue = Objective { comparison: Comparison::Above, ..queue_below(100.0, Aggregate::Last) };
    let rules = [errors, queue].map(|rule| Objective { window: Some(s(10.0)), ..rule });
    let looks = |at: i64| {
        let timeline = fold(at);
        let mut rules = rules.clone().map(|rule| AbortRule::new(&rule));
        let mut look = || rules.iter_mut().filter_map(|rule| rule.fired(&timeline, s(at as f64))).count();
        let first = look();
        cost(|| first + (0..50).map(|_| look()).sum::<usize>())
    };
    let (early, late) = (looks(600), looks(DAY - 600));
    println!("50 looks: {:?} after ten minutes, {:?} after a day", early.1, late.1);
    assert_eq!((early.0, late.0), (0, 0));
    assert!(late.1 < early.1 * 5 + Duration::from_millis(50), "{early:?} {late:?}");
}

/// Hours with a fault in each, and objectives in windows.
fn hours(hours: i64) -> Duration {
    let mut plan = rooms(hours * 3_600);
    for hour in 0..hours {
        plan = plan.fault(&format!("x#{hour}"), (hour * 3_600 + 1_800) as f64, Some(60.0));
    }
    let steady = Objective { window: Some(s(600.0)), ..expect(Metric::Errors, Comparison::Below, 0.01, RUN) };
    let plan = plan.objective(steady).objective(p(0.99, s(1.0), RUN)).objective(recovery_within(60.0));
    let timeline = plan.timeline(&two_a_second(0, hours * 3_600));
    let (judged, cost) = cost(|| judge(&timeline));
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
    cost
}

#[test]
fn the_judge_takes_as_much_longer_as_a_run_is_longer_and_hardly_more() {
    let (one, four) = (hours(1), hours(4));
    println!("the judge: {one:?} for an hour, {four:?} for four");
    assert!(four < one * 12 + Duration::from_millis(200), "{one:?} {four:?}");
    assert!(four < Duration::from_secs(10), "{four:?}");
}

#[test]
fn an_objective_on_end_that_breaks_for_hours_costs_no_more_than_one_that_holds() {
    let judged = |kind: Kind| {
        let on_end =
            Objective { window: Some(s(1_200.0)), ..expect(Metric::Errors, Comparison::Below, 0.01, RUN) };
        let samples: Vec<Sample> = two_a_second(0, 4 * 3_600)
            .into_iter()
            .map(|sample| Sample { outcome: crate::sample::Outcome::new(kind, 0), ..sample })
            .collect();
        let timeline = rooms(4 * 3_600).objective(on_end).timeline(&samples);
        cost(|| judge(&timeline))
    };
    let ((holds, little), (breaks, much)) = (judged(Kind::Ok), judged(Kind::Timeout));
    println!("on end for four hours: {little:?} where it holds, {much:?} where it breaks");
    assert_eq!((holds.verdict, breaks.verdict), (Word::Pass, Word::Fail));
    assert!(much < little * 4 + Duration::from_millis(200), "{little:?} {much:?}");
}

/// Hundreds of faults in ten hours, of each of which much is told.
#[test]
fn objectives_about_hundreds_of_faults_cost_hardly_more_than_to_look_at_what_followed_them() {
    let judged = |objectives: usize| {
        let mut plan = rooms(36_000);
        for (name, at) in (0..300).map(|n| (format!("x#{n}"), f64::from(110 * n + 300))) {
            plan = plan.fault(&name, at, Some(5.0));
            (0..20).for_each(|_| plan.event(&name, at + 1.0, FaultStage::Effective));
        }
        plan = (0..objectives).fold(plan, |plan, _| plan.objective(recovery_within(60.0)));
        let timeline = plan.timeline(&two_a_second(0, 36_000));
        cost(|| judge(&timeline))
    };
    let ((_, none), (judged, four)) = (judged(0), judged(4));
    println!("three hundred faults: {none:?}, and with four objectives about them {four:?}");
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
    assert!(four < none * 3 + Duration::from_millis(300), "{none:?} {four:?}");
}
