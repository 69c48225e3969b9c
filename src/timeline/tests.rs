//! That deltas add up in any order, that phases are those of SEMANTICS.md, and that nothing is lost
//! between them.

use proptest::prelude::*;

use super::fake::{Fifo, Plan, evenly, poisson, s, sample};
use super::phases::{Frame, Horizon, Return, phases};
use super::trigger::triggers;
use super::*;
use crate::objective::PhaseName;
use crate::random::{Key, Purpose};
use crate::sample::Sample;

fn rooms(seconds: i64) -> Plan {
    let mut plan = Plan::new(seconds).shape("rooms", "create", s(2.0));
    plan.outline.judge.warmup = s(10.0);
    plan
}

fn fine(rate: i64, seconds: i64) -> Vec<Sample> {
    evenly(rate, 0, seconds, |_| (Micros::millis(5), Kind::Ok))
}

/// `during x 50..63`, as whole cells.
fn table(plan: Plan, back: Return) -> Vec<String> {
    let timeline = plan.timeline(&fine(2, 100));
    let triggers = triggers(&timeline);
    let line = |p: phases::PhaseCells| {
        let mut spans: Vec<(u32, u32)> = Vec::new();
        for cell in p.cells {
            match spans.last_mut() {
                Some(last) if last.1 == cell => last.1 += 1,
                _ => spans.push((cell, cell + 1)),
            }
        }
        let spans: Vec<String> = spans.iter().map(|(a, b)| format!("{a}..{b}")).collect();
        format!("{:?} {}", p.name, spans.join(" ")).replace('"', "")
    };
    phases(&timeline, &triggers, &vec![back; triggers.len()]).into_iter().map(line).collect()
}

#[test]
fn phases_are_those_of_the_table() {
    let mut surge = rooms(100).shape("surge", "list", s(1.0));
    surge.outline.shapes[1].trigger = true;
    surge.outline.shapes[1].start = s(40.0);
    surge.outline.shapes[1].first = Some(s(40.0));
    surge.outline.shapes[1].end = s(60.0);
    surge.outline.shapes[1].planned = (0..60).map(|cell| u64::from(cell >= 40)).collect();
    let windowed = || rooms(100).fault("x", 50.5, Some(12.2));
    let rows: Vec<(&str, Plan, Return, Vec<&str>)> = vec![
        ("no trigger", rooms(100), Return::Unknown, vec!["Warmup 0..10", "Run 10..100"]),
        (
            "during rounds outward, after and baseline inward; D before is left out",
            windowed(),
            Return::Never,
            vec!["Warmup 0..10", "Baseline 10..48", "During(x) 50..63", "After(x) 63..100", "Run 10..100"],
        ),
        (
            "repeats are merged",
            rooms(100).fault("x#1", 30.0, Some(5.0)).fault("x#2", 60.0, Some(5.0)),
            Return::Unknown,
            vec![
                "Warmup 0..10",
                "Baseline 10..28",
                "During(x) 30..35 60..65",
                "After(x) 35..60 65..100",
                "Run 10..100",
            ],
        ),
        (
            "a one-shot lasts until it has settled",
            rooms(100).fault("kill", 50.0, None),
            Return::At(s(53.0)),
            vec![
                "Warmup 0..10",
                "Baseline 10..48",
                "During(kill) 50..60",
                "After(kill) 60..100",
                "Run 10..100",
            ],
        ),
        (
            "or until recovery",
            rooms(100).fault("kill", 50.0, None),
            Return::At(s(75.0)),
            vec![
                "Warmup 0..10",
                "Baseline 10..48",
                "During(kill) 50..75",
                "After(kill) 75..100",
                "Run 10..100",
            ],
        ),
        (
            "and its after never comes without recovery",
            rooms(100).fault("kill", 50.0, None),
            Return::Never,
            vec!["Warmup 0..10", "Baseline 10..48", "During(kill) 50..100", "After(kill) ", "Run 10..100"],
        ),
        (
            "after ends where the next trigger begins",
            rooms(100).fault("x", 30.0, Some(5.0)).fault("y", 70.0, Some(5.0)),
            Return::Unknown,
            vec![
                "Warmup 0..10",
                "Baseline 10..28",
                "During(x) 30..35",
                "After(x) 35..70",
                "During(y) 70..75",
                "After(y) 75..100",
                "Run 10..100",
            ],
        ),
        (
            "a shape as trigger is in force to its last intended start",
            surge,
            Return::Unknown,
            vec![
                "Warmup 0..10",
                "Baseline 10..38",
                "During(surge) 40..60",
                "After(surge) 60..100",
                "Run 10..100",
            ],
        ),
        (
            "a fault never removed has no after",
            rooms(100).unproven("x", 50.0, Some(5.0)),
            Return::Unknown,
            vec!["Warmup 0..10", "Baseline 10..48", "During(x) 50..100", "After(x) ", "Run 10..100"],
        ),
    ];
    for (name, plan, back, expected) in rows {
        assert_eq!(table(plan, back), expected, "{name}");
    }
}

