//! Connections under load: who waits for one, who does not, and how what never comes is told.

use std::collections::BTreeMap;

use serde_json::json;
use squall::http::reply;
use squall::record::Record;
use squall::sample::Kind;
use squall::units::Micros;

use crate::common::{experiment, flags, outcomes};
use crate::scripted::{Driven, Seen, drive};

const MS: Micros = Micros::MILLISECOND;

fn run(shape: &str, answers: impl Fn(&Seen) -> bool + 'static) -> Driven {
    let lines: String = shape.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("target: sandbox\nduration: 20s\nshapes:\n  s:\n{lines}");
    let plan = "judge: { warmup: 1ms, baseline: 1s }\n";
    drive(experiment(&text, Some(plan), &flags()), 1, move |seen| {
        answers(seen).then(|| (MS, reply(200, &json!({}))))
    })
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

#[test]
fn a_connection_that_nobody_needed_for_long_is_closed() {
    for (every, opened) in [("80s", 20), ("100s", 60)] {
        let profile = format!(
            "target: sandbox\nduration: 210s\nshapes:\n  s:\n    arrival: {{ bursts: {{ size: 20, every: {every} }} }}\n    \
             timeout: 1s\n    probes: false\n    flow: [{{ get: /, as: a }}]\n"
        );
        let driven = drive(experiment(&profile, None, &flags()), 1, |_| Some((MS, reply(200, &json!({})))));
        let connects = driven.records.iter().map(|record| match record {
            Record::Happened(happened) => happened.connects.iter().sum(),
            _ => 0,
        });
        assert_eq!((kinds(&driven), connects.sum::<u64>()), ([(Kind::Ok, 60)].into(), opened), "{every}");
    }
}
