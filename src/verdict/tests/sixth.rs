//! What a sixth look found: what is usual in a baseline is not what happened in it once.

use super::*;

fn draw(seed: u64, purpose: u32, index: u64) -> f64 {
    let key =
        crate::random::Key { seed, shape: purpose, index, attempt: 0, purpose: crate::random::Purpose::Data };
    key.stream().unit()
}

/// Four minutes, with a fault in them.
fn judged_by_default() -> Plan {
    let mut plan = rooms(240).fault("x", 90.0, Some(20.0)).objective(recovery_within(10.0));
    plan.outline.judge = JudgeSettings::default();
    plan
}

/// At such a rate. For a while before the fault all fail or are slow, and from it on so many of a hundred.
fn with_a_pause(
    rate: f64,
    seed: u64,
    pause: (f64, f64),
    (pause_fails, pause_slow): (f64, f64),
    (fail, slow): (f64, f64),
) -> Judgement {
    let each = |(i, at): (usize, f64)| {
        let paused = at >= pause.0 && at < pause.0 + pause.1;
        let [fails, is_slow] = [1, 2].map(|purpose| draw(seed, purpose, i as u64) * 100.0);
        let then = at >= 90.0;
        let took = match (then && is_slow < slow) || (paused && pause_slow > 0.0) {
            true => 40.0,
            false => 5.0 + draw(seed, 3, i as u64),
        };
        let failed = (then && fails < fail) || (paused && pause_fails > 0.0);
        sample(0, s(at), Micros((took * 1e3) as i64), if failed { Kind::Status } else { Kind::Ok })
    };
    let samples: Vec<Sample> = poisson(rate, 240, seed).into_iter().enumerate().map(each).collect();
    verdict(judged_by_default(), &samples)
}

/// Some windows of its baseline lost all, or were slow throughout: they are no part of what is usual in the others.
#[test]
fn what_happened_once_in_a_baseline_hides_no_harm_that_is_done_for_good() {
    let rows = [
        ("slow at 1,000/s", 1_000.0, (40.0, 4.0), (0.0, 4.0)),
        ("slow at 300/s", 300.0, (40.0, 6.0), (0.0, 8.0)),
        ("failing at 20/s", 20.0, (40.0, 7.0), (12.0, 0.0)),
        ("failing at 200/s", 200.0, (40.0, 4.0), (5.0, 0.0)),
    ];
    for (name, rate, pause, worse) in rows {
        for (pause, then, expected) in
            [((0.0, 0.0), worse, Word::Fail), (pause, worse, Word::Fail), (pause, (0.0, 0.0), Word::Pass)]
        {
            let judged = with_a_pause(rate, 7, pause, worse, then);
            let said = &judged.summary.verdict;
            assert_eq!(judged.verdict, expected, "{name}, paused for {} s, then {then:?}: {said}", pause.1);
        }
    }
}

/// Four operations a window: two of them may be chance in each, and are none in all of them.
#[test]
fn what_each_window_may_lose_by_chance_all_of_a_stretch_may_not() {
    for (rate, before, then) in [(2.0, 1.0, 25.0), (5.0, 1.0, 10.0)] {
        let word = |then: f64, seed: u64| {
            let fails = |i: u64, at: f64| draw(seed, 1, i) * 100.0 < if at < 90.0 { before } else { then };
            let each = |(i, at): (usize, f64)| match fails(i as u64, at) {
                true => sample(0, s(at), Micros::MILLISECOND, Kind::Status),
                false => sample(0, s(at), Micros::millis(5), Kind::Ok),
            };
            let samples: Vec<Sample> = poisson(rate, 240, seed).into_iter().enumerate().map(each).collect();
            verdict(judged_by_default(), &samples).verdict
        };
        let seeds = 30;
        let [healthy, worse] =
            [before, then].map(|then| (0..seeds).filter(|&seed| word(then, seed) == Word::Fail).count());
        assert!(
            healthy <= 1 && worse >= 28,
            "{rate}/s, {before} % then {then} %: {healthy} and {worse} of {seeds} FAIL"
        );
    }
}

/// Half of the baseline well, the other half ill: its deviation from the middle of both is as wide as what moved, and
/// whatever came then was within it.
#[test]
fn a_baseline_that_changes_once_has_moved() {
    let status = |share: f64| move |fails: f64| (5.0, if fails < share { Kind::Status } else { Kind::Ok });
    let takes = |ms: f64| move |_: f64| (ms, Kind::Ok);
    type Answer = Box<dyn Fn(f64) -> (f64, Kind)>;
    let rows: [[Answer; 3]; 2] = [
        [Box::new(status(0.0)), Box::new(status(0.15)), Box::new(status(0.35))],
        [Box::new(takes(5.0)), Box::new(takes(40.0)), Box::new(takes(300.0))],
    ];
    for (row, [first, second, then]) in rows.iter().enumerate() {
        for (moves, answer, expected) in [
            (true, then, Word::Invalid),
            (true, second, Word::Invalid),
            (false, then, Word::Fail),
            (false, first, Word::Pass),
        ] {
            let each = |(i, at): (usize, f64)| {
                let now = if at >= 90.0 {
                    answer
                } else if at >= 50.0 && moves {
                    second
                } else {
                    first
                };
                let (ms, kind) = now(draw(3, 1, i as u64));
                let ms = ms * (1.0 + 0.2 * draw(3, 2, i as u64));
                sample(0, s(at), Micros((ms * 1e3) as i64), kind)
            };
            let samples: Vec<Sample> = poisson(50.0, 240, 3).into_iter().enumerate().map(each).collect();
            let judged = verdict(judged_by_default(), &samples);
            assert_eq!(judged.verdict, expected, "row {row}, moves {moves}: {}", judged.summary.verdict);
        }
    }
}

