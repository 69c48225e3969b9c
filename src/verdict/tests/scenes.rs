//! Random scenes, and what must be true of the words whatever happens in them: loads of all kinds, faults that overlap
//! and repeat, troubles of the target and of squall's own.
//! What is held against each other has a margin, as near a limit a word is chance.

use proptest::prelude::*;

use super::own::{Own, own};
use super::*;
use crate::objective::Objective;
use crate::outline::OperationOutline;
use crate::sample::OpId;

const LENGTH: i64 = 80;
pub(super) const DEADLINE: f64 = 2.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Arriving {
    Evenly,
    Poisson,
    /// So many seconds apart.
    Bursts(i64),
    Ramp,
    Users,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    arriving: Arriving,
    rate: i64,
    start: i64,
    end: i64,
    trigger: bool,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    name: &'static str,
    at: f64,
    /// None: a one-shot.
    long: Option<f64>,
}

/// What goes wrong with the target: one in `every` operations of a shape, or of all, for a while.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    from: f64,
    long: f64,
    every: u64,
    shape: Option<usize>,
    answer: (i64, Kind),
}

#[derive(Clone, Debug)]
struct Scene {
    loads: Vec<Load>,
    faults: Vec<Fault>,
    troubles: Vec<Trouble>,
    objectives: Vec<Objective>,
    seed: u64,
    stretch: f64,
    windows: u32,
}

fn load() -> impl Strategy<Value = Load> {
    let arriving = prop_oneof![
        Just(Arriving::Evenly),
        Just(Arriving::Poisson),
        (2i64..9).prop_map(Arriving::Bursts),
        Just(Arriving::Ramp),
        Just(Arriving::Users),
    ];
    let start = prop_oneof![3 => Just(0i64), 1 => 0i64..40];
    let end = prop_oneof![3 => Just(LENGTH), 1 => 45i64..LENGTH];
    (arriving, 1i64..40, start, end).prop_map(|(arriving, rate, start, end)| Load {
        arriving,
        rate,
        start,
        end,
        trigger: false,
    })
}

fn storm() -> impl Strategy<Value = Option<Load>> {
    let storm = (load(), 25i64..60, 1i64..15).prop_map(|(load, start, long)| Load {
        start,
        end: (start + long).min(LENGTH),
        trigger: true,
        ..load
    });
    prop::option::weighted(0.4, storm)
}

fn fault() -> impl Strategy<Value = Fault> {
    let long = prop::option::weighted(0.8, 0.3f64..20.0);
    (prop::sample::select(vec!["x", "y"]), 22.0f64..70.0, long).prop_map(|(name, at, long)| Fault {
        name,
        at,
        long: long.map(|long| long.min(LENGTH as f64 - 1.0 - at).max(0.2)),
    })
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let long = prop_oneof![2 => 0.5f64..5.0, 2 => 5.0f64..40.0, 1 => Just(200.0)];
    let every = prop_oneof![Just(1u64), 2u64..5, 5u64..60];
    let answer = prop::sample::select(vec![
        (301, Kind::Ok),
        (61, Kind::Ok),
        (1, Kind::Status),
        (1, Kind::Connect),
        (2_000, Kind::Timeout),
    ]);
    (prop_oneof![2 => 0.0f64..80.0, 1 => Just(0.0)], long, every, prop::option::of(0usize..2), answer)
        .prop_map(|(from, long, every, shape, answer)| Trouble { from, long, every, shape, answer })
}

