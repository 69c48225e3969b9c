//! Whether the parts fit together in time: faults that cannot both be, a baseline that holds
//! something, a load that lasts until every objective can be judged.

use crate::diagnose::Span;
use crate::experiment::fault::Planned;
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::{Fault, Shape, Step, expected, of_operation};
use crate::objective::{Comparison, Metric, Objective, PhaseName};
use crate::outline::{OperationOutline, Outline, ShapeOutline};
use crate::sample::OpId;
use crate::units::{Micros, grouped};

/// Faults that are in force at the same time on the same thing: their proofs could not be told apart.
pub(super) fn overlaps(notes: &mut Notes, timeline: &[Planned], duration: Micros) {
    for (i, later) in timeline.iter().enumerate() {
        let clash = timeline[..i].iter().find(|earlier| {
            end(earlier, duration) > later.outline.at
                && later.outline.on.is_some()
                && later.outline.on == earlier.outline.on
        });
        let Some(earlier) = clash.filter(|e| e.outline.trigger != later.outline.trigger) else { continue };
        let until = end(earlier, duration);
        let on = later.outline.on.as_deref().unwrap_or("");
        let message = format!(
            "`{}` begins at {} while `{}` has `{on}` until {until}",
            later.outline.name, later.outline.at, earlier.outline.name
        );
        notes.add(later.span, message, "let one end before the other begins");
    }
}

/// When a fault lets go of what it is on; a kill without `for` never does.
fn end(planned: &Planned, duration: Micros) -> Micros {
    let outline = &planned.outline;
    match (&planned.fault, outline.length) {
        (_, Some(length)) => outline.at + length,
        (Fault::Kill { .. }, None) => duration,
        (Fault::Failover { outage, .. }, None) => outline.at + *outage,
        (_, None) => outline.at + Micros(1),
    }
}

/// A trigger with its planned times.
pub(super) struct Trigger<'o> {
    pub name: &'o str,
    pub first: Micros,
    /// When it is over; a process that has to start again takes longer.
    pub clear: Micros,
    pub one_shot: bool,
    pub settle: Micros,
}

/// The baseline must hold whole cells, and windows enough where something is compared with it.
pub(super) fn baseline(notes: &mut Notes, outline: &Outline, first: Option<(Micros, Span)>) {
    let Some((first, span)) = first else { return };
    let deadline = outline.largest_deadline();
    let judge = &outline.judge;
    let length = first - deadline - judge.warmup;
    let compared = outline.objectives.iter().any(|o| matches!(o.metric, Metric::Outage | Metric::Recovery));
    // One shape with a band is enough to compare with; which have none, the report says.
    let narrowest = widths(outline).filter_map(|widths| widths.first().copied()).min().unwrap_or(1);
    let windows = if compared { i64::from(judge.windows) * i64::from(narrowest) } else { 1 };
    let needed = outline.cell * windows;
    if length >= needed {
        return;
    }
    let at = judge.warmup + deadline + needed.max(judge.baseline);
    let room = if length > Micros::ZERO { length.to_string() } else { "no room".to_owned() };
    let wanted = if windows > 1 { format!(", it needs {needed}") } else { String::new() };
    let message = format!(
        "the baseline has {room}{wanted}: it lies between the warm-up ({}) and one deadline ({deadline}) before the first trigger ({first})",
        judge.warmup
    );
    let help =
        format!("begin at {} or later, or shorten `judge: warmup` or the longest timeout", as_written(at));
    notes.add(span, message, help);
}

/// The widths that windows of each shape with a band can have, in cells.
fn widths(outline: &Outline) -> impl Iterator<Item = Vec<u32>> {
    outline.shapes.iter().filter(|s| !s.trigger).map(|s| s.window_widths(outline.cell))
}

/// What an objective waits for, and until when.
struct Wait<'t> {
    /// When it can be judged.
    until: Micros,
    /// What takes that long, for people.
    because: String,
    /// What must not come before that.
    bound: Bound<'t>,
}

/// What ends the time in which something can be judged.
pub(super) enum Bound<'t> {
    Load(Micros),
    /// A shape with a band to recover into ends before the run.
    Shape(&'t ShapeOutline),
    /// What the next trigger does is not this one's doing.
    Next(&'t Trigger<'t>),
    /// Another trigger is still in force when this one is over, at this time.
    InForce(&'t Trigger<'t>, Micros),
}

impl Bound<'_> {
    pub(super) fn at(&self) -> Micros {
        match self {
            Bound::Load(at) | Bound::InForce(_, at) => *at,
            Bound::Shape(shape) => shape.end,
            Bound::Next(trigger) => trigger.first,
        }
    }
}

