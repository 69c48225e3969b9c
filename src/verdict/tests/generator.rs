//! Whether squall itself was sound, and what follows where it was not.

use super::*;
use crate::objective::Objective;
use crate::record::{KeeperEvent, Pacing};
use crate::sample::Clean;

/// squall stands still in [from, to): what was intended in it leaves late, answers are read late, and it is left
/// out, with what comes in the burst that follows.
pub(super) fn frozen(samples: &[Sample], from: f64, to: f64) -> Vec<Sample> {
    let (from, to) = (s(from), s(to));
    let until = to + (to - from) * 2;
    let late = |sample: &Sample| {
        let mut late = sample.clone();
        if from <= late.intended && late.intended < to {
            let moved = to - late.intended;
            (late.dequeued, late.done) = (late.dequeued + moved, late.done + moved);
        } else if from <= late.done && late.done < to {
            late.work.held += to - late.done;
            late.done = to;
        }
        if from <= late.intended && late.intended < until {
            late.clean = Clean::LeftOut;
        }
        late
    };
    samples.iter().map(late).collect()
}

pub(super) fn heartbeat(cell: u32, late: Micros) -> Record {
    let mut record = Happened { cell, ..Happened::default() };
    record.heartbeat.record(late);
    Record::Happened(Box::new(record))
}

#[test]
fn a_service_does_not_relapse_as_squall_stands_still() {
    let noted = |samples: &[Sample]| {
        let judged = verdict(at_half_time(rooms(80), recovery_within(12.0)), samples);
        judged.notes.iter().any(|note| note.starts_with("FLAPPING"))
    };
    let well =
        evenly(
            200,
            0,
            80,
            |at| if at >= s(25.0) && at < s(30.0) { (s(2.0), Kind::Timeout) } else { fine(at) },
        );
    assert!(!noted(&frozen(&well, 55.0, 59.0)));
    let again = |at: Micros| at >= s(25.0) && at < s(30.0) || at >= s(55.0) && at < s(59.0);
    let relapses = evenly(200, 0, 80, |at| if again(at) { (s(2.0), Kind::Timeout) } else { fine(at) });
    assert!(noted(&relapses));
    assert!(noted(&frozen(&relapses, 65.0, 67.0)), "what it did by itself is its own");
}

#[test]
fn a_frozen_generator_never_fails_a_target_that_is_fine() {
    for (to, seconds) in [(100.5, 0.5), (105.0, 5.0)] {
        let samples = frozen(&evenly(200, 0, 200, fine), 100.0, to);
        let mut plan = rooms(200).objective(p(0.99, s(0.1), RUN)).objective(p(0.999, s(0.1), RUN));
        plan.events.push(heartbeat(100 + seconds as u32, s(seconds)));
        let judged = verdict(plan.objective(expect(Metric::Max, Comparison::Below, 1e5, RUN)), &samples);
        assert_ne!(judged.verdict, Word::Fail, "{}", judged.summary.verdict);
        assert_eq!(judged.objectives[2].word, Word::Invalid, "{:?}", judged.objectives[2]);
        assert!(
            judged.objectives[2].reason.contains("squall stood still"),
            "{}",
            judged.objectives[2].reason
        );
        let generator = &judged.generator;
        assert!(!generator.sound && generator.sentence.contains("first at 1:"), "{generator:?}");
        assert!(generator.left_out > 0, "{generator:?}");
    }
}

/// Beats are in time, and yet 2 in 100 answers lay unread for 8 ms: squall had to wait for a processor.
#[test]
fn what_squall_itself_held_up_is_not_the_targets_fault() {
    for (held, word) in [(8, Word::Invalid), (0, Word::Fail)] {
        let mut samples = evenly(200, 0, 200, fine);
        for sample in samples.iter_mut().step_by(50) {
            (sample.done, sample.work.held) = (sample.done + Micros::millis(8), Micros::millis(held));
        }
        let judged = verdict(rooms(200).objective(p(0.99, s(0.01), RUN)), &samples);
        assert_eq!(judged.verdict, word, "held up for {held} ms: {}", judged.summary.verdict);
        let told = judged.generator.held_max.unwrap();
        assert!((told - Micros::millis(held)).0.abs() <= 8, "to three digits: {told}");
    }
}

