//! Connections under load: who waits for one, who does not, and how what never comes is told.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use squall::http::{Reply, reply};
use squall::record::Record;
use squall::sample::Kind;
use squall::units::Micros;

use crate::common::{experiment, flags, outcomes};
use crate::scripted::{Driven, Seen, drive};

const MS: Micros = Micros::MILLISECOND;

fn run(shape: &str, answers: impl Fn(&Seen) -> bool + 'static) -> Driven {
    replied(shape, move |seen| answers(seen).then(|| (MS, reply(200, &json!({})))))
}

fn replied(shape: &str, answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static) -> Driven {
    ran(shape, "20s", answer)
}

fn ran(shape: &str, duration: &str, answer: impl Fn(&Seen) -> Option<(Micros, Reply)> + 'static) -> Driven {
    let lines: String = shape.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("target: sandbox\nduration: {duration}\nshapes:\n  s:\n{lines}");
    let plan = "judge: { warmup: 1ms, baseline: 1s }\n";
    drive(experiment(&text, Some(plan), &flags()), 1, answer)
}

fn kinds(driven: &Driven) -> BTreeMap<Kind, u64> {
    let mut kinds = BTreeMap::new();
    for ((kind, _), n) in outcomes(&driven.timeline, "a") {
        *kinds.entry(kind).or_default() += n;
    }
    kinds
}

#[test]
fn patient_probes_have_connections_of_their_own() {
    let shape =
        "arrival: { constant: { rate: 20/s } }\ntimeout: 1s\nconnections: 2\nflow: [{ get: /, as: a }]\n";
    let swallowed = |seen: &Seen| seen.at < Micros::secs(3) || seen.at >= Micros::secs(9);
    let driven = run(shape, swallowed);
    let late = driven.seen.iter().filter(|seen| seen.at > Micros::secs(11)).count();
    assert!(late > 150, "{late} of 180 requests came after the target was well again");
}

#[test]
fn without_a_timeout_the_implicit_deadline_ends_a_request() {
    let shape = "arrival: { constant: { rate: 5/s } }\nprobes: false\nflow: [{ get: /, as: a }]\n";
    let driven = run(shape, |_| false);
    assert_eq!(kinds(&driven), [(Kind::Timeout, 100)].into());
    let details = driven.records.iter().filter_map(|record| match record {
        Record::Error(error) => Some(error.detail.as_str()),
        _ => None,
    });
    assert!(details.clone().count() > 0 && details.clone().all(|detail| detail == "no answer within 30 s"));
}

#[test]
fn who_waits_for_a_connection_and_gets_none_is_told_so_and_the_wait_counts() {
    let shape = "arrival: { constant: { rate: 5/s } }\ntimeout: 2s\nconnections: 1\nprobes: false\nflow: [{ get: /, as: a }]\n";
    let driven = run(shape, |_| false);
    assert_eq!(kinds(&driven), [(Kind::Timeout, 100)].into());
    let waited = driven.records.iter().any(|record| match record {
        Record::Error(error) => error.detail == "no free connection within 2 s",
        _ => false,
    });
    assert!(waited, "one connection, and ten requests at a time");
}

const FAST: &str =
    "arrival: { constant: { rate: 50/s } }\ntimeout: 1s\nprobes: false\nflow: [{ get: /, as: a }]\n";

#[test]
fn ever_new_statuses_are_counted_one_by_one_up_to_a_limit_and_none_is_lost() {
    let next = Cell::new(300);
    let driven =
        replied(FAST, move |_| Some((MS, reply(next.replace(next.get() + 1) % 600 + 300, &json!({})))));
    let outcomes = outcomes(&driven.timeline, "a");
    let statuses: BTreeSet<u16> = outcomes.keys().map(|(_, status)| *status).collect();
    assert_eq!((statuses.len(), outcomes.values().sum::<u64>()), (33, 1_000), "32, and one for all others");
    assert!(statuses.contains(&0) && outcomes[&(Kind::Status, 0)] > 900);
}

#[test]
fn ever_new_texts_of_errors_leave_a_few_samples() {
    let next = Cell::new(0);
    let driven = replied(FAST, move |_| {
        let n = next.replace(next.get() + 1);
        Some((MS, reply(500, &json!({ "error": format!("request {n} failed") }))))
    });
    let samples = driven.records.iter().filter(|record| matches!(record, Record::Error(_))).count();
    assert!((8..=24).contains(&samples), "{samples}");
}

#[test]
fn where_each_operation_is_slower_than_all_before_a_few_of_a_second_are_told() {
    let driven = replied(FAST, |seen| Some((Micros(seen.at.0 / 40), reply(200, &json!({})))));
    let slow = driven.records.iter().filter(|record| matches!(record, Record::Slow(_))).count();
    assert!(slow <= 2 * 5 * 22, "{slow} of 1,000 operations and as many flows");
    let told = driven.records.iter().filter_map(|record| match record {
        Record::Slow(slow) => Some(slow.response),
        _ => None,
    });
    assert!(told.max().unwrap() > Micros::millis(495), "the slowest of all among them");
}

#[test]
fn connections_that_nobody_needed_for_a_minute_or_two_are_closed() {
    for (every, bursts, opened) in [("50s", 6, 20), ("130s", 3, 60)] {
        let shape = format!(
            "arrival: {{ bursts: {{ size: 20, every: {every} }} }}\ntimeout: 1s\nprobes: false\nflow: [{{ get: /, as: a }}]\n"
        );
        let driven = ran(&shape, "290s", |_| Some((MS, reply(200, &json!({})))));
        let connects = driven.records.iter().map(|record| match record {
            Record::Happened(happened) => happened.connects.iter().sum(),
            _ => 0,
        });
        let sent = [(Kind::Ok, 20 * bursts)].into();
        assert_eq!((kinds(&driven), connects.sum::<u64>()), (sent, opened), "{every}");
    }
}
