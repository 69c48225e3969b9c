//! Whether the parts fit together in time: faults that cannot both be, a baseline that holds
//! something, a load that lasts until every objective can be judged.

use crate::diagnose::Span;
use crate::experiment::Fault;
use crate::experiment::fault::Planned;
use crate::experiment::notes::{Notes, written};
use crate::objective::{Metric, Objective, PhaseName};
use crate::outline::{JudgeSettings, Outline};
use crate::units::Micros;

/// Faults that are in force at the same time on the same thing and cannot be.
pub(super) fn overlaps(notes: &mut Notes, timeline: &[Planned], duration: Micros) {
    for (i, later) in timeline.iter().enumerate() {
        let clash = timeline[..i].iter().find(|earlier| {
            end(earlier, duration) > later.outline.at
                && later.outline.on.is_some()
                && excludes(earlier, later)
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

/// On one service nothing else can be; on one link the same kind cannot, nor anything beside a link
/// that is down or fails over.
fn excludes(a: &Planned, b: &Planned) -> bool {
    let cut = |f: &Fault| matches!(f, Fault::Down { .. } | Fault::Failover { .. });
    let process = |f: &Fault| matches!(f, Fault::Pause { .. } | Fault::Kill { .. } | Fault::Restart { .. });
    let same_kind = std::mem::discriminant(&a.fault) == std::mem::discriminant(&b.fault);
    a.outline.on == b.outline.on
        && (same_kind || cut(&a.fault) || cut(&b.fault) || process(&a.fault) && process(&b.fault))
}

/// A trigger with all its times.
struct Trigger<'o> {
    name: &'o str,
    first: Micros,
    /// When it has gone for the last time, as planned.
    clear: Micros,
    one_shot: bool,
    settle: Micros,
}

/// The baseline must hold whole cells, and windows enough where something is compared with it.
pub(super) fn baseline(notes: &mut Notes, outline: &Outline, first: Option<(Micros, Span)>) {
    let Some((first, span)) = first else { return };
    let deadline = largest_deadline(outline);
    let judge = &outline.judge;
    let length = first - deadline - judge.warmup;
    let compared = outline.objectives.iter().any(|o| matches!(o.metric, Metric::Outage | Metric::Recovery));
    let windows = if compared { i64::from(judge.windows) } else { 1 };
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
        format!("begin at {} or later, or shorten `judge: warmup` or the longest timeout", written(at));
    notes.add(span, message, help);
}

/// The largest deadline of an operation, flows left out.
pub(super) fn largest_deadline(outline: &Outline) -> Micros {
    outline.operations.iter().filter(|o| !o.flow).map(|o| o.deadline).max().unwrap_or(Micros::ZERO)
}

/// The length that the load needs before this objective can be judged.
pub(super) fn needed(outline: &Outline, objective: &Objective) -> Micros {
    let judge = &outline.judge;
    let all = triggers_of(outline);
    let of = |name: &str| all.iter().filter(|t| t.name == name).map(|t| after(t, judge, outline.cell)).max();
    let any = || all.iter().map(|t| t.clear + stretch(judge, outline.cell)).max();
    let phase = match &objective.phase {
        PhaseName::After(trigger) => of(trigger),
        PhaseName::During(trigger) => all.iter().filter(|t| t.name == trigger).map(|t| during(t)).max(),
        _ => None,
    };
    let recovers = match (&objective.metric, &objective.selector) {
        (Metric::Outage | Metric::Recovery, Some(trigger)) => {
            all.iter().filter(|t| t.name == trigger).map(|t| t.clear + stretch(judge, outline.cell)).max()
        }
        (Metric::Outage | Metric::Recovery, None) => any(),
        _ => None,
    };
    let window = objective.window.unwrap_or(Micros::ZERO) + judge.warmup;
    phase.max(recovers).unwrap_or(judge.warmup + outline.cell).max(window)
}

/// How long it must be well again: the stretch, or so many windows of at least one cell.
fn stretch(judge: &JudgeSettings, cell: Micros) -> Micros {
    judge.stretch.max(cell * i64::from(judge.stretch_windows))
}

fn after(trigger: &Trigger<'_>, judge: &JudgeSettings, cell: Micros) -> Micros {
    let wait = if trigger.one_shot { trigger.settle.max(stretch(judge, cell)) } else { Micros::ZERO };
    trigger.clear + wait + cell
}

fn during(trigger: &Trigger<'_>) -> Micros {
    if trigger.one_shot { trigger.clear + trigger.settle } else { trigger.clear }
}

/// Triggers from the outline: faults by their names, and shapes that are triggers.
fn triggers_of(outline: &Outline) -> Vec<Trigger<'_>> {
    let faults = outline.faults.iter().map(|f| Trigger {
        name: &f.trigger,
        first: f.at,
        clear: f.at + f.length.unwrap_or(Micros::ZERO),
        one_shot: f.length.is_none(),
        settle: f.settle,
    });
    let shapes = outline.shapes.iter().filter(|s| s.trigger).map(|s| Trigger {
        name: &s.name,
        first: s.start,
        clear: s.end,
        one_shot: false,
        settle: Micros::ZERO,
    });
    faults.chain(shapes).collect()
}

/// The first injection of all.
pub(super) fn first_trigger(outline: &Outline) -> Option<Micros> {
    triggers_of(outline).iter().map(|t| t.first).min()
}

/// Refuses an objective that ends later than the load.
pub(super) fn judgeable(notes: &mut Notes, outline: &Outline, objective: &Objective, span: Span) {
    let needed = needed(outline, objective);
    if needed > outline.duration {
        let message = format!("the load ends at {} before this can be judged", outline.duration);
        notes.add(span, message, format!("raise `duration` to {} or more", written(needed)));
    }
}
