//! The strip of phases: its boxes, and what they are called.
//!
//! Owns which boxes there are; where they and their names stand is `frame`'s.

use std::collections::BTreeMap;

use super::crowd::LEAST;
use super::label::Spot;
use super::scale::Scale;
use super::svg::{self, Ink};
use crate::objective::PhaseName;
use crate::report::words::visible;
use crate::units::{Micros, grouped};
use crate::verdict::{Judgement, Phase};

/// A box narrower than this is hard to tell from the next: those of a kind that lie side by side are one.
const THIN: f64 = 2.0 * LEAST;

/// One box of the strip.
pub(super) struct Segment {
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) lane: usize,
    pub(super) name: String,
    pub(super) ink: Ink,
    pub(super) opacity: f64,
    /// Its name inside the box, or, the first time, beside it.
    pub(super) label: Option<(Spot, String)>,
}

/// Boxes of one kind that are drawn as one.
struct Crowd {
    /// The place of that one.
    at: usize,
    triggers: Vec<String>,
    times: u64,
}

/// Phases but for `run`, which is everything.
pub(super) fn segments(judgement: &Judgement, length: Micros, x: &Scale) -> Vec<Segment> {
    let mut spans: Vec<(Micros, Micros, &Phase)> = Vec::new();
    let triggered = judgement.phases.iter().any(|p| !matches!(p.name, PhaseName::Warmup | PhaseName::Run));
    for phase in judgement.phases.iter().filter(|p| !triggered || p.name != PhaseName::Run) {
        let inside = phase.spans.iter().map(|s| (s.from.max(Micros::ZERO), s.to.min(length), phase));
        spans.extend(inside.filter(|(from, to, _)| from < to));
    }
    spans.sort_by_key(|(from, _, _)| *from);
    let at = |time: Micros| x.at(time.0 as f64);
    let mut segments: Vec<Segment> = Vec::new();
    let mut crowds: BTreeMap<&str, Crowd> = BTreeMap::new();
    for (from, to, phase) in spans {
        let (ink, opacity) = match phase.name {
            PhaseName::Baseline => (svg::SKY, 0.4),
            PhaseName::During(_) => (svg::ORANGE, 0.55),
            PhaseName::Warmup => (svg::REST, 0.6),
            PhaseName::After(_) | PhaseName::Run => (svg::REST, 1.0),
        };
        let about = match &phase.name {
            PhaseName::During(trigger) => Some(("during", trigger)),
            PhaseName::After(trigger) => Some(("after", trigger)),
            _ => None,
        };
        if let Some((kind, trigger)) = about.filter(|_| at(to) - at(from) < THIN) {
            let known = crowds.get_mut(kind).filter(|crowd| {
                let last = &segments[crowd.at];
                at(from) < at(last.to).max(at(last.from) + LEAST) + LEAST
            });
            if let Some(crowd) = known {
                crowd.add(trigger);
                let last = &mut segments[crowd.at];
                (last.to, last.name) = (last.to.max(to), crowd.name(kind));
                continue;
            }
            let triggers = vec![trigger.clone()];
            crowds.insert(kind, Crowd { at: segments.len(), triggers, times: 1 });
        }
        let name = visible(&phase.name.to_string());
        segments.push(Segment { from, to, lane: 0, name, ink, opacity, label: None });
    }
    segments
}

impl Crowd {
    fn add(&mut self, trigger: &String) {
        self.times += 1;
        if !self.triggers.contains(trigger) {
            self.triggers.push(trigger.clone());
        }
    }

    /// `during store_slow, 3 times`, `after 5 triggers, 655 times`.
    fn name(&self, kind: &str) -> String {
        let whom = match &self.triggers[..] {
            [one] => visible(one),
            several => format!("{} triggers", several.len()),
        };
        format!("{kind} {whom}, {} times", grouped(self.times))
    }
}
