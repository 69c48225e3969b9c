//! What comes of the load that the plan brings, and what does not.

use serde_json::json;
use squall::http::reply;
use squall::units::Micros;
use squall::verdict::{Judgement, judge};

use crate::common::{drawn, experiment, flags};
use crate::scripted::{Seen, drive};

const JUDGE: &str = "judge: { warmup: 1s, baseline: 29s, windows: 10, stretch: 10s, stretch_windows: 3 }\n";

/// Some shapes for so many seconds, with a storm from `at` on for 5 s that does nothing by itself. Each answer takes so many
/// milliseconds, or fails at once.
fn ran(shapes: &str, times: (u32, u32), answers: impl Fn(&Seen, f64) -> Option<f64> + 'static) -> Judgement {
    ran_by(JUDGE, 7, (shapes, times), answers)
}

fn ran_by(
    plan: &str,
    seed: u64,
    (shapes, (at, end)): (&str, (u32, u32)),
    answers: impl Fn(&Seen, f64) -> Option<f64> + 'static,
) -> Judgement {
    let text = format!(
        "target: sandbox\nduration: {end}s\nshapes:\n{shapes}  storm:\n    trigger: true\n    start: {at}s\n    for: 5s\n    \
         timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    flow: [{{ get: /more, as: more }}]\n\
         objectives: [\"recovery(storm) < 20s\"]\n"
    );
    let draw = drawn(seed);
    let answer = move |seen: &Seen| {
        let took = answers(seen, draw());
        let status = if took.is_some() { 200 } else { 503 };
        Some((Micros((took.unwrap_or(1.0) * 1_000.0) as i64), reply(status, &json!({}))))
    };
    judge(&drive(experiment(&text, Some(plan), &flags()), 1, answer).timeline)
}

fn shape(name: &str, rest: &str) -> String {
    format!(
        "  {name}:\n    timeout: 2s\n    probes: false\n    {rest}\n    flow: [{{ get: /{name}, as: get_{name} }}]\n"
    )
}

fn at(seen: &Seen) -> f64 {
    seen.at.as_secs_f64()
}

/// Whoever comes later takes what there is from those who were there: nothing is wrong with the service.
#[test]
fn a_second_group_of_users_that_begins_after_a_trigger_is_more_load() {
    let web = shape("web", "arrival: { constant: { rate: 20/s } }");
    let late = shape("late", "start: 45s\n    arrival: { closed: { users: 10 } }");
    let slower = |seen: &Seen, _: f64| Some(if at(seen) >= 45.0 { 60.0 } else { 20.0 });
    for (shapes, word) in [(format!("{web}{late}"), "INVALID"), (web.clone(), "FAIL")] {
        let judged = ran(&shapes, (35, 105), slower);
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), word, "{shapes}: {}", objective.reason);
    }
}

/// Who gets a failure at once comes back sooner. The users are as many as they were.
#[test]
fn users_who_ask_more_often_as_they_fail_are_no_more_load() {
    let users = shape("users", "arrival: { closed: { users: 5 } }");
    for from in [40.0, 75.0] {
        let fails = move |seen: &Seen, drawn: f64| (at(seen) < from || drawn > 0.4).then_some(50.0);
        let objective = &ran(&users, (35, 150), fails).objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "from {from} s on: {}", objective.reason);
    }
}

/// Bursts that come as they did before are what is usual, wherever the trigger lies between two of them.
#[test]
fn bursts_that_come_as_before_are_no_more_load() {
    let web = shape("web", "arrival: { poisson: { rate: 8/s } }");
    let jobs = shape("jobs", "arrival: { bursts: { size: 200, every: 20s, over: 2s } }");
    for begins in [35, 40, 45, 50] {
        let fails =
            move |seen: &Seen, drawn: f64| (at(seen) < f64::from(begins + 5) || drawn > 0.3).then_some(15.0);
        let objective = &ran(&format!("{web}{jobs}"), (begins, begins + 65), fails).objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "from {begins} s on: {}", objective.reason);
    }
}

/// Even arrivals vary by nothing: a third more of them overload a service.
#[test]
fn a_plan_that_brings_a_third_more_is_told_from_one_that_does_not() {
    let steps = |rate: u32| {
        let steps =
            format!("{{ to: 20/s, over: 40s }}, {{ to: {rate}/s, over: 1s }}, {{ to: {rate}/s, over: 64s }}");
        shape("web", &format!("arrival: {{ stages: {{ from: 20/s, steps: [{steps}] }} }}"))
    };
    let slower = |seen: &Seen, _: f64| Some(if at(seen) >= 41.0 { 90.0 } else { 20.0 });
    for (rate, word) in [(23, "INVALID"), (26, "INVALID"), (20, "FAIL")] {
        let objective = &ran(&steps(rate), (35, 105), slower).objectives[0];
        assert_eq!(objective.word.text(), word, "{rate}/s: {}", objective.reason);
    }
    // Dead from the storm on, it is not for being busy; and who drowns some time later may be.
    let dead = |since: f64| move |seen: &Seen, _: f64| (at(seen) < since).then_some(20.0);
    for (since, word) in [(40.0, "FAIL"), (52.0, "INVALID")] {
        let objective = &ran(&steps(26), (35, 105), dead(since)).objectives[0];
        assert_eq!(objective.word.text(), word, "dead since {since} s: {}", objective.reason);
    }
}

