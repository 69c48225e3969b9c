//! Which samples of errors are kept: some of each kind, in each planned phase, of each distinct text.
//!
//! Pure; who asks is a shard for itself and the recorder for all.

use std::collections::BTreeMap;

use crate::outline::Outline;
use crate::sample::{Kind, OpId};
use crate::units::Micros;

/// Samples of one kind of error, phase and text.
const EACH: u32 = 3;
/// Distinct texts of one kind of error and phase.
const TEXTS: usize = 8;
/// As much of a text tells it from others.
const TOLD_APART_BY: usize = 120;

type Key = (OpId, Kind, u16, usize);

/// What has been kept so far.
#[derive(Debug)]
pub struct Sampling {
    /// Where one planned phase ends and the next begins.
    bounds: Vec<Micros>,
    kept: BTreeMap<Key, BTreeMap<String, u32>>,
}

impl Sampling {
    pub fn new(outline: &Outline) -> Sampling {
        let faults = outline.faults.iter().flat_map(|f| [Some(f.at), f.length.map(|length| f.at + length)]);
        let triggers = outline.shapes.iter().filter(|s| s.trigger);
        let triggers = triggers.flat_map(|s| [Some(s.start), Some(s.end)]);
        let mut bounds: Vec<Micros> = faults.chain(triggers).flatten().collect();
        bounds.sort();
        Sampling { bounds, kept: BTreeMap::new() }
    }

    /// Whether a sample of this error is wanted; it is kept, if it is.
    pub fn wants(&mut self, op: OpId, (kind, status): (Kind, u16), at: Micros, text: &str) -> bool {
        let phase = self.bounds.partition_point(|bound| *bound <= at);
        let texts = self.kept.entry((op, kind, status, phase)).or_default();
        // Words of what was late are its own times, never the same twice.
        let text = if kind == Kind::Late { "" } else { text };
        let text: String = text.chars().take(TOLD_APART_BY).collect();
        if texts.len() >= TEXTS && !texts.contains_key(&text) {
            return false;
        }
        let seen = texts.entry(text).or_default();
        *seen += 1;
        *seen <= EACH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::fake::{Plan, s};

    #[test]
    fn samples_are_kept_for_each_planned_phase_and_each_distinct_text_up_to_a_limit() {
        let plan = Plan::new(100).unproven("x", 20.0, Some(10.0));
        let mut sampling = Sampling::new(&plan.outline);
        let mut kept = |at: f64, text: &str| {
            (0..10).filter(|_| sampling.wants(OpId(0), (Kind::Status, 500), s(at), text)).count()
        };
        assert_eq!(
            [kept(5.0, "busy"), kept(6.0, "busy"), kept(25.0, "busy"), kept(35.0, "busy")],
            [3, 0, 3, 3]
        );
        assert_eq!(kept(26.0, "READONLY"), 3);
        let many: usize = (0..20).map(|n| kept(40.0, &format!("request {n}"))).sum();
        assert_eq!(many, 7 * 3, "beside the one that is known");
    }

    #[test]
    fn what_is_late_differs_by_no_text() {
        let mut sampling = Sampling::new(&Plan::new(100).outline);
        let late = (0..20).filter(|n| {
            sampling.wants(OpId(0), (Kind::Late, 200), s(1.0), &format!("succeeded {n} s after it was due"))
        });
        assert_eq!(late.count(), EACH as usize);
    }
}
