//! Whether the parts fit together in time: faults that cannot both be, a baseline that holds
//! something, a load that lasts until every objective can be judged.

use crate::diagnose::Span;
use crate::experiment::fault::{PROOF, Planned};
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::watch::Watch;
use crate::experiment::{Fault, Link};
use crate::objective::{Comparison, Metric, Objective, PhaseName};
use crate::outline::{Outline, ShapeOutline, window_widths};
use crate::timeline::phases::{Frame, Horizon, Return};
use crate::timeline::trigger::Trigger;
use crate::units::Micros;

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
fn end(planned: &Planned, duration: Micros) -> Micros {
    let outline = &planned.outline;
    match (&planned.fault, outline.length) {
        (_, Some(length)) => outline.at + length,
        (Fault::Kill { .. }, None) => duration,
        (Fault::Failover { outage, .. }, None) => outline.at + *outage,
        (_, None) => outline.at + Micros(1),
    }
}

/// The widths that windows of each shape with a band can have, in cells.
fn widths(outline: &Outline) -> impl Iterator<Item = Vec<u32>> {
    outline.shapes.iter().filter(|s| !s.trigger).map(|s| window_widths(s.period, outline.cell))
}

/// What an objective waits for, and until when.
struct Wait<'t> {
    /// When it can be judged.
    until: Micros,
    /// What takes that long, for people.
    because: String,
    /// What must not come before that.
    bound: Horizon<'t>,
    /// The shape whose load ends then.
    shape: Option<&'t ShapeOutline>,
    /// The trigger that is judged.
    after: Option<&'t Trigger>,
}

impl<'t> Wait<'t> {
    fn lacking(self) -> Option<Wait<'t>> {
        (self.until > self.bound.at()).then_some(self)
    }
}

