//! Whether squall itself was sound, and what follows where it was not.

use super::*;
use crate::objective::Objective;
use crate::record::Pacing;

/// squall stands still in [from, to): what was intended in it leaves late, and answers are read late.
fn frozen(samples: &[Sample], from: f64, to: f64) -> Vec<Sample> {
    let inside = |at: Micros| s(from) <= at && at < s(to);
    let late = |sample: &Sample| {
        let mut late = sample.clone();
        if inside(late.intended) {
            let moved = s(to) - late.intended;
            (late.dequeued, late.done) = (late.dequeued + moved, late.done + moved);
        } else if inside(late.done) {
            late.done = s(to);
        }
        late
    };
    samples.iter().map(late).collect()
}

fn heartbeat(second: u32, late: Micros) -> Record {
    let mut record = Second { second, ..Second::default() };
    record.heartbeat.record(late);
    Record::Second(Box::new(record))
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
        assert!(judged.objectives[2].reason.contains("squall itself"), "{}", judged.objectives[2].reason);
        let generator = &judged.generator;
        assert!(!generator.sound && generator.sentence.contains("first at 1:"), "{generator:?}");
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
    let samples = frozen(&evenly(100, 0, 100, fine), 40.0, 48.0);
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
        assert_eq!((judged.objectives[0].word, judged.objectives[0].measured), (Word::Pass, Some(20.0)));
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
            Record::Arrived { cell, shape, .. } => timeline.apply(&Record::Arrived { cell, shape, n: 10 }),
            Record::Done(done) if done.op.0 == 1 => {}
            other => timeline.apply(&other),
        }
    }
    let judged = judge(&timeline);
    let told = &judged.generator.sentence;
    assert_eq!((judged.verdict, judged.generator.delivered), (Word::Invalid, Some(0.5)), "{told}");
    assert!(told.contains("squall started 10 of 20 flows"), "{told}");
}

#[test]
fn a_flow_is_tainted_by_what_its_earlier_steps_met() {
    let slow = |at: Micros| if at >= s(60.0) && at < s(62.0) { (s(1.5), Kind::Ok) } else { fine(at) };
    let worst = expect(Metric::Max, Comparison::Below, 1e6, RUN);
    let worst_flow = Objective { selector: Some("rooms".to_owned()), ..worst };
    for (since, word) in [(None, Word::Fail), (Some(50.0), Word::Fail), (Some(39.5), Word::Invalid)] {
        let mut plan = rooms(100).objective(worst_flow.clone());
        // squall stood still at 40 s; the flows that count at 60 s may have been under way.
        plan.events.push(heartbeat(40, s(0.4)));
        let records = plan.records(&evenly(20, 0, 100, slow));
        let mut timeline = Timeline::new(plan.header());
        for record in records {
            match record {
                Record::Done(mut done) if done.op.0 == 1 && (60..62).contains(&done.cell) => {
                    done.since = since.map(s);
                    timeline.apply(&Record::Done(done));
                }
                other => timeline.apply(&other),
            }
        }
        let objective = &judge(&timeline).objectives[0];
        assert_eq!(objective.word, word, "since {since:?}: {}", objective.reason);
    }
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
        assert_eq!(judged.objectives[0].reason.contains("squall itself was later"), word == Word::Invalid);
    }
}

/// A run that the abort rule stopped at 0:58.
fn aborted(rule: Objective, measured: &str, events: Vec<Record>, samples: &[Sample]) -> Judgement {
    let mut plan = rooms(100).objective(p(0.5, s(60.0), RUN));
    plan.outline.abort.push(rule.clone());
    plan.events.extend(events);
    let (at, measured) = (s(58.0), measured.to_owned());
    plan.events.push(Record::Rule(RuleEvent { at, text: rule.text, rule: "abort".to_owned(), measured }));
    (plan.how, plan.stopped) = (How::Aborted, Some(at));
    verdict(plan, samples)
}

/// An abort rule stops the run whoever is to blame; who is, the verdict says.
#[test]
fn an_abort_rule_that_squall_itself_tripped_is_not_the_targets_fault() {
    let swallowed = |at: Micros| if at >= s(50.0) { (s(2.0), Kind::Timeout) } else { fine(at) };
    let mut rule = expect(Metric::Errors, Comparison::Above, 0.5, RUN);
    rule.window = Some(s(5.0));
    // The last row: what squall did after the decision is no excuse for it.
    let rows = [(58, s(10.0), 97), (58, Micros::ZERO, 99), (60, s(1.5), 99)];
    for (second, late, exit) in rows {
        let beats = vec![heartbeat(second, late)];
        let judged = aborted(rule.clone(), "80 % of create failed", beats, &evenly(100, 0, 58, swallowed));
        let told = judged.summary.verdict.contains("squall itself was unsound");
        assert_eq!((judged.exit.code, told), (exit, exit == 97), "{}", judged.summary.verdict);
    }
}

#[test]
fn an_abort_rule_on_latency_is_read_without_the_generators_delay() {
    for (held, exit) in [(8, 97), (0, 99)] {
        let mut samples = evenly(200, 0, 58, fine);
        for sample in samples.iter_mut().step_by(20) {
            (sample.done, sample.work.held) = (sample.done + Micros::millis(8), Micros::millis(held));
        }
        let rule = expect(Metric::Quantile(0.99), Comparison::Above, 10_000.0, RUN);
        let judged = aborted(rule, "p99 of create was 13 ms", Vec::new(), &samples);
        let told = judged.summary.verdict.contains("squall itself was late");
        assert_eq!((judged.exit.code, told), (exit, exit == 97), "{}", judged.summary.verdict);
    }
}

/// An excused abort rule does not hide what an objective proves.
#[test]
fn the_sentence_is_about_what_decided() {
    let swallowed = |at: Micros| if at >= s(30.0) { (s(2.0), Kind::Timeout) } else { fine(at) };
    let mut plan = rooms(100).objective(expect(Metric::Errors, Comparison::Below, 0.01, RUN));
    let mut rule = expect(Metric::Errors, Comparison::Above, 0.5, RUN);
    rule.window = Some(s(2.0));
    plan.outline.abort.push(rule.clone());
    plan.events.push(heartbeat(58, s(2.0)));
    let (at, measured) = (s(58.0), "all of create failed".to_owned());
    plan.events.push(Record::Rule(RuleEvent { at, text: rule.text, rule: "abort".to_owned(), measured }));
    (plan.how, plan.stopped) = (How::Aborted, Some(at));
    let judged = verdict(plan, &evenly(100, 0, 58, swallowed));
    assert_eq!(judged.verdict, Word::Fail);
    assert!(!judged.summary.verdict.contains("abort rule"), "{}", judged.summary.verdict);
}
