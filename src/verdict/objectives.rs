//! Objectives: each sentence held against the evidence (VERDICTS.md 2 and 3).
//!
//! Owns which operation or trigger decides, and when a result is INVALID or INCONCLUSIVE.

use super::evidence::{Evidence, complete};
use super::judgement::{JudgedObjective, Word};
use super::measure::{self, Measured};
use super::returns;
use super::ruling::Ruling;
use super::soundness;
use super::value::{Subject, value};
use super::words;
use crate::objective::{Metric, Objective, PhaseName};
use crate::sample::OpId;
use crate::timeline::Cells;
use crate::units::{Micros, grouped};

/// Judges one objective. Where nothing is to disturb the service, its baseline is the run.
pub(super) fn judge(evidence: &Evidence, objective: &Objective) -> JudgedObjective {
    let undisturbed = !evidence.phases.iter().any(|p| p.name == PhaseName::Baseline);
    if undisturbed && objective.phase == PhaseName::Baseline {
        return judge(evidence, &Objective { phase: PhaseName::Run, ..objective.clone() });
    }
    let rulings = match &objective.metric {
        Metric::Outage | Metric::Recovery => returns::of_triggers(evidence, objective),
        _ => match obstacle(evidence, objective) {
            Some(ruling) => vec![ruling],
            None => of_phase(evidence, objective),
        },
    };
    let badness = |r: &Ruling| {
        let value = r.measured.value.unwrap_or(if r.text.is_some() { f64::MAX } else { f64::MIN });
        objective.comparison.badness(value, objective.value)
    };
    let worse = |a: &Ruling, b: &Ruling| (b.word, badness(b)) > (a.word, badness(a));
    let worst = rulings.into_iter().reduce(|a, b| if worse(&a, &b) { b } else { a });
    dress(objective, worst.unwrap_or_else(|| nothing(objective)))
}

fn nothing(objective: &Objective) -> Ruling {
    let what = objective.selector.as_deref().unwrap_or("operations");
    Ruling::without(
        Word::Inconclusive,
        objective.selector.clone(),
        format!("{}, no {what} were intended, so nothing is proven.", words::phase(&objective.phase)),
    )
}

fn dress(objective: &Objective, ruling: Ruling) -> JudgedObjective {
    let unit = measure::unit(&objective.metric);
    let m = ruling.measured;
    let ratio = m.value.filter(|_| objective.value != 0.0).map(|v| v / objective.value);
    let of_trigger = match objective.metric {
        Metric::Outage => ruling.who.clone().map(PhaseName::During),
        Metric::Recovery => ruling.who.clone().map(PhaseName::After),
        _ => None,
    };
    JudgedObjective {
        text: objective.text.clone(),
        word: ruling.word,
        phase: of_trigger.unwrap_or_else(|| objective.phase.clone()),
        decided: ruling.who,
        unit,
        measured_text: ruling.text.map_or_else(|| words::measured(unit, &m), str::to_owned),
        measured: m.value,
        censored: m.censored,
        successes: m.successes,
        interval: m.interval,
        comparison: objective.comparison,
        limit: objective.value,
        limit_text: words::value(unit, objective.value),
        ratio,
        n: m.n,
        bad: m.bad,
        reason: ruling.reason,
        notes: ruling.notes,
    }
}

/// Why the phase as a whole cannot be judged, or fails without looking.
fn obstacle(evidence: &Evidence, objective: &Objective) -> Option<Ruling> {
    let (PhaseName::During(trigger) | PhaseName::After(trigger)) = &objective.phase else { return None };
    let ruling = |word, reason| Some(Ruling::without(word, objective.selector.clone(), reason));
    if let Some(problem) = evidence.problems.get(trigger) {
        return ruling(Word::Invalid, format!("Nothing is proven: {problem}."));
    }
    let after = matches!(objective.phase, PhaseName::After(_));
    if let Some((word, why)) = returns::never_came(evidence, trigger).filter(|_| after) {
        return ruling(word, format!("There was no time after {trigger} to judge: {}", lower(&why)));
    }
    if !evidence.cells(&objective.phase).is_empty() {
        return None;
    }
    let why =
        if complete(evidence.timeline) { "has no whole cell" } else { "never came: the run was cut short" };
    ruling(
        Word::Inconclusive,
        format!("The phase `{}` {why}, so nothing is proven.", phase_words(&objective.phase)),
    )
}

fn phase_words(phase: &PhaseName) -> String {
    match phase {
        PhaseName::During(x) => format!("during {x}"),
        PhaseName::After(x) => format!("after {x}"),
        other => words::phase(other).to_lowercase(),
    }
}

fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