/// The wait that does not fit into the run, if one does not.
fn too_long<'t>(outline: &'t Outline, all: &'t [Trigger<'t>], objective: &Objective) -> Option<Wait<'t>> {
    let wait = |until, because| Wait { until, because, bound: Bound::Load(outline.duration) };
    let window = objective.window.unwrap_or(Micros::ZERO);
    let shortest = outline.judge.warmup + window.max(outline.cell);
    let whole = wait(shortest, format!("the warm-up and what is judged take until {shortest}"));
    let named = |name: &String| all.iter().filter(|t| t.name == *name).collect::<Vec<_>>();
    let lacking = |w: Wait<'t>| (w.until > w.bound.at()).then_some(w);
    let of_triggers = match (&objective.metric, &objective.phase) {
        // The worst counts, so every one must be seen to its end.
        (Metric::Outage | Metric::Recovery, _) => all
            .iter()
            .filter(|t| objective.selector.as_deref().is_none_or(|name| t.name == name))
            .find_map(|t| lacking(return_of(outline, all, t, objective))),
        // Repeats are merged: it is enough that one leaves something to judge.
        (_, PhaseName::After(name)) => {
            let waits = named(name).into_iter().map(|t| lacking(after(outline, all, t)));
            waits.collect::<Option<Vec<_>>>().and_then(|lacks| lacks.into_iter().next_back())
        }
        (_, PhaseName::During(name)) => {
            let last =
                named(name).iter().map(|t| if t.one_shot { t.clear + t.settle } else { t.clear }).max();
            last.and_then(|until| lacking(wait(until, format!("`{name}` is over at {until}"))))
        }
        _ => None,
    };
    of_triggers.or_else(|| lacking(whole))
}

/// To tell that a trigger's harm is shorter than the limit takes the limit, and a stretch of being well
/// again after it; a cell on top, because windows begin at whole cells.
fn return_of<'t>(
    outline: &'t Outline,
    all: &'t [Trigger<'t>],
    trigger: &Trigger<'t>,
    objective: &Objective,
) -> Wait<'t> {
    let bounded = matches!(objective.comparison, Comparison::Below | Comparison::AtMost | Comparison::Equal);
    let limit = if bounded { Micros(objective.value.round() as i64) } else { Micros::ZERO };
    let (from, since) = match objective.metric {
        Metric::Outage => (trigger.first, "begins"),
        _ => (trigger.clear, "is over"),
    };
    let well = stretch(outline, all);
    let until = (from + limit).max(trigger.clear) + well + outline.cell;
    let because = format!(
        "`{}` {since} at {from}, the limit allows {limit}, and {well} of being well again prove it",
        trigger.name
    );
    let first = all.iter().map(|t| t.first).min().unwrap_or(outline.duration);
    let banded = || outline.shapes.iter().filter(|s| !s.trigger && s.start < first);
    // Those whose load ends before are left out; of the others the worst counts.
    let lasting = banded().filter(|s| s.end > trigger.clear).min_by_key(|s| s.end);
    let load = match lasting.or(banded().max_by_key(|s| s.end)) {
        Some(shape) if shape.end < outline.duration => Bound::Shape(shape),
        _ => Bound::Load(outline.duration),
    };
    Wait { until, because, bound: bound(all, trigger, load) }
}

fn after<'t>(outline: &Outline, all: &'t [Trigger<'t>], trigger: &Trigger<'t>) -> Wait<'t> {
    let well = stretch(outline, all);
    let wait = if trigger.one_shot { trigger.settle.max(well) } else { Micros::ZERO };
    let begins = trigger.clear + wait;
    let because = format!("`after {}` begins at {begins} at the earliest", trigger.name);
    let bound = bound(all, trigger, Bound::Load(outline.duration));
    Wait { until: begins + outline.cell, because, bound }
}

