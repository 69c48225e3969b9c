//! Live rules: abort and steady-state expressions over the last seconds of a run that still goes on.
//!
//! Owns the window that a live rule looks at; what is done when one decides is the controller's.

use std::cell::RefCell;

use super::measure::{self, Measured, measure};
use super::soundness::Soundness;
use super::value::aggregated;
use super::words;
use crate::objective::{Metric, Objective};
use crate::sample::OpId;
use crate::timeline::phases::{self, Return};
use crate::timeline::{Cells, Timeline};
use crate::units::Micros;

/// A live rule's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub holds: bool,
    /// The operation that decided: `create_room`; none for target metrics.
    pub who: Option<String>,
    /// `62 % of create_room failed or came too late`.
    pub measured: String,
}

/// A rule over its last D (default ten cells) before `now`; none while nothing can be said.
///
/// Operations still open count as bad once their deadline has passed and are left out before. Where
/// deadlines are longer than half of D the window ends earlier, so that half of it is always decided:
/// a target that swallows everything is seen. Warm-up is never looked at; a rule with a phase only
/// speaks while that phase lasts.
pub fn live(timeline: &Timeline, rule: &Objective, now: Micros) -> Option<Live> {
    reading(timeline, rule, now, &|_, _, _| Cells::new())
}

/// The cells that squall itself harmed, if the rule, which decided at `now`, would not hold without them.
pub(super) fn rests_on(
    timeline: &Timeline,
    sound: &Soundness,
    rule: &Objective,
    now: Micros,
) -> Option<Cells> {
    let harmed = RefCell::new(Cells::new());
    let reading = reading(timeline, rule, now, &|op, cells, deadline| {
        let tainted = sound.tainted(timeline, op, cells, deadline);
        harmed.borrow_mut().extend(&tainted);
        tainted
    });
    let still = reading.is_some_and(|reading| reading.holds);
    Some(harmed.into_inner()).filter(|harmed| !harmed.is_empty() && !still)
}

/// The rule's reading without the cells that `left_out` picks, of an operation or of the target's metrics,
/// by how far ahead of a cell its harm reaches.
fn reading(
    timeline: &Timeline,
    rule: &Objective,
    now: Micros,
    left_out: &dyn Fn(Option<OpId>, &Cells, Micros) -> Cells,
) -> Option<Live> {
    let cells = |op, deadline: Micros| {
        let recent = window(timeline, rule, now, deadline);
        &recent - &left_out(op, &recent, deadline)
    };
    if let Metric::Target { name, aggregate } = &rule.metric {
        let recent = window(timeline, rule, now, Micros::ZERO);
        let from = timeline.cell_start(*recent.first()?);
        let without = left_out(None, &recent, timeline.outline().largest_deadline());
        let kept = |at: Micros| !without.contains(&timeline.cell_of(at));
        let seen: Vec<(f64, f64)> = timeline
            .scrapes
            .iter()
            .filter(|s| s.name == *name && s.at >= from && s.at <= now && kept(s.at))
            .map(|s| (s.at.as_secs_f64(), s.value))
            .collect();
        let m = Measured { value: aggregated(&[&seen], *aggregate), ..Measured::default() };
        return state(rule, None, name, &m);
    }
    let named = |name: &str, flow: bool| rule.selector.as_ref().map_or(!flow, |s| s == name);
    let ops: Vec<(OpId, &str)> = timeline
        .operations()
        .filter(|(_, o)| named(&o.name, o.flow))
        .map(|(op, o)| (op, o.name.as_str()))
        .collect();
    let measured = ops.into_iter().filter_map(|(op, name)| {
        let deadline = timeline.deadline(op);
        let cells = cells(Some(op), deadline);
        let length = timeline.outline().cell * cells.len() as i64;
        let m = measure(&rule.metric, &timeline.live_tally(op, &cells, now), length, deadline);
        (m.n >= measure::least(&rule.metric).max(1)).then_some((name, m))
    });
    let badness = |m: &Measured| m.value.map_or(f64::MIN, |v| rule.comparison.badness(v, rule.value));
    let (name, worst) = measured.max_by(|a, b| badness(&a.1).total_cmp(&badness(&b.1)))?;
    state(rule, Some(name.to_owned()), name, &worst)
}

fn state(rule: &Objective, who: Option<String>, name: &str, m: &Measured) -> Option<Live> {
    let holds = rule.comparison.holds(m.value?, rule.value);
    Some(Live { holds, who, measured: words::claim(&rule.metric, name, m) })
}

/// The whole cells that the rule looks at.
fn window(timeline: &Timeline, rule: &Objective, now: Micros, deadline: Micros) -> Cells {
    let cell = timeline.outline().cell;
    let long = rule.window.unwrap_or(cell * 10);
    let until = now - Micros((deadline.0 - long.0 / 2).max(0));
    let recent: Cells = (timeline.cell_of(until - long)..timeline.cell_of(until)).collect();
    let triggers = phases::triggers(timeline);
    let phases = phases::phases(timeline, &triggers, &vec![Return::Unknown; triggers.len()]);
    let phase = phases.into_iter().find(|p| p.name == rule.phase).map(|p| p.cells).unwrap_or_default();
    recent.intersection(&phase).copied().collect()
}
