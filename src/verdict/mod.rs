//! The verdict: what a history proves about a service (VERDICTS.md).
//!
//! Pure and three-valued: every judge looks through one view of the folded history and gives rulings; the
//! verdict is the worst of them, its headline that one's sentence. Findings (metastable, contagion, growth, ...)
//! are not part of it yet.

mod addresses;
mod answer;
mod band;
mod baseline;
mod chance;
mod conduct;
mod faults;
mod gone;
mod grown;
mod judgement;
mod live;
mod load;
mod measure;
mod missing;
mod notes;
mod objectives;
mod own;
mod pace;
mod recovery;
mod restless;
mod returns;
mod rhythm;
mod ruling;
mod series;
mod stretch;
mod tables;
mod view;
mod waiting;
mod whose;
mod width;
mod windows;
mod words;

use crate::exit::{self, Facts};
use crate::record::How;
use crate::timeline::Timeline;
use crate::timeline::phases::Return;
use crate::timeline::trigger::Trigger;
use recovery::Aftermath;
use ruling::Ruling;
use view::View;

pub use judgement::{
    Band, Ended, ErrorGroup, Exit, Generator, Hit, InPhase, Interval, JudgedFault, JudgedObjective,
    JudgedTrigger, Judgement, OperationPhase, OperationTable, Phase, Run, ShapeBand, ShapeTrigger, Span,
    Summary, Tail, Told, UnsoundCell, VERSION, Word,
};
pub use live::{AbortRule, Broken, Fired, Standing, standings, unsteady};
pub use width::{PlannedTail, PlannedWindows, planned_band, planned_windows};

/// Judges a whole history: the same function for the end of a run and for `squall report`.
pub fn judge(timeline: &Timeline) -> Judgement {
    let view = View::of(timeline);
    let judged = timeline.outline().objectives.iter().map(|o| objectives::judge(&view, o));
    let (of_objectives, objectives): (Vec<Ruling>, Vec<JudgedObjective>) = judged.unzip();
    let judged = [conduct::judge, faults::judge].into_iter().flat_map(|judge| judge(&view));
    let mut beside: Vec<Ruling> = judged.collect();
    let broken = beside.iter().chain(&of_objectives).any(|ruling| ruling.word == Word::Fail);
    beside.splice(0..0, conduct::cut_short(timeline).filter(|_| !broken));
    let all = || beside.iter().chain(&of_objectives);
    let verdict = all().map(|ruling| ruling.word).max().unwrap_or_default();
    let generator = view.own.generator(timeline);
    let (code, reason) = exit::code(facts(&view, verdict));
    let triggers: Vec<JudgedTrigger> =
        view.triggers.iter().zip(&view.aftermaths).map(|(t, a)| told(&view, t, a)).collect();
    let summary = Summary {
        verdict: headline(&beside, &objectives, verdict),
        recovery: recovery_sentence(&triggers),
        generator: generator.sentence.clone(),
    };
    Judgement {
        version: VERSION,
        verdict,
        exit: Exit { code, reason: reason.to_owned() },
        summary,
        run: tables::run(timeline),
        phases: tables::phases(&view),
        operations: tables::operations(&view),
        errors: tables::errors(&view),
        addresses: timeline.addresses.clone(),
        baseline: view.series.iter().map(|s| s.band.clone()).collect(),
        rule: conduct::decisive_rule(timeline).cloned(),
        ended: Ended {
            at: timeline.ended_at(),
            how: timeline.end.as_ref().map(|end| end.how),
            detail: timeline.end.as_ref().map_or(String::new(), |end| end.detail.clone()),
        },
        left: timeline.left.clone(),
        rulings: beside.iter().map(Ruling::told).collect(),
        notes: notes::notes(&view),
        triggers,
        faults: view.faults.to_vec(),
        generator,
        objectives,
    }
}

fn facts(view: &View, verdict: Word) -> Facts {
    let how = view.timeline.end.as_ref().map(|end| end.how);
    let known = view.timeline.end.as_ref().and_then(|end| end.exit);
    Facts {
        not_undone: known == Some(exit::NOT_UNDONE) || view.stuck.is_some(),
        bad_configuration: known == Some(exit::BAD_CONFIGURATION),
        interrupted: how == Some(How::Interrupted),
        runtime_error: matches!(how, Some(How::Failed) | None),
        verdict,
    }
}

/// The worst ruling's sentence: how the run went first, then the objective that is furthest beyond its limit.
fn headline(beside: &[Ruling], objectives: &[JudgedObjective], verdict: Word) -> String {
    let of_word = objectives.iter().filter(|o| o.word == verdict);
    let count = of_word.clone().count();
    let worst = of_word.reduce(|a, b| if b.closeness() > a.closeness() { b } else { a });
    let first = beside.iter().find(|ruling| ruling.word == verdict);
    match (first, worst, verdict) {
        (Some(ruling), ..) => ruling.sentence.clone(),
        (None, Some(o), Word::Pass) if count == 1 => format!("The objective holds. {}", o.reason),
        (None, Some(o), Word::Pass) => format!("All {count} objectives hold. The closest: {}", o.reason),
        (None, Some(o), _) => {
            format!("{} {}: {count} of {}.", o.reason, plural(verdict), objectives.len())
        }
        (None, None, _) => "The run went as planned.".to_owned(),
    }
}

fn plural(word: Word) -> &'static str {
    match word {
        Word::Pass => "Objectives that hold",
        Word::Fail => "Objectives that fail",
        Word::Invalid => "Objectives that are invalid",
        Word::Inconclusive => "Objectives that are inconclusive",
    }
}

/// A trigger as it is told: nothing is said to have come back from what was not proven, or to what was no normal, nor not
/// to have come back to what moved by itself.
fn told(view: &View, trigger: &Trigger, aftermath: &Aftermath) -> JudgedTrigger {
    let mut judged = aftermath.judged.clone();
    let without_effect = judged.t_effective.is_none() && judged.t_clear.is_some();
    let looks_well = matches!(aftermath.back, Return::At(_)) || without_effect;
    let doubt = match looks_well {
        true => returns::doubt(view, &judged),
        false => {
            let moved = returns::moved(view, trigger, aftermath);
            moved.or_else(|| returns::restless(view, trigger))
        }
    };
    if let Some(doubt) = doubt {
        judged.sentence = format!("What {} did to the service is not known: {doubt}.", judged.name);
        judged.doubt = Some(doubt);
    }
    judged
}

/// Of the worst of what is known: what did not come back, or did so last, or lost the most meanwhile. The rulings tell
/// what is not known.
fn recovery_sentence(triggers: &[JudgedTrigger]) -> Option<String> {
    let known = triggers.iter().filter(|t| t.doubt.is_none());
    let lost = |t: &JudgedTrigger| t.shapes.iter().map(|s| s.area_during + s.area_after).sum::<f64>() as u64;
    known.max_by_key(|t| (t.recovered.is_none(), t.recovery, lost(t), t.outage)).map(|t| t.sentence.clone())
}

#[cfg(test)]
mod tests;
