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
        in_flight(&mut plan, 0..60, |cell| vec![flying(cell)]);
        verdict(plan, &evenly(50, 0, 60, answer))
    };
    let well = told(fine);
    assert_eq!(well.verdict, Word::Invalid, "{}", well.summary.verdict);
    let sentence = &well.triggers[0].sentence;
    let moved = "the number of flows in flight of rooms moved by more than half a band within the baseline; a longer `warmup`, or a \
                 calmer machine or service, would help";
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
        in_flight(&mut plan, 0..260, |cell| vec![thinking(cell)]);
        verdict(plan, &samples)
    };
    let well = judged(1.0);
    assert_eq!(well.verdict, Word::Pass, "{}", well.summary.verdict);
    let leaking = judged(2.0);
    assert_eq!(leaking.verdict, Word::Fail, "{}", leaking.summary.verdict);
}

/// Two links that are cut at once and come back at once: one of them is told to be back a moment before the other.
#[test]
fn faults_that_end_together_are_both_seen_to_their_end() {
    for (x, y) in [((100.0, 20.002), (100.001, 20.004)), ((100.0, 20.004), (110.0, 10.001))] {
        for (until, expected) in [(122.0, Word::Pass), (200.0, Word::Fail)] {
            let gone = |at: Micros| at >= s(100.0) && at < s(until);
            let answer = |at| if gone(at) { (Micros::millis(1), Kind::Connect) } else { fine(at) };
            let mut plan = rooms(200).fault("x", x.0, Some(x.1)).fault("y", y.0, Some(y.1));
            plan = plan.objective(recovery_within(10.0));
            plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.2, after("x")));
            plan = plan.objective(expect(Metric::Errors, Comparison::Below, 0.2, after("y")));
            let judged = verdict(plan, &evenly(100, 0, 200, answer));
            let words: Vec<Word> = judged.objectives.iter().map(|o| o.word).collect();
            assert_eq!(words, [expected; 3], "{x:?} and {y:?}: {:?}", judged.objectives);
        }
    }
}

/// Flows that stay for half a minute, of a load that is three times as much for a minute: those that came then are in
/// flight when it is over, and those that are there since before are no more when it begins.
#[test]
fn flows_that_last_are_in_flight_for_as_long_after_a_load_that_was_more() {
    let judged = |leak: f64| {
        let rate = |at: f64| if (130.0..190.0).contains(&at) { 60.0 } else { 20.0 };
        let came = |from: f64, to: f64| (rate(from) * (to - from)).round() as usize;
        let times = (0..310).flat_map(|second| {
            let (from, n) = (f64::from(second), came(f64::from(second), f64::from(second) + 1.0));
            (0..n).map(move |i| s(from + i as f64 / n as f64))
        });
        let samples: Vec<Sample> = times.map(|at| sample(0, at, Micros::millis(5), Kind::Ok)).collect();
        let mut plan = rooms(310).fault("x", 100.0, Some(5.0)).fault("y", 186.0, Some(5.0));
        plan = plan.objective(recovery_within(10.0));
        plan.outline.judge =
            JudgeSettings { warmup: s(40.0), windows: 10, stretch: s(10.0), ..JudgeSettings::default() };
        let flown = |cell: u32| {
            let some: f64 = (1..=30).map(|ago| rate((f64::from(cell) - f64::from(ago)).max(0.0))).sum();
            some * if cell < 186 { 1.0 } else { leak }
        };
        in_flight(&mut plan, 0..310, |cell| vec![flown(cell)]);
        verdict(plan, &samples)
    };
    let well = judged(1.0);
    assert_eq!(well.verdict, Word::Pass, "{}", well.summary.verdict);
    let leaking = judged(1.8);
    assert_eq!(leaking.verdict, Word::Fail, "{}", leaking.summary.verdict);
}

/// Flows of both are more and more within the baseline; of one of them they are as few as ever afterwards.
#[test]
fn what_moved_is_told_of_who_did_not_come_back() {
    let mut plan = Plan::new(60).shape("rooms", "create", s(2.0)).shape("lists", "list", s(2.0));
    plan = at_half_time(plan, recovery_within(10.0));
    let more = |cell: u32, then: f64| if cell < 25 { 10.0 + 0.8 * f64::from(cell) } else { then };
    in_flight(&mut plan, 0..60, |cell| vec![more(cell, 10.0), more(cell, 5e3)]);
    let judged = verdict(plan, &[evenly(50, 0, 60, fine), of_lists(evenly(50, 0, 60, fine))].concat());
    let sentence = &judged.triggers[0].sentence;
    assert!(sentence.contains("the number of flows in flight of lists moved"), "{sentence}");
}

/// Three seconds of a load that ends then do not show that its service needed more than thirty, whatever another's did.
#[test]
fn a_shape_is_watched_until_its_own_load_ends() {
    let judged = |end: i64, until: f64| {
        let down = |at: Micros| match at >= s(100.0) && at < s(until) {
            true => (Micros::millis(1), Kind::Connect),
            false => fine(at),
        };
        let mut plan = rooms(200).shape("lists", "list", s(2.0)).fault("x", 100.0, Some(10.0));
        plan.outline.shapes[1].end = Micros::secs(end);
        let samples = [evenly(100, 0, 200, down), of_lists(evenly(100, 0, end, down))].concat();
        word(plan.objective(recovery_within(30.0)), &samples)
    };
    let (is, why) = judged(113, 114.0);
    assert_eq!(is, Word::Inconclusive, "{why}");
    assert!(why.contains("lists: The service did not recover from x: 3 s after it ended"), "{why}");
    for (end, until, word) in [(113, 150.0, Word::Fail), (145, 150.0, Word::Fail), (150, 114.0, Word::Pass)] {
        let (is, why) = judged(end, until);
        assert_eq!(is, word, "{end}, {until}: {why}");
    }
}

/// One arrival in fifteen seconds has no band in two minutes: what it lost for good is no part of the return, and said.
#[test]
fn a_shape_without_a_band_is_said_to_be_left_out_of_the_return() {
    let rare = |at: i64| match at < 100 {
        true => sample(2, Micros::secs(at), Micros::millis(5), Kind::Ok),
        false => sample(2, Micros::secs(at), s(2.0), Kind::Timeout),
    };
    let plan = || {
        let plan = rooms(200).fault("x", 120.0, Some(10.0)).objective(recovery_within(30.0));
        Plan {
            outline: crate::outline::Outline { judge: JudgeSettings::default(), ..plan.outline.clone() },
            ..plan
        }
    };
    let told = |judged: &Judgement| {
        judged.notes.iter().find(|note| note.starts_with("Recovery leaves out")).cloned()
    };
    let well = evenly(50, 0, 200, fine);
    assert_eq!(told(&verdict(plan(), &well)), None);
    let both = [well, (0..13).map(|nth| rare(15 * nth)).collect()].concat();
    let judged = verdict(plan().shape("lists", "list", s(2.0)), &both);
    assert_eq!(judged.objectives[0].word, Word::Pass, "{}", judged.objectives[0].reason);
    let note = told(&judged).unwrap();
    assert!(note.starts_with("Recovery leaves out lists: the baseline holds "), "{note}");
}
