//! Users of a closed loop who wait, or sit out what failed: they ask nothing meanwhile.

use std::cell::Cell;

use serde_json::json;
use squall::http::{Reply, reply};
use squall::units::Micros;
use squall::verdict::{Judgement, judge};

use crate::common::{drawn, experiment, flags};
use crate::scripted::{Driven, Seen, drive};

const MS: Micros = Micros::MILLISECOND;

/// A run of closed users beside a harmless trigger of these times.
fn ran(
    users: &str,
    (from, to): (u32, u32),
    objectives: &str,
    answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static,
) -> Driven {
    let text = format!(
        "target: sandbox\nduration: 110s\nshapes:\n  s:\n{users}  storm:\n    trigger: true\n    start: {from}s\n    for: {}s\n    \
         probes: false\n    timeout: 2s\n    arrival: {{ constant: {{ rate: 1/s }} }}\n    flow: [{{ get: /more, as: more }}]\nobjectives: {objectives}\n",
        to - from,
    );
    let judge_by = "judge: { warmup: 1s, baseline: 20s, windows: 10, stretch: 5s, stretch_windows: 3 }\n";
    drive(experiment(&text, Some(judge_by), &flags()), 1, answer)
}

fn words(judged: &Judgement) -> Vec<&'static str> {
    judged.objectives.iter().map(|objective| objective.word.text()).collect()
}

fn within(seen: &Seen, from: i64, to: i64) -> bool {
    (Micros::secs(from)..Micros::secs(to)).contains(&seen.at) && seen.path != "/more"
}

/// One of three replicas hangs: those who come to it wait, and the few who still ask are answered as fast as ever.
#[test]
fn users_who_hang_count_in_every_window_that_they_wait_through() {
    let users = "    timeout: 25s\n    arrival: { closed: { users: 30 } }\n    flow: [{ get: /a, as: a }, { think: 1s }]\n";
    let ran = |hangs: bool| {
        let n = Cell::new(0_u32);
        ran(users, (60, 80), r#"["outage(storm) < 10s", "recovery(storm) < 5s"]"#, move |seen| {
            n.set(n.get() + u32::from(within(seen, 60, 80)));
            let hung = hangs && within(seen, 60, 80) && n.get().is_multiple_of(3);
            Some((if hung { Micros::secs(80) - seen.at } else { MS * 2 }, reply(200, &json!({}))))
        })
    };
    let judged = judge(&ran(true).timeline);
    assert_eq!(words(&judged), ["FAIL", "PASS"], "{}", judged.objectives[0].reason);
    let outage = judged.triggers[0].outage.unwrap();
    assert!((Micros::secs(16)..=Micros::secs(20)).contains(&outage), "{outage}");
    let well = judge(&ran(false).timeline);
    assert_eq!(words(&well), ["PASS"; 2]);
    assert!(well.triggers[0].outage == Some(Micros::ZERO), "{}", well.triggers[0].sentence);
}

