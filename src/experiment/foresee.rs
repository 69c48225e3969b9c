//! What the plan alone tells of the judgement to come: its phases, which shapes will have a band, and what a reader
//! should know before anything is sent. How many operations will come is for `expect`.

mod expect;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use crate::experiment::fault::Planned;
use crate::experiment::flow::NO_TIMEOUT;
use crate::experiment::notes::as_written;
use crate::experiment::walk::thinks;
use crate::experiment::watch::Watch;
use crate::experiment::{CaptureFrom, Fault, Shape, Step, each_request, each_step};
use crate::objective::{Metric, Objective, PhaseName};
use crate::timeline::phases::{self, Return};
use crate::timeline::trigger::Trigger;
use crate::units::{Micros, clock};
use crate::verdict::{PlannedTail, planned_band};
pub use expect::Expectation;

/// What is known before the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Foresight {
    /// Warm-up, baseline, `during` and `after` of each trigger, run; in that order.
    pub phases: Vec<PhaseAhead>,
    /// In the order of the outline's objectives; none of those that count no operations.
    pub objectives: Vec<Option<Expectation>>,
    /// In the order of the outline's steady states.
    pub steady: Vec<Option<Expectation>>,
    /// Of each shape; empty where no trigger needs one.
    pub bands: Vec<BandAhead>,
    /// Sentences for whoever plans.
    pub remarks: Vec<String>,
}

/// A phase as planned, with a span for each time that its trigger comes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseAhead {
    pub name: PhaseName,
    pub spans: Vec<Range<Micros>>,
    /// Of a one-shot: `during` lasts longer than this, and `after` begins later, where the target takes longer to
    /// recover.
    pub one_shot: bool,
}

/// The band that a shape will have, or why it will have none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandAhead {
    pub shape: String,
    /// Width of a window, and the quantile beside the average.
    pub band: Result<(Micros, PlannedTail), String>,
}

