//! What users do and what is counted of it, against a target whose answers are given.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use squall::http::{Reply, reply};
use squall::objective::PhaseName;
use squall::record::{ProbeEvent, Record};
use squall::sample::Kind;
use squall::units::Micros;
use squall::verdict::judge;

use crate::common::{experiment, flags, op, outcomes, quantile, tally};
use crate::scripted::{Driven, Seen, drive};

const MS: Micros = Micros::MILLISECOND;

/// A profile of one shape, `s`, with these lines below it.
fn one_shape(duration: &str, shape: &str) -> String {
    let lines: String = shape.lines().map(|line| format!("    {line}\n")).collect();
    format!("target: sandbox\nduration: {duration}\nshapes:\n  s:\n{lines}")
}

fn answered(profile: &str, answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static) -> Driven {
    drive(experiment(profile, Some("judge: { warmup: 1ms, baseline: 1s }\n"), &flags()), 1, answer)
}

fn ok(_: &Seen) -> Option<(Micros, Reply)> {
    Some((MS, reply(200, &json!({"id": 1}))))
}

fn only(kind: Kind, status: u16, n: u64) -> BTreeMap<(Kind, u16), u64> {
    BTreeMap::from([((kind, status), n)])
}

/// A quantile lies at so many milliseconds, to the histogram's three digits.
fn near(hist: &squall::histogram::Hist, q: f64, ms: i64) -> bool {
    let at = ms as f64 * 1e3;
    (quantile(hist, q) - at).abs() <= at / 1_000.0
}

/// Every request with its time, in an order of its own.
fn plan_of(driven: &Driven) -> Vec<(i64, String, String)> {
    let mut all: Vec<_> = driven.seen.iter().map(|s| (s.at.0, s.path.clone(), s.body.clone())).collect();
    all.sort();
    all
}

#[test]
fn plans_users_and_values_are_the_same_with_one_shard_and_with_four() {
    let text = "target: sandbox\nduration: 20s\n\
        data:\n  n: { random: { from: 0, to: 999 } }\n  c: { pick: [red, green, blue] }\n  \
        l: { list: [a, b, c] }\n  q: { sequence: { start: 5, step: 3 } }\n\
        shapes:\n\
        \x20 some:\n    arrival: { poisson: { rate: 60/s } }\n    users: 7\n    flow:\n\
        \x20     - post: /u{{ user }}/{{ i }}\n        as: first\n\
        \x20       json: { n: \"{{ data.n }}\", c: \"{{ data.c }}\", l: \"{{ data.l }}\", q: \"{{ data.q }}\" }\n\
        \x20     - think: 10ms..90ms\n\
        \x20     - choice:\n          - weight: 3\n            steps: [{ get: \"/often/{{ hex(8) }}\" }]\n\
        \x20         - steps: [{ get: \"/seldom/{{ hex(8) }}\" }]\n\
        \x20 others:\n    arrival: { bursts: { size: 9, every: 2s, over: 1s } }\n    flow:\n\
        \x20     - get: /o{{ user }}/{{ data.n }}\n        as: other\n";
    let run = |seed, shards| {
        let flags = squall::experiment::Flags { seed, ..flags() };
        drive(experiment(text, None, &flags), shards, ok)
    };
    let (one, four, other) = (run(7, 1), run(7, 4), run(8, 1));
    assert_eq!(plan_of(&one), plan_of(&four));
    assert_ne!(plan_of(&one), plan_of(&other));
    for (op, outline) in one.timeline.operations() {
        for cell in 0..25 {
            let (a, b) = (one.timeline.intended(op, cell), four.timeline.intended(op, cell));
            assert_eq!(a, b, "{} in cell {cell}", outline.name);
        }
    }
    let users = |path: &str| path.split('/').nth(1).unwrap().to_owned();
    let seven: std::collections::BTreeSet<String> =
        one.seen.iter().map(|s| users(&s.path)).filter(|u| u.starts_with('u')).collect();
    assert_eq!(seven.len(), 7);
}