/// The end of the load, or, as the judge sees it, the first trigger that begins when this one is over; nothing is
/// left where another one that began later is still in force then.
pub(super) fn bound<'t>(all: &'t [Trigger<'t>], trigger: &Trigger<'t>, load: Bound<'t>) -> Bound<'t> {
    let later = || all.iter().filter(|t| t.first > trigger.first);
    let over = trigger.clear.min(load.at());
    if let Some(other) = later().find(|t| t.first < over && !t.one_shot && t.clear > over) {
        return Bound::InForce(other, over);
    }
    let next = later().filter(|t| t.first >= trigger.clear).min_by_key(|t| t.first);
    next.filter(|t| t.first < load.at()).map_or(load, Bound::Next)
}

/// How long it must be well again: the stretch, or so many of the widest windows that may be chosen.
fn stretch(outline: &Outline, all: &[Trigger<'_>]) -> Micros {
    let judge = &outline.judge;
    let first = all.iter().map(|t| t.first).min().unwrap_or(outline.duration);
    let cells = (first - outline.largest_deadline() - judge.warmup).0 / outline.cell.0.max(1);
    let fits = |width: &u32| i64::from(*width) * i64::from(judge.windows) <= cells;
    let widest = widths(outline).flatten().filter(fits).max().unwrap_or(1);
    judge.stretch.max(outline.cell * (i64::from(widest) * i64::from(judge.stretch_windows)))
}

/// Triggers as planned: faults by their names, and shapes that are triggers.
pub(super) fn triggers_of<'p>(outline: &'p Outline, timeline: &'p [Planned]) -> Vec<Trigger<'p>> {
    let faults = timeline.iter().map(|planned| {
        let lasts = match &planned.fault {
            Fault::Failover { outage, .. } => *outage,
            _ => planned.outline.length.unwrap_or(Micros::ZERO),
        };
        Trigger {
            name: &planned.outline.trigger,
            first: planned.outline.at,
            clear: planned.outline.at + lasts,
            one_shot: planned.outline.length.is_none(),
            settle: planned.outline.settle,
        }
    });
    let shapes = outline.shapes.iter().filter(|s| s.trigger).filter_map(|s| {
        let first = s.first?;
        Some(Trigger { name: &s.name, first, clear: s.end, one_shot: false, settle: Micros::ZERO })
    });
    let mut all: Vec<Trigger> = faults.chain(shapes).collect();
    all.sort_by_key(|t| t.first);
    all
}

/// Refuses an objective that the run leaves no time to judge.
pub(super) fn judgeable(
    notes: &mut Notes,
    outline: &Outline,
    timeline: &[Planned],
    objective: &Objective,
    span: Span,
) {
    let all = triggers_of(outline, timeline);
    let Some(wait) = too_long(outline, &all, objective) else { return };
    let needed = as_written(wait.until);
    let (ends, help) = match wait.bound {
        Bound::Load(at) => {
            (format!("the load ends at {at}"), format!("raise `duration` to {needed} or more"))
        }
        Bound::Shape(shape) => (
            format!("the load of `{}` ends at {}", shape.name, shape.end),
            match wait.until > outline.duration {
                true => format!("raise `duration` to {needed} or more, and let it last until then"),
                false => format!("let it last until {needed} or longer"),
            },
        ),
        Bound::Next(next) => (
            format!("`{}` begins at {}", next.name, next.first),
            format!("let `{}` begin at {needed} or later, or ask for less", next.name),
        ),
        Bound::InForce(other, at) => (
            format!("`{}` is still in force at {at}", other.name),
            format!("let `{}` end first, or begin at {needed} or later", other.name),
        ),
    };
    notes.add(span, format!("{ends}, before this can be judged: {}", wait.because), help);
}

/// Of the arrivals that a shape with patient probes plans, at least this share is counted.
const COUNTED: f64 = 0.95;

/// What rules are watched on while the load runs.
pub(super) struct Watch<'w> {
    pub outline: &'w Outline,
    pub timeline: &'w [Planned],
    pub shapes: &'w [Shape],
}

impl Watch<'_> {
    /// Refuses what looks at more on end than its phase will have.
    pub fn on_end(&self, notes: &mut Notes, rule: &Objective, span: Span) {
        let longest = self.times(&rule.phase).iter().map(|(from, to)| *to - *from).max();
        let (Some(window), Some(longest)) = (rule.window, longest) else { return };
        if window > longest {
            let message = format!("`for {window}` can never be: `{}` lasts {longest}", rule.phase);
            notes.add(span, message, format!("ask for {} on end or less", as_written(longest)));
        }
    }

    /// Refuses an abort rule that can never fire, as its quantile never has operations enough.
    pub fn abort(&self, notes: &mut Notes, rule: &Objective, span: Span) {
        let times = self.times(&rule.phase);
        let most = |planned: &[u64], long: usize| {
            let of_time = |&(from, to): &(Micros, Micros)| {
                let cells = self.cells(planned, from, to);
                cells.windows(long.min(cells.len()).max(1)).map(|w| w.iter().sum::<u64>()).max().unwrap_or(0)
            };
            times.iter().map(of_time).max().unwrap_or(0)
        };
        let room = times.iter().map(|(from, to)| *to - *from).max().unwrap_or(Micros::ZERO);
        self.refuse(notes, (rule, span), room, &|_, planned, long| most(planned, long));
    }

    /// Refuses a steady state that can never be found where it is looked for, a cell before the first trigger: as no
    /// time is left for it after the warm-up, or for the same reason; or where nothing comes before which to look.
    pub fn steady(&self, notes: &mut Notes, rule: &Objective, span: Span) {
        let Some(first) = self.outline.first_trigger() else {
            let help = "add a `timeline`, make it an objective, or watch the opposite with `abort`";
            let message = "nobody would look for this steady state: no fault and no trigger comes after it";
            notes.add(span, message.to_owned(), help);
            return;
        };
        let (cell, warmup) = (self.outline.cell, self.outline.judge.warmup);
        // Without `for` it looks at what there is.
        let (room, long) = (first - warmup, rule.window.unwrap_or(cell));
        if room < long + cell {
            let message = format!(
                "this steady state can never be found: it looks at {long}, a cell ({cell}) before the first trigger ({first}), and the warm-up ({warmup}) is no part of that"
            );
            let at = as_written(warmup + long + cell);
            let help = format!("let the first trigger begin at {at} or later, or look at less with `for`");
            notes.add(span, message, help);
            return;
        }
        self.refuse(notes, (rule, span), room, &|operation, planned, long| {
            self.before_trigger(first, operation, planned, long)
        });
    }

    /// How many planned arrivals a steady state that looks at so many cells has of an operation: of those of which it is
    /// known, a cell before the first trigger, how they ended.
    pub(super) fn before_trigger(
        &self,
        first: Micros,
        operation: &OperationOutline,
        planned: &[u64],
        long: usize,
    ) -> u64 {
        let (cell, warmup) = (self.outline.cell, self.outline.judge.warmup);
        let long = cell * long as i64;
        let late = (operation.deadline - Micros(long.0 / 2)).max(Micros::ZERO);
        let until = first - cell - late;
        self.cells(planned, (until - long).max(warmup), until).iter().sum()
    }

    /// So many cells a live rule looks at: ten without `for`.
    pub(super) fn looks_at(&self, rule: &Objective) -> usize {
        rule.window.map_or(10, |d| d.0 / self.outline.cell.0.max(1)).max(1) as usize
    }

    fn refuse(
        &self,
        notes: &mut Notes,
        (rule, span): (&Objective, Span),
        room: Micros,
        most: &dyn Fn(&OperationOutline, &[u64], usize) -> u64,
    ) {
        let Metric::Quantile(_) = rule.metric else { return };
        let long = self.looks_at(rule);
        let operations = self.outline.operations.iter().enumerate().filter(|(_, o)| o.is_meant_by(rule));
        // One that may come as often as the target likes can always have enough.
        let each = operations.map(|(op, o)| {
            let planned = self.outline.shapes.get(o.shape).filter(|s| !s.closed)?;
            Some(self.counted(op, o)? * most(o, &planned.planned, long) as f64)
        });
        let Some(each) = each.collect::<Option<Vec<f64>>>().filter(|each| !each.is_empty()) else { return };
        let (most, needed) = (each.into_iter().fold(0.0, f64::max), rule.least());
        if most >= needed as f64 {
            return;
        }
        let long = self.outline.cell * long as i64;
        let message = format!(
            "this rule can never decide: it looks at {long} at a time, in which at most {} operations count, and {} needs {}",
            grouped(most as u64),
            rule.metric,
            grouped(needed)
        );
        let longer = (long.as_secs_f64() * needed as f64 / most.max(1.0)).ceil();
        let mean = rule.asking(&Metric::Mean);
        let help = match (Micros::from_secs_f64(longer) <= room, rule.quantile_of(most as u64)) {
            (true, _) => {
                let longer = rule.lasting(&format!("{longer}s"));
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

    /// When a phase is, as planned; a one-shot may last to the end of the load.
    fn times(&self, phase: &PhaseName) -> Vec<(Micros, Micros)> {
        let (warmup, end) = (self.outline.judge.warmup, self.outline.duration);
        let triggers = triggers_of(self.outline, self.timeline);
        let named = |name: &String| triggers.iter().filter(|t| t.name == *name).collect::<Vec<_>>();
        let first = triggers.iter().map(|t| t.first - self.outline.largest_deadline()).min().unwrap_or(end);
        match phase {
            PhaseName::Warmup => vec![(Micros::ZERO, warmup)],
            PhaseName::Baseline => vec![(warmup, first)],
            PhaseName::Run => vec![(warmup, end)],
            PhaseName::During(name) => {
                named(name).iter().map(|t| (t.first, if t.one_shot { end } else { t.clear })).collect()
            }
            PhaseName::After(name) => named(name).iter().map(|t| (t.clear, end)).collect(),
        }
    }

    /// The planned arrivals of the cells that lie in [from, to), in part too.
    fn cells<'p>(&self, planned: &'p [u64], from: Micros, to: Micros) -> &'p [u64] {
        let cell = self.outline.cell.0.max(1);
        let from = (from.0.max(0) / cell) as usize;
        let to = ((to.0.max(0) + cell - 1) / cell) as usize;
        planned.get(from..to.min(planned.len())).unwrap_or(&[])
    }
}