#[test]
fn a_slow_target_still_fails_beside_a_late_generator() {
    let slow = frozen(&evenly(200, 0, 200, |_| (s(0.8), Kind::Ok)), 100.0, 102.0);
    let judged = verdict(rooms(200).objective(p(0.99, s(0.5), RUN)), &slow);
    assert_eq!(judged.verdict, Word::Fail, "{}", judged.summary.verdict);
}

#[test]
fn what_the_generator_lost_makes_even_a_pass_invalid() {
    let local = |at: Micros| if at < s(20.0) { (Micros::ZERO, Kind::Local) } else { fine(at) };
    let plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.5, RUN));
    let judged = verdict(plan, &evenly(50, 0, 100, local));
    assert_eq!(judged.verdict, Word::Invalid);
    let mut plan = rooms(100).objective(p(0.5, s(1.0), RUN));
    plan.outline.shapes[0].planned = vec![50; 100];
    let judged = verdict(plan, &evenly(10, 0, 100, fine));
    let told = (judged.verdict, judged.generator.sound);
    assert_eq!(told, (Word::Invalid, false), "{}", judged.summary.verdict);
}

#[test]
fn late_measurement_alone_does_not_take_a_pass_away() {
    let samples = frozen(&evenly(100, 0, 100, fine), 40.0, 44.0);
    let judged = verdict(rooms(100).objective(p(0.5, s(0.1), RUN)), &samples);
    assert_eq!(judged.verdict, Word::Pass, "{}", judged.summary.verdict);
}

#[test]
fn flows_that_count_in_a_later_cell_are_delivered_all_the_same() {
    let mut plan = rooms(100).objective(p(0.5, s(1.0), RUN));
    let later = |record: Record| match record {
        Record::Due { cell, op, n } => Record::Due { cell: cell + u32::from(op.0 % 2), op, n },
        Record::Done(mut done) => {
            done.cell += u32::from(done.op.0 % 2);
            Record::Done(done)
        }
        other => other,
    };
    let records: Vec<Record> = plan.records(&evenly(20, 0, 100, fine)).into_iter().map(later).collect();
    let mut timeline = Timeline::new(plan.header());
    records.iter().for_each(|r| timeline.apply(r));
    let judged = judge(&timeline);
    assert_eq!(
        (judged.verdict, judged.generator.delivered),
        (Word::Pass, Some(1.0)),
        "{:?}",
        judged.generator
    );
}

#[test]
fn a_targets_metric_is_held_against_the_generator_too() {
    let queue = |value: fn(u32) -> f64| {
        let mut plan = rooms(100).objective(queue_below(10.0, Aggregate::Max));
        scraped(&mut plan, value);
        plan
    };
    let lost = |at: Micros| if at < s(20.0) { (Micros::ZERO, Kind::Local) } else { fine(at) };
    let judged = verdict(queue(|_| 1.0), &evenly(50, 0, 100, lost));
    assert_eq!(judged.verdict, Word::Invalid, "not sent: {}", judged.summary.verdict);
    let samples = frozen(&evenly(50, 0, 100, fine), 40.0, 42.0);
    let judged = verdict(queue(|at| if at == 41 { 99.0 } else { 1.0 }), &samples);
    assert_eq!(judged.verdict, Word::Invalid, "while frozen: {}", judged.summary.verdict);
    let judged = verdict(queue(|at| if at == 60 { 99.0 } else { 1.0 }), &samples);
    assert_eq!(judged.verdict, Word::Fail, "long after: {}", judged.summary.verdict);
}

#[test]
fn what_was_planned_after_the_load_stopped_is_not_missing() {
    for (how, word) in [(How::Interrupted, Word::Inconclusive), (How::Aborted, Word::Fail)] {
        let mut plan = rooms(100).objective(expect(Metric::Rate, Comparison::AtLeast, 20.0, RUN));
        plan.outline.shapes[0].planned = (0..100).map(|cell| if cell < 30 { 0 } else { 20 }).collect();
        (plan.how, plan.stopped) = (how, Some(s(30.2)));
        // Arrivals until the stop, and later steps of their flows until 56 s.
        let samples =
            [evenly(20, 0, 30, fine), evenly(20, 30, 31, fine)[..4].to_vec(), evenly(1, 31, 57, fine)];
        let timeline = plan.timeline(&samples.concat());
        assert_eq!(timeline.load_end(), s(30.2));
        let judged = judge(&timeline);
        assert_eq!(judged.verdict, word, "{}", judged.summary.verdict);
        assert_eq!(
            (judged.objectives[0].word, judged.objectives[0].measured),
            (Word::Pass, Some(Quantity::new(Unit::Rate, 20.0)))
        );
        assert!(judged.generator.sound, "{}", judged.generator.sentence);
    }
}