fn objective() -> impl Strategy<Value = Objective> {
    use Comparison::{AtLeast, AtMost, Below};
    let names = || prop::sample::select(vec!["x", "y", "storm"]);
    let phase = prop_oneof![
        3 => Just(RUN),
        1 => Just(PhaseName::Baseline),
        2 => names().prop_map(during),
        2 => names().prop_map(after)
    ];
    let time = || (1i64..2_000).prop_map(|ms| Micros::millis(ms).0 as f64);
    let quantile = prop::sample::select(vec![0.5, 0.95, 0.99]).prop_map(Metric::Quantile);
    let latency = prop_oneof![3 => quantile, 1 => Just(Metric::Mean), 1 => Just(Metric::Max)];
    let back = prop::sample::select(vec![Metric::Recovery, Metric::Outage]);
    let what = prop_oneof![
        3 => (latency, time()).prop_map(|(metric, limit)| (metric, Below, limit)),
        2 => (0.01f64..0.5).prop_map(|limit| (Metric::Errors, AtMost, limit)),
        1 => (0.5f64..0.99).prop_map(|limit| (Metric::Goodput, AtLeast, limit)),
        2 => (0.1f64..60.0).prop_map(|limit| (Metric::Rate, AtLeast, limit)),
        1 => (1.0f64..2_000.0).prop_map(|limit| (Metric::Count, AtLeast, limit)),
        3 => (back, time()).prop_map(|(metric, limit)| (metric, Below, limit * 20.0)),
    ];
    let window = prop::option::of(prop::sample::select(vec![3.0, 5.0, 10.0, 30.0]).prop_map(s));
    let selector = prop::option::of(prop::sample::select(vec!["op0", "op1", "s0"]).prop_map(str::to_owned));
    let of = prop::option::of(names().prop_map(str::to_owned));
    (what, phase, window, selector, of).prop_map(
        |((metric, comparison, value), phase, window, selector, of)| {
            let (phase, window, selector) = match metric {
                Metric::Recovery | Metric::Outage => (RUN, None, of),
                _ => (phase, window, selector),
            };
            let text = format!("{metric}({selector:?}) {comparison:?} {value} {phase} for {window:?}");
            Objective { text, window, selector, ..expect(metric, comparison, value, phase) }
        },
    )
}

fn scene() -> impl Strategy<Value = Scene> {
    (
        (prop::collection::vec(load(), 1..3), storm()),
        prop::collection::vec(fault(), 0..4),
        prop::collection::vec(trouble(), 0..4),
        prop::collection::vec(objective(), 1..4),
        any::<u64>(),
        (prop::sample::select(vec![3.0, 8.0, 15.0]), 3u32..8),
    )
        .prop_map(|((mut loads, storm), mut faults, troubles, objectives, seed, (stretch, windows))| {
            loads.extend(storm);
            faults.sort_by(|a, b| a.at.total_cmp(&b.at));
            Scene { loads, faults, troubles, objectives, seed, stretch, windows }
        })
}

fn draw(seed: u64, shape: usize, index: u64) -> f64 {
    let purpose = crate::random::Purpose::Data;
    crate::random::Key { seed, shape: shape as u32, index, attempt: 0, purpose }.stream().unit()
}

impl Load {
    /// When its flows arrive, in seconds; not of a closed loop.
    fn times(&self, seed: u64) -> Vec<f64> {
        let (from, to, rate) = (self.start as f64, self.end as f64, self.rate as f64);
        let nth = |n: i64| n as f64;
        match self.arriving {
            Arriving::Poisson => {
                poisson(rate, self.end - self.start, seed).iter().map(|t| t + from).collect()
            }
            Arriving::Bursts(period) => (self.start..self.end)
                .step_by(period as usize)
                .flat_map(|at| (0..self.rate * period).map(move |n| nth(at) + nth(n) * 0.0005))
                .collect(),
            Arriving::Ramp => (1..)
                .map(|n| from + (2.0 * (to - from) * nth(n) / rate).sqrt())
                .take_while(|at| *at < to)
                .collect(),
            Arriving::Evenly | Arriving::Users => {
                (0..(self.end - self.start) * self.rate).map(|n| from + nth(n) / rate).collect()
            }
        }
    }
}

/// What comes on top of a scene: whether the nth operation of a shape, intended then, times out.
type Worse<'w> = &'w dyn Fn(usize, u64, Micros) -> bool;