/// Out without a break for longer than the limit before the plan brings more: that is told, whatever comes then.
#[test]
fn what_is_late_before_more_load_comes_is_late() {
    let steps = "{ to: 20/s, over: 64s }, { to: 60/s, over: 1s }, { to: 60/s, over: 40s }";
    let web = shape("web", &format!("arrival: {{ stages: {{ from: 20/s, steps: [{steps}] }} }}"));
    let slow = |seen: &Seen, _: f64| Some(if at(seen) >= 40.0 { 200.0 } else { 20.0 });
    let objective = &ran(&web, (35, 105), slow).objectives[0];
    assert_eq!(objective.word.text(), "FAIL", "{}", objective.reason);
}

/// A job of six seconds each forty, of which the baseline saw none.
#[test]
fn a_job_that_comes_more_seldom_than_the_baseline_is_long_is_not_gone_again() {
    let web = shape("web", "arrival: { poisson: { rate: 20/s } }");
    let job = |seen: &Seen, drawn: f64| {
        let is = at(seen) > 40.0 && (at(seen) - 47.0).rem_euclid(40.0) < 6.0;
        Some(if is { 2.0 } else { 1.0 } * (15.0 + 10.0 * drawn))
    };
    let objective = &ran(&web, (35, 135), job).objectives[0];
    assert_eq!(objective.word.text(), "PASS", "{}", objective.reason);
}

/// Jobs of the plan make all others wait, before the storm as after it: what the baseline saw once will come again.
#[test]
fn what_the_plans_own_bursts_bring_is_usual() {
    let web = shape("web", "arrival: { poisson: { rate: 20/s } }");
    let jobs = shape("jobs", "start: 15s\n    arrival: { bursts: { size: 100, every: 30s, over: 1s } }");
    let waits = |seen: &Seen, drawn: f64| {
        let busy = at(seen) > 15.0 && (at(seen) - 15.0).rem_euclid(30.0) < 7.0;
        Some(if busy { 400.0 } else { 15.0 + 10.0 * drawn })
    };
    let plan = JUDGE.replace("stretch: 10s", "stretch: 25s");
    let judged = ran_by(&plan, 7, (&format!("{web}{jobs}"), (35, 125)), waits);
    let objective = &judged.objectives[0];
    assert_ne!(objective.word.text(), "FAIL", "{}", objective.reason);
}

/// Eight operations, of each of which three in ten are a hit: in a window of a night there are one or two of each, and these stray
/// further by chance than twenty of a day.
#[test]
fn fewer_operations_that_vary_are_no_slower() {
    let steps = "{ to: 60/s, over: 40s }, { to: 8/s, over: 1s }, { to: 8/s, over: 89s }";
    let op = |i: u32| format!("          - {{ weight: 1, steps: [{{ get: /{i}, as: op_{i} }}] }}\n");
    let flow: String = (1..=8).map(op).collect();
    let web = format!(
        "  web:\n    timeout: 2s\n    probes: false\n    arrival: {{ stages: {{ from: 60/s, steps: [{steps}] }} }}\n    \
         flow:\n      - choice:\n{flow}"
    );
    let answers = move |seen: &Seen, drawn: f64| {
        let slow = seen.path[1..].parse::<f64>().unwrap_or(1.0) * 10.0 * (3.0 * (drawn - 0.65)).exp();
        Some(if drawn < 0.3 { 2.0 } else { slow })
    };
    for seed in 1..=6 {
        let judged = ran_by(JUDGE, seed, (&web, (35, 130)), answers);
        let objective = &judged.objectives[0];
        assert_ne!(objective.word.text(), "FAIL", "{seed}: {}", objective.reason);
    }
}

/// What is served from a fresh cache makes up for no search that takes five times as long.
#[test]
fn an_operation_that_is_faster_makes_up_for_none_that_is_slower() {
    let web = "  web:\n    timeout: 2s\n    probes: false\n    arrival: { constant: { rate: 40/s } }\n    flow:\n      \
               - choice:\n          - { weight: 9, steps: [{ get: /get, as: get }] }\n          \
               - { weight: 1, steps: [{ get: /search, as: search }] }\n";
    let answers = |seen: &Seen, drawn: f64| {
        let times = match (at(seen) >= 40.0, seen.path.as_str()) {
            (true, "/get") => 0.3,
            (true, "/search") => 4.0,
            _ => 1.0,
        };
        Some(times * (20.0 + 20.0 * drawn))
    };
    let objective = &ran(web, (35, 105), answers).objectives[0];
    assert_eq!(objective.word.text(), "FAIL", "{}", objective.reason);
}

