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
    let text = "target: sandbox\nduration: 105s\nshapes:\n  web:\n    timeout: 10s\n    probes: false\n    \
                arrival: { constant: { rate: 40/s } }\n    flow: [{ get: /list, as: list }]\n  storm:\n    trigger: true\n    \
                start: 45s\n    for: 5s\n    timeout: 2s\n    probes: false\n    arrival: { constant: { rate: 1/s } }\n    \
                flow: [{ get: /more, as: more }]\nobjectives: [\"recovery(storm) < 20s\"]\n";
    let plan = "judge: { warmup: 3s, baseline: 25s, windows: 10, stretch: 10s, stretch_windows: 5 }\n";
    let draw = drawn(seed);
    let answer = move |seen: &Seen| {
        let took = 8_000.0 + 24_000.0 * draw();
        Some((Micros((took * times(seen.at.as_secs_f64())) as i64), reply(200, &json!([]))))
    };
    judge(&drive(experiment(text, Some(plan), &flags()), 1, answer).timeline)
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
    let jumps_only = ran(7, move |at| if after(at) { 2.0 } else { 1.0 });
    for (what, judged) in [("jumps", jumps), ("begins", begins), ("jumps only", jumps_only)] {
        let objective = &judged.objectives[0];
        assert_eq!(objective.word.text(), "FAIL", "{what}: {}", objective.reason);
    }
}