impl Watch<'_> {
    pub(super) fn foresight(&self) -> Foresight {
        let phases = self.phases();
        let objectives: Vec<_> =
            self.outline.objectives.iter().map(|o| self.expectation(&phases, o)).collect();
        let of_objectives = self.outline.objectives.iter().zip(&objectives);
        let mut remarks: Vec<String> =
            of_objectives.filter_map(|(o, ahead)| self.too_few(o, ahead.as_ref()?)).collect();
        let of_objectives = self.outline.objectives.iter().zip(&objectives);
        remarks.extend(of_objectives.filter_map(|(o, ahead)| self.too_much(o, ahead.as_ref()?, &phases)));
        remarks.extend(self.outline.objectives.iter().filter_map(|o| self.thoughtful(o)));
        let steady: Vec<_> = self.outline.steady.iter().map(|rule| self.steady_ahead(rule)).collect();
        let of_steady = self.outline.steady.iter().zip(&steady);
        remarks.extend(of_steady.filter_map(|(rule, ahead)| ahead.as_ref()?.never_steady(rule)));
        let of_steady = self.outline.steady.iter().zip(&steady);
        remarks.extend(of_steady.filter_map(|(rule, ahead)| self.too_much_before(rule, ahead.as_ref()?)));
        remarks.extend(self.outline.steady.iter().filter_map(|rule| self.never_steady_users(rule)));
        remarks.extend(self.outline.abort.iter().filter_map(|rule| self.seldom(rule)));
        remarks.extend(self.shared_names());
        remarks.extend(self.shapes.iter().filter_map(no_timeout));
        remarks.extend(self.shapes.iter().flat_map(first_of_many));
        remarks.extend(self.outline.shapes.iter().enumerate().filter_map(|(index, shape)| {
            let nothing = !shape.closed && self.flows(index, Micros::ZERO, self.outline.duration) <= 0.0;
            nothing.then(|| format!("{} never starts a flow: nothing of it is proven", shape.name))
        }));
        remarks.extend(self.timeline.iter().filter_map(for_good));
        remarks.extend(self.short_baseline());
        remarks.extend(self.outline.objectives.iter().filter_map(|o| self.nothing_comes(o)));
        let bands = self.bands();
        remarks.extend(self.outline.objectives.iter().filter_map(|o| self.coarse(o, &bands)));
        remarks
            .extend(self.shapes.iter().zip(&bands).filter_map(|(shape, ahead)| self.fills_up(shape, ahead)));
        remarks.extend(self.outline.objectives.iter().filter_map(|o| self.hidden(o)));
        remarks.extend(self.outline.objectives.iter().filter_map(|o| self.bandless(o, &bands)));
        Foresight { phases, objectives, steady, bands, remarks }
    }

    /// A return that cannot be told: no shape will have a band, and load when the trigger is over.
    fn bandless(&self, objective: &Objective, bands: &[BandAhead]) -> Option<String> {
        let returns = matches!(objective.metric, Metric::Outage | Metric::Recovery);
        let shapes = || self.outline.shapes.iter().zip(bands);
        let tells = |t: &Trigger| shapes().any(|(shape, ahead)| ahead.band.is_ok() && shape.end > t.over());
        let of = self.triggers.iter().find(|t| returns && names(objective, t) && !tells(t))?;
        let why = shapes().map(|(shape, ahead)| match &ahead.band {
            Err(why) => format!("{}: {why}", shape.name),
            Ok(_) => format!("{}: its load ends before", shape.name),
        });
        Some(format!(
            "`{}` will be INCONCLUSIVE: no shape will have a normal band to come back to when `{}` is over ({}); let the rate of one be the same from the end of `judge: warmup` until long after it",
            objective.text.trim(),
            of.trigger,
            why.collect::<Vec<_>>().join("; ")
        ))
    }

    /// An open loop whose flows think for so long that ever more of them are in flight while the baseline lasts: by half
    /// as much again, and two more, from the middle of its first half to that of the second.
    fn fills_up(&self, shape: &Shape, ahead: &BandAhead) -> Option<String> {
        ahead.band.as_ref().ok()?;
        let index = self.outline.shapes.iter().position(|s| s.name == shape.name && !s.closed)?;
        let (baseline, lasts) = (self.frame().baseline(), thinks(&shape.flow));
        // Windows of a shape begin with it.
        let begins = baseline.start.max(shape.start);
        let length = baseline.end - begins;
        let arrivals = self.flows(index, begins, baseline.end);
        let flying = |at: Micros| {
            let since = lasts.min(at - shape.start).as_secs_f64();
            since * arrivals / length.as_secs_f64()
        };
        let quarter = Micros(length.0 / 4);
        let (first, second) = (flying(begins + quarter), flying(baseline.end - quarter));
        (second > first * 1.5 && second > first + 2.0).then(|| {
            format!(
                "a flow of {} thinks for {lasts}, and until then ever more are in flight: what is asked of a return may be INVALID, as that moves within the baseline; let `judge: warmup` be {} or longer",
                shape.name,
                as_written(shape.start + lasts),
            )
        })
    }

    /// A return that another trigger, which lasts longer, may hide.
    fn hidden(&self, objective: &Objective) -> Option<String> {
        let waits = |t: &&Trigger| match (&objective.metric, &objective.phase) {
            (Metric::Outage | Metric::Recovery, _) => names(objective, t),
            (_, PhaseName::After(name)) => t.one_shot && t.trigger == *name,
            _ => false,
        };
        let mut all = self.triggers.iter().filter(waits);
        let (of, other) = all.find_map(|t| Some((&t.trigger, &self.frame().outlasting(t)?.trigger)))?;
        Some(format!(
            "`{}` will be INCONCLUSIVE if `{other}`, which is still in force when `{of}` is over, puts the service out of its band; let `{of}` come before or after it",
            objective.text.trim()
        ))
    }

    /// The cells that a phase will have at least. A fault is gone a moment after it was to be, so that a cell which
    /// begins just then is none of what comes after it.
    pub(super) fn planned_cells(&self, phases: &[PhaseAhead], phase: &PhaseName) -> BTreeSet<usize> {
        let of_fault = |name: &String| self.triggers.iter().any(|t| t.trigger == *name && !t.shape);
        let moment = matches!(phase, PhaseName::After(name) if of_fault(name));
        let found = phases.iter().find(|ahead| ahead.name == *phase).map(|ahead| ahead.spans.clone());
        // Without triggers the run is its own baseline.
        let spans = found.unwrap_or_else(|| vec![self.frame().baseline()]);
        let cells = spans.iter().flat_map(|span| {
            phases::cells(phase, &(span.start + Micros(moment.into())..span.end), self.outline.cell)
        });
        cells.map(|cell| cell as usize).collect()
    }

    /// All phases, in the order in which the judge tells them, if the service is back as soon as each trigger is over.
    fn phases(&self) -> Vec<PhaseAhead> {
        let back: Vec<Return> = self.triggers.iter().map(|t| Return::At(t.over())).collect();
        let told = |(name, spans)| {
            let of = |x: &String| self.triggers.iter().any(|t| t.trigger == *x && t.one_shot);
            let one_shot = matches!(&name, PhaseName::During(x) | PhaseName::After(x) if of(x));
            PhaseAhead { name, spans, one_shot }
        };
        self.frame().phases(&back).into_iter().map(told).collect()
    }

    fn bands(&self) -> Vec<BandAhead> {
        if self.triggers.is_empty() {
            return Vec::new();
        }
        let baseline = self.frame().baseline();
        let shapes = self.outline.shapes.iter().enumerate();
        shapes
            .map(|(index, shape)| BandAhead {
                shape: shape.name.clone(),
                band: planned_band(self.outline, index, self.counted_of(index), baseline.clone()),
            })
            .collect()
    }

    /// An outage or a recovery whose limit is hardly longer than what it is told to.
    fn coarse(&self, objective: &Objective, bands: &[BandAhead]) -> Option<String> {
        let timed = matches!(objective.metric, Metric::Outage | Metric::Recovery);
        let widths = bands.iter().filter_map(|ahead| {
            let (window, tail) = ahead.band.as_ref().ok()?;
            Some((*window, &ahead.shape, *tail))
        });
        let (window, shape, tail) = widths.max_by_key(|(window, ..)| *window)?;
        let help = || match (tail, self.more_windows(objective.value)) {
            (PlannedTail::Quantile(q), _) if q >= 0.99 => "; a higher rate has shorter windows".to_owned(),
            (_, Some(more)) => format!("; `judge: {{windows: {more}}}` has shorter ones"),
            _ => String::new(),
        };
        (timed && objective.value < 2.0 * window.0 as f64).then(|| {
            format!(
                "`{}` is told in windows of {window} (of {shape}): a limit below {} may be missed by one of them{}",
                objective.text.trim(),
                window * 2,
                help()
            )
        })
    }

    /// How many windows of the baseline make all of them so short that a limit is two long; none if no number does.
    fn more_windows(&self, limit: f64) -> Option<u32> {
        let mut outline = self.outline.clone();
        let baseline = self.frame().baseline();
        let most = (baseline.end - baseline.start).0 / self.outline.cell.0.max(1);
        let counts: Vec<u32> = (self.outline.judge.windows + 1..=u32::try_from(most).ok()?).collect();
        let mut widest = |windows: u32| {
            outline.judge.windows = windows;
            let bands = (0..self.shapes.len())
                .map(|index| planned_band(&outline, index, self.counted_of(index), baseline.clone()));
            bands.filter_map(|band| Some(band.ok()?.0)).max()
        };
        let mut short = |windows: u32| widest(windows).is_none_or(|width| 2.0 * width.0 as f64 <= limit);
        let more = *counts.get(counts.partition_point(|&windows| !short(windows)))?;
        widest(more).map(|_| more)
    }

    /// Without a trigger there is nothing to come back from.
    fn nothing_comes(&self, objective: &Objective) -> Option<String> {
        let asks = matches!(objective.metric, Metric::Outage | Metric::Recovery) && self.triggers.is_empty();
        let text = objective.text.trim();
        asks.then(|| {
            format!("`{text}` will be INCONCLUSIVE: no trigger comes to recover from; faults come from a chaos plan, add `--chaos PLAN`")
        })
    }

    /// A baseline that is shorter than was asked for, where the longest deadline takes a part of it.
    fn short_baseline(&self) -> Option<String> {
        let (outline, judge) = (self.outline, &self.outline.judge);
        self.triggers.first()?;
        let (deadline, baseline) = (outline.largest_deadline(), self.frame().baseline());
        let end = baseline.end.max(baseline.start);
        let length = end - baseline.start;
        let longest = outline.operations.iter().find(|o| !o.flow && o.deadline == deadline)?;
        (length < judge.baseline).then(|| {
            format!(
                "the baseline is {length} long, from {} to {}, where {} are asked for: it ends one deadline ({deadline}, of {}) before the first trigger",
                clock(judge.warmup),
                clock(end),
                judge.baseline,
                longest.name,
            )
        })
    }
}

