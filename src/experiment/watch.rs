//! A plan as the judge will see it: its triggers, its phases, and what comes in them. Refuses rules that could never
//! decide.

use std::ops::Range;

use crate::arrival::Spacing;
use crate::diagnose::Span;
use crate::experiment::check::amend::Advice;
use crate::experiment::fault::Planned;
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::walk::{thinks, variance_of};
use crate::experiment::{Fault, Shape, Start, Step, expected, of_operation};
use crate::objective::{Comparison, Metric, Objective, PhaseName};
use crate::outline::{OperationOutline, Outline};
use crate::sample::OpId;
use crate::timeline::phases::{Frame, Return};
use crate::timeline::trigger::Trigger;
use crate::units::{Micros, grouped};

/// Of the arrivals that a shape with patient probes plans, at least this share is counted.
const COUNTED: f64 = 0.95;

/// Chance leaves fewer than so many standard deviations below what is expected in one run of forty.
const LIKELY: f64 = 2.0;
/// And no more and no less than so many from it in practically every run.
const CERTAIN: f64 = 3.0;

/// How many operations come where a rule looks: as expected, and what chance leaves in most runs, and in practically
/// every one.
pub(super) struct Come {
    least: f64,
    pub likely: f64,
    pub expected: f64,
    pub most: f64,
}

/// How many flows a shape plans where a rule looks at so many cells.
type Arrivals<'a> = &'a dyn Fn(&OperationOutline, usize) -> f64;

/// A plan, and the judge's frame of it.
pub(super) struct Watch<'w> {
    pub outline: &'w Outline,
    pub timeline: &'w [Planned],
    pub shapes: &'w [Shape],
    /// As planned, in order of their injection.
    pub triggers: Vec<Trigger>,
}

/// Triggers as planned: faults, and shapes that are triggers.
fn planned_triggers(outline: &Outline, timeline: &[Planned]) -> Vec<Trigger> {
    let faults = timeline.iter().map(|planned| {
        let (fault, at) = (&planned.outline, planned.outline.at);
        // A process that has to start again takes longer.
        let lasts = match &planned.fault {
            Fault::Failover { outage, .. } => *outage,
            _ => fault.length.unwrap_or(Micros::ZERO),
        };
        Trigger {
            name: fault.name.clone(),
            trigger: fault.trigger.clone(),
            shape: false,
            one_shot: fault.length.is_none(),
            settle: fault.settle,
            planned: at,
            t_inject: at,
            t_effective: Some(at),
            t_clear: Some(at + lasts),
        }
    });
    let shapes = outline.shapes.iter().filter(|s| s.trigger);
    let shapes = shapes.filter_map(|s| Some(Trigger::of_shape(s, s.first?, s.end)));
    let mut all: Vec<Trigger> = faults.chain(shapes).collect();
    all.sort_by_key(|t| t.t_inject);
    all
}

impl<'w> Watch<'w> {
    pub fn new(outline: &'w Outline, timeline: &'w [Planned], shapes: &'w [Shape]) -> Watch<'w> {
        Watch { outline, timeline, shapes, triggers: planned_triggers(outline, timeline) }
    }

    /// Where phases lie if all goes as planned.
    pub fn frame(&self) -> Frame<'_> {
        Frame { outline: self.outline, triggers: &self.triggers, load_end: self.outline.duration }
    }

    /// The times of a phase, at the longest: where the service comes back at once after a one-shot, for what comes
    /// after it, and never, for what is during it. Without triggers the run is its own baseline.
    pub(super) fn longest(&self, phase: &PhaseName) -> Vec<Range<Micros>> {
        let frame = self.frame();
        let back = |t: &Trigger| match phase {
            PhaseName::After(_) => Return::At(t.over()),
            _ => Return::Never,
        };
        let all = frame.phases(&self.triggers.iter().map(back).collect::<Vec<_>>());
        let found = all.into_iter().find(|(name, _)| name == phase).map(|(_, spans)| spans);
        found.unwrap_or_else(|| vec![frame.baseline()])
    }

