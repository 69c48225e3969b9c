//! Objectives about outage and recovery: each shape after each trigger by itself, and the worst counts.
//!
//! Owns when such a result is INVALID or INCONCLUSIVE; how long a shape was away is `recovery`'s.

use super::baseline::Series;
use super::evidence::Evidence;
use super::judgement::Word;
use super::measure::Measured;
use super::recovery::{self, Aftermath, Allowance};
use super::ruling::Ruling;
use super::words;
use crate::objective::{Metric, Objective, PhaseName};
use crate::timeline::Cells;
use crate::timeline::phases::{Return, Trigger};
use crate::units::Micros;

/// One shape after one trigger.
struct Shape<'e> {
    evidence: &'e Evidence<'e>,
    trigger: &'e Trigger,
    series: &'e Series,
    seen: Aftermath,
    /// Other shapes saw the trigger too.
    among_others: bool,
}

/// An outage or a recovery for every shape with a band, after every trigger that is meant.
pub(super) fn of_triggers(evidence: &Evidence, objective: &Objective) -> Vec<Ruling> {
    let named = |a: &Aftermath| {
        objective.selector.as_ref().is_none_or(|s| *s == a.judged.trigger || *s == a.judged.name)
    };
    let meant = evidence.triggers.iter().zip(&evidence.aftermaths).filter(|(_, a)| named(a));
    let rulings: Vec<Ruling> = meant.flat_map(|(t, a)| of_trigger(evidence, objective, t, a)).collect();
    if rulings.is_empty() {
        let who = objective.selector.as_deref().unwrap_or("no trigger");
        let problem = evidence.problems.get(who).map(|p| (Word::Invalid, format!("Nothing is proven: {p}.")));
        let (word, reason) = problem.unwrap_or_else(|| {
            (Word::Inconclusive, format!("{who} came to pass, so there is nothing to recover from."))
        });
        return vec![Ruling::without(word, objective.selector.clone(), reason)];
    }
    rulings
}

/// Why the time after a one-shot never came, and what that is worth; none if it came.
pub(super) fn never_came(evidence: &Evidence, trigger: &str) -> Option<(Word, String)> {
    let all = evidence.triggers.iter().zip(&evidence.aftermaths);
    let of_it = all.filter(|(t, a)| t.trigger == *trigger && t.one_shot && a.back == Return::Never);
    let shapes = of_it.flat_map(|(t, a)| shapes(evidence, t, a)).filter(|s| s.seen.back == Return::Never);
    let rulings = shapes.map(|s| match s.excuse(|again| again.back != Return::Never) {
        Some(excuse) => (Word::Invalid, format!("{}, but {excuse}.", s.said())),
        None => (Word::Fail, format!("{}.", s.said())),
    });
    rulings.reduce(|a, b| if b.0 > a.0 { b } else { a })
}

fn of_trigger(evidence: &Evidence, objective: &Objective, t: &Trigger, a: &Aftermath) -> Vec<Ruling> {
    let judged = &a.judged;
    let without = |word, reason| vec![Ruling::without(word, Some(judged.name.clone()), reason)];
    if let Some(problem) = evidence.problems.get(&judged.trigger) {
        return without(Word::Invalid, format!("Nothing is proven: {problem}."));
    }
    let shapes = shapes(evidence, t, a);
    if shapes.is_empty() {
        let bands = evidence.series.iter().map(|s| &s.band);
        let mut why: Vec<String> =
            bands.filter_map(|b| b.none.as_ref().map(|why| format!("{}: {why}", b.shape))).collect();
        why.extend(a.left_out.iter().map(|shape| format!("{shape}: its load ended before")));
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return without(Word::Inconclusive, format!("{}{why}", judged.sentence));
    }
    shapes.iter().map(|shape| shape.ruling(objective)).collect()
}

/// The shapes that can say something of the time after a trigger.
fn shapes<'e>(evidence: &'e Evidence, trigger: &'e Trigger, aftermath: &Aftermath) -> Vec<Shape<'e>> {
    let seen = |series: &&Series| aftermath.judged.shapes.iter().any(|s| s.shape == series.band.shape);
    let among_others = aftermath.judged.shapes.len() > 1;
    let shape = |series: &'e Series| {
        let seen = look(evidence, series, trigger, &Allowance::default());
        Shape { evidence, trigger, series, seen, among_others }
    };
    evidence.series.iter().filter(seen).map(shape).collect()
}