impl Scene {
    fn plan(&self) -> Plan {
        let mut plan = Plan::new(LENGTH);
        for (i, load) in self.loads.iter().enumerate() {
            let name = if load.trigger { "storm".to_owned() } else { format!("s{i}") };
            plan = plan.shape(&name, &format!("op{i}"), s(DEADLINE));
            let shape = &mut plan.outline.shapes[i];
            (shape.start, shape.end) = (Micros::secs(load.start), Micros::secs(load.end));
            (shape.first, shape.trigger) = (Some(shape.start), load.trigger);
            shape.closed = load.arriving == Arriving::Users;
            shape.period = if let Arriving::Bursts(n) = load.arriving { Some(Micros::secs(n)) } else { None };
        }
        for (i, fault) in self.faults.iter().enumerate() {
            let nth = |until: usize| self.faults[..until].iter().filter(|f| f.name == fault.name).count();
            let name = match nth(self.faults.len()) {
                1 => fault.name.to_owned(),
                _ => format!("{}#{}", fault.name, nth(i) + 1),
            };
            plan = plan.fault(&name, fault.at, fault.long);
        }
        plan.outline.judge = JudgeSettings {
            warmup: s(2.0),
            windows: self.windows,
            stretch: s(self.stretch),
            stretch_windows: 3,
            ..JudgeSettings::default()
        };
        plan.outline.objectives = self.objectives.clone();
        in_flight(&mut plan, 0..LENGTH as u32 + 4, |_| vec![0.0; self.loads.len()]);
        plan
    }

    fn answer(&self, (shape, nth, at): (usize, u64, Micros), worse: Worse) -> (Micros, Kind) {
        if worse(shape, nth, at) {
            return (s(DEADLINE), Kind::Timeout);
        }
        let hits = |t: &&Trouble| {
            let then = at >= s(t.from) && at < s(t.from + t.long);
            then && nth.is_multiple_of(t.every) && t.shape.is_none_or(|of| of == shape)
        };
        match self.troubles.iter().find(hits) {
            Some(trouble) => (Micros::millis(trouble.answer.0), trouble.answer.1),
            None => (Micros::millis(3 + (draw(self.seed, 100 + shape, nth) * 50.0) as i64), Kind::Ok),
        }
    }

    fn samples(&self, worse: Worse, own: Option<&Own>) -> Vec<Sample> {
        let mut all = Vec::new();
        for (shape, load) in self.loads.iter().enumerate() {
            all.extend(match load.arriving {
                Arriving::Users => self.users(shape, worse, own),
                _ => {
                    let arriving = load.times(self.seed).into_iter().map(s).enumerate();
                    let answered = arriving.map(|(nth, at)| {
                        let (took, kind) = self.answer((shape, nth as u64, at), worse);
                        sample(2 * shape as u16, at, took, kind)
                    });
                    own.map_or(answered.clone().collect(), |own| own.delay(answered.collect()))
                }
            });
        }
        if let Some(own) = own {
            own.spoil(&mut all);
        }
        all.sort_by_key(|sample| sample.intended);
        all
    }

    /// A closed loop of few: it knows of standstills by itself.
    fn users(&self, shape: usize, worse: Worse, own: Option<&Own>) -> Vec<Sample> {
        let load = &self.loads[shape];
        let (start, frozen) = (Micros::secs(load.start), own.map_or(&[][..], |own| &own.frozen));
        let earlier = |at: f64| at - load.start as f64;
        let frozen: Vec<(f64, f64)> =
            frozen.iter().map(|(from, long)| (earlier(*from), earlier(from + long))).collect();
        let answer = |nth: usize, at: Micros| {
            let (took, kind) = self.answer((shape, nth as u64, at + start), worse);
            (took.max(Micros::millis(101)), kind)
        };
        let few = 1 + load.rate as usize / 10;
        let asked = closed::users(few, load.end - load.start, &answer, &frozen, Micros::ZERO);
        let later = |asked: Sample| Sample {
            op: OpId(2 * shape as u16),
            intended: asked.intended + start,
            dequeued: asked.dequeued + start,
            first_byte: asked.first_byte.map(|at| at + start),
            done: asked.done + start,
            ..asked
        };
        asked.into_iter().map(later).collect()
    }