fn of_phase(evidence: &Evidence, objective: &Objective) -> Vec<Ruling> {
    let cells = evidence.cells(&objective.phase);
    if let Metric::Target { name, aggregate } = &objective.metric {
        return vec![of_subject(evidence, objective, Subject::Target(name, *aggregate), &cells)];
    }
    let named = |name: &str, flow: bool| match &objective.selector {
        Some(selector) => name == selector,
        None => !flow,
    };
    let timeline = evidence.timeline;
    let busy = |op: OpId| cells.iter().any(|&cell| timeline.intended(op, cell) > 0);
    let all = timeline
        .operations()
        .filter(|(op, o)| named(&o.name, o.flow) && (busy(*op) || objective.metric == Metric::Count));
    all.map(|(op, _)| of_subject(evidence, objective, Subject::Operation(op), &cells)).collect()
}

fn of_subject(evidence: &Evidence, objective: &Objective, subject: Subject, cells: &Cells) -> Ruling {
    let m = value(evidence, objective, subject, cells);
    let phase = words::phase(&objective.phase);
    let name = subject.name(evidence.timeline);
    let least = measure::least(&objective.metric);
    let (word, reason) = match (m.value, subject) {
        (None, Subject::Target(..)) if m.n == 0 => {
            (Word::Inconclusive, format!("{phase}, {name} was not seen."))
        }
        (None, _) => (
            Word::Inconclusive,
            format!("{phase}, the time was too short to judge {} of {name}.", objective.text),
        ),
        (Some(_), Subject::Operation(_)) if m.n < least => (
            Word::Inconclusive,
            format!(
                "{phase}, only {} {name} were intended; {} needs {} to have an upper bound.",
                grouped(m.n),
                words::metric(&objective.metric),
                grouped(least)
            ),
        ),
        (Some(v), _) => decide(evidence, objective, subject, cells, v, &m),
    };
    let note = "A closed loop: its users wait for an answer before they ask again, so their waiting is hidden from this number.";
    let notes = if subject.closed(evidence.timeline) { vec![note.to_owned()] } else { Vec::new() };
    Ruling { word, who: Some(name), measured: m, text: None, reason, notes }
}

fn decide(
    evidence: &Evidence,
    objective: &Objective,
    subject: Subject,
    cells: &Cells,
    v: f64,
    m: &Measured,
) -> (Word, String) {
    let limit =
        words::limit(objective.comparison, &words::value(measure::unit(&objective.metric), objective.value));
    let long = objective.window.map_or(String::new(), |d| format!(" for {d} on end"));
    let said = format!(
        "{}, {}{long}; {limit}",
        words::phase(&objective.phase),
        words::claim(&objective.metric, &subject.name(evidence.timeline), m)
    );
    if objective.comparison.holds(v, objective.value) {
        if evidence.sound.mostly_lost(cells) {
            return (
                Word::Invalid,
                format!("{said}, but squall did not send all that was planned{}.", evidence.blame(cells)),
            );
        }
        return (Word::Pass, format!("{said}."));
    }
    match excuse(evidence, objective, subject, cells, v) {
        Some(excuse) => (Word::Invalid, format!("{said}, but {excuse}.")),
        None => (Word::Fail, format!("{said}.")),
    }
}

/// Why a broken objective may be the generator's fault (VERDICTS.md 2).
fn excuse(
    evidence: &Evidence,
    objective: &Objective,
    subject: Subject,
    cells: &Cells,
    v: f64,
) -> Option<String> {
    let (timeline, sound) = (evidence.timeline, &evidence.sound);
    let holds = |v: f64| objective.comparison.holds(v, objective.value);
    let late = match subject {
        Subject::Operation(op) => {
            soundness::share(timeline, &objective.metric, &timeline.tally(op, cells), cells)
        }
        Subject::Target(..) => Micros::ZERO,
    };
    if late > Micros::ZERO && holds(v - late.0 as f64) {
        return Some(format!("squall itself was late by {late}, and without that it would hold"));
    }
    if sound.mostly_unsound(cells) {
        return Some(format!(
            "squall itself was late or short of resources in too many cells{}",
            evidence.blame(cells)
        ));
    }
    let tainted = sound.tainted(timeline, subject.operation(), cells, subject.deadline(timeline));
    if tainted.is_empty() {
        return None;
    }
    let clean = value(evidence, objective, subject, &(cells - &tainted));
    let proven = clean.n >= measure::least(&objective.metric);
    let still = clean.value.is_some_and(|v| proven && !holds(v));
    (!still).then(|| {
        let length = evidence.length(&tainted);
        format!("that rests on the {length} in which squall itself was unsound{}", evidence.blame(&tainted))
    })
}