const EVERYTHING: &str = "\
arrival: { constant: { rate: 10/s } }
for: 100s
probes: false
timeout: 2s
flow:
  - get: /list
    as: list
    capture: { names: { all: \"$.names[*]\" }, first: \"$.names[0]\", mark: { header: x-mark } }
  - for_each: { in: names, as: name, steps: [{ get: \"/item/{{ name }}/{{ first }}/{{ mark }}\", as: item }] }
  - repeat: { times: 3, steps: [{ get: /again, as: again }] }
  - think: 200ms
  - group:
      as: join
      steps:
        - post: /a
        - think: 100ms
        - post: /b
  - choice:
      - weight: 3
        steps: [{ get: /often, as: often }]
      - steps: [{ get: /seldom, as: seldom }]
";

fn everything() -> Driven {
    answered(&one_shape("101s", EVERYTHING), |seen| {
        let mut answer = match seen.path.as_str() {
            "/list" => reply(200, &json!({"names": ["x", "y"]})),
            _ => reply(200, &json!({})),
        };
        answer.headers_mut().insert("x-mark", http::HeaderValue::from_static("m7"));
        Some((MS, answer))
    })
}

#[test]
fn steps_are_taken_as_often_as_the_flow_says() {
    let driven = everything();
    let n = |name: &str| tally(&driven.timeline, name).good();
    assert_eq!((n("list"), n("item"), n("again"), n("join"), n("s")), (1_000, 2_000, 3_000, 1_000, 1_000));
    assert_eq!(n("often") + n("seldom"), 1_000);
    let spread = 4.0 * (1_000.0 * 0.75 * 0.25f64).sqrt();
    assert!((n("often") as f64 - 750.0).abs() < spread, "four standard deviations: {}", n("often"));
    let items = driven.seen.iter().filter(|s| s.path.starts_with("/item/")).map(|s| s.path.as_str());
    let distinct: std::collections::BTreeSet<&str> = items.collect();
    assert_eq!(distinct.into_iter().collect::<Vec<_>>(), ["/item/x/x/m7", "/item/y/x/m7"]);
}

#[test]
fn a_flows_response_is_the_sum_of_its_operations_and_thinking_is_left_out() {
    let driven = everything();
    let max = |name: &str| tally(&driven.timeline, name).responses().max().unwrap();
    assert_eq!(max("again"), MS);
    assert_eq!(max("join"), MS * 2, "the pause inside the group is not the target's");
    assert_eq!(max("s").0 / 10, 900, "1 list, 2 items, 3 again, 2 of the group, 1 of the choice");
    let first = |path: &str| driven.seen.iter().find(|s| s.path == path).unwrap().at;
    assert_eq!(first("/again") - first("/list"), MS * 3);
    assert_eq!(first("/a") - first("/again"), MS * 203);
    assert_eq!(first("/b") - first("/a"), MS * 101);
}

#[test]
fn without_retries_nothing_is_amplified_neither_groups_nor_flows() {
    let driven = everything();
    for (_, outline) in driven.timeline.operations() {
        assert_eq!(tally(&driven.timeline, &outline.name).amplification(), Some(1.0), "{}", outline.name);
    }
}

#[test]
fn arrivals_are_counted_where_they_were_planned_whatever_their_flows_do() {
    let driven = answered(&one_shape("101s", &EVERYTHING.replace("probes: false\n", "")), ok);
    assert!((0..100).all(|cell| driven.timeline.arrived(0, cell) == (10, 10)), "probes too");
    assert!(tally(&driven.timeline, "list").intended < 1_000);
    let text = one_shape(
        "10s",
        "arrival: { constant: { rate: 1/s } }\nprobes: false\nflow:\n  - get: /a\n  - think: 3s\n  - get: /b\n",
    );
    let timeline = answered(&text, ok).timeline;
    assert_eq!(timeline.begun(op(&timeline, "s"), 8), 5, "8 s is where the flow counts that began at 5 s");
    assert_eq!(timeline.begun(op(&timeline, "GET /b"), 8), 8);
}

#[test]
fn a_long_list_is_not_late_and_what_the_end_of_the_run_cuts_off_is_no_bad_operation() {
    let text = one_shape(
        "20s",
        "arrival: { constant: { rate: 1/s } }\nprobes: false\ntimeout: 1s\nflow:\n  - get: /list\n    as: list\n    \
         capture: { names: { all: \"$.names[*]\" } }\n  - group: { as: all, steps: [{ for_each: { in: names, as: name, steps: [{ get: /item }] } }] }\n  \
         - for_each: { in: names, as: name, steps: [{ get: /item, as: item }] }\n",
    );
    let driven = answered(&text, |_| {
        let names: Vec<u32> = (0..40).collect();
        Some((MS * 50, reply(200, &json!({ "names": names }))))
    });
    // One list and twice 40 items take 4.05 s; a flow's deadline counts each step once: 3 s.
    for name in ["list", "item", "all"] {
        let tally = tally(&driven.timeline, name);
        assert_eq!(tally.good(), tally.intended, "{name}: {:?}", outcomes(&driven.timeline, name));
    }
    let flows = outcomes(&driven.timeline, "s");
    let [ok, cut] = [Kind::Ok, Kind::Cut].map(|kind| flows.get(&(kind, 0)).copied().unwrap_or(0));
    assert!(ok >= 15 && cut >= 1 && ok + cut == 20, "late: none; cut off at 20 s: {flows:?}");
    assert_eq!(tally(&driven.timeline, "s").intended, ok, "what was cut off is neither good nor bad");
    let last = driven.seen.iter().map(|seen| seen.at).max().unwrap();
    assert!(last < Micros::secs(23), "the last group had begun, and went on: {last}");
}

#[test]
fn a_flow_lies_in_the_cell_of_the_last_step_that_it_reached() {
    let text = one_shape(
        "10s",
        "arrival: { constant: { rate: 1/s } }\nprobes: false\nflow:\n  - get: /a\n    as: a\n  - think: 1500ms\n  - get: /b\n    as: b\n",
    );
    let driven = answered(&text, ok);
    let at = |name: &str| -> Vec<u64> {
        (0..13).map(|cell| driven.timeline.intended(op(&driven.timeline, name), cell)).collect()
    };
    assert_eq!(at("a"), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
    assert_eq!(at("b"), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "no step begins after the end of the load");
    assert_eq!(at("s"), at("b"), "and nowhere twice");
}

#[test]
fn a_step_that_fails_ends_the_flow_and_each_way_to_fail_has_its_kind() {
    let rows = [
        ("a status that is not expected", "expect: { status: 201 }", Kind::Status),
        ("a text that the body does not contain", "expect: { body: { contains: nowhere } }", Kind::Check),
        ("a value that differs", "expect: { body: { json: { path: $.id, equals: \"2\" } } }", Kind::Check),
        ("a path that matches nothing", "expect: { body: { exists: $.name } }", Kind::Check),
        ("a capture that matches nothing", "capture: { name: $.name }", Kind::Check),
        ("a header that is not there", "capture: { tag: { header: etag } }", Kind::Check),
    ];
    for (why, line, kind) in rows {
        let flow = format!(
            "arrival: {{ constant: {{ rate: 10/s }} }}\nprobes: false\ntimeout: 2s\nflow:\n  - get: /a\n    as: a\n    {line}\n  - get: /b\n    as: b\n"
        );
        let driven = answered(&one_shape("5s", &flow), ok);
        assert_eq!(outcomes(&driven.timeline, "a"), only(kind, 200, 50), "{why}");
        assert_eq!(outcomes(&driven.timeline, "s"), only(kind, 200, 50), "{why}: the flow is judged as well");
        assert_eq!(outcomes(&driven.timeline, "b"), only(Kind::Unreached, 0, 50), "{why}: never reached");
        assert_eq!(driven.timeline.errors.len(), 3, "{why}: three samples");
        // The flow's deadline is the sum of its operations'; it stopped after the first.
        for (name, ms) in [("a", 2_000), ("s", 4_000)] {
            let response = tally(&driven.timeline, name).responses();
            assert!(near(&response, 1e-9, ms) && near(&response, 1.0, ms), "{why}: {name} stands at its D");
        }
    }
    let good = "arrival: { constant: { rate: 10/s } }\nprobes: false\nflow:\n  - get: /a\n    as: a\n    expect: { status: \"2xx\", body: { json: { path: $.id, equals: \"1\" } } }\n";
    assert_eq!(outcomes(&answered(&one_shape("5s", good), ok).timeline, "a"), only(Kind::Ok, 200, 50));
}

#[test]
fn what_has_no_answer_is_bad_at_its_deadline_or_at_the_time_it_took() {
    let shape = |more: &str| {
        format!(
            "arrival: {{ constant: {{ rate: 10/s }} }}\nprobes: false\n{more}flow:\n  - get: /a\n    as: a\n"
        )
    };
    let silent = answered(&one_shape("5s", &shape("timeout: 500ms\n")), |_| None);
    assert_eq!(outcomes(&silent.timeline, "a"), only(Kind::Timeout, 0, 50));
    let response = tally(&silent.timeline, "a").responses();
    assert!(near(&response, 1e-9, 500) && near(&response, 1.0, 500), "all at 500 ms");

    let open = answered(&one_shape("5s", &shape("")), |_| None);
    assert_eq!(outcomes(&open.timeline, "a"), only(Kind::Timeout, 0, 50));
    let least = tally(&open.timeline, "a").responses().quantile(1e-9).unwrap();
    assert!(least >= Micros::secs(30), "D is 30 s where nothing else is said: {least}");

    let late = answered(&one_shape("5s", &shape("")), |_| Some((Micros::secs(31), reply(200, &json!({})))));
    assert_eq!(outcomes(&late.timeline, "a"), only(Kind::Timeout, 0, 50), "and it is kept");
}

#[test]
fn the_in_flight_cap_sheds_the_excess_and_what_is_shed_is_bad() {
    let text = one_shape(
        "10s",
        "arrival: { constant: { rate: 10/s } }\nin_flight: 3\nprobes: false\ntimeout: 2s\nflow:\n  - get: /a\n    as: a\n",
    );
    let driven = answered(&text, |_| Some((MS * 950, reply(200, &json!({})))));
    let expected = BTreeMap::from([((Kind::Ok, 200), 30), ((Kind::Shed, 0), 70)]);
    assert_eq!(outcomes(&driven.timeline, "a"), expected);
    let flows = BTreeMap::from([((Kind::Ok, 0), 30), ((Kind::Shed, 0), 70)]);
    assert_eq!(outcomes(&driven.timeline, "s"), flows);
    assert_eq!(driven.seen.len(), 30);
    let all = tally(&driven.timeline, "a");
    assert_eq!((all.bad_share(), all.amplification()), (Some(0.7), Some(1.0)));
    assert!(near(&all.responses(), 0.5, 2_000), "what was shed stands at D");
    assert_eq!(judge(&driven.timeline).generator.delivered, Some(1.0), "what the cap sheds was delivered");
}

#[test]
fn patient_probes_wait_as_long_as_it_takes_and_are_counted_apart() {
    let text = one_shape(
        "40s",
        "arrival: { constant: { rate: 50/s } }\ntimeout: 500ms\nflow:\n  - get: /a\n    as: a\n",
    );
    let driven = answered(&text, |_| Some((MS * 1_500, reply(200, &json!({})))));
    let ended: Vec<Micros> =
        driven.timeline.probes.iter().filter_map(|p| Some(p.done? - p.intended)).collect();
    let (begun, all) = (driven.timeline.probes.len() - ended.len(), 2_000);
    let begun_late = |p: &&ProbeEvent| p.done.is_none() && p.intended > Micros::secs(38);
    let late = driven.timeline.probes.iter().filter(begun_late).count();
    assert!(begun - ended.len() <= late, "a probe ends, but for those that the end of the run cuts off");
    assert!(ended.iter().all(|took| *took == MS * 1_500), "longer than the timeout of the others");
    let share = begun as f64 / f64::from(all);
    assert!((0.02..0.06).contains(&share), "2 a second of 50: {share}");
    assert_eq!(outcomes(&driven.timeline, "a"), only(Kind::Timeout, 0, (all as usize - begun) as u64));
    let judgement = judge(&driven.timeline);
    assert_eq!(judgement.generator.delivered, Some(1.0), "{}", judgement.generator.sentence);
    assert!(judgement.generator.sound, "{}", judgement.generator.sentence);
}

#[test]
fn the_length_of_a_list_is_told_once_a_second() {
    let text = one_shape(
        "10s",
        "arrival: { constant: { rate: 20/s } }\nprobes: false\nflow:\n  - get: /rooms\n    as: list\n    items: $.rooms\n",
    );
    let driven = answered(&text, |seen| {
        let rooms: Vec<i64> = (0..=seen.at.0 / 1_000_000).collect();
        Some((MS, reply(200, &json!({"rooms": rooms}))))
    });
    let lengths: Vec<u64> = driven.timeline.items.iter().map(|item| item.items).collect();
    assert_eq!(lengths, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert!(
        driven.timeline.items.iter().all(|i| i.service == MS && i.bytes > 10),
        "{:?}",
        driven.timeline.items
    );
}

#[test]
fn each_user_has_a_token_of_its_own_that_verifies_and_is_renewed() {
    let text = "target: sandbox\nduration: 60s\nauth:\n  jwt:\n    key: 0123456789abcdef0123456789abcdef\n    lifetime: 20s\n    claims: { sub: \"user-{{ user }}\" }\n\
        shapes:\n  s:\n    arrival: { constant: { rate: 5/s } }\n    users: 5\n    probes: false\n    flow: [{ get: \"/{{ user }}\", as: a }]\n";
    let driven = drive(experiment(text, None, &flags()), 1, ok);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
    let mut tokens: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for seen in &driven.seen {
        let token = seen.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        ring::hmac::verify(&key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], format!("user-{}", &seen.path[1..]));
        let now = 946_684_800 + seen.at.0 / 1_000_000;
        let (from, to) = (claims["nbf"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(from <= now && now < to, "valid when it is sent: {from} {now} {to}");
        tokens.entry(seen.path.clone()).or_default().insert(token.to_owned());
    }
    assert_eq!(tokens.len(), 5);
    assert!(tokens.values().all(|own| (3..=5).contains(&own.len())), "a token lasts: {tokens:?}");
}

#[test]
fn errors_that_come_fast_do_not_make_a_service_look_fast() {
    let text = one_shape(
        "60s",
        "arrival: { constant: { rate: 100/s } }\nprobes: false\ntimeout: 1s\nflow: [{ get: \"/{{ i }}\", as: a }]\n",
    ) + "objectives: [\"p99(a) < 100ms\", \"p50(a) < 100ms\", errors(a) < 40%, goodput(a) >= 50%]\n";
    let driven = answered(&text, |seen| {
        let odd = seen.path.ends_with(['1', '3', '5', '7', '9']);
        Some(if odd { (MS, reply(503, &json!({}))) } else { (MS * 20, reply(200, &json!({}))) })
    });
    let all = tally(&driven.timeline, "a");
    assert_eq!((all.intended, all.good()), (6_000, 3_000), "g = 0.5");
    assert_eq!(all.responses().quantile(0.99).map(|p| p.0 / 1_000), Some(1_000), "not 1 ms, not 20 ms");
    assert_eq!(all.successes.quantile(0.99).map(|p| p.0 / 100), Some(200));
    let judgement = judge(&driven.timeline);
    let p99 = &judgement.objectives[0];
    assert_eq!((p99.measured_text.as_str(), p99.limit_text.as_str()), (">= 1 s (50 % bad)", "100 ms"));
    assert_eq!(p99.successes.map(|p| p.micros().0 / 100), Some(200), "successes alone are told beside it");
    assert_eq!(
        judgement.objectives.iter().map(|o| o.word.text()).collect::<Vec<_>>(),
        ["FAIL", "PASS", "FAIL", "PASS"]
    );
}

#[test]
fn a_run_without_triggers_is_its_own_baseline() {
    let text = one_shape(
        "60s",
        "arrival: { constant: { rate: 20/s } }\nprobes: false\nflow: [{ get: /a, as: a }]\n",
    ) + "objectives: [p95(a) < 100ms during baseline]\n";
    let judgement = judge(&drive(experiment(&text, None, &flags()), 1, ok).timeline);
    let objective = &judgement.objectives[0];
    assert_eq!((objective.word.text(), &objective.phase), ("PASS", &PhaseName::Run), "{}", objective.reason);
    assert_eq!(objective.n, 1_000, "all but the warm-up");
}

#[test]
fn every_record_of_a_shard_reads_back_as_it_was_written() {
    for record in everything().records {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

const EITHER: &str = "arrival: { constant: { rate: 10/s } }\ntimeout: 1s\nprobes: false\nflow:\n\
    \x20 - { get: \"/first/{{ i }}\", as: first, capture: { id: $.id } }\n\
    \x20 - if: \"{{ id > 49 }}\"\n\
    \x20   then: [{ get: \"/big/{{ id }}\", as: big }]\n\
    \x20   else: [{ get: \"/small/{{ id }}\", as: small }]\n\
    \x20 - { get: /last, as: last }\n";

/// `/first/N` captures N; where `broken` says so it fails.
fn captured(broken: fn(u64) -> bool) -> Driven {
    let number = |path: &str| path.rsplit('/').next().and_then(|n| n.parse::<u64>().ok());
    answered(&one_shape("10s", EITHER), move |seen| {
        let id = number(&seen.path).filter(|_| seen.path.starts_with("/first/"));
        let status = if id.is_some_and(broken) { 500 } else { 200 };
        Some((MS, reply(status, &json!({ "id": id }))))
    })
}

#[test]
fn each_user_goes_the_way_that_its_captured_value_says() {
    let driven = captured(|_| false);
    let paths = |start: &str| driven.seen.iter().filter(|s| s.path.starts_with(start)).count();
    assert_eq!((paths("/small/"), paths("/big/"), paths("/last")), (50, 50, 100));
    assert!(driven.seen.iter().all(|s| s.path != "/big/49" && s.path != "/small/50"));
    for (name, n) in [("small", 50), ("big", 50), ("last", 100)] {
        assert_eq!(outcomes(&driven.timeline, name), only(Kind::Ok, 200, n), "{name}");
    }
}

#[test]
fn a_flow_that_failed_before_it_could_know_its_way_never_reached_the_first_one() {
    let driven = captured(|id| id < 50);
    assert_eq!(outcomes(&driven.timeline, "small"), BTreeMap::new());
    let big = BTreeMap::from([((Kind::Ok, 200), 50), ((Kind::Unreached, 0), 50)]);
    assert_eq!(outcomes(&driven.timeline, "big"), big);
}

/// One answer in ten fails, whoever asks; one user in twenty goes the first way, and as many have a list.
#[test]
fn who_failed_before_a_way_was_known_goes_as_the_others_do() {
    let profile = EITHER
        .replace("{{ id > 49 }}", "{{ id % 20 == 3 }}")
        .replace("{ id: $.id }", "{ id: $.id, list: $.list }")
        + "\x20 - for_each: { in: list, as: x, steps: [{ get: /item, as: item }] }\n";
    let driven = answered(&one_shape("100s", &profile), |seen| {
        let id = seen.path.rsplit('/').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let list: &[u64] = if id % 20 == 4 { &[1] } else { &[] };
        let status = if seen.path.starts_with("/first/") && id % 10 == 7 { 500 } else { 200 };
        Some((MS, reply(status, &json!({ "id": id, "list": list }))))
    });
    let of = |name: &str, kind: Kind| {
        outcomes(&driven.timeline, name).iter().filter(|((k, _), _)| *k == kind).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!(of("first", Kind::Status), 100);
    assert_eq!(of("big", Kind::Unreached) + of("small", Kind::Unreached), 100, "each goes one way");
    for (name, led) in [("big", 50), ("small", 850), ("item", 50)] {
        assert_eq!(of(name, Kind::Ok), led, "{name}");
        let share = of(name, Kind::Unreached) as f64 / (led + of(name, Kind::Unreached)) as f64;
        assert!((0.08..0.13).contains(&share), "{share} of {name} failed, and one in ten of all flows");
    }
}

/// Those who failed before anybody knew a way are no reason to let the others of a later failure go elsewhere.
#[test]
fn a_service_that_fails_from_the_first_request_on_hides_nothing_of_its_next_failure() {
    let profile = EITHER.replace("{{ id > 49 }}", "{{ id % 10 == 3 }}");
    let driven = answered(&one_shape("50s", &profile), |seen| {
        let id = seen.path.rsplit('/').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let fails = seen.path.starts_with("/first/") && (id < 100 || (400..500).contains(&id));
        Some((MS, reply(if fails { 500 } else { 200 }, &json!({ "id": id }))))
    });
    let unreached = |name: &str| {
        let all = outcomes(&driven.timeline, name);
        all.iter().filter(|((kind, _), _)| *kind == Kind::Unreached).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!((unreached("big"), unreached("small")), (100 + 10, 90));
}

#[test]
fn a_way_that_cannot_be_worked_out_is_the_profiles_fault_and_invalid() {
    let text = EITHER.replace("{{ id > 49 }}", "{{ id.name.first > 49 }}");
    let driven = answered(&one_shape("10s", &text), ok);
    assert_eq!(outcomes(&driven.timeline, "big"), only(Kind::Template, 0, 100));
    assert_eq!(outcomes(&driven.timeline, "small"), BTreeMap::new());
    let judged = judge(&driven.timeline);
    assert!(judged.summary.verdict.contains("profile.yaml:"), "{}", judged.summary.verdict);
}

#[test]
fn a_text_that_is_compared_with_a_number_leads_nobody_anywhere() {
    let ways = |condition: &str| {
        let text = EITHER.replace("{{ id > 49 }}", condition);
        let driven = answered(&one_shape("10s", &text), |_| Some((MS, reply(200, &json!({ "id": "7" })))));
        (outcomes(&driven.timeline, "big"), outcomes(&driven.timeline, "small"), judge(&driven.timeline))
    };
    for condition in ["{{ id > 49 }}", "{{ id == 7 }}", "{{ id != 7 }}"] {
        let (big, small, judged) = ways(condition);
        assert_eq!((big, small), (only(Kind::Template, 0, 100), BTreeMap::new()), "{condition}");
        let told = "`id` is text and is compared with a number: write `id | int`";
        assert!(judged.summary.verdict.contains(told), "{}", judged.summary.verdict);
    }
    let (big, small, _) = ways("{{ id | int > 49 }}");
    assert_eq!((big, small), (BTreeMap::new(), only(Kind::Ok, 200, 100)));
}