/// A plan whose arrivals rise evenly varies, and is no draw: the service is not to blame for what moved.
#[test]
fn a_slow_rise_in_the_baseline_is_the_plans() {
    let steps = "{ to: 6/s, over: 35s }, { to: 6/s, over: 70s }";
    let web = shape("web", &format!("arrival: {{ stages: {{ from: 2/s, steps: [{steps}] }} }}"));
    let objective = &ran(&web, (35, 105), |_, _| Some(20.0)).objectives[0];
    assert!(objective.reason.contains("its planned rate varies by more than 10 %"), "{}", objective.reason);
}

/// Sessions of many requests, once a second: the plan doubles what is asked, though hardly more flows begin.
#[test]
fn a_session_is_as_much_load_as_it_asks() {
    let web = shape("web", "arrival: { constant: { rate: 60/s } }");
    let step = "{ get: /page, as: page }";
    let sessions = format!(
        "  sessions:\n    start: 45s\n    timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
         flow: [{{ repeat: {{ times: 30, steps: [{step}, {{ think: 100ms }}] }} }}]\n"
    );
    let slower = |seen: &Seen, _: f64| Some(if at(seen) >= 45.0 { 60.0 } else { 20.0 });
    for (shapes, word) in [(format!("{web}{sessions}"), "INVALID"), (web.clone(), "FAIL")] {
        let objective = &ran(&shapes, (35, 105), slower).objectives[0];
        assert_eq!(objective.word.text(), word, "{shapes}: {}", objective.reason);
    }
}

/// As many users take over from those who end: what is broken is so for no load.
#[test]
fn users_who_take_over_from_others_are_no_more_load() {
    let web = shape("web", "arrival: { constant: { rate: 20/s } }");
    let one = shape("one", "for: 75s\n    arrival: { closed: { users: 5 } }");
    let two = shape("two", "start: 75s\n    arrival: { closed: { users: 5 } }");
    let slow = |seen: &Seen, _: f64| Some(if at(seen) >= 75.0 && seen.path == "/web" { 200.0 } else { 50.0 });
    let objective = &ran(&format!("{web}{one}{two}"), (35, 135), slow).objectives[0];
    assert_eq!(objective.word.text(), "FAIL", "{}", objective.reason);
}

/// Down for five of each sixteen seconds, for ever: that it is well for as long as a baseline of ten between them acquits nobody.
#[test]
fn a_service_that_fails_again_and_again_is_not_back_however_long_it_is_well_between() {
    let web = shape("web", "arrival: { poisson: { rate: 20/s } }");
    let plan = "judge: { warmup: 1s, baseline: 10s, windows: 5, stretch: 5s, stretch_windows: 3 }\n";
    let up = |at: f64| at < 20.0 || (at - 20.0).rem_euclid(16.0) < 11.0;
    let fails = move |seen: &Seen, _: f64| up(at(seen)).then_some(20.0);
    let hangs = move |seen: &Seen, _: f64| Some(if up(at(seen)) { 20.0 } else { 200.0 });
    let judged = [ran_by(plan, 7, (&web, (15, 110)), fails), ran_by(plan, 7, (&web, (15, 110)), hangs)];
    for judged in judged {
        assert_eq!(judged.objectives[0].word.text(), "FAIL", "{}", judged.objectives[0].reason);
    }
}

/// The same tenth of the load, and one of five operations is ten times as slow for good.
#[test]
fn fewer_operations_hide_none_that_is_slow() {
    let steps = "{ to: 60/s, over: 40s }, { to: 6/s, over: 1s }, { to: 6/s, over: 89s }";
    let op = |i: u32| format!("          - {{ weight: 1, steps: [{{ get: /{i}, as: op_{i} }}] }}\n");
    let flow: String = (1..=5).map(op).collect();
    let web = format!(
        "  web:\n    timeout: 2s\n    probes: false\n    arrival: {{ stages: {{ from: 60/s, steps: [{steps}] }} }}\n    \
         flow:\n      - choice:\n{flow}"
    );
    let answers = |seen: &Seen, drawn: f64| {
        let slow = at(seen) >= 40.0 && seen.path == "/3";
        Some(if slow { 10.0 } else { 1.0 } * (40.0 + 40.0 * drawn))
    };
    let objective = &ran(&web, (35, 130), answers).objectives[0];
    assert_eq!(objective.word.text(), "FAIL", "{}", objective.reason);
}

/// Both were back as soon as it ended: the one that was out speaks for all, and not the one that is named first.
#[test]
fn of_two_that_were_back_at_once_the_one_that_was_out_is_told() {
    let shapes = ["alive", "web"].map(|name| shape(name, "arrival: { constant: { rate: 20/s } }")).concat();
    let dead = |seen: &Seen, _: f64| {
        let within = (35.0..40.0).contains(&at(seen));
        (seen.path != "/web" || !within).then_some(20.0)
    };
    let objective = &ran(&shapes, (35, 105), dead).objectives[0];
    assert!(objective.reason.starts_with("web: The service was out"), "{}", objective.reason);
}
