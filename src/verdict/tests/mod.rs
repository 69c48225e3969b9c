//! What the judge must say of histories that are known by construction (VERDICTS.md 4 and 5).

mod closed;
mod day;
mod enough;
mod fifth;
mod generator;
mod harm;
mod lines;
mod looks;
mod mirrored;
mod objectives;
mod own;
mod properties;
mod returns;
mod rules;
mod scenes;
mod second;
mod seventh;
mod sixth;
mod third;

use super::*;
use crate::objective::{Aggregate, Comparison, Metric, PhaseName};
use crate::outline::JudgeSettings;
use crate::quantity::{Quantity, Unit};
use crate::record::{FaultStage, Happened, Record, RuleEvent, RuleKind, Touched};
use crate::sample::{Kind, Sample};
use crate::timeline::fake::{Fifo, Plan, evenly, expect, p, poisson, s, sample};
use crate::units::Micros;

const RUN: PhaseName = PhaseName::Run;

/// What becomes of an operation that is intended at a time: how long it takes, and how it ends.
type Answers = fn(Micros) -> (Micros, Kind);

/// The same cases of each property every time, as a change is held against what it changed; as many others as
/// `PROPTEST_CASES` asks for each night.
fn cases() -> proptest::prelude::ProptestConfig {
    use proptest::test_runner::RngSeed;
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    proptest::prelude::ProptestConfig {
        failure_persistence: None,
        rng_seed: asked.map_or(RngSeed::Fixed(20_261_127), |_| RngSeed::Random),
        ..proptest::prelude::ProptestConfig::with_cases(asked.unwrap_or(48))
    }
}

/// What an abort rule says that is asked for the first time.
fn fired(timeline: &Timeline, rule: &crate::objective::Objective, now: Micros) -> Option<Fired> {
    AbortRule::new(rule).fired(timeline, now)
}

/// The same, and if that was only squall's own part, after two D more.
fn fired_at_last(timeline: &Timeline, rule: &crate::objective::Objective, now: Micros) -> Option<Fired> {
    let (mut asked, long) = (AbortRule::new(rule), rule.window.unwrap_or(s(10.0)));
    asked.fired(timeline, now).or_else(|| asked.fired(timeline, now + long * 2))
}

/// A minute with a fault at half-time.
fn at_half_time(plan: Plan, objective: crate::objective::Objective) -> Plan {
    let mut plan = plan.fault("x", 25.0, Some(5.0)).objective(objective);
    plan.outline.judge = JudgeSettings {
        warmup: s(2.0),
        windows: 4,
        stretch: s(8.0),
        stretch_windows: 3,
        ..JudgeSettings::default()
    };
    plan
}

/// The word of the one objective, and why.
fn word(plan: Plan, samples: &[Sample]) -> (Word, String) {
    let judged = verdict(plan, samples);
    (judged.objectives[0].word, judged.objectives[0].reason.clone())
}

/// So many flows of each shape are in flight in these cells.
fn in_flight(plan: &mut Plan, cells: std::ops::Range<u32>, of: impl Fn(u32) -> Vec<f64>) {
    let happened = |cell| Happened { cell, in_flight: of(cell), ..Happened::default() };
    plan.events.extend(cells.map(|cell| Record::Happened(Box::new(happened(cell)))));
}

fn rooms(seconds: i64) -> Plan {
    Plan::new(seconds).shape("rooms", "create", s(2.0))
}

fn during(x: &str) -> PhaseName {
    PhaseName::During(x.to_owned())
}

fn after(x: &str) -> PhaseName {
    PhaseName::After(x.to_owned())
}

fn fine(_: Micros) -> (Micros, Kind) {
    (Micros::millis(5), Kind::Ok)
}

fn verdict(plan: Plan, samples: &[Sample]) -> Judgement {
    judge(&plan.timeline(samples))
}

/// The same samples, of the second shape.
fn of_lists(samples: Vec<Sample>) -> Vec<Sample> {
    samples.into_iter().map(|sample| Sample { op: crate::sample::OpId(2), ..sample }).collect()
}

fn recovery_within(seconds: f64) -> crate::objective::Objective {
    expect(Metric::Recovery, Comparison::Below, s(seconds).0 as f64, RUN)
}

/// A queue of the target, read once a second.
fn scraped(plan: &mut Plan, value: impl Fn(u32) -> f64) {
    let scrape = |second: u32| crate::record::Scrape {
        at: Micros::secs(i64::from(second)),
        name: "queue".to_owned(),
        value: value(second),
    };
    plan.events.extend((0..100).map(scrape).map(Record::Scrape));
}

fn queue_below(limit: f64, aggregate: Aggregate) -> crate::objective::Objective {
    expect(Metric::Target { name: "queue".to_owned(), aggregate }, Comparison::Below, limit, RUN)
}

