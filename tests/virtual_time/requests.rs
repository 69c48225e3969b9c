//! What goes over the wire of templates and captured values, and whose mistake it is when nothing can.

use serde_json::json;
use squall::http::{Reply, reply};
use squall::record::Record;
use squall::sample::Kind;
use squall::units::Micros;

use crate::common::{experiment, flags, outcomes, try_experiment};
use crate::scripted::{Driven, Seen, drive};

const PLAN: &str = "judge: { warmup: 1ms, baseline: 1s }\n";

/// One flow of these steps, twice a second for two seconds.
fn flow(steps: &str) -> String {
    let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "target: sandbox\nduration: 2s\nshapes:\n  s:\n    arrival: {{ constant: {{ rate: 2/s }} }}\n    probes: false\n    timeout: 1s\n    flow:\n{steps}"
    )
}

fn raw_answer(body: &'static str) -> impl Fn(&Seen) -> Option<(Micros, Reply)> {
    move |_| {
        let mut answer = reply(200, &json!({}));
        *answer.body_mut() = body.into();
        Some((Micros::MILLISECOND, answer))
    }
}

fn sent(steps: &str, body: &'static str) -> Driven {
    drive(experiment(&flow(steps), Some(PLAN), &flags()), 1, raw_answer(body))
}

fn refused(steps: &str) -> String {
    try_experiment(&flow(steps), Some(PLAN), &flags()).expect_err("it should be refused")
}

/// Why operations failed.
fn details(driven: &Driven) -> Vec<String> {
    let errors = driven.records.iter().filter_map(|record| match record {
        Record::Error(error) => Some(error.detail.clone()),
        _ => None,
    });
    errors.collect()
}

