//! Whether the parts fit together in time: faults that cannot both be, a baseline that holds
//! something, a load that lasts until every objective can be judged.

pub(super) mod amend;

use std::ops::Range;

use crate::diagnose::Span;
use crate::experiment::check::amend::Advice;
use crate::experiment::fault::{PROOF, Planned};
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::watch::Watch;
use crate::experiment::{Fault, Link};
use crate::objective::{Comparison, Metric, Objective, PhaseName};
use crate::outline::{Outline, ShapeOutline, window_widths};
use crate::timeline::phases::{self, Frame, Horizon, Return};
use crate::timeline::trigger::Trigger;
use crate::units::Micros;
use crate::verdict::{PlannedWindows, planned_windows};

/// Faults that are in force at the same time on the same thing: their proofs could not be told apart.
pub(super) fn overlaps(notes: &mut Notes, timeline: &[Planned]) {
    for (earlier, later) in clashes(timeline) {
        let until = end(earlier);
        let on = later.outline.on.as_deref().unwrap_or("");
        if is_for_good(earlier) {
            let (first, next) = (&earlier.outline.name, &later.outline.name);
            let message =
                format!("`{next}` begins at {}, and `{first}` has killed `{on}` for good", later.outline.at);
            let help = format!("give `{first}` a `for` that ends before, or make it a `restart`");
            notes.add(later.span, message, help);
            continue;
        }
        if earlier.outline.at == later.outline.at && until == later.outline.at + Micros(1) {
            let (first, next) = (&earlier.outline.name, &later.outline.name);
            let message = format!("`{first}` and `{next}` both begin at {}, on `{on}`", later.outline.at);
            notes.add(later.span, message, "let one begin later than the other");
            continue;
        }
        let message = format!(
            "`{}` begins at {} while `{}` has `{on}` until {until}",
            later.outline.name, later.outline.at, earlier.outline.name
        );
        notes.add(later.span, message, "let one end before the other begins");
    }
}

/// Faults of which the other begins on the same thing before they end.
pub(super) fn clashes(timeline: &[Planned]) -> impl Iterator<Item = (&Planned, &Planned)> {
    timeline.iter().enumerate().filter_map(|(i, later)| {
        let earlier = timeline[..i].iter().find(|earlier| {
            end(earlier) > later.outline.at
                && later.outline.on.is_some()
                && later.outline.on == earlier.outline.on
                && later.fault.is_on_link() == earlier.fault.is_on_link()
        })?;
        (earlier.outline.trigger != later.outline.trigger).then_some((earlier, later))
    })
}

/// A delay that outlasts its fault lets nothing through that would prove it; a link's canary is waited for. A smoke run
/// has shorter faults and the same delays, and proves nothing.
pub(super) fn comes_through(notes: &mut Notes, timeline: &[Planned], links: &[Link], smoke: bool) {
    let mut told: Vec<&str> = Vec::new();
    for planned in timeline.iter().filter(|p| !smoke && !p.outline.expect_no_traffic) {
        let Fault::Latency { link, latency, jitter, .. } = &planned.fault else { continue };
        let (least, lasts) = (*latency - *jitter, planned.outline.length.unwrap_or_default().max(PROOF));
        let unseen = links.iter().any(|l| l.name == *link && l.canary.is_none());
        let name = &planned.outline.trigger;
        if unseen && least >= lasts && !told.contains(&name.as_str()) {
            told.push(name);
            let message = format!(
                "`{name}` keeps back for {least}, and has {lasts} to show that something came through"
            );
            let help = format!("let its `for` be longer than {}, or use `blackhole`", as_written(least));
            notes.add(planned.span, message, help);
        }
    }
}

/// When a fault lets go of what it is on; a kill without `for` never does.
pub(super) fn end(planned: &Planned) -> Micros {
    let outline = &planned.outline;
    match (&planned.fault, outline.length) {
        (_, Some(length)) => outline.at + length,
        (Fault::Kill { .. }, None) => Micros::MAX,
        (Fault::Failover { outage, .. }, None) => outline.at + *outage,
        (_, None) => outline.at + Micros(1),
    }
}

pub(super) fn is_for_good(planned: &Planned) -> bool {
    matches!(planned.fault, Fault::Kill { .. }) && planned.outline.length.is_none()
}

/// What helps where a limit takes long to tell, and where a deadline does.
const LESS: &str = "ask for less";
const SHORTER: &str = "shorten the longest timeout";