/// Nobody asks from 42 s to the end of the sessions that all failed, and the service came back at a time that nobody saw.
#[test]
fn a_return_that_nobody_saw_is_not_known() {
    let users = "    timeout: 1s\n    arrival: { closed: { users: 40 } }\n    flow:\n      - { get: /in, as: in }\n      \
                 - repeat: { times: 60, steps: [{ think: 500ms..1500ms }, { get: /beat, as: beat }] }\n";
    let judged = |outage: u32, recovery: u32| {
        let objectives = format!(r#"["outage(storm) < {outage}s", "recovery(storm) < {recovery}s"]"#);
        let driven = ran(users, (30, 42), &objectives, |seen| {
            (!within(seen, 30, 42)).then(|| (MS * 2, reply(200, &json!({}))))
        });
        judge(&driven.timeline)
    };
    let tight = judged(6, 2);
    assert_eq!(words(&tight), ["INCONCLUSIVE"; 2], "{}", tight.objectives[0].reason);
    assert!(
        tight.objectives[0].reason.contains("no user of s asked from 0:3"),
        "{}",
        tight.objectives[0].reason
    );
    assert_eq!(words(&judged(60, 60)), ["PASS"; 2], "however long it was");
}

/// The first who ask again do so in the window in which the trigger ends, and are answered: what was before it nobody saw.
#[test]
fn a_return_in_the_last_window_of_a_trigger_is_not_known_either() {
    let users = "    timeout: 1s\n    arrival: { closed: { users: 40 } }\n    flow:\n      - { get: /in, as: in }\n      \
                 - repeat: { times: 42, steps: [{ think: 1s }, { get: /beat, as: beat }] }\n";
    let driven = ran(users, (30, 43), r#"["outage(storm) < 6s"]"#, |seen| {
        (!within(seen, 30, 43)).then(|| (MS * 2, reply(200, &json!({}))))
    });
    let asked = |from: i64, to: i64| driven.seen.iter().filter(|seen| within(seen, from, to)).count();
    assert!(asked(32, 43) == 0 && asked(43, 44) > 20, "{} {}", asked(32, 43), asked(43, 44));
    let judged = judge(&driven.timeline);
    assert_eq!(words(&judged), ["INCONCLUSIVE"], "{}", judged.objectives[0].reason);
    assert!(
        judged.objectives[0].reason.contains("no user of s asked from 0:32"),
        "{}",
        judged.objectives[0].reason
    );
}

/// Nor is the silence after an earlier trigger a pause of their own.
#[test]
fn a_silence_that_an_earlier_trigger_made_hides_no_later_one() {
    let users = "    timeout: 1s\n    arrival: { closed: { users: 40 } }\n    flow:\n      - { get: /in, as: in }\n      \
                 - repeat: { times: 42, steps: [{ think: 1s }, { get: /beat, as: beat }] }\n  first:\n    trigger: true\n    \
                 start: 30s\n    for: 13s\n    probes: false\n    timeout: 2s\n    arrival: { constant: { rate: 1/s } }\n    \
                 flow: [{ get: /more, as: other }]\n";
    let driven = ran(users, (74, 86), r#"["outage(first) < 6s", "outage(storm) < 6s"]"#, |seen| {
        let hangs = within(seen, 30, 43) || within(seen, 74, 86);
        (!hangs).then(|| (MS * 2, reply(200, &json!({}))))
    });
    let judged = judge(&driven.timeline);
    assert_eq!(
        words(&judged),
        ["INCONCLUSIVE"; 2],
        "{} {}",
        judged.objectives[0].reason,
        judged.objectives[1].reason
    );
}

/// What was to come in the time in which users sit out a failed flow, wherever in it they think.
#[test]
fn users_of_a_closed_loop_forgo_as_much_wherever_they_think() {
    let looks = "{ repeat: { times: 20, steps: [{ get: /look, as: look }] } }";
    let all = |first: &str, then: &str, last: &str| {
        let users = format!(
            "    probes: false\n    arrival: {{ closed: {{ users: 20 }} }}\n    flow: [{first}{{ get: /in, as: in }}, {then}{looks}{last}]\n"
        );
        let n = Cell::new(0_u32);
        let driven = ran(&users, (90, 91), "[errors(look) < 5%]", move |seen| {
            n.set(n.get() + u32::from(seen.path == "/in"));
            let failed = seen.path == "/in" && n.get().is_multiple_of(4);
            Some((MS * 2, reply(if failed { 500 } else { 200 }, &json!({}))))
        });
        let judged = judge(&driven.timeline);
        assert_eq!(words(&judged), ["INCONCLUSIVE"], "{}", judged.objectives[0].reason);
        let looked = driven.seen.iter().filter(|seen| seen.path == "/look").count() as f64;
        let look = judged.operations.iter().find(|o| o.name == "look").unwrap();
        let whole = look.phases.iter().map(|phase| phase.forgone).max().unwrap() as f64;
        whole / looked
    };
    let shares =
        [all("{ think: 1s }, ", "", ""), all("", "{ think: 1s }, ", ""), all("", "", ", { think: 1s }")];
    // A quarter of the log-ins fail: 19 of 20 looks beside each, a third of those that were made.
    assert!(shares.iter().all(|share| (0.28..0.34).contains(share)), "{shares:?}");
}

