//! When users come, what they reach, and in which cell it counts.

use std::collections::BTreeMap;

use serde_json::json;
use squall::http::{Reply, reply};
use squall::objective::PhaseName;
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
    let expected = BTreeMap::from([((Kind::Status, 503), 20)]);
    assert_eq!(outcomes(&driven.timeline, "a"), expected, "one in two seconds and a bit");
    assert_eq!(left_out(&driven, "a").iter().sum::<u64>(), 20, "each left one out");
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
            "target: sandbox\nduration: 60s\nshapes:\n  s:\n    probes: false\n    arrival: {arrival}\n    \
             flow: [{{ repeat: {{ times: 20, steps: [{steps}] }} }}]\nobjectives: [\"errors(r) < {limit}\"]\n"
        );
        let driven =
            drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, dead);
        let judged = judge(&driven.timeline).objectives[0].clone();
        (judged, left_out(&driven, "r"), driven)
    };
    let open = "{ constant: { rate: 20/s } }";
    let (judged, left, driven) = ran(open, THINKING, "10%");
    // Of 60 s: each second's 20 flows ask up to 20 times, once a second.
    let planned: u64 = (0..60).map(|second| 20 * (second + 1).min(20)).sum();
    let asked = outcomes(&driven.timeline, "r").values().sum::<u64>();
    let all = (asked + left.iter().sum::<u64>()) as f64;
    assert!((all / planned as f64 - 1.0).abs() < 0.01, "{asked} and {left:?} of {planned}");
    // They were those of the 19 s after their flows failed, and none of what went on before or came after.
    assert!(left[..30].iter().chain(&left[54..]).all(|&n| n == 0), "{left:?}");
    for second in [36, 40, 45, 50] {
        let asked = driven.timeline.intended(op(&driven.timeline, "r"), second);
        assert!((asked + left[second as usize]).abs_diff(400) <= 12, "{second}: {asked} of 400, {left:?}");
    }
    assert_eq!(judged.word.text(), "INCONCLUSIVE", "{}", judged.reason);
    assert!(judged.reason.contains("of what was planned of r"), "{}", judged.reason);
    // It holds also if all of those had failed; and it breaks without them.
    assert_eq!(ran(open, THINKING, "60%").0.word.text(), "PASS");
    assert_eq!(ran(open, THINKING, "1%").0.word.text(), "FAIL");
    // A user of a closed loop thinks to the end of what failed, and begins again.
    let (judged, left, _) = ran("{ closed: { users: 400 } }", THINKING, "10%");
    assert!(left.iter().sum::<u64>() > 400 * 5, "{left:?}");
    assert_eq!(judged.word.text(), "INCONCLUSIVE", "{}", judged.reason);
    let (judged, left, _) = ran("{ closed: { users: 4 } }", "{ get: /r, as: r }", "50%");
    assert_eq!((judged.word.text(), left.iter().sum::<u64>()), ("PASS", 0), "{}", judged.reason);
}

/// Who leaves for good hardly shows among those who stay: recovery in no time, while two in five did not get in.
/// Those who left while the fault was in force are its harm.
#[test]
fn users_who_fail_for_good_after_a_trigger_are_no_recovery() {
    let ran = |until: Micros| {
        let text = "target: sandbox\nduration: 120s\nshapes:\n  s:\n    probes: false\n    \
            arrival: { constant: { rate: 4/s } }\n    flow:\n      - { get: \"/join/{{ i }}\", as: join }\n      \
            - { repeat: { times: 200, steps: [{ get: /r, as: r }, { think: 99ms }] } }\n  \
            storm:\n    trigger: true\n    start: 60s\n    for: 5s\n    probes: false\n    \
            arrival: { constant: { rate: 10/s } }\n    flow: [{ get: /more, as: more }]\n\
            objectives: [\"recovery(storm) < 20s\", \"errors(r) < 1% after storm\"]\n";
        let judge_by =
            "judge: { warmup: 25s, baseline: 30s, windows: 5, stretch: 10s, stretch_windows: 3 }\n";
        let fails = move |seen: &Seen| {
            let number = seen.path.strip_prefix("/join/").and_then(|n| n.parse::<u64>().ok());
            let off = (Micros::secs(60)..until).contains(&seen.at) && number.is_some_and(|n| n % 5 < 2);
            Some((MS, reply(if off { 503 } else { 200 }, &json!({}))))
        };
        let driven = drive(experiment(text, Some(judge_by), &flags()), 1, fails);
        judge(&driven.timeline).objectives
    };
    let for_good = ran(Micros::secs(120));
    for (judged, of) in for_good.iter().zip(["s", "r"]) {
        assert_ne!(judged.word.text(), "PASS", "{}", judged.reason);
        assert!(judged.reason.contains(&format!("of what was planned of {of}")), "{}", judged.reason);
    }
    for judged in ran(Micros::secs(65)) {
        assert_eq!(judged.word.text(), "PASS", "{}", judged.reason);
    }
}