#[test]
fn undelivered_arrivals_do_not_hide_behind_flows_of_many_operations() {
    // Of twenty planned flows a second ten are started, and each asks three times.
    let mut plan = rooms(100).objective(p(0.5, s(1.0), RUN));
    let records = plan.records(&evenly(30, 0, 100, fine));
    plan.outline.shapes[0].planned = vec![20; 100];
    let mut timeline = Timeline::new(plan.header());
    for record in records {
        match record {
            Record::Due { cell, op, .. } if op.0 == 1 => timeline.apply(&Record::Due { cell, op, n: 10 }),
            Record::Arrived { cell, shape, .. } => {
                timeline.apply(&Record::Arrived { cell, shape, n: 10, late: 0, probes: 0 })
            }
            Record::Done(done) if done.op.0 == 1 => {}
            other => timeline.apply(&other),
        }
    }
    let judged = judge(&timeline);
    let told = &judged.generator.sentence;
    assert_eq!((judged.verdict, judged.generator.delivered), (Word::Invalid, Some(0.5)), "{told}");
    assert!(told.contains("squall started 10 of 20 flows in time"), "{told}");
}

#[test]
fn a_machine_without_timerfd_is_told() {
    for (pacer, told) in [(Pacing::Timerfd, false), (Pacing::Wheel, true), (Pacing::Virtual, false)] {
        let mut plan = rooms(20).objective(p(0.5, s(1.0), RUN));
        plan.pacer = pacer;
        let judged = verdict(plan, &evenly(100, 0, 20, fine));
        let notes = judged.notes.join(" ");
        assert_eq!(
            (notes.contains("no timerfd"), judged.generator.pacer.as_str()),
            (told, pacer.text()),
            "{notes}"
        );
    }
}

/// After the fault every window is slower by 20 ms for a while: the service's doing, unless squall sent late;
/// and the service's again if squall was as late as ever.
#[test]
fn a_return_that_squall_itself_held_back_is_not_the_targets_fault() {
    let rows = [(0, 20, Word::Invalid), (0, 0, Word::Fail), (20, 20, Word::Fail)];
    for (late_before, late_then, word) in rows {
        let mut samples = evenly(200, 0, 200, fine);
        for sample in &mut samples {
            let then = sample.intended >= s(105.0) && sample.intended < s(130.0);
            let late = Micros::millis(if then { late_then } else { late_before });
            let slower = Micros::millis(if then { 20 } else { 0 });
            sample.dequeued += late;
            sample.done += if late_before > 0 { late + slower } else { slower };
        }
        let plan = rooms(200).fault("x", 100.0, Some(10.0)).objective(recovery_within(5.0));
        let judged = verdict(plan, &samples);
        assert_eq!(
            judged.verdict, word,
            "late by {late_before} and {late_then} ms: {}",
            judged.summary.verdict
        );
        assert_eq!(judged.objectives[0].reason.contains("without squall's own part"), word == Word::Invalid);
    }
}

/// `errors > 50 % for 5s`.
fn mostly_failing() -> Objective {
    Objective { window: Some(s(5.0)), ..expect(Metric::Errors, Comparison::Above, 0.5, RUN) }
}

/// An abort rule stops the run whoever is to blame, if it goes on; who is, is found out then.
#[test]
fn an_abort_rule_that_squall_itself_tripped_is_excused() {
    let swallowed = |at: Micros| if at >= s(50.0) { (s(2.0), Kind::Timeout) } else { fine(at) };
    for spoilt in [true, false] {
        let mut samples = evenly(100, 0, 58, swallowed);
        let hit = samples.iter_mut().filter(|sample| spoilt && sample.intended >= s(50.0));
        hit.for_each(|sample| sample.clean = Clean::LeftOut);
        let fired =
            fired_at_last(&rooms(100).timeline(&samples), &mostly_failing(), s(58.0)).expect("it comes true");
        assert_eq!(fired.excuse.is_some(), spoilt, "{fired:?}");
        // What is excused is told when it has gone on for two D more.
        let when = if spoilt { "in the 5 s before 0:58.00" } else { "in the last 5 s" };
        assert!(fired.measured.ends_with(&format!("of 500 {when}")), "{}", fired.measured);
    }
}

