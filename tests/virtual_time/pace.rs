//! Latency of shapes that have fast and slow operations.

use serde_json::json;
use squall::experiment::Flags;
use squall::http::reply;
use squall::units::Micros;
use squall::verdict::{Judgement, judge};

use crate::common::{experiment, flags};
use crate::scripted::{Seen, drive};

const MS: Micros = Micros::MILLISECOND;

/// A shape of steps, some of which take longer from 30 to 50 s; what comes of `outage(storm) < 5s`, the storm of those times
/// being harmless.
fn ran(seed: u64, flow: &str, takes: impl Fn(&str, bool) -> Micros + 'static) -> Judgement {
    let text = format!(
        "target: sandbox\nduration: 75s\nshapes:\n  s:\n    timeout: 2s\n    probes: false\n    arrival: {{ poisson: {{ rate: 8/s }} }}\n    \
         flow:\n{flow}  storm:\n    trigger: true\n    start: 30s\n    for: 20s\n    timeout: 2s\n    probes: false\n    \
         arrival: {{ constant: {{ rate: 1/s }} }}\n    flow: [{{ get: /more, as: more }}]\nobjectives: [\"outage(storm) < 5s\"]\n"
    );
    let judge_by = "judge: { warmup: 1s, baseline: 20s, windows: 10, stretch: 5s, stretch_windows: 3 }\n";
    let flags = Flags { seed, ..flags() };
    let answer = move |seen: &Seen| {
        let within = (Micros::secs(30)..Micros::secs(50)).contains(&seen.at);
        Some((takes(&seen.path, within), reply(200, &json!({}))))
    };
    judge(&drive(experiment(&text, Some(judge_by), &flags), 1, answer).timeline)
}

const EITHER: &str = "      - choice:\n          - { weight: 50, steps: [{ get: /fast, as: fast }] }\n          \
                      - { weight: 50, steps: [{ get: /slow, as: slow }] }\n";
const THREE: &str =
    "      - { get: /one, as: one }\n      - { get: /two, as: two }\n      - { get: /three, as: three }\n";

/// The median of all together lay at either, as chance had it: a limit of 824 s beside a median of 7 ms, and a fast
/// operation that became sixty times slower for 20 s passed with two seeds of three; a millisecond for one second failed.
#[test]
fn a_fast_operation_that_becomes_slow_is_seen_beside_a_slow_one_and_a_millisecond_is_not() {
    let usual = |path: &str| if path == "/slow" { MS * 52 } else { MS };
    for seed in 1..=6 {
        let slower = ran(seed, EITHER, move |path, within| {
            usual(path) + if within && path == "/fast" { MS * 60 } else { Micros::ZERO }
        });
        let judged = &slower.objectives[0];
        assert_eq!(judged.word.text(), "FAIL", "seed {seed}: {}", judged.reason);
        assert!(judged.reason.contains("the medians of its operations averaged"), "{}", judged.reason);
        let band = &slower.baseline[0];
        let latency = band.latency.unwrap();
        assert!(latency.limit < 2.0 * latency.median && band.each.len() == 2, "{band:?}");
        let harmless =
            ran(seed, EITHER, move |path, within| usual(path) + if within { MS } else { Micros::ZERO });
        assert_eq!(
            harmless.objectives[0].word.text(),
            "PASS",
            "seed {seed}: {}",
            harmless.objectives[0].reason
        );
    }
}

/// Two of three did not change, and so did not their median.
#[test]
fn one_step_of_three_that_becomes_slow_is_seen() {
    let slower = ran(7, THREE, |path, within| if within && path == "/two" { MS * 51 } else { MS });
    assert_eq!(slower.objectives[0].word.text(), "FAIL", "{}", slower.objectives[0].reason);
    let as_before = ran(7, THREE, |_, _| MS);
    assert_eq!(as_before.objectives[0].word.text(), "PASS", "{}", as_before.objectives[0].reason);
}