#[test]
fn of_triggers_that_begin_together_none_is_the_next() {
    let beside = |planned: f64, began: f64, lasts: Option<f64>, of: Option<f64>| {
        let mut plan = rooms(100).fault("x", 50.0, of).fault("y", began, lasts);
        plan.outline.faults[1].at = s(planned);
        let timeline = plan.timeline(&fine(2, 100));
        let all = triggers(&timeline);
        let (frame, x) = (Frame::of(&timeline, &all), all.iter().find(|t| t.name == "x").unwrap());
        let horizon = match frame.horizon(x) {
            Horizon::Load(_) => "load",
            Horizon::Next(_) => "next",
            Horizon::InForce(..) => "in force",
        };
        (horizon, frame.outlasting(x).is_some())
    };
    let rows = [
        ("asked a moment later", beside(50.0, 50.004, Some(30.0), Some(10.0)), ("load", true)),
        ("a moment before", beside(50.0, 49.996, Some(30.0), Some(10.0)), ("load", true)),
        ("planned within half a cell", beside(50.4, 50.4, Some(30.0), Some(10.0)), ("load", true)),
        ("and after it was over", beside(50.4, 50.4, Some(30.0), Some(0.3)), ("next", false)),
        ("asked late, planned together", beside(50.0, 52.0, Some(30.0), Some(10.0)), ("load", true)),
        ("and over before it", beside(50.0, 50.004, Some(5.0), Some(10.0)), ("load", false)),
        ("a one-shot", beside(50.0, 50.004, None, Some(10.0)), ("load", false)),
        ("beside a one-shot", beside(50.0, 50.004, Some(30.0), None), ("load", true)),
        ("planned later", beside(51.0, 51.0, Some(30.0), Some(10.0)), ("in force", false)),
        ("planned together, it waited", beside(50.0, 60.0, Some(30.0), Some(10.0)), ("next", false)),
        ("after it", beside(70.0, 70.0, Some(5.0), Some(10.0)), ("next", false)),
    ];
    for (name, seen, expected) in rows {
        assert_eq!(seen, expected, "{name}");
    }
}

/// Its first arrival comes a moment after the time from which it is planned.
#[test]
fn a_surge_begins_with_the_fault_that_the_plan_has_at_its_start() {
    let mut plan = rooms(100).shape("surge", "list", s(1.0)).fault("x", 50.001, Some(10.0));
    plan.outline.faults[0].at = s(50.0);
    let shape = &mut plan.outline.shapes[1];
    (shape.trigger, shape.start, shape.first, shape.end) = (true, s(50.0), Some(s(50.8)), s(80.0));
    shape.planned = (0..80).map(|cell| u64::from(cell >= 50)).collect();
    let timeline = plan.timeline(&fine(2, 100));
    let all = triggers(&timeline);
    let (frame, x) = (Frame::of(&timeline, &all), all.iter().find(|t| t.name == "x").unwrap());
    assert_eq!(
        (frame.horizon(x), frame.outlasting(x).map(|t| &*t.name)),
        (Horizon::Load(s(100.0)), Some("surge"))
    );
}

#[test]
fn what_took_longer_than_can_be_told_took_at_least_that() {
    let mut tally = Tally::default();
    for took in [s(1.0), Micros(crate::histogram::MAX_MICROS as i64 * 3)] {
        tally.successes.record(took);
    }
    let told = [0.5, 1.0].map(|q| tally.quantile(q).unwrap().to_string());
    assert!(told[0] == "1 s" && told[1].starts_with(">= 1000 h"), "{told:?}");
}