/// They failed in the warm-up, and sat out the rest of a run that was judged by those who had not.
#[test]
fn users_who_failed_in_the_warm_up_are_missed_in_the_run() {
    let text = "target: sandbox\nduration: 100s\nshapes:\n  s:\n    probes: false\n    arrival: { closed: { users: 40 } }\n    \
        flow:\n      - { get: \"/join/{{ i }}\", as: join }\n      \
        - { repeat: { times: 600, steps: [{ get: /r, as: r }, { think: 999ms }] } }\n\
        objectives: [\"errors(r) < 5%\"]\n";
    let half = |seen: &Seen| {
        let number = seen.path.strip_prefix("/join/").and_then(|n| n.parse::<u64>().ok());
        Some((MS, reply(if number.is_some_and(|n| n % 2 == 0) { 503 } else { 200 }, &json!({}))))
    };
    let driven = drive(experiment(text, Some("judge: { warmup: 5s, baseline: 5s }\n"), &flags()), 1, half);
    let judgement = judge(&driven.timeline);
    let judged = &judgement.objectives[0];
    assert_eq!(judged.word.text(), "INCONCLUSIVE", "{}", judged.reason);
    assert!(judged.reason.contains("left out 50"), "{}", judged.reason);
    let table = judgement.operations.iter().find(|o| o.name == "r").unwrap();
    let run = table.phases.iter().find(|p| p.phase == PhaseName::Run).unwrap();
    assert!(run.n == 20 * 95 && run.forgone.abs_diff(20 * 95) <= 20, "{run:?}");
}

/// By the server's own log each of these rounds was lost, or would have been cut.
#[test]
fn what_failed_flows_left_out_is_what_they_would_have_asked() {
    let ran = |duration: u32, arrival: &str, flow: &str, fails: fn(&Seen) -> bool| {
        let text = format!(
            "target: sandbox\nduration: {duration}s\nshapes:\n  s:\n    probes: false\n    arrival: {arrival}\n    flow:\n{flow}\
             objectives: [\"errors(r) < 99%\"]\n"
        );
        let answer = move |seen: &Seen| Some((MS, reply(if fails(seen) { 503 } else { 200 }, &json!({}))));
        drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, answer)
    };
    let dead: fn(&Seen) -> bool = |seen| (Micros::secs(20)..Micros::secs(25)).contains(&seen.at);
    let users = "{ closed: { users: 10 } }";
    let total = |driven: &Driven, name: &str| {
        let done = outcomes(&driven.timeline, name);
        (done.values().sum::<u64>(), left_out(driven, name).iter().sum::<u64>())
    };
    // Where the think time lies makes no difference.
    for flow in [
        "      - repeat: { times: 20, steps: [{ repeat: { times: 2, steps: [{ get: /r, as: r }] } }, { think: 998ms }] }\n",
        "      - repeat: { times: 20, steps: [{ get: /r, as: r }, { get: /r, as: r }, { think: 998ms }] }\n",
        "      - repeat: { times: 40, steps: [{ get: /r, as: r }] }\n      - think: 19960ms\n",
    ] {
        let planned = total(&ran(55, users, flow, |_| false), "r").0;
        let (asked, left) = total(&ran(55, users, flow, dead), "r");
        assert!(
            (asked + left).abs_diff(planned) <= 20 && left >= 300,
            "{flow}: {asked} and {left} of {planned}"
        );
    }
    // What comes after sixty seconds of polling only those of the first 30 s of 90 reach.
    let polls = "      - repeat: { times: 60, steps: [{ get: /poll, as: poll }, { think: 999ms }] }\n      \
                 - repeat: { times: 100, steps: [{ get: /r, as: r }] }\n";
    let driven = ran(90, "{ constant: { rate: 2/s } }", polls, dead);
    let (asked, left) = total(&driven, "r");
    assert!((asked + left).abs_diff(6_000) <= 120, "{asked} and {left} of 6,000");
    // Long polls: of 30 in 60 s, the last two of each five fail at their login, and each would have asked twice a second to the end.
    let polls = "      - { get: \"/login/{{ i }}\", as: login }\n      - repeat: { times: 5000, steps: [{ get: /r, as: r }] }\n";
    let fails =
        |seen: &Seen| seen.path.strip_prefix("/login/").is_some_and(|n| n.parse::<u64>().unwrap() % 5 > 2);
    let slow = move |seen: &Seen| {
        let took = if seen.path == "/r" { MS * 500 } else { MS };
        Some((took, reply(if fails(seen) { 503 } else { 200 }, &json!({}))))
    };
    let text = format!(
        "target: sandbox\nduration: 60s\nshapes:\n  s:\n    probes: false\n    arrival: {{ constant: {{ rate: 30/m }} }}\n    \
         flow:\n{polls}objectives: [\"errors(r) < 99%\"]\n"
    );
    let driven = drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, slow);
    let (asked, left) = total(&driven, "r");
    assert!((0.35..0.42).contains(&(left as f64 / (asked + left) as f64)), "{asked} and {left}");
    // Loops without end that fail, in loops without end.
    let endless = "      - repeat: { times: 5000000000, steps: [{ repeat: { times: 5000000000, steps: [{ get: /r, as: r }, { think: 99ms }] } }] }\n";
    let (asked, left) = total(&ran(60, "{ constant: { rate: 1/s } }", endless, dead), "r");
    let planned: u64 = (1..=60).map(|seconds| seconds * 10).sum();
    assert!((asked + left).abs_diff(planned) <= planned / 50, "{asked} and {left} of {planned}");
    // A list that nobody got is as long as those that others got.
    let lists = "      - { get: /list, as: list, capture: { all: { all: \"$.all[*]\" } } }\n      \
                 - for_each: { in: all, as: one, steps: [{ get: /r, as: r }] }\n";
    let text = format!(
        "target: sandbox\nduration: 60s\nshapes:\n  s:\n    probes: false\n    arrival: {{ constant: {{ rate: 2/s }} }}\n    \
         flow:\n{lists}objectives: [\"errors(r) < 10%\"]\n"
    );
    let answer = move |seen: &Seen| {
        let all: Vec<u32> = (0..50).collect();
        Some((MS, reply(if seen.path == "/list" && dead(seen) { 503 } else { 200 }, &json!({"all": all}))))
    };
    let driven =
        drive(experiment(&text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, answer);
    assert_eq!(total(&driven, "r"), (5_500 + 10, 500 - 10));
    // No session could have come to its last step: what failed before is no failure of that.
    let sessions = "      - repeat: { times: 600, steps: [{ get: /poll, as: poll }, { think: 999ms }] }\n      \
                    - { get: /r, as: r }\n";
    assert_eq!(total(&ran(60, "{ constant: { rate: 2/s } }", sessions, dead), "r"), (0, 0));
}

