//! Operations that are asked too seldom to be seen in a band, and fail for good.

use serde_json::json;
use squall::http::reply;
use squall::units::Micros;
use squall::verdict::{Judgement, judge};

use crate::common::{drawn, experiment, flags};
use crate::scripted::{Seen, drive};

const JUDGE: &str = "judge: { warmup: 1s, baseline: 29s, windows: 10, stretch: 10s, stretch_windows: 3 }\n";

/// One export in `of` of a choice at 40/s, and a report each three seconds; from the storm at 31 s on each fails of which
/// `fails` says so. `more` of the choice are asked from 45 s on.
fn ran(of: u32, more: &str, fails: impl Fn(&Seen, f64) -> bool + 'static) -> Judgement {
    let text = format!(
        "target: sandbox\nduration: 100s\nshapes:\n  shop:\n    timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 40/s }} }}\n    \
         flow:\n      - choice:\n          - {{ weight: {of}, steps: [{{ get: /look, as: look }}] }}\n          \
         - {{ weight: 1, steps: [{{ get: /export, as: export }}] }}\n{more}  seldom:\n    timeout: 2s\n    probes: false\n    \
         arrival: {{ constant: {{ rate: 0.34/s }} }}\n    flow: [{{ get: /report, as: report }}]\n  storm:\n    trigger: true\n    \
         start: 31s\n    for: 10s\n    timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
         flow: [{{ get: /more, as: more }}]\nobjectives: [\"recovery(storm) < 15s\"]\n"
    );
    let draw = drawn(7);
    let answer = move |seen: &Seen| {
        let bad = seen.at >= Micros::secs(31) && fails(seen, draw());
        Some((Micros::millis(5), reply(if bad { 503 } else { 200 }, &json!({}))))
    };
    judge(&drive(experiment(&text, Some(JUDGE), &flags()), 1, answer).timeline)
}

/// One in a hundred is within two points of goodput, and a shape of ten operations has no band: both failed wholly, for good, and
/// were PASS.
#[test]
fn what_is_asked_seldom_and_fails_for_good_never_came_back() {
    for (path, told) in
        [("/export", "export did not come back: of "), ("/report", "seldom: report did not come back: of ")]
    {
        let judged = ran(99, "", move |seen, _| seen.path == path);
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "{path}: {}", objective.reason);
        assert!(objective.reason.contains(told) && objective.measured_text == "never", "{objective:?}");
    }
}

/// For a while that is within the limit, or now and then, is no such thing; and what fails of more load may come of that.
#[test]
fn what_fails_seldom_or_for_a_while_came_back() {
    let while_ = |seen: &Seen, _: f64| seen.path == "/export" && seen.at < Micros::secs(50);
    let longer = |seen: &Seen, _: f64| seen.path == "/export" && seen.at < Micros::secs(70);
    // Some were on their way, or came of a cache.
    let mostly = |seen: &Seen, drawn: f64| {
        seen.path == "/export" && (Micros::secs(42)..Micros::secs(75)).contains(&seen.at) && drawn < 0.9
    };
    let seldom = |seen: &Seen, drawn: f64| seen.path != "/look" && drawn < 0.15;
    let more = "  later:\n    start: 45s\n    timeout: 2s\n    probes: false\n    arrival: { constant: { rate: 30/s } }\n    \
                flow: [{ get: /other, as: other }]\n";
    let export = |seen: &Seen, _: f64| seen.path == "/export";
    let rows = [
        ("a while", ran(99, "", while_), "PASS", "of good operations it lost"),
        ("longer", ran(99, "", longer), "FAIL", " export until 1:"),
        ("longer, and mostly", ran(99, "", mostly), "FAIL", " export until 1:"),
        ("seldom", ran(99, "", seldom), "PASS", "of good operations it lost"),
        ("more load", ran(99, more, export), "INVALID", "the plan brings more load after it"),
    ];
    for (what, judged, word, told) in &rows {
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), *word, "{what}: {}", objective.reason);
        assert!(objective.reason.contains(told), "{what}: {}", objective.reason);
    }
}