/// What squall spoilt of one operation excuses nothing of another's, and the worst is named, whichever way the
/// rule asks.
#[test]
fn one_operation_that_squall_spoilt_excuses_no_other_that_trips_the_rule() {
    let failing = |of_ten: i64| {
        move |at: Micros| match at >= s(50.0) && at.0 / 10_000 % 10 < of_ten {
            true => (s(2.0), Kind::Timeout),
            false => fine(at),
        }
    };
    let goodput = Objective { metric: Metric::Goodput, comparison: Comparison::Below, ..mostly_failing() };
    for rule in [mostly_failing(), goodput] {
        let mut samples = evenly(100, 0, 58, failing(10));
        samples
            .iter_mut()
            .filter(|sample| sample.intended >= s(50.0))
            .for_each(|sample| sample.clean = Clean::LeftOut);
        samples.extend(of_lists(evenly(100, 0, 58, failing(8))));
        let plan = rooms(100).shape("lists", "list", s(2.0));
        let found = fired(&plan.timeline(&samples), &rule, s(58.0)).expect("it comes true");
        assert_eq!(found.excuse, None, "{found:?}");
        assert!(found.measured.contains("list"), "{found:?}");
        samples.iter_mut().for_each(|sample| sample.clean = Clean::AsSeen);
        let plan = rooms(100).shape("lists", "list", s(2.0));
        let worst = fired(&plan.timeline(&samples), &rule, s(58.0)).expect("it comes true");
        assert!(worst.measured.contains("create"), "{worst:?}");
    }
}

#[test]
fn an_abort_rule_on_latency_is_read_without_the_generators_delay() {
    for (held, excused) in [(8, true), (0, false)] {
        let mut samples = evenly(200, 0, 58, fine);
        for sample in samples.iter_mut().step_by(20) {
            (sample.done, sample.work.held) = (sample.done + Micros::millis(8), Micros::millis(held));
        }
        let rule = expect(Metric::Quantile(0.99), Comparison::Above, 10_000.0, RUN);
        let fired = fired_at_last(&rooms(100).timeline(&samples), &rule, s(58.0)).expect("it comes true");
        assert_eq!(fired.excuse.is_some(), excused, "{fired:?}");
    }
}

/// An excused abort rule does not hide what an objective proves.
#[test]
fn the_sentence_is_about_what_decided() {
    let swallowed = |at: Micros| if at >= s(30.0) { (s(2.0), Kind::Timeout) } else { fine(at) };
    let rows =
        [(0.01, Word::Fail, "% of create failed"), (0.99, Word::Invalid, "The abort rule `errors > 50%`")];
    for (limit, word, said) in rows {
        let mut plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, limit, RUN));
        let (at, excuse) = (s(58.0), Some("squall stood still".to_owned()));
        let (text, measured) = ("errors > 50%".to_owned(), "all of create failed".to_owned());
        plan.events.push(Record::Rule(RuleEvent { at, text, rule: RuleKind::Abort, measured, excuse }));
        (plan.how, plan.stopped) = (How::Aborted, Some(at));
        let judged = verdict(plan, &evenly(100, 0, 58, swallowed));
        assert_eq!(judged.verdict, word, "{}", judged.summary.verdict);
        assert!(judged.summary.verdict.contains(said), "{}", judged.summary.verdict);
    }
}

/// The keeper carries the links: what failed while it was gone or stood still is no failure of the target's.
#[test]
fn a_keeper_that_was_gone_or_stood_still_is_squalls_own_trouble() {
    let gone = |at: Micros| if at >= s(60.0) { (s(0.001), Kind::Connect) } else { fine(at) };
    let held = |at: Micros| if at >= s(60.0) && at < s(63.0) { (s(2.0), Kind::Timeout) } else { fine(at) };
    let rows: [(&str, KeeperEvent, Answers, Word); 5] = [
        ("gone", KeeperEvent::Gone { at: s(60.0) }, gone, Word::Invalid),
        ("silent", KeeperEvent::Silent { from: s(60.0), to: Some(s(63.0)) }, held, Word::Invalid),
        ("late", KeeperEvent::Beats { from: s(60.0), at: s(63.0), late: s(2.9) }, held, Word::Invalid),
        ("saturated", KeeperEvent::Saturated { from: s(60.0), to: s(63.0) }, held, Word::Invalid),
        ("in time", KeeperEvent::Beats { from: s(60.0), at: s(63.0), late: s(0.06) }, held, Word::Fail),
    ];
    for (name, event, answer, word) in rows {
        let mut plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.01, RUN));
        plan.events.push(Record::Keeper(event));
        let judged = verdict(plan, &evenly(50, 0, 100, answer));
        assert_eq!(judged.verdict, word, "{name}: {}", judged.summary.verdict);
        let told = judged.summary.verdict.contains("keeper");
        assert_eq!(told, word == Word::Invalid, "{name}: {}", judged.summary.verdict);
    }
}