    /// Refuses a limit that lies at the end of all values, and asks for more.
    fn possible(notes: &mut Notes, rule: &Objective, span: Span) {
        let share = matches!(rule.metric, Metric::Errors | Metric::Goodput);
        let of_target = matches!(rule.metric, Metric::Target { .. });
        let (than, instead) = match rule.comparison {
            Comparison::Below if rule.value <= 0.0 && !of_target => ("less", "<="),
            Comparison::Above if rule.value >= 1.0 && share => ("more", ">="),
            _ => return,
        };
        let message = format!("`{}` can never be: nothing is {than} than that", rule.text);
        notes.add(span, message, format!("write `{instead}`"));
    }

    /// Refuses what no value can meet, or looks at more on end than its phase will have.
    pub fn on_end(&self, notes: &mut Notes, advice: &Advice, rule: &Objective, span: Span) {
        Self::possible(notes, rule, span);
        let longest = self.longest(&rule.phase).iter().map(|span| span.end - span.start).max();
        let (Some(window), Some(longest)) = (rule.window, longest) else { return };
        // Of a baseline without room that is told.
        if longest <= Micros::ZERO && rule.phase == PhaseName::Baseline {
            return;
        }
        if longest <= Micros::ZERO {
            let message = format!("`for {window}` can never be: `{}` has no time", rule.phase);
            let some = "leave it some before the next trigger, or the end of the load";
            notes.add(span, message, advice.room_for(self, rule).unwrap_or_else(|| some.to_owned()));
        } else if window > longest {
            let message = format!("`for {window}` can never be: `{}` lasts {longest}", rule.phase);
            let less = format!("ask for {} on end or less", as_written(Micros(longest.0 / 1000 * 1000)));
            let room = advice.room_for(self, rule).map_or(String::new(), |room| format!("{room}, or "));
            notes.add(span, message, room + &less);
        }
    }

    /// Refuses an abort rule that can never fire, as its quantile never has operations enough.
    pub fn abort(&self, notes: &mut Notes, rule: &Objective, span: Span) {
        let times = self.longest(&rule.phase);
        let room = times.iter().map(|span| span.end - span.start).max().unwrap_or(Micros::ZERO);
        self.refuse(notes, (rule, span), room, &|operation, long| self.densest(&times, operation, long));
    }

    /// An abort rule that can fire, and seldom will: only where more come by chance than are expected.
    pub(super) fn seldom(&self, rule: &Objective) -> Option<String> {
        let Metric::Quantile(_) = rule.metric else { return None };
        let (times, long, needed) = (self.longest(&rule.phase), self.looks_at(rule), rule.least());
        let come = self.come(rule, long, &|operation, long| self.densest(&times, operation, long))?;
        (come.expected < needed as f64).then(|| {
            format!(
                "`abort: {}` will seldom decide: it looks at {} at a time, in which about {} operations count, and it takes {}; look at more with `for`, or raise the rate",
                rule.text.trim(),
                self.outline.cell * long as i64,
                grouped(come.expected as u64),
                grouped(needed),
            )
        })
    }

    /// The most flows of an operation's shape that are planned for so many cells on end within these times.
    pub(super) fn densest(&self, times: &[Range<Micros>], operation: &OperationOutline, long: usize) -> f64 {
        let cell = self.outline.cell;
        let of_time = |span: &Range<Micros>| {
            let (first, end) = (span.start.0.div_euclid(cell.0), -(-span.end.0).div_euclid(cell.0));
            let last = (end - long as i64).max(first);
            let within =
                |from: i64| self.flows(operation.shape, cell * from, cell * (from + long as i64).min(end));
            (first..=last).map(within).fold(0.0, f64::max)
        };
        times.iter().map(of_time).fold(0.0, f64::max)
    }