#[test]
fn a_count_for_a_while_sees_that_nobody_asks() {
    let users = "    timeout: 25s\n    probes: false\n    arrival: { closed: { users: 20 } }\n    flow: [{ get: /a, as: a }, { think: 1s }]\n";
    let driven = ran(users, (90, 91), r#"["count(a) > 20 for 5s", "count(a) >= 1 for 4s"]"#, |seen| {
        let wait = if within(seen, 50, 64) { Micros::secs(64) - seen.at } else { MS * 2 };
        Some((wait, reply(200, &json!({}))))
    });
    let judged = judge(&driven.timeline);
    assert_eq!(words(&judged), ["FAIL"; 2], "{}", judged.objectives[0].reason);
}

/// What is normal is not known of users who all think until the first trigger, or all wait for it.
#[test]
fn users_who_asked_nothing_before_the_trigger_have_no_normal_to_come_back_to() {
    let shape = |timeout: &str, think: &str| {
        format!(
            "    timeout: {timeout}\n    probes: false\n    arrival: {{ closed: {{ users: 20 }} }}\n    flow: [{{ think: {think} }}, {{ get: /a, as: a }}]\n"
        )
    };
    let objectives = r#"["outage(storm) < 9s", "recovery(storm) < 9s"]"#;
    let thinks = ran(&shape("2s", "60s..70s"), (30, 50), objectives, |_| Some((MS, reply(500, &json!({})))));
    let judged = judge(&thinks.timeline);
    assert_eq!(words(&judged), ["INCONCLUSIVE"; 2], "{}", judged.objectives[0].reason);
    // They ask once, in the warm-up, and none of them is answered before the trigger.
    let hangs = ran(&shape("25s", "100ms"), (60, 70), objectives, |seen| {
        (seen.path == "/more").then(|| (MS, reply(200, &json!({}))))
    });
    let judged = judge(&hangs.timeline);
    assert!(!words(&judged).contains(&"PASS"), "{}", judged.objectives[0].reason);
}

/// One answer of a thousand takes as long as ten windows, and comes: no harm to the twenty who ask on.
#[test]
fn one_user_who_waits_for_long_is_no_outage() {
    let users = "    timeout: 25s\n    probes: false\n    arrival: { closed: { users: 20 } }\n    flow: [{ think: 500ms }, { get: /a, as: a }]\n";
    let n = Cell::new(0_u32);
    let driven = ran(users, (60, 61), r#"["outage(storm) < 9s", "recovery(storm) < 9s"]"#, move |seen| {
        let first = within(seen, 62, 70) && n.replace(1) == 0;
        Some((if first { Micros::secs(20) } else { MS * 20 }, reply(200, &json!({}))))
    });
    let judged = judge(&driven.timeline);
    assert_eq!(words(&judged), ["PASS"; 2], "{}", judged.objectives[0].reason);
}

/// All readers of a chat wait for its next message, which comes at times after twelve seconds: a quiet time is told once for
/// all of them, and they lose nothing in it.
#[test]
fn readers_who_all_wait_for_the_next_message_lose_nothing() {
    let users = "    timeout: 30s\n    probes: false\n    arrival: { closed: { users: 20 } }\n    flow: [{ get: /next, as: next }]\n";
    let mut wrong = Vec::new();
    for seed in 1..=40 {
        let (draw, mut at) = (drawn(seed), 0.0);
        let messages: Vec<Micros> = std::iter::repeat_with(|| {
            at -= 2.0 * (1.0 - draw()).ln();
            Micros((at * 1e6) as i64)
        })
        .take(100)
        .collect();
        let driven = ran(users, (50, 52), r#"["outage(storm) < 5s"]"#, move |seen| {
            let next = messages.iter().find(|at| **at > seen.at).copied();
            let wait = if seen.path == "/next" { next.map(|next| next - seen.at) } else { Some(MS) };
            Some((wait.unwrap_or(Micros::secs(60)), reply(200, &json!({}))))
        });
        let judged = judge(&driven.timeline);
        let lost = judged.triggers[0].shapes.iter().any(|s| s.area_during + s.area_after > 0.0);
        wrong.extend(lost.then(|| judged.objectives[0].reason.clone()));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
