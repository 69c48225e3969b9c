//! Latency that grows with the load itself.

use serde_json::json;
use squall::http::reply;
use squall::units::Micros;
use squall::verdict::{Judgement, judge};

use crate::common::{drawn, experiment, flags};
use crate::scripted::{Seen, drive};

/// A list at 40/s that takes some 20 ms, as often as `times` says so many seconds after the start; a storm that does nothing to
/// it from 45 to 50 s.
fn ran(seed: u64, times: impl Fn(f64) -> f64 + 'static) -> Judgement {
    at(40, seed, "", move |_, at| times(at))
}

/// At so many a second, and with another shape; by the path.
fn at(rate: u32, seed: u64, other: &str, times: impl Fn(&str, f64) -> f64 + 'static) -> Judgement {
    let text = format!(
        "target: sandbox\nduration: 105s\nshapes:\n  web:\n    timeout: 10s\n    probes: false\n    \
                arrival: {{ constant: {{ rate: {rate}/s }} }}\n    flow: [{{ get: /list, as: list }}]\n{other}  storm:\n    trigger: true\n    \
                start: 45s\n    for: 5s\n    timeout: 2s\n    probes: false\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    \
                flow: [{{ get: /more, as: more }}]\nobjectives: [\"recovery(storm) < 20s\"]\n"
    );
    let plan = "judge: { warmup: 3s, baseline: 25s, windows: 10, stretch: 10s, stretch_windows: 5 }\n";
    let draw = drawn(seed);
    let answer = move |seen: &Seen| {
        let took = 8_000.0 + 24_000.0 * draw();
        Some((Micros((took * times(&seen.path, seen.at.as_secs_f64())) as i64), reply(200, &json!([]))))
    };
    judge(&drive(experiment(&text, Some(plan), &flags()), 1, answer).timeline)
}

/// Rooms are made and never deleted: who lists them waits longer with each, and no fault is to blame for it.
#[test]
fn what_grows_after_a_trigger_as_it_did_before_is_not_its_harm() {
    let mut told = 0;
    for (seed, growth) in (1..=6).flat_map(|seed| [0.006, 0.008].map(|growth| (seed, growth))) {
        let objective = &ran(seed, move |at| 1.0 + growth * at).objectives[0];
        assert_ne!(objective.word.text(), "FAIL", "{seed}, {growth}: {}", objective.reason);
        let grows = objective.reason.contains("latency of web grows by 0.");
        assert!(
            !grows || objective.reason.contains("let the load delete what it makes"),
            "{}",
            objective.reason
        );
        told += u32::from(grows);
    }
    assert!(told >= 4, "{told}");
}

/// What it takes on top of that, and what began to grow with it, is.
#[test]
fn growth_excuses_no_more_than_it_brings() {
    let after = |at: f64| at >= 50.0;
    let jumps = ran(7, move |at| (1.0 + 0.006 * at) * if after(at) { 2.0 } else { 1.0 });
    let begins = ran(7, move |at| if after(at) { 1.0 + 0.02 * (at - 50.0) } else { 1.0 });
    let later = ran(7, move |at| if at >= 68.0 { 1.6 } else { 1.0 });
    let jumps_only = ran(7, move |at| if after(at) { 2.0 } else { 1.0 });
    for (what, judged) in [("jumps", jumps), ("begins", begins), ("later", later), ("jumps only", jumps_only)]
    {
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "{what}: {}", objective.reason);
    }
}

/// Where a quantile stands beside the average it grows, too.
#[test]
fn every_measure_grows() {
    for (seed, growth) in (1..=3).flat_map(|seed| [0.004, 0.006].map(|growth| (seed, growth))) {
        let objective = &at(120, seed, "", move |_, at| 1.0 + growth * at).objectives[0];
        assert_ne!(objective.word.text(), "FAIL", "{seed}, {growth}: {}", objective.reason);
    }
}

/// Who makes the rooms waits behind those who list them, some time after the storm.
#[test]
fn what_another_shape_slows_down_by_itself_is_not_the_triggers_harm() {
    let makers = "  makers:\n    timeout: 10s\n    probes: false\n    arrival: { constant: { rate: 8/s } }\n    \
                  flow: [{ get: /make, as: make }]\n";
    let waits = |at: f64| if at >= 65.0 { 1.0 + (at - 65.0) * 0.1 } else { 1.0 };
    // Much longer than lists take.
    let hangs = |at: f64| if at >= 65.0 { 30.0 } else { 1.0 };
    type Makes = fn(f64) -> f64;
    let rows: [(f64, Makes, &str); 3] =
        [(0.02, waits, "INVALID"), (0.0, waits, "FAIL"), (0.02, hangs, "FAIL")];
    for (growth, makes, word) in rows {
        let times = move |path: &str, at: f64| if path == "/make" { makes(at) } else { 1.0 + growth * at };
        let judged = at(40, 7, makers, times);
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), word, "{growth}: {}", objective.reason);
    }
}