#[test]
fn a_captured_name_is_one_segment_of_a_path_and_comes_back_as_itself() {
    let steps = "- { get: /rooms, as: list, capture: { all: { all: \"$[*]\" }, whole: \"$[0]\" } }\n\
        - { for_each: { in: all, as: name, steps: [{ delete: \"/rooms/{{ name }}?q={{ name }}\", as: remove, query: { r: \"{{ name }} x\" } }] } }\n\
        - { get: \"/{{ whole | raw }}\", as: raw }\n";
    let driven = sent(steps, r#"["a/b","g#h","e?f","é"," ","%2F","..","."]"#);
    let mut paths: Vec<&str> = driven.seen.iter().map(|seen| seen.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let segments = ["%20", "%252F", "%2E", "%2E%2E", "%C3%A9", "a%2Fb", "e%3Ff", "g%23h"];
    let mut expected: Vec<String> =
        segments.iter().map(|s| format!("/rooms/{s}?q={s}&r={}%20x", s.replace("%2E", "."))).collect();
    expected.extend(["/a/b".to_owned(), "/rooms".to_owned()]);
    expected.sort();
    let dots = |path: &&str| path.replace("r=%2E%2E", "r=..").replace("r=%2E", "r=.");
    assert_eq!(paths.iter().map(dots).collect::<Vec<_>>(), expected);
    assert_eq!(outcomes(&driven.timeline, "raw").keys().next().map(|(kind, _)| *kind), Some(Kind::Ok));
}

#[test]
fn a_path_that_cannot_be_sent_is_refused_at_its_place() {
    let rows = [
        ("- { get: \"/a b\", as: x }", "a path has no ` `"),
        ("- { get: \"/caf\u{e9}\", as: x }", "write `%C3%A9`"),
        ("- { get: \"/a#b\", as: x }", "never sent"),
        ("- { get: \"/orders/{id}\", as: x }", "write `{{ id }}`"),
        ("- { get: \"/{{ i }} b\", as: x }", "a path has no ` `"),
        ("- { get: \"{{ i }}/b\", as: x }", "one segment"),
    ];
    for (steps, words) in rows {
        let told = refused(steps);
        assert!(told.contains(words) && told.contains("profile.yaml:9"), "{steps}: {told}");
    }
}

#[test]
fn what_is_not_always_captured_is_refused_unless_the_template_asks() {
    let branch = "- choice: [{ steps: [{ get: /a, as: a, capture: { id: $.id } }] }, { steps: [{ get: /b, as: b }] }]\n";
    let list = "- { get: /l, as: l, capture: { all: $.all } }\n\
        - { for_each: { in: all, as: one, steps: [{ get: \"/{{ one }}\", as: o, capture: { id: $.id } }] } }\n";
    let both = branch.replace("as: b }", "as: b, capture: { id: $.id } }");
    let uses = "- { get: \"/item/{{ id }}\", as: item }\n";
    assert!(refused(&format!("{branch}{uses}")).contains("`id` is captured only in one branch"));
    assert!(refused(&format!("{list}{uses}")).contains("`id` is captured only inside of a `for_each`"));
    let through = "- { for_each: { in: id, as: x, steps: [{ get: \"/{{ x }}\", as: x }] } }\n";
    assert!(refused(&format!("{branch}{through}")).contains("not always there"));
    for good in [
        format!("{both}{uses}"),
        format!("{branch}{}", uses.replace("id }}", "id | default('none') }}")),
        format!("{branch}{}", uses.replace("{{ id }}", "{% if id is defined %}{{ id }}{% endif %}")),
        "- { repeat: { times: 2, steps: [{ get: /a, as: a, capture: { id: $.id } }] } }\n".to_owned() + uses,
    ] {
        assert_eq!(try_experiment(&flow(&good), Some(PLAN), &flags()).err(), None, "{good}");
    }
}

#[test]
fn headers_that_follow_from_the_body_or_have_two_lines_are_refused() {
    let with =
        |header: &str| refused(&format!("- {{ post: /x, as: x, body: abc, headers: {{ {header} }} }}"));
    assert!(with("content-length: \"3\"").contains("squall's own to set"));
    assert!(with("Transfer-Encoding: chunked").contains("squall's own to set"));
    assert!(with("x-a: \"b\\nc\"").contains("line break"));
}

#[test]
fn a_template_that_fails_at_run_time_is_squalls_and_names_its_place() {
    let steps = "- { get: /a, as: a, capture: { map: $ } }\n- { get: \"/{{ map.id }}\", as: b }\n";
    let driven = sent(steps, r#"{"other": 1}"#);
    assert_eq!(outcomes(&driven.timeline, "b"), [((Kind::Template, 0), 4)].into());
    let why = "profile.yaml:10: template failed: nothing is known of `map.id`";
    assert_eq!(details(&driven)[0], why);
    let broken =
        "- { get: /a, as: a, capture: { v: $.v } }\n- { get: /b, as: b, headers: { x-v: \"{{ v }}\" } }\n";
    let driven = sent(broken, r#"{"v": "one\ntwo"}"#);
    assert_eq!(outcomes(&driven.timeline, "b"), [((Kind::Template, 0), 4)].into());
    assert!(details(&driven)[0].contains("line break"), "{:?}", details(&driven));
}

#[test]
fn captured_values_are_sent_as_json_spells_them_and_equal_themselves() {
    let steps = "- { get: /a, as: a, capture: { yes: $.yes, nil: $.nil, map: $.map, id: $.id } }\n\
        - { post: \"/{{ yes }}/{{ nil }}/{{ id }}\", as: b, body: \"{{ map }} {{ i }}\\r\\n\" }\n\
        - { post: /c, as: c, json: { id: \"{{ id }}\", text: \"{{ yes }} {{ map }}\", map: \"{{ map }}\" } }\n\
        - { get: /d, as: d, expect: { body: { json: { path: $.yes, equals: \"{{ yes }}\" } } } }\n\
        - { get: /e, as: e, expect: { body: { json: { path: $.id, equals: \"{{ id }}\" } } } }\n";
    let driven =
        sent(steps, r#"{"yes": true, "nil": null, "map": {"a": [1.0, false]}, "id": 18446744073709551617}"#);
    let of = |start: &str| driven.seen.iter().find(|seen| seen.path.starts_with(start)).unwrap();
    let first = of("/true/null/18446744073709551617");
    assert_eq!(first.body, "{\"a\":[1.0,false]} 0\r\n");
    let body = r#"{"id":18446744073709551617,"map":{"a":[1.0,false]},"text":"true {\"a\":[1.0,false]}"}"#;
    assert_eq!(of("/c").body, body);
    assert_eq!(details(&driven), Vec::<String>::new());
}

#[test]
fn a_header_that_is_no_text_is_refused_for_that() {
    let text = flow("- { get: /x, as: x, capture: { name: { header: x-name } } }");
    let driven = drive(experiment(&text, Some(PLAN), &flags()), 1, |_| {
        let mut answer = reply(200, &json!({}));
        answer.headers_mut().insert("x-name", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        Some((Micros::MILLISECOND, answer))
    });
    assert!(details(&driven)[0].contains("x-name is no UTF-8"), "{:?}", details(&driven));
}

#[test]
fn long_values_are_cut_in_samples() {
    let steps = "- { get: /a, as: a, capture: { v: $.v } }\n- { get: \"/{{ v }}\", as: b, expect: { status: 404, body: { contains: \"{{ v }}\" } } }\n";
    let body: &'static str = Box::leak(format!("{{\"v\": \"{}\"}}", "x".repeat(60_000)).into_boxed_str());
    let driven = sent(steps, body);
    let longest = driven.records.iter().filter_map(|record| match record {
        Record::Error(error) => Some(error.request.len().max(error.detail.len())),
        _ => None,
    });
    assert!(longest.clone().count() > 0 && longest.max() < Some(400));
}

const ANSWER: &str = r#"{"id": 42, "name": "room-7", "state": "open", "rooms": [1, 2]}"#;

/// Why a step with these checks failed; nothing if it did not.
fn checked(body: &str) -> Option<String> {
    let steps = format!(
        "- {{ get: /a, as: a, capture: {{ n: $.id }} }}\n- {{ get: /b, as: b, expect: {{ body: {body} }} }}\n"
    );
    details(&sent(&steps, ANSWER)).first().cloned()
}

#[test]
fn an_answer_is_checked_in_several_ways_at_once() {
    let good = [
        "[{ exists: $.id }, { absent: $.error }, { contains: room-7 }, { matches: \"room-[0-9]+\" }]",
        "{ json: { path: $.id, above: 41 } }",
        "[{ json: { path: $.id, at_least: \"{{ n }}\" } }, { json: { path: $.id, at_most: 42.0 } }]",
        "{ json: { path: $.name, matches: \"^room-[0-9]$\" } }",
        "[{ not: { contains: error } }, { not: { json: { path: $.state, equals: closed } } }]",
        "{ not: { not: { exists: $.id } } }",
    ];
    for body in good {
        assert_eq!(checked(body), None, "{body}");
    }
    let bad = [
        ("[{ exists: $.id }, { absent: $.id }]", "it holds, and must not: there is $.id"),
        ("{ json: { path: $.id, below: 42 } }", "$.id is 42, not below 42"),
        ("{ json: { path: $.name, above: 1 } }", "$.name is `room-7`, which is no number"),
        ("{ json: { path: $.name, matches: \"^x\" } }", "$.name is `room-7`, which does not match"),
        ("{ matches: \"z{3}\" }", "nothing in the body matches `z{3}`"),
        ("{ not: { contains: room } }", "it holds, and must not: the body contains `room`"),
    ];
    for (body, why) in bad {
        assert_eq!(checked(body).as_deref(), Some(why), "{body}");
    }
    let refusals = [
        ("{ matches: \"(\" }", "is no regular expression"),
        ("{ json: { path: $.id } }", "compared with nothing"),
        ("{ json: { path: $.id, above: many } }", "`many` is no number"),
        ("{ json: { path: $.id, above: 1, below: 2 } }", "one comparison"),
    ];
    for (body, why) in refusals {
        let told = refused(&format!("- {{ get: /b, as: b, expect: {{ body: {body} }} }}"));
        assert!(told.contains(why), "{body}: {told}");
    }
}