/// A job of six each twenty seconds, in a shape of its own, is dead from the storm on. By where the load ended, none of it
/// lay in the last stretch, and that was PASS.
#[test]
fn bursts_that_fail_for_good_never_came_back_wherever_the_load_ends() {
    for end in [95, 100, 105, 110] {
        let text = format!(
            "target: sandbox\nduration: {end}s\nshapes:\n  web:\n    timeout: 2s\n    probes: false\n    \
             arrival: {{ constant: {{ rate: 20/s }} }}\n    flow: [{{ get: /look, as: look }}]\n  cron:\n    timeout: 2s\n    \
             probes: false\n    arrival: {{ bursts: {{ size: 6, every: 20s, over: 1s }} }}\n    flow: [{{ get: /job, as: job }}]\n{STORM}"
        );
        let judged = judged(&text, JUDGE, |seen| seen.path == "/job" && seen.at >= Micros::secs(41), |_| 5.0);
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "{end} s: {}", objective.reason);
        assert!(objective.reason.contains("job did not come back"), "{}", objective.reason);
    }
}

const STORM: &str = "  storm:\n    trigger: true\n    start: 31s\n    for: 10s\n    timeout: 2s\n    probes: false\n    arrival: \
                     { constant: { rate: 1/s } }\n    flow: [{ get: /more, as: more }]\nobjectives: [\"recovery(storm) < 15s\"]\n";

/// Where what fails is told by time, and what an answer takes in milliseconds.
fn judged(
    text: &str,
    plan: &str,
    fails: impl Fn(&Seen) -> bool + 'static,
    takes: impl Fn(&Seen) -> f64 + 'static,
) -> Judgement {
    let answer = move |seen: &Seen| {
        let took = Micros((takes(seen) * 1_000.0) as i64);
        Some((took, reply(if fails(seen) { 503 } else { 200 }, &json!({}))))
    };
    judge(&drive(experiment(text, Some(plan), &flags()), 1, answer).timeline)
}

fn web(arrival: &str, end: u32) -> String {
    format!(
        "target: sandbox\nduration: {end}s\nshapes:\n  web:\n    timeout: 2s\n    probes: false\n    arrival: {{ {arrival} }}\n    \
         flow: [{{ get: /look, as: look }}]\n{STORM}"
    )
}

/// Well for a stretch and longer, and then down for ten of each sixteen seconds: that the load ended while it was up made it
/// PASS. Down for two of each fifteen, for ever, it had not even a note.
#[test]
fn a_service_that_goes_down_again_and_again_is_not_back() {
    let plan = "judge: { warmup: 1s, baseline: 29s, windows: 10, stretch: 10s, stretch_windows: 3 }\n";
    let phase = |seen: &Seen, from: f64, every: f64| {
        let at = seen.at.as_secs_f64();
        if at < from { f64::MAX } else { (at - from).rem_euclid(every) }
    };
    for end in [166, 170, 174, 178] {
        let text = web("constant: { rate: 20/s }", end);
        let looped = judged(&text, plan, move |seen| phase(seen, 71.0, 16.0) < 10.0, |_| 5.0);
        let objective = &looped.objectives[0];
        assert_ne!(objective.word.text(), "PASS", "{end} s: {}", objective.reason);
        let looped = judged(&text, plan, move |seen| phase(seen, 46.0, 15.0) < 2.0, |_| 5.0);
        let objective = &looped.objectives[0];
        assert_ne!(objective.word.text(), "PASS", "{end} s: {}", objective.reason);
    }
    // Twice for long, or slow for half of the time.
    let text = web("constant: { rate: 20/s }", 103);
    let twice = judged(&text, plan, move |seen| phase(seen, 53.0, 28.0) < 14.0, |_| 5.0);
    assert_ne!(twice.objectives[0].word.text(), "PASS", "{}", twice.objectives[0].reason);
    let text = web("constant: { rate: 20/s }", 170);
    let slow =
        judged(&text, plan, |_| false, move |seen| if phase(seen, 53.0, 24.0) < 12.0 { 100.0 } else { 5.0 });
    assert_ne!(slow.objectives[0].word.text(), "PASS", "{}", slow.objectives[0].reason);
    let seldom = judged(&text, plan, move |seen| phase(seen, 46.0, 20.0) < 1.0, |_| 5.0);
    assert_eq!(seldom.objectives[0].word.text(), "PASS", "{}", seldom.objectives[0].reason);
    assert!(seldom.notes.iter().any(|note| note.starts_with("FLAPPING after storm")), "{:?}", seldom.notes);
}