/// Whether a return that is asked for is this trigger's.
fn names(objective: &Objective, trigger: &Trigger) -> bool {
    objective.selector.as_ref().is_none_or(|name| [&trigger.trigger, &trigger.name].contains(&name))
}

/// A kill after which nothing starts the service again.
fn for_good(planned: &Planned) -> Option<String> {
    let (Fault::Kill { service }, None) = (&planned.fault, planned.outline.length) else { return None };
    let name = &planned.outline.name;
    Some(format!(
        "{name} kills {service} for good: nothing starts it again; with `for` or as `restart` it comes back"
    ))
}

/// Requests whose deadline is the default.
impl Watch<'_> {
    /// Operations of several shapes with one name.
    fn shared_names(&self) -> Vec<String> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for operation in self.outline.operations.iter().filter(|o| o.written.is_some()) {
            all.entry(operation.written()).or_default().push(&self.outline.shapes[operation.shape].name);
        }
        let told = |(name, shapes): (&&str, &Vec<&str>)| {
            let (one, all) = (shapes[0], shapes.join(" and of "));
            format!(
                "{name} is an operation of {all}: an expression that says `{name}` asks it of each by itself, and the worst counts; `{name} of {one}` is one of them"
            )
        };
        all.iter().map(told).collect()
    }
}