/// No load that lasts longer would tell: another trigger may be what puts the service out of its band.
#[test]
fn what_is_hidden_by_a_longer_trigger_is_not_told_to_take_more_load() {
    let slow = |at: Micros| at >= s(100.0) && at < s(140.0);
    let answer = |at: Micros| if slow(at) { (Micros::millis(100), Kind::Ok) } else { fine(at) };
    let judged = |end: f64| {
        let mut plan = rooms(260).fault("long", 100.0, Some(end)).fault("within", 110.0, None);
        plan = plan.objective(expect(Metric::Recovery, Comparison::Below, s(10.0).0 as f64, RUN));
        plan.outline.objectives[0].selector = Some("within".to_owned());
        verdict(plan, &evenly(100, 0, 260, answer))
    };
    let hidden = judged(40.0);
    let within = hidden.triggers.iter().find(|t| t.name == "within").unwrap();
    assert_eq!((hidden.verdict, within.needed), (Word::Inconclusive, None), "{}", within.sentence);
    let said = "long was still in force when within was over, and what was out of band from then on may be its doing.";
    assert_eq!(within.sentence, said);
    assert!(hidden.objectives[0].reason.contains(said), "{}", hidden.objectives[0].reason);
}

/// A slow ramp of users who think: there are ever more of them, and the service is as well as ever.
#[test]
fn what_moved_by_itself_is_not_told_as_a_service_that_did_not_recover() {
    let told = |answer: Answers| {
        let mut plan = at_half_time(rooms(60), recovery_within(10.0));
        let flying = |cell: u32| if cell < 25 { 10.0 + 0.4 * f64::from(cell) } else { 5_000.0 };
        let more = |cell: u32| Happened { cell, in_flight: vec![flying(cell)], ..Happened::default() };
        plan.events.extend((0..60).map(|cell| Record::Happened(Box::new(more(cell)))));
        verdict(plan, &evenly(50, 0, 60, answer))
    };
    let well = told(fine);
    assert_eq!(well.verdict, Word::Invalid, "{}", well.summary.verdict);
    let sentence = &well.triggers[0].sentence;
    let moved = "the number of flows in flight of rooms moved by more than half a band within the baseline";
    assert_eq!(*sentence, format!("What x did to the service is not known: {moved}."));
    assert_eq!(well.summary.recovery, None);
    let broken = told(|at| if at < s(25.0) { fine(at) } else { (Micros::millis(5), Kind::Status) });
    assert_eq!(broken.verdict, Word::Fail, "{}", broken.summary.verdict);
    assert!(broken.triggers[0].sentence.starts_with("The service did not recover from x"), "{broken:?}");
}

/// From 20 to 46 a second, of flows that think for two seconds: more of them are in flight, and none of them stays.
#[test]
fn more_flows_in_flight_of_more_that_were_planned_are_no_harm() {
    let judged = |leak: f64| {
        let faults = [40.0, 200.0];
        let slow = |at: Micros| faults.iter().any(|&from| at >= s(from) && at < s(from + 5.0));
        let times =
            (1..).map(|n| 10.0 * ((400.0 + 0.2 * f64::from(n)).sqrt() - 20.0)).take_while(|at| *at < 260.0);
        let answer = |at| if slow(at) { (Micros::millis(100), Kind::Ok) } else { fine(at) };
        let asked = times.map(s).map(|at| (at, answer(at)));
        let samples: Vec<Sample> = asked.map(|(at, (took, kind))| sample(0, at, took, kind)).collect();
        let mut plan = rooms(260).fault("x#1", 40.0, Some(5.0)).fault("x#2", 200.0, Some(5.0));
        plan = plan.objective(recovery_within(10.0));
        plan.outline.judge =
            JudgeSettings { warmup: s(3.0), windows: 10, stretch: s(10.0), ..JudgeSettings::default() };
        let stay = |cell: u32| if cell < 200 { 1.0 } else { leak };
        let thinking = |cell: u32| 2.0 * (20.0 + 0.1 * f64::from(cell)) * stay(cell);
        let happened = |cell| Happened { cell, in_flight: vec![thinking(cell)], ..Happened::default() };
        plan.events.extend((0..260).map(|cell| Record::Happened(Box::new(happened(cell)))));
        verdict(plan, &samples)
    };
    let well = judged(1.0);
    assert_eq!(well.verdict, Word::Pass, "{}", well.summary.verdict);
    let leaking = judged(2.0);
    assert_eq!(leaking.verdict, Word::Fail, "{}", leaking.summary.verdict);
}