/// The aftermath of a trigger for one shape.
fn look(evidence: &Evidence, series: &Series, trigger: &Trigger, without: &Allowance) -> Aftermath {
    recovery::aftermath(evidence.timeline, std::slice::from_ref(series), &evidence.triggers, trigger, without)
}

fn span(metric: &Metric, aftermath: &Aftermath) -> Option<Micros> {
    let judged = &aftermath.judged;
    let v = if *metric == Metric::Outage { judged.outage } else { judged.recovery };
    v.filter(|_| matches!(aftermath.back, Return::At(_)))
}

impl Shape<'_> {
    fn ruling(&self, objective: &Objective) -> Ruling {
        let v = span(&objective.metric, &self.seen).map(|v| v.0 as f64);
        let (word, reason) = self.word(objective);
        let measured = Measured { value: v, n: 1, ..Measured::default() };
        let text = (self.seen.back == Return::Never).then_some("never");
        let who = Some(self.seen.judged.name.clone());
        Ruling { word, who, measured, text, reason, notes: Vec::new() }
    }

    /// What was seen, without the full stop.
    fn said(&self) -> String {
        let sentence = self.seen.judged.sentence.trim_end_matches('.');
        if self.among_others {
            format!("{}: {sentence}", self.series.band.shape)
        } else {
            sentence.to_owned()
        }
    }

    fn word(&self, objective: &Objective) -> (Word, String) {
        if self.seen.back == Return::Unknown {
            return (Word::Inconclusive, format!("{}.", self.said()));
        }
        let holds = |a: &Aftermath| {
            let v = span(&objective.metric, a).map_or(f64::INFINITY, |v| v.0 as f64);
            objective.comparison.holds(v, objective.value)
        };
        let limit = words::limit(objective.comparison, &Micros(objective.value as i64).to_string());
        let said = format!("{}; for the {} {limit}", self.said(), words::metric(&objective.metric));
        if !holds(&self.seen) {
            return match self.excuse(holds) {
                Some(excuse) => (Word::Invalid, format!("{said}, but {excuse}.")),
                None => (Word::Fail, format!("{said}.")),
            };
        }
        let cells = self.cells();
        if let Some(moved) = &self.series.band.unsteady {
            (Word::Invalid, format!("{said}, but what is normal is not known: {moved}."))
        } else if self.evidence.sound.mostly_lost(&cells) {
            let blame = self.evidence.blame(&cells);
            (Word::Invalid, format!("{said}, but squall did not send all that was planned{blame}."))
        } else {
            (Word::Pass, format!("{said}."))
        }
    }

    fn cells(&self) -> Cells {
        let name = &self.trigger.trigger;
        let of = |phase| self.evidence.cells(&phase);
        &of(PhaseName::During(name.clone())) | &of(PhaseName::After(name.clone()))
    }

    /// Why a broken limit proves nothing: there is no normal to come back to, or it would hold or be
    /// unknown without the generator's delay, or without the windows in which squall was unsound as well.
    fn excuse(&self, holds: impl Fn(&Aftermath) -> bool) -> Option<String> {
        if let Some(moved) = &self.series.band.unsteady {
            return Some(format!("what is normal is not known: {moved}"));
        }
        let (evidence, timeline) = (self.evidence, self.evidence.timeline);
        let again = |skip: Cells| {
            let again = look(evidence, self.series, self.trigger, &Allowance { skip, delay: true });
            again.back == Return::Unknown || holds(&again)
        };
        if again(Cells::new()) {
            let why = "squall itself was later then than in the baseline, and without that it would hold or be unknown";
            return Some(why.to_owned());
        }
        let deadline = timeline.outline().largest_deadline();
        let skip = evidence.sound.tainted(timeline, None, &timeline.all_cells(), deadline);
        if skip.is_empty() {
            return None;
        }
        let cells = self.cells();
        let unproven = evidence.sound.mostly_unsound(&cells) || again(skip);
        unproven.then(|| {
            format!("that rests on cells in which squall itself was unsound{}", evidence.blame(&cells))
        })
    }
}