    /// Refuses a steady state that can never be found where it is looked for, a cell before the first trigger: as no
    /// time is left for it after the warm-up, or for the same reason; or where nothing comes before which to look.
    pub fn steady(&self, notes: &mut Notes, advice: &Advice, rule: &Objective, span: Span) {
        let Some(first) = self.outline.first_trigger() else {
            let help = "add a `timeline`, make it an objective, or watch the opposite with `abort`";
            let message = "nobody would look for this steady state: no fault and no trigger comes after it";
            notes.add(span, message.to_owned(), help);
            return;
        };
        if let PhaseName::During(_) | PhaseName::After(_) | PhaseName::Warmup = &rule.phase {
            let message = format!(
                "a steady state is looked for between the warm-up and the first trigger, and never {}",
                rule.phase
            );
            notes.add(span, message, "leave the phase out, or make it an objective");
            return;
        }
        let (cell, warmup) = (self.outline.cell, self.outline.judge.warmup);
        // Without `for` it looks at what there is.
        let (room, long) = (first - warmup, rule.window.unwrap_or(cell));
        if self.steady_from(rule).is_some() {
            let message = format!(
                "this steady state can never be found: it looks at {long}, a cell ({cell}) before the first trigger ({first}), and the warm-up ({warmup}) is no part of that"
            );
            let help = format!("let the first trigger {}, or look at less with `for`", advice.begin(self));
            notes.add(span, message, help);
            return;
        }
        self.refuse(notes, (rule, span), room - cell, &|operation, long| {
            self.before_trigger(first, operation, long)
        });
    }

    /// When the first trigger begins that leaves a steady state room to be looked for; none where it has that. Without
    /// `for` it looks at what there is.
    pub(super) fn steady_from(&self, rule: &Objective) -> Option<Micros> {
        let (cell, warmup) = (self.outline.cell, self.outline.judge.warmup);
        let at = warmup + rule.window.unwrap_or(cell) + cell;
        self.outline.first_trigger().filter(|&first| first < at).map(|_| at)
    }

    /// How many planned arrivals a steady state that looks at so many cells has of an operation, a cell before the first
    /// trigger: those of a service that is well have ended by then, and flows when they have thought.
    pub(super) fn before_trigger(&self, first: Micros, operation: &OperationOutline, long: usize) -> f64 {
        let (cell, warmup) = (self.outline.cell, self.outline.judge.warmup);
        let long = cell * long as i64;
        let shape = self.shapes.get(operation.shape).filter(|_| operation.flow);
        let until = first - cell - shape.map_or(Micros::ZERO, |shape| thinks(&shape.flow));
        self.flows(operation.shape, (until - long).max(warmup), until)
    }

    /// The flows of a shape that are planned for the cells in [from, to): as expected where they are drawn by chance, so
    /// that every seed tells the same.
    pub(super) fn flows(&self, shape: usize, from: Micros, to: Micros) -> f64 {
        match self.shapes.get(shape).map(|shape| (shape.start, &shape.arrival)) {
            Some((start, Start::Open(arrival))) if arrival.spacing == Spacing::Poisson => {
                arrival.expected(from - start, to - start)
            }
            _ => {
                let planned = self.outline.shapes.get(shape).map_or(&[][..], |shape| &shape.planned);
                self.cells(planned, from, to).iter().sum::<u64>() as f64
            }
        }
    }

    /// How many of an operation count of so many planned arrivals; none if nobody can tell. By chance flows begin, are
    /// patient probes, and go one way or another, which each run draws anew.
    pub(super) fn come_of(&self, (op, o): (usize, &OperationOutline), arrivals: f64) -> Option<Come> {
        let shape = self.shapes.get(o.shape)?;
        let expected = self.counted(op, o)? * arrivals;
        let (each, variance) = match (o.flow, OpId(op as u16)) {
            (true, _) => (1.0, 0.0),
            (false, op) => (of_operation(&shape.flow, op), variance_of(&shape.flow, op)),
        };
        let counted = if shape.probes { COUNTED } else { 1.0 };
        let drawn = matches!(&shape.arrival, Start::Open(arrival) if arrival.spacing == Spacing::Poisson);
        let unsure = if drawn { 1.0 } else { 1.0 - counted };
        let deviation = (arrivals * counted * (variance + unsure * each * each)).sqrt();
        // No more than are planned, where they do it so often each.
        let all = if drawn || variance > 0.0 { f64::MAX } else { arrivals * each };
        Some(Come {
            least: expected - CERTAIN * deviation,
            likely: expected - LIKELY * deviation,
            expected,
            most: (expected + CERTAIN * deviation).min(all),
        })
    }