/// A second shape of one user, as the load nearly ends, excuses no relapse of a minute.
#[test]
fn what_relapsed_before_more_load_came_does_not_come_of_that() {
    let late = "  late:\n    start: 135s\n    timeout: 2s\n    probes: false\n    arrival: { closed: { users: 1 } }\n    \
                flow: [{ get: /other, as: other }, { think: 1s }]\n";
    let text = web("constant: { rate: 20/s }", 150).replace("  storm:\n", &format!("{late}  storm:\n"));
    let n = std::cell::Cell::new(0u32);
    let relapsed = judged(
        &text,
        JUDGE,
        move |seen| {
            n.set(n.get() + 1);
            seen.at >= Micros::secs(70) && seen.path == "/look" && n.get() % 5 < 2
        },
        |_| 5.0,
    );
    assert_eq!(relapsed.objectives[0].word.text(), "FAIL", "{}", relapsed.objectives[0].reason);
}

/// One batch that fails together by itself, the first that is asked after the storm, is one thing that happened.
#[test]
fn a_batch_that_fails_once_is_no_late_return() {
    let text = format!(
        "target: sandbox\nduration: 150s\nshapes:\n  web:\n    timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 20/s }} \
         }}\n    flow: [{{ get: /look, as: look }}]\n  batch:\n    timeout: 2s\n    probes: false\n    \
         arrival: {{ bursts: {{ size: 6, every: 30s, over: 1s }} }}\n    flow: [{{ get: /job, as: job }}]\n{STORM}"
    );
    let once = |seen: &Seen| seen.path == "/job" && (Micros::secs(55)..Micros::secs(65)).contains(&seen.at);
    let judged = judged(&text, JUDGE, once, |_| 5.0);
    assert_eq!(judged.objectives[0].word.text(), "PASS", "{}", judged.objectives[0].reason);
}

/// From the storm on the plan brings twice as many, and each takes twice as long for it: that is no fault of the storm's. Who fails
/// wholly does not do so of load.
#[test]
fn what_comes_of_more_load_is_no_fault_of_the_triggers() {
    // What it broke before the load rose does not come of that.
    let later = "stages: { from: 20/s, steps: [{ to: 20/s, over: 80s }, { to: 60/s, over: 1s }, { to: 60/s, over: 39s }] }";
    let stages = "stages: { from: 20/s, steps: [{ to: 20/s, over: 41s }, { to: 40/s, over: 1s }, { to: 40/s, over: 78s }] }";
    for (arrival, dies, word) in [
        (stages, false, "INVALID"),
        (stages, true, "FAIL"),
        (later, false, "FAIL"),
        ("constant: { rate: 20/s }", false, "FAIL"),
    ] {
        let after = |seen: &Seen| seen.at >= Micros::secs(41);
        let judged = judged(
            &web(arrival, 120),
            JUDGE,
            move |seen| dies && after(seen),
            move |seen| if after(seen) { 60.0 } else { 20.0 },
        );
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), word, "{}", objective.reason);
    }
}