#[test]
fn load_that_came_late_or_not_at_all_supports_no_pass() {
    let late = |from: f64, to: f64| {
        let mut samples = evenly(50, 0, 100, fine);
        let inside = |sample: &&mut Sample| sample.intended >= s(from) && sample.intended < s(to);
        for sample in samples.iter_mut().filter(inside) {
            let lag = s(to) - sample.intended;
            (sample.dequeued, sample.done) = (sample.dequeued + lag, sample.done + lag);
        }
        samples
    };
    for (to, word) in [(41.0, Word::Pass), (50.0, Word::Invalid)] {
        let plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.01, RUN));
        let judged = verdict(plan, &late(40.0, to));
        assert_eq!(judged.verdict, word, "late until {to}: {}", judged.summary.verdict);
    }
}

/// A target that answers 500 to everything is not excused by two hiccups.
#[test]
fn hiccups_beside_a_target_that_only_fails_are_no_excuse() {
    let mut samples = frozen(&evenly(50, 0, 14, |_| (s(0.002), Kind::Status)), 4.0, 4.15);
    samples = frozen(&samples, 9.0, 9.15);
    let mut plan = rooms(14).objective(expect(Metric::Errors, Comparison::Below, 0.01, RUN));
    plan.events.extend([heartbeat(4, s(0.15)), heartbeat(9, s(0.15))]);
    let judged = verdict(plan, &samples);
    assert_eq!(judged.verdict, Word::Fail, "{}", judged.summary.verdict);
}

#[test]
fn a_request_that_squall_could_not_make_is_squalls_mistake() {
    let mut samples = evenly(50, 0, 100, fine);
    (samples[9].outcome.kind, samples[9].clean) = (Kind::Template, Clean::LeftOut);
    let judged = verdict(rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.5, RUN)), &samples);
    assert_eq!(judged.verdict, Word::Invalid, "{}", judged.summary.verdict);
    assert!(judged.summary.verdict.contains("could not make"), "{}", judged.summary.verdict);
}

/// The keeper was gone for the busier part of an uneven load: the rate of the rest is none of the whole, nor is
/// nothing where nothing was planned.
#[test]
fn what_the_keeper_spoilt_of_an_uneven_load_is_no_rate_of_nothing() {
    let in_burst = |at: Micros| at.0 % 4_000_000 < 1_000_000;
    let bursts: Vec<Sample> =
        evenly(100, 0, 60, fine).into_iter().filter(|sample| in_burst(sample.intended)).collect();
    let ramp = (0..60).flat_map(|cell| evenly(2 * cell.max(1), cell, cell + 1, fine)).collect();
    let rows = [
        ("bursts", bursts.clone(), 20.0, None),
        ("bursts, for a while", bursts, 20.0, Some(8.0)),
        ("a ramp", ramp, 50.0, None),
        ("a shape that begins late", evenly(60, 30, 60, fine), 25.0, None),
    ];
    for (name, fine, limit, window) in rows {
        let rate = expect(Metric::Rate, Comparison::AtLeast, limit, RUN);
        let objective = Objective { window: window.map(s), ..rate };
        let mut plan = rooms(60).objective(objective);
        if name.starts_with("bursts") {
            plan.outline.shapes[0].period = Some(s(4.0));
        }
        assert_eq!(word(plan.clone(), &fine).0, Word::Pass, "{name}");
        let refused = |sample: &Sample| match sample.intended >= s(20.5) {
            true => Sample { outcome: crate::sample::Outcome::new(Kind::Connect, 0), ..sample.clone() },
            false => sample.clone(),
        };
        let samples: Vec<Sample> = fine.iter().map(refused).collect();
        assert_eq!(word(plan.clone(), &samples).0, Word::Fail, "{name}, refused by the target");
        plan.events.push(Record::Keeper(KeeperEvent::Gone { at: s(20.5) }));
        let (is, why) = word(plan, &samples);
        assert_eq!(is, Word::Invalid, "{name}: {why}");
    }
}

