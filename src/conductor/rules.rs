//! Rules that are looked at while the load runs: abort rules each second, steady state once, before
//! the first fault.

use crate::objective::Objective;
use crate::outline::Outline;
use crate::record::{How, RuleEvent, RuleKind};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{AbortRule, Fired, unsteady};

/// A look that is later than this part of a cell comes after a freeze: what was answered meanwhile may not be in
/// the fold yet.
const FROZEN: i64 = 10;

pub struct Rules {
    abort: Vec<AbortRule>,
    steady: Vec<Objective>,
    /// When the first trigger is to come; none without any, or once it has been looked at.
    first_trigger: Option<Micros>,
    /// The steady state has been looked at and held, or there is none to hold.
    is_steady: bool,
    warmup: Micros,
    /// The last look came after a freeze, and passed the abort rules over; the next one does not.
    passed_over: bool,
}

impl Rules {
    pub fn new(outline: &Outline) -> Rules {
        Rules {
            abort: outline.abort.iter().map(AbortRule::new).collect(),
            steady: outline.steady.clone(),
            is_steady: outline.steady.is_empty(),
            first_trigger: outline.first_trigger(),
            warmup: outline.judge.warmup,
            passed_over: false,
        }
    }

    /// Faults may begin: nothing is injected into a service that was not seen in its steady state.
    pub fn is_steady(&self) -> bool {
        self.is_steady
    }

    /// What a rule decides now, `late` after its time, if any does.
    pub fn look(&mut self, timeline: &Timeline, now: Micros, late: Micros) -> Option<(RuleEvent, How)> {
        let frozen = Micros(timeline.outline().cell.0 / FROZEN);
        self.passed_over = late > frozen && !self.passed_over;
        let event = |rule, text: &str, measured, excuse| RuleEvent {
            at: now,
            text: text.to_owned(),
            rule,
            measured,
            excuse,
        };
        if now >= self.warmup && !self.passed_over {
            for rule in &mut self.abort {
                if let Some(Fired { measured, excuse }) = rule.fired(timeline, now) {
                    return Some((event(RuleKind::Abort, rule.text(), measured, excuse), How::Aborted));
                }
            }
        }
        if self.first_trigger.is_some_and(|at| now + timeline.outline().cell >= at) {
            self.first_trigger = None;
            for rule in &self.steady {
                if let Some(measured) = unsteady(timeline, rule, now) {
                    return Some((event(RuleKind::Steady, &rule.text, measured, None), How::Unsteady));
                }
            }
            self.is_steady = true;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Comparison, Metric, PhaseName};
    use crate::sample::Kind;
    use crate::timeline::fake::{Plan, evenly, expect, s};

    #[test]
    fn a_look_after_a_freeze_passes_the_abort_rules_over_once() {
        let mut plan = Plan::new(60).shape("rooms", "create", s(2.0));
        plan.outline.abort.push(expect(Metric::Errors, Comparison::Above, 0.5, PhaseName::Run));
        let timeline = plan.timeline(&evenly(100, 0, 40, |_| (s(2.0), Kind::Timeout)));
        let mut rules = Rules::new(timeline.outline());
        let fired = |rules: &mut Rules, late: f64| rules.look(&timeline, s(30.0), s(late)).is_some();
        assert!(!fired(&mut rules, 0.5));
        assert!(fired(&mut rules, 0.5), "and never twice in a row");
        assert!(fired(&mut rules, 0.0));
    }

    #[test]
    fn faults_may_begin_only_after_a_look_at_the_steady_state_that_held() {
        let looked = |limit: f64, at: f64| {
            let mut plan = Plan::new(60).shape("rooms", "create", s(2.0)).fault("x", 30.0, Some(5.0));
            plan.outline.steady.push(expect(Metric::Errors, Comparison::Below, limit, PhaseName::Run));
            let timeline = plan.timeline(&evenly(100, 0, 40, |_| (s(2.0), Kind::Timeout)));
            let mut rules = Rules::new(timeline.outline());
            assert!(!rules.is_steady(), "before any look");
            // A look that comes late comes before the fault all the same.
            rules.look(&timeline, s(at), s(0.0));
            rules.is_steady()
        };
        assert!(!looked(2.0, 28.0), "too early to look");
        assert!(looked(2.0, 29.0) && looked(2.0, 33.0));
        assert!(!looked(0.5, 29.0) && !looked(0.5, 33.0));
        let none = Plan::new(60).shape("rooms", "create", s(2.0));
        assert!(Rules::new(&none.outline).is_steady(), "no steady state is asked for");
    }
}
