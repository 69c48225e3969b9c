//! Rules that are looked at while the load runs: abort rules each second, steady state once, before
//! the first fault.

use crate::objective::Objective;
use crate::outline::Outline;
use crate::record::{How, RuleEvent};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::live;

pub struct Rules {
    abort: Vec<Objective>,
    steady: Vec<Objective>,
    /// Injection of the first fault; none without faults, or once it has been looked at.
    first_fault: Option<Micros>,
    warmup: Micros,
}

impl Rules {
    pub fn new(outline: &Outline) -> Rules {
        Rules {
            abort: outline.abort.clone(),
            steady: outline.steady.clone(),
            first_fault: outline.faults.iter().map(|fault| fault.at).min(),
            warmup: outline.judge.warmup,
        }
    }

    /// What a rule decides now, if any does.
    pub fn look(&mut self, timeline: &Timeline, now: Micros) -> Option<(RuleEvent, How)> {
        let event = |rule: &str, text: &str, measured: String| RuleEvent {
            at: now,
            text: text.to_owned(),
            rule: rule.to_owned(),
            measured,
        };
        if now >= self.warmup {
            for rule in &self.abort {
                if let Some(reading) = live(timeline, rule, now).filter(|reading| reading.holds) {
                    return Some((event("abort", &rule.text, reading.measured), How::Aborted));
                }
            }
        }
        if self.first_fault.is_some_and(|at| now + Micros::SECOND >= at) {
            self.first_fault = None;
            for rule in &self.steady {
                let reading = live(timeline, rule, now);
                if reading.as_ref().is_none_or(|reading| !reading.holds) {
                    let measured = reading.map_or_else(|| "nothing to measure".to_owned(), |r| r.measured);
                    return Some((event("steady", &rule.text, measured), How::Unsteady));
                }
            }
        }
        None
    }
}
