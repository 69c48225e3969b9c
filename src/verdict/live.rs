//! Live rules: abort and steady-state expressions over the last seconds of a run that still goes on.
//!
//! Owns the window that a live rule looks at; what is done when one decides is the controller's.

use super::measure::{self, Measured, measure};
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
    let cells = |deadline: Micros| window(timeline, rule, now, deadline);
    if let Metric::Target { name, aggregate } = &rule.metric {
        let recent = cells(Micros::ZERO);
        let from = timeline.cell_start(*recent.first()?);
        let seen: Vec<(f64, f64)> = timeline
            .scrapes
            .iter()
            .filter(|s| s.name == *name && s.at >= from && s.at <= now)
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
        let cells = cells(deadline);
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
    let index = |at: Micros| u32::try_from(at.0.div_euclid(cell.0.max(1)).max(0)).unwrap_or(u32::MAX);
    let recent: Cells = (index(until - long)..index(until)).collect();
    let triggers = phases::triggers(timeline);
    let phases = phases::phases(timeline, &triggers, &vec![Return::Unknown; triggers.len()]);
    let phase = phases.into_iter().find(|p| p.name == rule.phase).map(|p| p.cells).unwrap_or_default();
    recent.intersection(&phase).copied().collect()
}
