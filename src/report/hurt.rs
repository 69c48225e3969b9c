//! Whom a trigger hurt most, where an objective about it fails: it names a shape at most, and never an operation.
//!
//! Owns the choice only; that one fails is the judge's.

use crate::objective::{Metric, PhaseName};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{
    JudgedObjective, JudgedTrigger, Judgement, OperationPhase, OperationTable, ShapeTrigger, Word,
};

/// So much more is no change.
const LEEWAY: f64 = 2_000.0;

/// The operation that the worst trigger of an outage or a recovery that fails hurt most, each against its own baseline, of
/// the shapes that were out of band the longest.
pub(super) fn most(timeline: &Timeline, judgement: &Judgement) -> Option<String> {
    let all = timeline.outline().objectives.iter().map(|o| &o.metric).zip(&judgement.objectives);
    let lost = |(metric, o): &(&Metric, &JudgedObjective)| {
        matches!(metric, Metric::Outage | Metric::Recovery) && o.word == Word::Fail
    };
    let furthest =
        |a: &(_, &JudgedObjective), b: &(_, &JudgedObjective)| a.1.closeness().total_cmp(&b.1.closeness());
    let (metric, objective) = all.filter(lost).max_by(furthest)?;
    let decided = objective.decided.as_deref();
    let trigger = judgement.triggers.iter().find(|t| decided == Some(t.name.as_str()))?;
    let shapes = longest(trigger, metric);
    let concerned = judgement.operations.iter().filter(|o| !o.flow && shapes.contains(&o.shape.as_str()));
    let by_harm = |a: &&OperationTable, b: &&OperationTable| {
        harm(a, trigger).partial_cmp(&harm(b, trigger)).unwrap_or(std::cmp::Ordering::Equal)
    };
    // Of those alike the first.
    let worst = concerned.reduce(|a, b| if by_harm(&b, &a).is_gt() { b } else { a });
    worst.map(|o| o.name.clone())
}

/// The shapes for which it took longest: those that did not come back before others.
fn longest<'t>(trigger: &'t JudgedTrigger, metric: &Metric) -> Vec<&'t str> {
    let time = |s: &ShapeTrigger| {
        let so_far = if *metric == Metric::Outage { s.outage_so_far } else { s.recovery_so_far };
        (s.recovered.is_none() && so_far > Micros::ZERO, so_far)
    };
    let most = trigger.shapes.iter().map(time).max();
    let shapes = trigger.shapes.iter().filter(|s| Some(time(s)) == most);
    shapes.map(|s| s.shape.as_str()).collect()
}

/// How many tenths more of it failed while the trigger was in force, or after it, than in the baseline; then how many times
/// as long it took.
fn harm(operation: &OperationTable, trigger: &JudgedTrigger) -> (f64, f64) {
    let of = |name: &PhaseName| operation.phases.iter().find(|p| p.phase == *name && p.n > 0);
    let usual = of(&PhaseName::Baseline).or_else(|| of(&PhaseName::Warmup));
    let hit = [PhaseName::During(trigger.trigger.clone()), PhaseName::After(trigger.trigger.clone())];
    let (mut failed, mut slower) = (0.0_f64, 0.0_f64);
    for now in hit.iter().filter_map(of) {
        failed = failed.max(now.bad - usual.map_or(0.0, |usual| usual.bad));
        slower = slower.max(usual.map_or(0.0, |usual| times(now, usual)));
    }
    ((failed * 10.0).floor(), slower)
}

/// How many times as long as usual, over its quantiles; in logarithms.
fn times(now: &OperationPhase, usual: &OperationPhase) -> f64 {
    let pairs = [(now.p50, usual.p50), (now.p90, usual.p90), (now.p99, usual.p99)];
    pairs.map(|(now, usual)| ((now.value + LEEWAY) / (usual.value + LEEWAY)).ln()).iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::series::worst_first;
    use super::*;
    use crate::sample::OpId;

    /// Whom the page shows first where `recovery(store_slow)` fails of `shape`, and all else that is told passes.
    fn shown(shape: &str, slow: &[(&str, f64)]) -> OpId {
        let timeline = fixture::timeline();
        let mut judgement = fixture::judgement(&timeline);
        judgement.objectives.iter_mut().for_each(|o| o.word = Word::Pass);
        judgement.objectives[3].word = Word::Fail;
        for seen in &mut judgement.triggers[0].shapes {
            seen.recovery_so_far = if seen.shape == shape { Micros::secs(9) } else { Micros::ZERO };
        }
        for operation in &mut judgement.operations {
            let took = slow.iter().find(|(name, _)| *name == operation.name).map_or(3_000.0, |(_, us)| *us);
            let during = PhaseName::During("store_slow".to_owned());
            for phase in operation.phases.iter_mut().filter(|p| p.phase == during) {
                (phase.p50.value, phase.p90.value, phase.p99.value) = (took, took, took);
            }
        }
        worst_first(&timeline, &judgement)[0]
    }

    #[test]
    fn where_an_objective_about_a_trigger_fails_the_operation_that_it_hurt_is_shown_first() {
        assert_eq!(shown("rooms", &[("join_room", 300_000.0), ("list_rooms", 900_000.0)]), OpId(1));
        assert_eq!(shown("rooms", &[("create_room", 300_000.0)]), OpId(0));
        assert_eq!(shown("lists", &[("join_room", 300_000.0)]), OpId(2), "another shape failed");
    }
}