impl Watch<'_> {
    /// The baseline must hold whole cells, and windows enough where something is compared with it.
    pub fn baseline(&self, notes: &mut Notes, first: Micros, span: Span) {
        let (outline, judge) = (self.outline, &self.outline.judge);
        let baseline = self.frame().baseline();
        let length = baseline.end - baseline.start;
        let compared =
            outline.objectives.iter().any(|o| matches!(o.metric, Metric::Outage | Metric::Recovery));
        // One shape with a band is enough to compare with; which have none, the report says.
        let narrowest = widths(outline).filter_map(|widths| widths.first().copied()).min().unwrap_or(1);
        let windows = if compared { i64::from(judge.windows) * i64::from(narrowest) } else { 1 };
        let needed = outline.cell * windows;
        if length >= needed {
            return;
        }
        let deadline = outline.largest_deadline();
        let at = judge.warmup + deadline + needed.max(judge.baseline);
        let room = if length > Micros::ZERO { length.to_string() } else { "no room".to_owned() };
        let wanted = if windows > 1 { format!(", it needs {needed}") } else { String::new() };
        let message = format!(
            "the baseline has {room}{wanted}: it lies between the warm-up ({}) and one deadline ({deadline}) before the first trigger ({first})",
            judge.warmup
        );
        let help = format!(
            "begin at {} or later, or shorten `judge: warmup` or the longest timeout",
            as_written(at)
        );
        notes.add(span, message, help);
    }

    /// Refuses an objective that the run leaves no time to judge.
    pub fn judgeable(&self, notes: &mut Notes, objective: &Objective, span: Span) {
        let Some(wait) = self.too_long(objective) else { return };
        let needed = as_written(wait.until);
        let (ends, help) = match (wait.bound, wait.shape) {
            (Horizon::Load(_), Some(shape)) => (
                format!("the load of `{}` ends at {}", shape.name, shape.end),
                match wait.until > self.outline.duration {
                    true => format!("raise `duration` to {needed} or more, and let it last until then"),
                    false => format!("let it last until {needed} or longer"),
                },
            ),
            (Horizon::Load(at), None) => {
                (format!("the load ends at {at}"), format!("raise `duration` to {needed} or more"))
            }
            (Horizon::Next(next), _) => (
                format!("`{}` begins at {}", next.name, next.t_inject),
                self.begin_later(next, wait.until, wait.after),
            ),
            (Horizon::InForce(other, at), _) => (
                format!("`{}` is still in force at {at}", other.trigger),
                format!("let `{}` end first, or begin at {needed} or later", other.trigger),
            ),
        };
        notes.add(span, format!("{ends}, before this can be judged: {}", wait.because), help);
    }

    /// What to change so that a trigger begins no earlier: of repeats how far apart they are, or when the first begins.
    fn begin_later(&self, next: &Trigger, until: Micros, after: Option<&Trigger>) -> String {
        let first = self.triggers.iter().filter(|t| t.trigger == next.trigger).map(|t| t.t_inject).min();
        match (after.filter(|t| t.trigger == next.trigger), first) {
            (Some(before), _) => {
                let apart = as_written(until - before.t_inject);
                format!("write `every: {apart}` or more, or ask for less")
            }
            (None, Some(first)) if first < next.t_inject => {
                let at = as_written(first + until - next.t_inject);
                format!("let the first `{}` begin at {at} or later, or ask for less", next.trigger)
            }
            _ => format!("let `{}` begin at {} or later, or ask for less", next.trigger, as_written(until)),
        }
    }

    /// The wait that does not fit into the run, if one does not.
    fn too_long(&self, objective: &Objective) -> Option<Wait<'_>> {
        let outline = self.outline;
        let wait = |until, because| Wait {
            until,
            because,
            bound: Horizon::Load(outline.duration),
            shape: None,
            after: None,
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
                .find_map(|t| self.return_of(t, objective).lacking()),
            // Repeats are merged: it is enough that one leaves something to judge.
            (_, PhaseName::After(name)) => {
                let waits = named(name).into_iter().map(|t| self.after(t).lacking());
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

    /// To tell that a trigger's harm is shorter than the limit takes the limit, and a stretch of being well
    /// again after it; a cell on top, because windows begin at whole cells.
    fn return_of<'t>(&'t self, trigger: &'t Trigger, objective: &Objective) -> Wait<'t> {
        let outline = self.outline;
        let bounded =
            matches!(objective.comparison, Comparison::Below | Comparison::AtMost | Comparison::Equal);
        let limit = if bounded { Micros(objective.value.round() as i64) } else { Micros::ZERO };
        let (from, since) = match objective.metric {
            Metric::Outage => (trigger.t_inject, "begins"),
            _ => (trigger.over(), "is over"),
        };
        let well = self.stretch();
        let until = (from + limit).max(trigger.over()) + well + outline.cell;
        let because = format!(
            "`{}` {since} at {from}, the limit allows {limit}, and {well} of being well again prove it",
            trigger.name
        );
        let first = outline.first_trigger().unwrap_or(outline.duration);
        let banded = || outline.shapes.iter().filter(|s| !s.trigger && s.start < first);
        // Those whose load ends before are left out; of the others the worst counts.
        let lasting = banded().filter(|s| s.end > trigger.over()).min_by_key(|s| s.end);
        let shape = lasting.or(banded().max_by_key(|s| s.end)).filter(|s| s.end < outline.duration);
        let load_end = shape.map_or(outline.duration, |s| s.end);
        let bound = Frame { load_end, ..self.frame() }.horizon(trigger);
        Wait { until, because, bound, shape, after: Some(trigger) }
    }

    /// After a one-shot nothing is judged before it is known when the service was back.
    fn after<'t>(&'t self, trigger: &'t Trigger) -> Wait<'t> {
        let (_, after) = self.frame().spans(trigger, Return::At(trigger.over()));
        let begins = after.map_or(trigger.over(), |span| span.start);
        let known = if trigger.one_shot { trigger.over() + self.stretch() } else { begins };
        let begins = begins.max(known);
        let because = format!("`after {}` begins at {begins} at the earliest", trigger.trigger);
        let bound = self.frame().horizon(trigger);
        Wait { until: begins + self.outline.cell, because, bound, shape: None, after: Some(trigger) }
    }

    /// How long it must be well again: the stretch, or so many of the widest windows that may be chosen.
    fn stretch(&self) -> Micros {
        let (outline, judge) = (self.outline, &self.outline.judge);
        let baseline = self.frame().baseline();
        let cells = (baseline.end - baseline.start).0 / outline.cell.0.max(1);
        let fits = |width: &u32| i64::from(*width) * i64::from(judge.windows) <= cells;
        let widest = widths(outline).flatten().filter(fits).max().unwrap_or(1);
        judge.stretch.max(outline.cell * (i64::from(widest) * i64::from(judge.stretch_windows)))
    }
}