/// The service was well again, squall slept for a while, and later the service got slow: that it had not recovered
/// nobody saw. One that was down before and after that sleep had not.
#[test]
fn what_squall_slept_through_after_a_recovery_is_no_proof_against_it() {
    let slow_later =
        |at: Micros| if (s(44.0)..s(60.0)).contains(&at) { (s(0.2), Kind::Ok) } else { fine(at) };
    let down = |at: Micros| if at >= s(25.0) { (s(0.001), Kind::Status) } else { fine(at) };
    let rows: [(&str, Answers, f64, Word); 3] = [
        ("well, and awake", slow_later, 0.0, Word::Pass),
        ("well, then asleep", slow_later, 7.0, Word::Invalid),
        ("down, then asleep", down, 7.0, Word::Fail),
    ];
    for (name, answer, asleep, expected) in rows {
        let mut plan = at_half_time(rooms(80), recovery_within(30.0));
        let (from, to) = (s(34.0), s(34.0 + asleep));
        let samples = frozen(&evenly(20, 0, 80, answer), from.as_secs_f64(), to.as_secs_f64());
        if asleep > 0.0 {
            plan.events.push(heartbeat(to.as_secs_f64() as u32, to - from));
        }
        let (is, why) = word(plan, &samples);
        assert_eq!(is, expected, "{name}: {why}");
    }
}

/// Of two repeats squall slept through the whole of one: that the service was well after the other is no word of it.
#[test]
fn a_repeat_that_met_no_load_is_not_proven_by_the_others() {
    for (to, expected) in [(105.2, Word::Invalid), (102.0, Word::Pass)] {
        let mut plan = rooms(400).objective(recovery_within(60.0));
        plan = plan.fault("x#1", 100.0, Some(5.0)).fault("x#2", 250.0, Some(5.0));
        plan.events.push(heartbeat(to as u32, s(to - 99.9)));
        let (is, why) = word(plan, &frozen(&evenly(100, 0, 400, fine), 99.9, to));
        assert_eq!(is, expected, "asleep until {to}: {why}");
    }
}

/// The first of each twenty takes 150 ms: alone with one or two it makes no second slow that squall slept through.
#[test]
fn what_is_left_of_a_second_that_squall_mostly_slept_through_is_chance() {
    let mixed = |at: Micros| if at.0 % 1_000_000 == 0 { (s(0.15), Kind::Ok) } else { fine(at) };
    let slow = |_: Micros| (s(0.1), Kind::Ok);
    let rows: [(&str, Answers, f64, Word); 3] = [
        ("mixed, and awake", mixed, 0.0, Word::Pass),
        ("mixed, and asleep", mixed, 0.4, Word::Invalid),
        ("slow, and asleep", slow, 0.4, Word::Fail),
    ];
    for (name, answer, asleep, expected) in rows {
        let mean = expect(Metric::Mean, Comparison::Below, s(0.04).0 as f64, RUN);
        let mut plan = rooms(60).objective(Objective { window: Some(s(1.0)), ..mean });
        let samples = frozen(&evenly(20, 0, 60, answer), 30.12, 30.12 + asleep);
        if asleep > 0.0 {
            plan.events.push(heartbeat(30, s(asleep)));
        }
        let (is, why) = word(plan, &samples);
        assert_eq!(is, expected, "{name}: {why}");
    }
}

/// Nor has anything been slow for ten seconds on end where squall could send nothing for six of them.
#[test]
fn what_squall_spoilt_most_of_did_not_last_on_end() {
    let slow = |at: Micros| match at >= s(28.0) && at < s(30.0) || at >= s(36.0) && at < s(38.0) {
        true => (s(0.2), Kind::Ok),
        false => fine(at),
    };
    for (refused, expected) in [(0.0, Word::Pass), (6.0, Word::Invalid)] {
        let mean = expect(Metric::Mean, Comparison::Below, s(0.1).0 as f64, RUN);
        let plan = rooms(60).objective(Objective { window: Some(s(10.0)), ..mean });
        let (mut samples, until) = (evenly(20, 0, 60, slow), s(30.0 + refused));
        for sample in
            samples.iter_mut().filter(|sample| sample.intended >= s(30.0) && sample.intended < until)
        {
            (sample.outcome, sample.clean) = (crate::sample::Outcome::new(Kind::Local, 0), Clean::LeftOut);
        }
        let (is, why) = word(plan, &samples);
        assert_eq!(is, expected, "refused for {refused} s: {why}");
    }
}
