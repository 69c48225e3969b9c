//! Live rules: abort and steady-state expressions over the last seconds of a run that still goes on.
//!
//! Owns the window that a live rule looks at; what is done when one decides is the controller's.

use super::evidence::Evidence;
use super::measure::{self, Measured, measure};
use super::soundness::{self, Soundness};
use super::value::of_target;
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
    reading(timeline, rule, now, Without::default())
}

/// Why a rule that fired at `now` proves nothing, as it would not have without the generator's own harm. What
/// has become known only later excuses nothing.
pub(super) fn excuse(evidence: &Evidence, rule: &Objective, now: Micros) -> Option<String> {
    let timeline = evidence.timeline;
    let fires = |without| reading(timeline, rule, now, without).is_some_and(|reading| reading.holds);
    if !fires(Without::default()) {
        return None;
    }
    if !fires(Without { delay: true, sound: None }) {
        return Some("squall itself was late then, and without that it would not have fired".to_owned());
    }
    let sound = evidence.sound.until(timeline.cell_of(now));
    let cells = window(timeline, rule, now, timeline.outline().largest_deadline());
    (!fires(Without { delay: true, sound: Some(&sound) }))
        .then(|| format!("that rests on cells in which squall itself was unsound{}", evidence.blame(&cells)))
}

/// What is left out in the target's favour.
#[derive(Clone, Copy, Default)]
struct Without<'s> {
    /// The generator's delay.
    delay: bool,
    /// Cells that it harmed.
    sound: Option<&'s Soundness>,
}

fn reading(timeline: &Timeline, rule: &Objective, now: Micros, without: Without<'_>) -> Option<Live> {
    let kept = |op, cells: Cells, deadline: Micros| match without.sound {
        Some(sound) => &cells - &sound.tainted(timeline, op, &cells, deadline),
        None => cells,
    };
    if let Metric::Target { name, aggregate } = &rule.metric {
        let mut recent = window(timeline, rule, now, Micros::ZERO);
        if !recent.is_empty() {
            // The newest scrape lies in the cell that has just begun.
            recent.insert(timeline.cell_of(now));
        }
        let cells = kept(None, recent, timeline.outline().largest_deadline());
        return state(rule, None, name, &of_target(timeline, name, *aggregate, &cells).0);
    }
    let named = |name: &str, flow: bool| rule.selector.as_ref().map_or(!flow, |s| s == name);
    let ops: Vec<(OpId, &str)> = timeline
        .operations()
        .filter(|(_, o)| named(&o.name, o.flow))
        .map(|(op, o)| (op, o.name.as_str()))
        .collect();
    let measured = ops.into_iter().filter_map(|(op, name)| {
        let deadline = timeline.deadline(op);
        let cells = kept(Some(op), window(timeline, rule, now, deadline), deadline);
        let length = timeline.outline().cell * cells.len() as i64;
        let tally = timeline.live_tally(op, &cells, now);
        let mut m = measure(&rule.metric, &tally, length, deadline);
        if without.delay {
            let late = soundness::share(timeline, &rule.metric, &tally, &cells);
            m.value = m.value.map(|v| v - late.0 as f64);
        }
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