    fn told(&self, worse: Worse, own: Option<&Own>) -> (Plan, Vec<Sample>) {
        let mut plan = self.plan();
        plan.events.extend(own.into_iter().flat_map(Own::records));
        (plan, self.samples(worse, own))
    }

    fn words(&self, worse: Worse, own: Option<&Own>) -> Vec<(Word, String)> {
        let (plan, samples) = self.told(worse, own);
        words(plan, &samples)
    }

    /// Where a one-shot's phases lie moves with what becomes of any shape.
    fn moves(&self, objective: &Objective) -> bool {
        let of = |fault: &Fault| [during(fault.name), after(fault.name)].contains(&objective.phase);
        self.faults.iter().any(|fault| fault.long.is_none() && of(fault))
    }

    fn eased(&self) -> Scene {
        Scene { objectives: self.objectives.iter().map(eased).collect(), ..self.clone() }
    }
}

fn words(plan: Plan, samples: &[Sample]) -> Vec<(Word, String)> {
    let judged = verdict(plan, samples);
    let said = |o: JudgedObjective| (o.word, format!("{}: {} [{}]", o.text, o.reason, o.measured_text));
    judged.objectives.into_iter().map(said).collect()
}

/// By a margin that no standstill's share of what is counted bridges: windows for a time, a third for the rest.
fn eased(objective: &Objective) -> Objective {
    let value = match objective.metric {
        Metric::Recovery | Metric::Outage => objective.value + s(20.0).0 as f64,
        Metric::Errors => objective.value * 1.5 + 0.05,
        Metric::Goodput => 1.0 - ((1.0 - objective.value) * 1.5 + 0.05),
        Metric::Rate | Metric::Count => objective.value * 0.66,
        _ => objective.value * 1.5,
    };
    let mut eased = Objective { value, ..objective.clone() };
    if let Metric::Quantile(q) = &mut eased.metric {
        *q = 1.5 * *q - 0.5;
    }
    eased
}

fn nothing(_: usize, _: u64, _: Micros) -> bool {
    false
}