fn no_timeout(shape: &Shape) -> Option<String> {
    let mut names = BTreeSet::new();
    each_request(&shape.flow, &mut |request| {
        if request.timeout.or(shape.timeout).is_none() {
            names.insert(request.name.clone());
        }
    });
    let all: Vec<String> = names.into_iter().collect();
    (!all.is_empty()).then(|| {
        format!(
            "no `timeout` is set for {}: it is {NO_TIMEOUT}, and what takes longer is bad; write `timeout: 2s` in the shape {}",
            all.join(", "),
            shape.name
        )
    })
}

/// A `for_each` of what is captured as the first that a path finds, where the path may find many.
fn first_of_many(shape: &Shape) -> Vec<String> {
    let (mut lists, mut firsts) = (BTreeSet::new(), BTreeMap::new());
    each_step(&shape.flow, &mut |step| {
        if let Step::ForEach { list, .. } = step {
            lists.insert(list.clone());
        }
    });
    each_request(&shape.flow, &mut |request| {
        for capture in request.captures.iter().filter(|capture| lists.contains(&capture.name)) {
            match &capture.from {
                CaptureFrom::Json(path) if ["*", "..", "[?"].iter().any(|many| path.contains(many)) => {
                    firsts.insert(capture.name.clone(), path.clone());
                }
                _ => {
                    firsts.remove(&capture.name);
                }
            }
        }
    });
    let told = |(name, path)| {
        format!(
            "`for_each` goes through `{name}`, which is only the first that `{path}` finds; for all of them write `capture: {{{name}: {{all: \"{path}\"}}}}`"
        )
    };
    firsts.into_iter().map(told).collect()
}
