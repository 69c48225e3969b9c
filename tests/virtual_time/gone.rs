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
    let seldom = |seen: &Seen, drawn: f64| seen.path != "/look" && drawn < 0.15;
    let more = "  later:\n    start: 45s\n    timeout: 2s\n    probes: false\n    arrival: { constant: { rate: 30/s } }\n    \
                flow: [{ get: /other, as: other }]\n";
    let export = |seen: &Seen, _: f64| seen.path == "/export";
    let rows = [
        ("a while", ran(99, "", while_), "PASS", "of good operations it lost"),
        ("longer", ran(99, "", longer), "FAIL", "but all "),
        ("seldom", ran(99, "", seldom), "PASS", "of good operations it lost"),
        ("more load", ran(99, more, export), "INVALID", "the plan brings more load after it"),
    ];
    for (what, judged, word, told) in &rows {
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), *word, "{what}: {}", objective.reason);
        assert!(objective.reason.contains(told), "{what}: {}", objective.reason);
    }
}