    /// Of the operation that has the most of those which a rule speaks of; none if one of them may come as often as the
    /// target likes, or there are none.
    fn come(&self, rule: &Objective, long: usize, arrivals: Arrivals) -> Option<Come> {
        let operations = self.outline.operations.iter().enumerate().filter(|(_, o)| o.is_meant_by(rule));
        let each = operations.map(|(op, o)| {
            self.outline.shapes.get(o.shape).filter(|s| !s.closed)?;
            self.come_of((op, o), arrivals(o, long))
        });
        let larger = |a: Come, b: Come| Come {
            least: a.least.max(b.least),
            likely: a.likely.max(b.likely),
            expected: a.expected.max(b.expected),
            most: a.most.max(b.most),
        };
        each.collect::<Option<Vec<_>>>()?.into_iter().reduce(larger)
    }

    /// So many cells a live rule looks at: ten without `for`.
    pub(super) fn looks_at(&self, rule: &Objective) -> usize {
        rule.window.map_or(10, |d| d.0 / self.outline.cell.0.max(1)).max(1) as usize
    }

    fn refuse(&self, notes: &mut Notes, (rule, span): (&Objective, Span), room: Micros, arrivals: Arrivals) {
        let Metric::Quantile(_) = rule.metric else { return };
        let (long, needed) = (self.looks_at(rule), rule.least());
        let Some(Come { least, expected, most, .. }) = self.come(rule, long, arrivals) else { return };
        if most >= needed as f64 {
            return;
        }
        // As long as it takes at the pace of what is expected, and longer where they come in bursts or by chance.
        let mut longer = long;
        while longer as i64 <= room.0 / self.outline.cell.0.max(1) {
            let Some(come) = self.come(rule, longer, arrivals) else { return };
            if come.least >= needed as f64 {
                break;
            }
            let (needed, expected) = (needed as f64, come.expected.max(1.0));
            let chance = (come.expected - come.least) * (needed / expected).sqrt();
            longer = (longer + 1).max((longer as f64 * (needed + chance) / expected).ceil() as usize);
        }
        let up_to = if most > expected { "hardly more than" } else { "at most" };
        let longer = self.outline.cell * longer as i64;
        let long = self.outline.cell * long as i64;
        let message = format!(
            "this rule can never decide: it looks at {long} at a time, in which {up_to} {} operations count, and {} needs {}",
            grouped(most as u64),
            rule.metric,
            grouped(needed)
        );
        let mean = rule.asking(&Metric::Mean);
        let help = match (longer <= room, rule.quantile_of(least.max(0.0) as u64)) {
            (true, _) => {
                let longer = rule.lasting(&as_written(longer));
                format!("look at more with `{longer}`, or watch `{mean}`")
            }
            (false, Some(smaller)) => {
                format!("watch `{}` or `{mean}`, or raise the rate", rule.asking(&smaller))
            }
            (false, None) => format!("watch `{mean}`, or raise the rate"),
        };
        notes.add(span, message, help);
    }

    /// How many operations of this kind count for one planned arrival; none if nobody can tell.
    pub(super) fn counted(&self, op: usize, operation: &OperationOutline) -> Option<f64> {
        let shape = self.shapes.get(operation.shape)?;
        let share = if shape.probes { COUNTED } else { 1.0 };
        let op = OpId(op as u16);
        let untold = |step: &Step| match step {
            Step::ForEach { steps, .. } => of_operation(steps, op) > 0.0,
            Step::If(either) => of_operation(&either.then, op) + of_operation(&either.otherwise, op) > 0.0,
            _ => false,
        };
        match operation.flow {
            true => Some(share),
            false if expected(&shape.flow, &untold) > 0.0 => None,
            false => Some(share * of_operation(&shape.flow, op)),
        }
    }

    /// The same of all operations of a shape.
    pub(super) fn counted_of(&self, shape: usize) -> Option<f64> {
        let all = self.outline.operations.iter().enumerate().filter(|(_, o)| o.shape == shape && !o.flow);
        all.map(|(op, o)| self.counted(op, o)).sum()
    }

    /// The planned arrivals of the cells that lie in [from, to), in part too.
    pub(super) fn cells<'p>(&self, planned: &'p [u64], from: Micros, to: Micros) -> &'p [u64] {
        let cell = self.outline.cell.0.max(1);
        let from = (from.0.max(0) / cell) as usize;
        let to = ((to.0.max(0) + cell - 1) / cell) as usize;
        planned.get(from..to.min(planned.len())).unwrap_or(&[])
    }
}
