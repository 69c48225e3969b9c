//! What a seventh look found: a baseline that by the rules of a return would not be well itself.

use super::*;

/// What a service does to whoever asks at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Well,
    /// It answers nobody for a second of each seven.
    Pauses,
    /// It fails everybody for half a second of each seven.
    Drops,
    Fails,
    /// Twenty times slower all through.
    Drags,
}

impl Does {
    fn answer(self, at: f64) -> (Micros, Kind) {
        let paused = at % 7.0 < 1.0;
        match self {
            Does::Pauses if paused => (s(1.0 - at % 7.0) + Micros::millis(20), Kind::Ok),
            Does::Drops if at % 7.0 < 0.5 => (Micros::millis(2), Kind::Status),
            Does::Fails => (Micros::millis(2), Kind::Status),
            Does::Drags => (Micros::millis(400), Kind::Ok),
            _ => (Micros::millis(20), Kind::Ok),
        }
    }
}

/// Four minutes, with a fault of three seconds in which all fails.
fn judged(before: Does, after: Does, seed: u64) -> Judgement {
    let mut plan = rooms(240).fault("x", 83.0, Some(3.0)).objective(recovery_within(30.0));
    plan.outline.judge = JudgeSettings::default();
    let each = |at: f64| {
        let does = if at < 83.0 {
            before
        } else if at < 86.0 {
            Does::Fails
        } else {
            after
        };
        let (took, kind) = does.answer(at);
        sample(0, s(at), took, kind)
    };
    verdict(plan, &poisson(50.0, 240, seed).into_iter().map(each).collect::<Vec<_>>())
}

#[test]
fn a_service_that_pauses_again_and_again_does_not_fail_for_pausing() {
    let rows = [
        (Does::Pauses, Does::Pauses, [Word::Invalid, Word::Pass]),
        (Does::Drops, Does::Drops, [Word::Invalid, Word::Pass]),
        (Does::Pauses, Does::Well, [Word::Pass; 2]),
        (Does::Pauses, Does::Drags, [Word::Fail; 2]),
        (Does::Pauses, Does::Fails, [Word::Fail; 2]),
        (Does::Drops, Does::Fails, [Word::Fail; 2]),
        (Does::Well, Does::Pauses, [Word::Fail; 2]),
        (Does::Well, Does::Drops, [Word::Fail; 2]),
    ];
    for (before, after, expected) in rows {
        for seed in 0..8 {
            let judged = judged(before, after, seed);
            let said = &judged.summary;
            assert!(expected.contains(&judged.verdict), "{before:?} then {after:?}, {seed}: {said:?}");
            let is_restless = said.verdict.contains("again and again");
            let helps = "fewer and wider windows (`judge: { windows: 5 }`) often make a calm one";
            assert!(!is_restless || said.verdict.contains(helps), "{before:?}, {seed}: {said:?}");
            assert!(judged.verdict != Word::Invalid || is_restless, "{before:?}, {seed}: {said:?}");
        }
    }
}
