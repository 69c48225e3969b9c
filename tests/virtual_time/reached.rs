//! When users come, what they reach, and in which cell it counts.

use std::collections::BTreeMap;

use serde_json::json;
use squall::http::{Reply, reply};
use squall::sample::Kind;
use squall::units::Micros;
use squall::verdict::judge;

use crate::common::{experiment, flags, op, outcomes, run};
use crate::scripted::{Driven, Seen, drive};

const MS: Micros = Micros::MILLISECOND;

/// A run of the shape `s`, whose answers come after a time of their own.
fn answered(
    duration: &str,
    shape: &str,
    answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static,
) -> Driven {
    let text = format!("target: sandbox\nduration: {duration}\nshapes:\n  s:\n    probes: false\n{shape}");
    drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, answer)
}

/// Those to `/fails` fail.
fn all_but_some(seen: &Seen) -> Option<(Micros, Reply)> {
    Some((MS, reply(if seen.path == "/fails" { 500 } else { 200 }, &json!({}))))
}

#[test]
fn users_of_a_closed_loop_that_starts_later_ask_from_its_start_to_its_end() {
    let shape = "    start: 40s\n    for: 20s\n    arrival: { closed: { users: 4 } }\n    flow: [{ get: /a, as: a }, { think: 999ms }]\n";
    let driven = answered("90s", shape, all_but_some);
    assert_eq!(driven.seen.len(), 80, "four users, once a second");
    let (first, last) = (driven.seen[0].at, driven.seen[79].at);
    assert!(
        first >= Micros::secs(40) && last < Micros::secs(60) && last >= Micros::secs(59),
        "{first} to {last}"
    );
}

/// Of ten that failed before it, seven would have gone one way and three the other.
#[test]
fn a_choice_that_was_never_reached_counts_once_on_the_way_that_was_drawn() {
    let shape = "    arrival: { constant: { rate: 100/s } }\n    flow:\n      - { get: /fails, as: before }\n      - choice:\n          \
                 - { weight: 70, steps: [{ get: /x, as: x }] }\n          - { weight: 30, steps: [{ get: /y, as: y }] }\n";
    let driven = answered("10s", shape, all_but_some);
    let never = |name: &str| {
        let all = outcomes(&driven.timeline, name);
        assert!(all.keys().all(|(kind, _)| *kind == Kind::Unreached), "{all:?}");
        all.values().sum::<u64>()
    };
    let (x, y) = (never("x"), never("y"));
    assert_eq!(x + y, 1_000);
    assert!((650..750).contains(&x), "{x} of 1,000 with a weight of 70 %");
}

#[test]
fn what_was_never_reached_counts_where_its_flow_ended() {
    let shape = "    arrival: { constant: { rate: 1/s } }\n    flow:\n      - { get: /a, as: a }\n      - think: 5s\n      \
                 - { get: /fails, as: fails }\n      - { get: /b, as: b }\n";
    let timeline = answered("20s", shape, all_but_some).timeline;
    let due = |name: &str| -> Vec<u64> {
        (0..20).map(|cell| timeline.intended(op(&timeline, name), cell)).collect()
    };
    assert_eq!(due("b"), due("fails"));
    assert_eq!(due("b"), [vec![0; 5], vec![1; 15]].concat());
}

/// 503 after a millisecond, as a service that is overloaded says it.
#[test]
fn a_closed_user_whose_step_fails_thinks_the_rest_of_its_flow_before_the_next() {
    let shape = "    arrival: { closed: { users: 2 } }\n    flow:\n      \
        - repeat: { times: 2, steps: [{ get: /a, as: a }, { think: 500ms }] }\n      \
        - group: { as: g, steps: [{ get: /b }, { think: 1s }] }\n";
    let driven = answered("20s", shape, |_| Some((MS, reply(503, &json!({})))));
    let expected = BTreeMap::from([((Kind::Status, 503), 20), ((Kind::Forgone, 0), 20)]);
    assert_eq!(
        outcomes(&driven.timeline, "a"),
        expected,
        "one in two seconds and a bit, and each left one out"
    );
}