/// A scene takes as long as eight simple histories.
fn few() -> ProptestConfig {
    ProptestConfig { cases: cases().cases.div_ceil(8), ..cases() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn more_bad_never_improves_a_word(
        scene in scene(), share in 0.05f64..1.0, seed in any::<u64>(), from in 0.0f64..60.0, long in 5.0f64..80.0,
    ) {
        let mut scene = scene;
        // Users who wait ask later, and so other things. What is normal is not to change with it, nor when a fault comes.
        scene.loads.iter_mut().filter(|l| l.arriving == Arriving::Users).for_each(|l| l.arriving = Arriving::Evenly);
        let triggers = scene.loads.iter().filter(|l| l.trigger).map(|l| l.start as f64);
        let first = triggers.chain(scene.faults.iter().map(|f| f.at)).fold(f64::MAX, f64::min);
        let spared = scene.objectives.iter().any(|o| !matches!(o.phase, PhaseName::Baseline) && (o.phase != RUN || matches!(o.metric, Metric::Recovery | Metric::Outage)));
        let from = if spared { from.max(first) } else { from };
        let worse = |shape: usize, nth: u64, at: Micros| {
            at >= s(from) && at < s(from + long) && draw(seed, shape, nth) < share
        };
        let (was, is) = (scene.words(&nothing, None), scene.words(&worse, None));
        for ((was, is), objective) in was.iter().zip(&is).zip(&scene.objectives) {
            let no_better = was.0 == Word::Pass || is.0 == Word::Fail || (was.0 != Word::Fail && is.0 != Word::Pass);
            prop_assert!(no_better || scene.moves(objective), "{:?} became {:?}", was, is);
        }
    }

    #[test]
    fn squalls_own_trouble_never_makes_a_fail_of_what_holds(scene in scene(), own in own(0.0)) {
        let (was, is) = (scene.words(&nothing, None), scene.eased().words(&nothing, Some(&own)));
        // What is left is enough by itself, and where most of what held is squall's it may break by itself.
        let left = words(scene.eased().plan(), &own.leave(&scene.samples(&nothing, None)));
        for (((was, is), left), objective) in was.iter().zip(&is).zip(&left).zip(&scene.objectives) {
            let counted = !matches!(objective.metric, Metric::Rate | Metric::Count | Metric::Recovery | Metric::Outage);
            let by_itself = counted && left.0 == Word::Fail;
            prop_assert!(by_itself || was.0 != Word::Pass || is.0 != Word::Fail, "{:?} became {:?}", was, is);
        }
    }

    #[test]
    fn squalls_own_trouble_never_makes_a_pass_of_what_breaks(scene in scene(), own in own(22.0)) {
        let (was, is) = (scene.eased().words(&nothing, None), scene.words(&nothing, Some(&own)));
        for (was, is) in was.iter().zip(&is) {
            prop_assert!(was.0 != Word::Fail || is.0 != Word::Pass, "{:?} became {:?}", was, is);
        }
    }

    #[test]
    fn the_order_of_shapes_and_what_else_is_asked_change_nothing(scene in scene(), own in prop::option::weighted(0.3, own(0.0))) {
        let (plan, samples) = scene.told(&nothing, own.as_ref());
        let was = words(plan.clone(), &samples);
        let shapes = scene.loads.len();
        let mut turned = plan.clone();
        turned.outline.shapes.reverse();
        let pairs = plan.outline.operations.chunks(2).rev();
        let place = |op: &OperationOutline| OperationOutline { shape: shapes - 1 - op.shape, ..op.clone() };
        turned.outline.operations = pairs.flatten().map(place).collect();
        let other = |sample: &Sample| Sample { op: OpId(2 * (shapes as u16 - 1) - sample.op.0), ..sample.clone() };
        let is = words(turned, &samples.iter().map(other).collect::<Vec<_>>());
        for (was, is) in was.iter().zip(&is) {
            prop_assert_eq!(was.0, is.0, "turned: {:?} and {:?}", was, is);
        }
        let more = plan.objective(expect(Metric::Errors, Comparison::AtMost, 1.0, RUN));
        for (was, is) in was.iter().zip(&words(more, &samples)) {
            prop_assert_eq!(was.0, is.0, "asked for more: {:?} and {:?}", was, is);
        }
    }

    /// It may only be that it takes longer to tell, or that there is something to tell.
    #[test]
    fn a_healthy_shape_beside_makes_nothing_better_or_worse(scene in scene()) {
        let (plan, mut samples) = scene.told(&nothing, None);
        let was = words(plan.clone(), &samples);
        let beside = OpId(2 * scene.loads.len() as u16);
        samples.extend(evenly(100, 0, LENGTH, fine).into_iter().map(|sample| Sample { op: beside, ..sample }));
        samples.sort_by_key(|sample| sample.intended);
        let is = words(plan.shape("healthy", "beside", s(DEADLINE)), &samples);
        for ((was, is), _) in was.iter().zip(&is).zip(&scene.objectives).filter(|(_, o)| !scene.moves(o) && o.metric != Metric::Count) {
            let either = [was.0, is.0];
            prop_assert!(was.0 == is.0 || either.contains(&Word::Inconclusive) && !either.contains(&Word::Fail), "{:?} became {:?}", was, is);
        }
    }
}