#[test]
fn a_fault_that_was_not_applied_or_not_removed_is_invalid() {
    let measured = |plan: Plan| {
        let plan = plan.objective(p(0.99, s(1.0), during("x"))).objective(recovery_within(10.0));
        verdict(plan, &evenly(100, 0, 200, fine))
    };
    let mut no_effect = rooms(200).unproven("x", 100.0, Some(10.0));
    no_effect.event("x", 101.0, FaultStage::NotEffective);
    let mut stuck = rooms(200).unproven("x", 100.0, Some(10.0));
    stuck.event("x", 100.0, FaultStage::Effective);
    stuck.event("x", 115.0, FaultStage::NotCleared);
    let mut quiet = rooms(200).fault("x", 100.0, Some(10.0));
    let Some(Record::Fault(last)) = quiet.events.last_mut() else { panic!() };
    last.touched = Some(Touched::default());
    // In so little time of a smoke run nobody need have come by.
    let mut smoke = quiet.clone();
    smoke.outline.smoke = Some(6.0);
    let judged = measured(smoke);
    assert!(judged.verdict != Word::Invalid && judged.exit.code == 98, "{}", judged.summary.verdict);
    assert!(
        judged.notes.iter().any(|note| note.contains("nobody came by while x was in force")),
        "{:?}",
        judged.notes
    );
    let rows = [
        (no_effect, 97, "x was not proven to be in force"),
        (stuck, 110, "x was not proven to be removed"),
        (quiet, 97, "x was in force but touched no traffic"),
    ];
    for (plan, exit, name) in rows {
        let judged = measured(plan);
        assert!(judged.objectives.iter().all(|o| o.word == Word::Invalid), "{name}: {:?}", judged.objectives);
        assert_eq!((judged.verdict, judged.exit.code), (Word::Invalid, exit), "{name}");
        assert!(judged.summary.verdict.contains(name), "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn too_little_is_inconclusive_and_fail_outranks_everything() {
    let few = evenly(1, 0, 100, fine);
    let rows = [
        ("p99 of 100", rooms(100).objective(p(0.99, s(1.0), RUN)), Word::Inconclusive, 98),
        ("p95 of 100", rooms(100).objective(p(0.95, s(1.0), RUN)), Word::Pass, 0),
        (
            "without a trigger the whole run is the baseline",
            rooms(100).objective(p(0.5, s(1.0), PhaseName::Baseline)),
            Word::Pass,
            0,
        ),
        (
            "a phase of a trigger that is not there",
            rooms(100).objective(p(0.5, s(1.0), PhaseName::During("gone".to_owned()))),
            Word::Inconclusive,
            98,
        ),
        (
            "a fault unproven, an objective broken",
            rooms(100).unproven("x", 50.0, Some(5.0)).objective(p(0.5, s(0.001), RUN)),
            Word::Fail,
            99,
        ),
        (
            "invalid and inconclusive",
            rooms(100).unproven("x", 50.0, Some(5.0)).objective(p(0.99, s(1.0), RUN)),
            Word::Invalid,
            97,
        ),
    ];
    for (name, plan, word, exit) in rows {
        let judged = verdict(plan, &few);
        assert_eq!((judged.verdict, judged.exit.code), (word, exit), "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn rules_and_ends_decide_before_objectives() {
    let rule = |rule: RuleKind, excuse: Option<&str>| {
        Record::Rule(RuleEvent {
            at: s(10.0),
            text: "errors < 5%".into(),
            rule,
            measured: "9 % failed".into(),
            excuse: excuse.map(str::to_owned),
        })
    };
    let rows = [
        (Some(rule(RuleKind::Abort, None)), How::Aborted, Word::Fail, 99),
        (Some(rule(RuleKind::Abort, Some("squall stood still"))), How::Aborted, Word::Invalid, 97),
        (Some(rule(RuleKind::Steady, None)), How::Unsteady, Word::Invalid, 97),
        (None, How::Interrupted, Word::Inconclusive, 105),
        (None, How::Failed, Word::Inconclusive, 107),
    ];
    for (rule, how, word, exit) in rows {
        let mut plan = rooms(20).objective(p(0.5, s(1.0), RUN));
        plan.events.extend(rule);
        plan.how = how;
        let judged = verdict(plan, &evenly(100, 0, 11, fine));
        assert_eq!((judged.verdict, judged.exit.code), (word, exit), "{how:?}");
    }
}

#[test]
fn a_judgement_survives_its_json() {
    let plan = rooms(100).fault("x", 50.0, Some(10.0)).objective(p(0.99, s(1.0), during("x")));
    let judged =
        verdict(plan, &[evenly(100, 0, 100, fine), vec![sample(0, s(99.0), s(9.0), Kind::Late)]].concat());
    let json = serde_json::to_string_pretty(&judged).unwrap();
    assert_eq!(serde_json::from_str::<Judgement>(&json).unwrap(), judged);
}
