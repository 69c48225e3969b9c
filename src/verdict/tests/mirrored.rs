//! An abort rule and the objective that asks the opposite of the same run, `for D`: they may not contradict each other,
//! whatever the load is like, nor what is known by construction.

use proptest::prelude::*;

use super::*;
use crate::objective::Objective;

const LENGTH: i64 = 240;
const END: Micros = Micros::secs(LENGTH);

#[derive(Clone, Copy, Debug)]
enum Load {
    /// One each so many milliseconds.
    Evenly(i64),
    /// So many within so many seconds, each so many seconds.
    Bursts(i64, i64, i64),
    /// So many users who think for so many milliseconds.
    Users(i64, i64),
}

#[derive(Clone, Debug)]
struct Run {
    load: Load,
    /// From when to when what is asked meets `answer`.
    outage: (Micros, Micros),
    answer: (Micros, Kind),
    deadline: Micros,
    long: Micros,
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![
        (100i64..15_000).prop_map(Load::Evenly),
        (2i64..20, 1i64..4, 2i64..30).prop_map(|(n, over, period)| Load::Bursts(n, over.min(period), period)),
        (1i64..6, prop_oneof![50i64..1_000, 1_000i64..40_000]).prop_map(|(n, think)| Load::Users(n, think)),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    let outage = (20_000i64..120_000, prop_oneof![100i64..8_000, 8_000i64..60_000, Just(400_000)]);
    let outage = outage.prop_map(|(from, long)| (Micros::millis(from), Micros::millis(from + long)));
    let deadline = prop::sample::select(vec![2.0, 5.0, 20.0, 30.0]).prop_map(s);
    let hangs = any::<bool>();
    let long = prop::sample::select(vec![3.0, 5.0, 10.0, 30.0, 60.0]).prop_map(s);
    (load(), outage, deadline, hangs, long).prop_map(|(load, outage, deadline, hangs, long)| {
        let answer = if hangs { (deadline, Kind::Timeout) } else { (Micros::MILLISECOND, Kind::Connect) };
        Run { load, outage, answer, deadline, long }
    })
}

impl Run {
    fn answer(&self, at: Micros) -> (Micros, Kind) {
        if at >= self.outage.0 && at < self.outage.1 { self.answer } else { fine(at) }
    }