#[test]
fn what_is_open_is_bad_at_the_deadline_or_the_time_it_waited() {
    let samples: Vec<Sample> =
        [0.0, 20.0].iter().map(|&at| sample(0, s(at), Micros::ZERO, Kind::Unfinished)).collect();
    let timeline = Plan::new(21).shape("rooms", "create", s(5.0)).timeline(&samples);
    let tally = timeline.tally(OpId(0), &timeline.all_cells());
    let values: Vec<f64> = tally.others.values().map(|(v, _)| v.as_secs_f64().round()).collect();
    assert_eq!((tally.intended, tally.good(), values), (2, 0, vec![5.0, 21.0]));
}

#[test]
fn a_history_that_breaks_off_counts_what_was_open() {
    let mut plan = rooms(100);
    let samples =
        evenly(10, 0, 60, |at| (Micros::ZERO, if at < s(50.0) { Kind::Ok } else { Kind::Unfinished }));
    let records = plan.records(&samples);
    let mut timeline = Timeline::new(plan.header());
    records.iter().filter(|r| !matches!(r, Record::End(_))).for_each(|r| timeline.apply(r));
    assert_eq!(timeline.load_end(), s(60.0));
    let tally = timeline.tally(OpId(0), &timeline.all_cells());
    assert_eq!((tally.intended, tally.good()), (600, 500));
}

#[test]
fn flows_in_flight_are_rate_times_response_by_littles_law() {
    let server = Fifo { exponential: Some(4), ..Fifo::new(0.001) };
    let timeline = rooms(100).timeline(&server.serve(&poisson(800.0, 100, 4)));
    let tally = timeline.tally(OpId(0), &(0..100).collect());
    let mean = tally.mean().unwrap().micros().as_secs_f64();
    let flying = (0..100).filter_map(|second| timeline.in_flight(0, second)).sum::<f64>() / 100.0;
    let expected = tally.intended as f64 / 100.0 * mean;
    assert!((flying / expected - 1.0).abs() < 0.01, "{flying} {expected}");
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Ok),
        Just(Kind::Late),
        Just(Kind::Timeout),
        Just(Kind::Status),
        Just(Kind::Unfinished)
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (0i64..40_000, 1i64..9_000_000, kind(), 0u16..2);
    let make =
        |(at, took, kind, op): (i64, i64, Kind, u16)| sample(op * 2, Micros::millis(at), Micros(took), kind);
    prop::collection::vec(one.prop_map(make), 0..60)
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let key = Key { seed, shape: 0, index: 0, attempt: 0, purpose: Purpose::Data };
    let mut draws = key.stream();
    for i in (1..items.len()).rev() {
        items.swap(i, draws.below(i as u64 + 1) as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn deltas_fold_the_same_in_any_order_and_split(samples in samples(), order in any::<u64>(), split in 1usize..5) {
        let plan = rooms(40).shape("lists", "list", s(1.0));
        let whole = plan.clone().timeline(&samples);
        let pieces = samples.chunks(split).flat_map(|part| plan.clone().records(part));
        let mut pieces: Vec<Record> = pieces.filter(|r| matches!(r, Record::Due { .. } | Record::Done(_))).collect();
        shuffle(&mut pieces, order);
        let mut parts = Timeline::new(whole.header.clone());
        pieces.iter().for_each(|r| parts.apply(r));
        parts.end = whole.end.clone();
        prop_assert_eq!(&parts.cells, &whole.cells);
    }

    #[test]
    fn windows_sum_to_the_whole(samples in samples(), cuts in prop::collection::btree_set(0u32..45, 0..6)) {
        let timeline = rooms(40).shape("lists", "list", s(1.0)).timeline(&samples);
        let whole = timeline.shape_tally(0, &timeline.all_cells(), Count::Seen);
        let mut sum = 0;
        let mut from = 0;
        for to in cuts.into_iter().chain([u32::MAX / 2]) {
            let cells: Cells = timeline.all_cells().range(from..to.max(from)).copied().collect();
            sum += timeline.shape_tally(0, &cells, Count::Seen).intended;
            from = to.max(from);
        }
        prop_assert_eq!(sum, whole.intended);
        let intended = samples.iter().filter(|s| s.op == OpId(0)).count() as u64;
        prop_assert_eq!(whole.intended, intended);
        let phases = phases(&timeline, &[], &[]);
        let both: u64 = phases.iter()
            .filter(|p| matches!(p.name, PhaseName::Warmup | PhaseName::Run))
            .map(|p| timeline.shape_tally(0, &p.cells, Count::Seen).intended).sum();
        prop_assert_eq!(both, intended);
    }
}