/// A service was dead for 5 s, and PASS of `errors < 10%` was told of 5,029 of 8,000 planned.
#[test]
fn rounds_that_failed_flows_left_out_support_no_pass() {
    let dead = |seen: &Seen| {
        let fails = (Micros::secs(30)..Micros::secs(35)).contains(&seen.at);
        Some((MS, reply(if fails { 503 } else { 200 }, &json!({}))))
    };
    // Each flow asks 20 times in 20 s.
    const THINKING: &str = "{ get: /r, as: r }, { think: 999ms }";
    let ran = |arrival: &str, steps: &str, limit: &str| {
        let text = format!(
            "target: sandbox\nduration: 60s\nshapes:\n  s:\n    probes: false\n    arrival: {arrival}\n    flow: [{{ repeat: {{ times: 20, steps: [{steps}] }} }}]\n\
             objectives: [\"errors(r) < {limit}\"]\n"
        );
        let driven =
            drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, dead);
        let ended = outcomes(&driven.timeline, "r");
        let judged = judge(&driven.timeline).objectives[0].clone();
        (judged, ended)
    };
    let open = "{ constant: { rate: 20/s } }";
    let (judged, ended) = ran(open, THINKING, "10%");
    let forgone = ended[&(Kind::Forgone, 0)];
    let asked: u64 = ended.iter().filter(|((kind, _), _)| kind.counts()).map(|(_, n)| n).sum();
    // Those of 60 s: 20/s begin, of which each second's ask up to 20 times, once a second.
    let planned: u64 = (0..60).map(|second| 20 * (60 - second).min(20)).sum();
    let all = (asked + forgone) as f64;
    assert!((all / planned as f64 - 1.0).abs() < 0.01, "{asked} and {forgone} of {planned}");
    assert!(forgone > planned / 5, "{forgone}");
    assert_eq!(judged.word.text(), "INCONCLUSIVE", "{}", judged.reason);
    assert!(judged.reason.contains("of the r that were planned"), "{}", judged.reason);
    // It holds also if all of those had failed; and it breaks without them.
    assert_eq!(ran(open, THINKING, "60%").0.word.text(), "PASS");
    assert_eq!(ran(open, THINKING, "1%").0.word.text(), "FAIL");
    // A user of a closed loop thinks to the end of what failed, and begins again.
    let (judged, ended) = ran("{ closed: { users: 400 } }", THINKING, "10%");
    assert!(ended[&(Kind::Forgone, 0)] > 400 * 5, "{ended:?}");
    assert_eq!(judged.word.text(), "INCONCLUSIVE", "{}", judged.reason);
    let (judged, ended) = ran("{ closed: { users: 4 } }", "{ get: /r, as: r }", "50%");
    assert!(!ended.contains_key(&(Kind::Forgone, 0)), "{ended:?}");
    assert_eq!(judged.word.text(), "PASS", "{}", judged.reason);
}

#[test]
fn attempts_lie_in_the_cell_of_their_sending_and_answers_in_that_of_their_coming() {
    let shape =
        "    start: 250ms\n    arrival: { constant: { rate: 2/s } }\n    flow: [{ get: /a, as: a }]\n";
    let timeline = answered("4s", shape, |_| Some((MS * 1_600, reply(200, &json!({}))))).timeline;
    let each = |of: fn(&squall::timeline::Timeline, u32) -> u64| -> Vec<u64> {
        (0..7).map(|cell| of(&timeline, cell)).collect()
    };
    assert_eq!(each(|t, cell| t.attempts(0, cell)), [2, 2, 2, 2, 0, 0, 0]);
    assert_eq!(
        each(|t, cell| t.answers(0, cell)),
        [0, 1, 2, 2, 2, 1, 0],
        "of 0.25 and 0.75 s at 1.85 and 2.35 s"
    );
    assert_eq!(outcomes(&timeline, "a"), BTreeMap::from([((Kind::Ok, 200), 8)]));
}

#[test]
fn what_a_setup_captures_in_a_repeat_is_what_the_last_one_captured() {
    let profile = "target: sandbox\nduration: 20s\n\
        setup:\n  steps:\n    - repeat:\n        times: 8\n        steps:\n          \
        - { post: /rooms, json: { name: \"x{{ i }}\" }, expect: { status: 201 }, capture: { room: $.name } }\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 10/s } }\n    probes: false\n    flow:\n      \
        - { get: \"/rooms/{{ setup.room }}\", as: look, expect: { body: { json: { path: $.name, equals: x7 } } } }\n";
    let ran = run(profile, "judge: { warmup: 2s, baseline: 1s }\n");
    assert_eq!(outcomes(&ran.timeline, "look").get(&(Kind::Ok, 200)), Some(&200), "{}", ran.story());
}

/// The default deadline is 30 s: what hangs fails by then, and is no fault of squall's.
#[test]
fn a_target_that_hangs_without_a_timeout_fails() {
    let profile = "target: { sandbox: { plain: { service: 1ms } } }\nduration: 2m\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 20/s } }\n    probes: false\n    flow: [{ get: /, as: look }]\n\
        objectives: [\"p99(look) < 1s\", \"errors < 5%\"]\n";
    let hangs = "judge: { warmup: 2s, baseline: 10s, windows: 5, stretch: 5s, stretch_windows: 3 }\n\
        timeline: [{ name: hang, at: 45s, for: 74s, pause: { service: plain } }]\n";
    let ran = run(profile, hangs);
    let words: Vec<&str> = ran.judgement.objectives.iter().map(|o| o.word.text()).collect();
    assert_eq!((words, ran.exit()), (vec!["FAIL", "FAIL"], 99), "{}", ran.story());
    let worst = ran.tally("look").responses().max().unwrap();
    assert!(worst >= Micros::secs(30) && worst < Micros::secs(31), "{worst}");
}