/// Nine in ten of them were not sent, and what came after their first step was PASS of those that were.
#[test]
fn what_the_cap_sheds_comes_to_none_of_its_steps() {
    let shape = "    in_flight: 2\n    arrival: { constant: { rate: 20/s } }\n    \
        flow: [{ get: /a, as: a }, { repeat: { times: 3, steps: [{ get: /b, as: b }] } }]\n";
    let driven = answered("20s", shape, |seen| {
        Some((if seen.path == "/a" { MS * 999 } else { MS }, reply(200, &json!({}))))
    });
    let (a, b) = (outcomes(&driven.timeline, "a"), outcomes(&driven.timeline, "b"));
    let shed = a[&(Kind::Shed, 0)];
    assert!(shed > 300, "{a:?}");
    assert!(
        b[&(Kind::Unreached, 0)].abs_diff(shed) <= 20,
        "but for what the load's end cut: {b:?} of {shed}"
    );
    let left = left_out(&driven, "b").iter().sum::<u64>();
    assert!(
        2 * shed - left <= 76,
        "but for those who were shed before anybody knew how long it takes: {left} of {shed}"
    );
}

/// All sessions of a minute begin in the first seconds, and fail.
#[test]
fn a_load_that_was_lost_for_good_has_no_rate() {
    let text = "target: sandbox\nduration: 60s\nshapes:\n  s:\n    for: 5s\n    probes: false\n    \
        arrival: { constant: { rate: 4/s } }\n    \
        flow: [{ repeat: { times: 100, steps: [{ get: /r, as: r }, { think: 999ms }] } }]\n\
        objectives: [\"rate(r) > 5/s for 5s\"]\n";
    let dead =
        |seen: &Seen| Some((MS, reply(if seen.at > Micros::secs(20) { 503 } else { 200 }, &json!({}))));
    let driven = drive(experiment(text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, dead);
    let judged = judge(&driven.timeline).objectives[0].clone();
    assert_eq!(judged.word.text(), "FAIL", "{}", judged.reason);
}

/// Users who wait for an answer that comes in time ask nothing meanwhile, which is no goodput of zero: neither was all of
/// it lost in a window of their waiting, nor is that what is normal.
#[test]
fn a_closed_loop_of_long_polls_is_judged_by_what_came_of_them() {
    let ran = |took: Micros, fails: bool| {
        let text = "target: sandbox\nduration: 80s\nshapes:\n  s:\n    timeout: 6s\n    probes: false\n    \
            arrival: { closed: { users: 30 } }\n    flow:\n      - choice:\n          \
            - { weight: 60, steps: [{ get: /a, as: a }] }\n          - { weight: 40, steps: [{ get: /b, as: b }] }\n  \
            storm:\n    trigger: true\n    start: 40s\n    for: 15s\n    probes: false\n    \
            timeout: 6s\n    arrival: { constant: { rate: 10/s } }\n    flow: [{ get: /more, as: more }]\n\
            objectives: [\"outage(storm) < 5s\"]\n";
        let judge_by = "judge: { warmup: 1s, baseline: 30s, windows: 10, stretch: 5s, stretch_windows: 3 }\n";
        let answer = move |seen: &Seen| {
            let off = fails && seen.path == "/b" && (Micros::secs(40)..Micros::secs(55)).contains(&seen.at);
            Some((if off { MS } else { took }, reply(if off { 503 } else { 200 }, &json!({}))))
        };
        let driven = drive(experiment(text, Some(judge_by), &flags()), 1, answer);
        judge(&driven.timeline).objectives[0].clone()
    };
    for (took, fails, word) in
        [(3_500, false, "PASS"), (3_300, false, "PASS"), (2_700, true, "FAIL"), (2_400, true, "FAIL")]
    {
        let judged = ran(MS * took, fails);
        assert_eq!(judged.word.text(), word, "{took} ms: {}", judged.reason);
    }
}

/// What comes in time, and twenty seconds late, is no long poll: nobody asked meanwhile, as everybody waited.
#[test]
fn a_closed_loop_that_a_target_holds_up_is_out_of_its_band_though_all_is_answered_in_time() {
    let text = "target: sandbox\nduration: 120s\nshapes:\n  s:\n    probes: false\n    arrival: { closed: { users: 10 } }\n    \
        flow: [{ get: /r, as: r }, { think: 199ms }]\n  \
        storm:\n    trigger: true\n    start: 60s\n    for: 20s\n    probes: false\n    \
        arrival: { constant: { rate: 1/s } }\n    flow: [{ get: /more, as: more }]\n\
        objectives: [\"outage(storm) < 5s\"]\n";
    let judge_by = "judge: { warmup: 1s, baseline: 25s, windows: 10, stretch: 5s, stretch_windows: 3 }\n";
    let held = |seen: &Seen| {
        let until = if seen.at >= Micros::secs(60) { Micros::secs(80) } else { Micros::ZERO };
        Some((MS.max(until - seen.at), reply(200, &json!({}))))
    };
    let driven = drive(experiment(text, Some(judge_by), &flags()), 1, held);
    let judged = judge(&driven.timeline).objectives[0].clone();
    assert_eq!(judged.word.text(), "FAIL", "{}", judged.reason);
    assert!(outcomes(&driven.timeline, "r").keys().all(|(kind, _)| *kind == Kind::Ok), "all in time");
}

/// All users had failed, and sat out what was left: none was in flight, and none was held up by squall.
#[test]
fn a_closed_loop_in_which_nobody_asks_any_more_has_no_rate() {
    let text = "target: sandbox\nduration: 60s\nshapes:\n  s:\n    probes: false\n    arrival: { closed: { users: 20 } }\n    \
        flow: [{ repeat: { times: 600, steps: [{ get: /r, as: r }, { think: 999ms }] } }]\n\
        objectives: [\"rate(r) > 10/s for 10s\"]\n";
    let dead =
        |seen: &Seen| Some((MS, reply(if seen.at > Micros::secs(20) { 503 } else { 200 }, &json!({}))));
    let driven = drive(experiment(text, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, dead);
    let judged = judge(&driven.timeline).objectives[0].clone();
    assert_eq!(judged.word.text(), "FAIL", "{}", judged.reason);
}

/// Each round that was left out in the cell in which it would have been.
fn left_out(driven: &Driven, name: &str) -> Vec<u64> {
    let mut cells = vec![0.0; 120];
    for left in driven.timeline.forgone().filter(|left| left.op == op(&driven.timeline, name)) {
        let each = left.n as f64 / f64::from(left.to - left.from + 1);
        (left.from..=left.to).for_each(|cell| cells[cell as usize] += each);
    }
    cells.into_iter().map(|n: f64| n.round() as u64).collect()
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