    fn samples(&self) -> Vec<Sample> {
        let times: Vec<Micros> = match self.load {
            Load::Evenly(apart) => (0..LENGTH * 1_000 / apart).map(|n| Micros::millis(n * apart)).collect(),
            Load::Bursts(n, over, period) => (0..LENGTH)
                .step_by(period as usize)
                .flat_map(|at| {
                    (0..n).map(move |nth| Micros::secs(at) + Micros::millis(nth * 1_000 * over / n))
                })
                .collect(),
            Load::Users(n, think) => {
                let again = |at: &Micros| Some(*at + self.answer(*at).0 + Micros::millis(think));
                let rounds = |user| std::iter::successors(Some(Micros::millis(37 * user)), again);
                let mut all: Vec<Micros> =
                    (0..n).flat_map(|user| rounds(user).take_while(|at| *at < END)).collect();
                all.sort();
                all
            }
        };
        let one = |at: Micros| sample(0, at, self.answer(at).0, self.answer(at).1);
        times.into_iter().map(one).collect()
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::new(LENGTH).shape("rooms", "create", self.deadline);
        let shape = &mut plan.outline.shapes[0];
        match self.load {
            Load::Bursts(_, _, period) => shape.period = Some(Micros::secs(period)),
            Load::Users(..) => shape.closed = true,
            Load::Evenly(_) => {}
        }
        plan
    }
}

fn rule(comparison: Comparison, long: Micros) -> Objective {
    Objective { window: Some(long), ..expect(Metric::Errors, comparison, 0.5, RUN) }
}

/// From when to when it was bad, as it was asked; and the longest time between two that were bad.
fn spell(samples: &[Sample]) -> (Micros, Micros) {
    let bad: Vec<Micros> =
        samples.iter().filter(|s| s.outcome.kind != Kind::Ok).map(|s| s.intended).collect();
    let span = bad.first().zip(bad.last()).map_or(Micros::ZERO, |(first, last)| *last - *first);
    let apart = bad.windows(2).map(|two| two[1] - two[0]).max();
    (span, apart.unwrap_or_default())
}

/// From the last that was well before it to the first that was well after it.
fn between_good(samples: &[Sample]) -> Micros {
    let is_bad = |sample: &&Sample| sample.outcome.kind != Kind::Ok;
    let good = || samples.iter().filter(|s| !is_bad(s)).map(|s| s.intended);
    let bad: Vec<Micros> = samples.iter().filter(is_bad).map(|s| s.intended).collect();
    let (Some(&first), Some(&last)) = (bad.first(), bad.last()) else { return Micros::ZERO };
    let before = good().filter(|at| *at < first).max().unwrap_or_default();
    good().filter(|at| *at > last).min().unwrap_or(END) - before
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_rule_and_its_mirror_agree(run in run()) {
        let samples = run.samples();
        let at = rules::fires(&run.plan(), &rule(Comparison::Above, run.long), &samples, LENGTH);
        let asked = |long| word(run.plan().objective(rule(Comparison::AtMost, long)), &samples);
        let ((half, why), (twice, because)) = (asked(Micros(run.long.0 / 2)), asked(run.long * 2));
        let (span, apart) = spell(&samples);
        let first_bad = samples.iter().find(|s| s.outcome.kind != Kind::Ok).map_or(END, |s| s.intended);
        let in_time = first_bad + run.long + apart * 2 + run.deadline + s(2.0) < END;
        if let Some(at) = at {
            // Windows at both ends, a third of D at most, were bad for half of themselves at least.
            prop_assert!(between_good(&samples) * 3 + s(3.0) >= run.long * 2, "fired at {at} s of {span}");
            // Of one user all of whose time is one answer more is needed.
            prop_assert!(half != Word::Pass, "fired at {at} s, and {half:?}: {why}");
        } else {
            prop_assert!(!in_time || span < run.long + apart + s(2.0), "{span} of it, {apart} apart, ended no run");
            prop_assert!(twice != Word::Fail || span < run.long + apart, "ended no run, and {because}");
        }
    }
    #[test]
    fn a_rule_on_a_metric_and_its_mirror_agree(
        every in 1i64..16, from in 20i64..100, lasts in 1i64..120, gone in 20i64..200, missing in prop::option::of(1i64..40),
        long in prop::sample::select(vec![3.0, 5.0, 10.0, 30.0, 60.0]).prop_map(s),
    ) {
        let high = |second: i64| second >= from && second < from + lasts;
        let is_read = |second: &i64| *second < gone || *second >= gone + missing.unwrap_or(0);
        let read = |second: i64| Record::Scrape(crate::record::Scrape {
            at: Micros::secs(second),
            name: "queue".to_owned(),
            value: if high(second) { 200.0 } else { 1.0 },
        });
        let all: Vec<i64> = (0..LENGTH).step_by(every as usize).filter(is_read).collect();
        let rule = |comparison, long| Objective { window: Some(long), comparison, ..queue_below(100.0, Aggregate::Last) };
        let told = |until: i64, objective: Option<Objective>| {
            let mut plan = rooms(LENGTH);
            plan.events.extend(all.iter().copied().filter(|second| *second <= until).map(read));
            plan.outline.objectives.extend(objective);
            plan
        };
        let mut abort = AbortRule::new(&rule(Comparison::Above, long));
        let at = (1..LENGTH).find(|&now| abort.fired(&told(now, None).timeline(&[]), Micros::secs(now)).is_some());
        let (half, why) = word(told(LENGTH, Some(rule(Comparison::AtMost, Micros(long.0 / 2)))), &evenly(1, 0, LENGTH, fine));
        let seen: Vec<i64> = all.iter().copied().filter(|&second| high(second)).collect();
        // Those on end, none missing.
        let spans = seen.chunk_by(|a, b| b - a == every).map(|run| Micros::secs(run[run.len() - 1] - run[0]));
        let span = spans.max().unwrap_or_default();
        match at {
            Some(at) => {
                prop_assert!(Micros::secs(lasts + 2 * every) >= long, "fired at {at} s");
                prop_assert!(half != Word::Pass, "fired at {at} s, and {why}");
            }
            None => prop_assert!(span < long + Micros::secs(every), "{span} of it ended no run"),
        }
    }
}