/// What an objective waits for, and until when.
#[derive(Clone)]
pub(super) struct Wait<'t> {
    /// When it can be judged.
    pub until: Micros,
    /// What takes that long, for people.
    because: String,
    /// What must not come before that.
    pub bound: Horizon<'t>,
    /// The shape whose load ends then.
    pub shape: Option<&'t ShapeOutline>,
    /// The trigger that is judged.
    pub after: Option<&'t Trigger>,
    /// What else helps where the next trigger cannot begin later.
    pub or: &'static str,
}

impl<'t> Wait<'t> {
    fn lacking(self) -> Option<Wait<'t>> {
        (self.until > self.bound.at()).then_some(self)
    }
}

impl Watch<'_> {
    /// The baseline must hold whole cells, and windows enough where something is compared with it.
    pub fn baseline(&self, notes: &mut Notes, advice: &Advice, first: Micros, span: Span) {
        let Some((needed, compared, _)) = self.short_of() else { return };
        let (warmup, deadline) = (self.outline.judge.warmup, self.outline.largest_deadline());
        let baseline = self.frame().baseline();
        let length = baseline.end - baseline.start;
        let room = if length > Micros::ZERO { length.to_string() } else { "no room".to_owned() };
        let wanted = if compared { format!(", it needs {needed}") } else { String::new() };
        let message = format!(
            "the baseline has {room}{wanted}: it lies between the warm-up ({warmup}) and one deadline ({deadline}) before the first trigger ({first})"
        );
        let help = format!("{}, or shorten `judge: warmup` or the longest timeout", advice.begin(self));
        notes.add(span, message, help);
    }

    /// What the baseline needs, whether something is compared with it, and when the first trigger begins that leaves it
    /// room; none where it has that.
    fn short_of(&self) -> Option<(Micros, bool, Micros)> {
        let (outline, judge) = (self.outline, &self.outline.judge);
        let baseline = self.frame().baseline();
        let compared =
            outline.objectives.iter().any(|o| matches!(o.metric, Metric::Outage | Metric::Recovery));
        // One shape with a band is enough to compare with; which have none, the report says.
        let ready = |shape: &ShapeOutline| {
            let narrowest = window_widths(shape.period, outline.cell).first().copied().unwrap_or(1);
            let windows = PlannedWindows::of(outline, shape, narrowest);
            windows.next(baseline.start) + windows.width * i64::from(judge.windows)
        };
        let ready = outline.shapes.iter().filter(|s| compared && !s.trigger).map(ready).min();
        let needed = ready.map_or(outline.cell, |ready| ready - baseline.start);
        let at = judge.warmup + outline.largest_deadline() + needed.max(judge.baseline);
        (baseline.end - baseline.start < needed).then_some((needed, compared, at))
    }

    /// By how much later triggers must begin for the baseline and the steady states.
    pub(super) fn short_by(&self) -> Micros {
        let (outline, first) = (self.outline, self.outline.first_trigger());
        let steady = outline.steady.iter().filter_map(|rule| self.steady_from(rule));
        let at = self.short_of().map(|(_, _, at)| at).into_iter().chain(steady).max();
        first.zip(at).map_or(Micros::ZERO, |(first, at)| (at - first).max(Micros::ZERO))
    }

    /// Refuses an objective that the run leaves no time to judge.
    pub fn judgeable(&self, notes: &mut Notes, advice: &Advice, objective: &Objective, span: Span) {
        let Some(wait) = self.too_long(objective) else { return };
        let ends = match (wait.bound, wait.shape) {
            (Horizon::Load(_), Some(shape)) => format!("the load of `{}` ends at {}", shape.name, shape.end),
            (Horizon::Load(at), None) => format!("the load ends at {at}"),
            (Horizon::Next(next), _) => format!("`{}` begins at {}", next.name, next.t_inject),
            (Horizon::InForce(other, at), _) => format!("`{}` is still in force at {at}", other.trigger),
        };
        let message = format!("{ends}, before this can be judged: {}", wait.because);
        notes.add(span, message, advice.for_wait(&wait));
    }

    /// Until when what comes after a trigger must last for a rule that looks at so much of it on end; none where it does.
    pub(super) fn too_short(&self, rule: &Objective) -> Option<Wait<'_>> {
        let (PhaseName::After(name), Some(window)) = (&rule.phase, rule.window) else { return None };
        let longest = self.longest(&rule.phase).iter().map(|span| span.end - span.start).max();
        let last = self.triggers.iter().rfind(|t| t.trigger == *name)?;
        let (_, after) = self.frame().spans(last, Return::At(last.over()));
        let begins =
            phases::cells(&rule.phase, &(after?.start + moment(last)..Micros::MAX), self.outline.cell);
        let wait = Wait {
            until: self.outline.cell * i64::from(begins.start) + window,
            because: String::new(),
            bound: self.frame().horizon(last),
            shape: None,
            after: Some(last),
            or: LESS,
        };
        longest.is_none_or(|longest| longest < window).then_some(wait)
    }

    /// The wait that does not fit into the run, if one does not.
    pub(super) fn too_long(&self, objective: &Objective) -> Option<Wait<'_>> {
        let outline = self.outline;
        let wait = |until, because| Wait {
            until,
            because,
            bound: Horizon::Load(outline.duration),
            shape: None,
            after: None,
            or: LESS,
        };
        let window = objective.window.unwrap_or(Micros::ZERO);
        let shortest = outline.judge.warmup + window.max(outline.cell);
        let whole = wait(shortest, format!("the warm-up and what is judged take until {shortest}"));
        let named = |name: &String| self.triggers.iter().filter(|t| t.trigger == *name).collect::<Vec<_>>();
        let of_triggers = match (&objective.metric, &objective.phase) {
            // The worst counts, so every one must be seen to its end.
            (Metric::Outage | Metric::Recovery, _) => self
                .triggers
                .iter()
                .filter(|t| objective.selector.as_deref().is_none_or(|name| t.trigger == name))
                .find_map(|t| longest(self.return_of(t, objective))),
            // Repeats are merged: it is enough that one leaves something to judge.
            (_, PhaseName::After(name)) => {
                let waits = named(name).into_iter().map(|t| longest(self.after(t)));
                waits.collect::<Option<Vec<_>>>().and_then(|lacks| lacks.into_iter().next_back())
            }
            (_, PhaseName::During(name)) => {
                let last =
                    named(name).iter().map(|t| self.frame().spans(t, Return::At(t.over())).0.end).max();
                last.and_then(|until| wait(until, format!("`{name}` is over at {until}")).lacking())
            }
            _ => None,
        };
        of_triggers.or_else(|| whole.lacking())
    }

    /// To tell whether a trigger's harm is shorter than the limit takes the limit, and a stretch of windows in which it is
    /// well again; and what is out of band must not be the next trigger's doing.
    fn return_of<'t>(&'t self, trigger: &'t Trigger, objective: &Objective) -> Vec<Wait<'t>> {
        let bounded =
            matches!(objective.comparison, Comparison::Below | Comparison::AtMost | Comparison::Equal);
        let limit = if bounded { Micros(objective.value.round() as i64) } else { Micros::ZERO };
        let (from, since) = match objective.metric {
            Metric::Outage => (trigger.t_inject, "begins"),
            _ => (trigger.over(), "is over"),
        };
        let begun = format!("`{}` {since} at {from}, the limit allows {limit}, and", trigger.name);
        let latest = from + moment(trigger) + limit;
        [self.well_again(trigger, latest, &begun), self.apart(trigger, latest, &begun)].concat()
    }

    /// For each of them how far off the next trigger must be, of whose harm what is out of band just before it may be.
    fn apart<'t>(&'t self, trigger: &'t Trigger, latest: Micros, begun: &str) -> Vec<Wait<'t>> {
        let bound = self.frame().horizon(trigger);
        let of_shape = |(shape, windows): (&'t ShapeOutline, Vec<PlannedWindows>)| {
            let Horizon::Next(next) = bound else { return Vec::new() };
            let deadline = self.outline.deadline_of(&shape.name);
            let because = format!(
                "{begun} what is out of its band within one deadline ({deadline}) before `{}` may be that one's doing",
                next.name
            );
            // The end of the first window that is too late.
            let late = windows.iter().map(|w| w.next(latest.max(clear(trigger))) + deadline);
            let wait = |until| Wait {
                until,
                because: because.clone(),
                bound,
                shape: None,
                after: Some(trigger),
                or: SHORTER,
            };
            late.map(wait).collect()
        };
        self.lasting(trigger).into_iter().flat_map(of_shape).collect()
    }

    /// For each shape that tells of a return until when its stretch lasts, where windows up to `latest` are out of band.
    fn well_again<'t>(&'t self, trigger: &'t Trigger, latest: Micros, begun: &str) -> Vec<Wait<'t>> {
        let of_shape = |(shape, windows): (&'t ShapeOutline, Vec<PlannedWindows>)| {
            let bound = Frame { load_end: shape.end, ..self.frame() }.horizon(trigger);
            let ends = (shape.end < self.outline.duration).then_some(shape);
            windows.into_iter().map(move |w| {
                let back = w.next(clear(trigger)).max(w.last(latest));
                let because = format!(
                    "{begun} {} of being well again{} prove it",
                    w.stretch,
                    in_windows(&w, self.outline)
                );
                Wait { until: back + w.stretch, because, bound, shape: ends, after: Some(trigger), or: LESS }
            })
        };
        self.lasting(trigger).into_iter().flat_map(of_shape).collect()
    }

    /// The shapes with a band that have load when a trigger is over, of which the worst counts. Where none will have one,
    /// which is told, those that might, or the last that had load.
    fn lasting(&self, trigger: &Trigger) -> Vec<(&ShapeOutline, Vec<PlannedWindows>)> {
        let (outline, baseline) = (self.outline, self.frame().baseline());
        let first = outline.first_trigger().unwrap_or(outline.duration);
        let shapes = outline.shapes.iter().enumerate().filter(|(_, s)| !s.trigger && s.start < first);
        let (lasting, ended): (Vec<_>, Vec<_>) = shapes
            .map(|(i, shape)| (shape, self.windows_of(i, &baseline)))
            .partition(|(shape, _)| shape.end > trigger.over());
        let banded: Vec<_> = lasting.iter().filter(|(_, windows)| !windows.is_empty()).cloned().collect();
        if !banded.is_empty() {
            return banded;
        }
        let last = ended.into_iter().max_by_key(|(shape, _)| shape.end);
        let some = if lasting.is_empty() { last.into_iter().collect() } else { lasting };
        let least = |shape| vec![PlannedWindows::of(outline, shape, 1)];
        let or_least =
            |(shape, windows): (_, Vec<_>)| (shape, if windows.is_empty() { least(shape) } else { windows });
        some.into_iter().map(or_least).collect()
    }

    fn windows_of(&self, shape: usize, baseline: &Range<Micros>) -> Vec<PlannedWindows> {
        let all = planned_windows(self.outline, shape, self.counted_of(shape), baseline).into_iter();
        all.map(|w| w.thinking(&self.outline.judge, self.think_at_once(shape, w.width))).collect()
    }

    /// After a one-shot nothing is judged before it is known when the service was back.
    fn after<'t>(&'t self, trigger: &'t Trigger) -> Vec<Wait<'t>> {
        let (_, after) = self.frame().spans(trigger, Return::At(trigger.over()));
        let settled = after.map_or(trigger.over(), |span| span.start).max(clear(trigger));
        let name = &trigger.trigger;
        let cells =
            phases::cells(&PhaseName::After(name.clone()), &(settled..Micros::MAX), self.outline.cell);
        let begins = self.outline.cell * i64::from(cells.start);
        let because = format!("`after {name}` begins at {begins} at the earliest");
        let bound = self.frame().horizon(trigger);
        let mut waits = vec![Wait {
            until: begins + self.outline.cell,
            because,
            bound,
            shape: None,
            after: Some(trigger),
            or: LESS,
        }];
        if trigger.one_shot {
            let begun = format!("`{name}` is over at {}, and", trigger.over());
            waits.extend(self.well_again(trigger, Micros::ZERO, &begun));
            waits.extend(self.apart(trigger, Micros::ZERO, &begun));
        }
        waits
    }
}

/// Of several waits the longest that does not fit.
fn longest(waits: Vec<Wait<'_>>) -> Option<Wait<'_>> {
    waits.into_iter().filter_map(Wait::lacking).max_by_key(|wait| wait.until)
}

/// A fault is gone a moment after it was to be.
fn moment(trigger: &Trigger) -> Micros {
    Micros(i64::from(!trigger.shape))
}

fn clear(trigger: &Trigger) -> Micros {
    trigger.over() + moment(trigger)
}

fn in_windows(windows: &PlannedWindows, outline: &Outline) -> String {
    if windows.width > outline.cell { format!(", in windows of {},", windows.width) } else { String::new() }
}
