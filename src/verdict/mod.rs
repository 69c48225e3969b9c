//! The verdict: what a history proves about a service (VERDICTS.md).
//!
//! Pure and three-valued: every judge works over the folded history, and one that cannot judge says
//! so. Findings (metastable, contagion, growth, ...) are not part of it yet.

mod baseline;
mod evidence;
mod judgement;
mod live;
mod measure;
mod objectives;
mod recovery;
mod returns;
mod ruling;
mod soundness;
mod tables;
mod value;
mod words;

use crate::exit::{self, Facts};
use crate::outline::JudgeSettings;
use crate::record::{FaultEvent, FaultStage, How, Pacing, RuleEvent};
use crate::timeline::Timeline;
use crate::units::clock;
use evidence::{Evidence, complete};
use recovery::Aftermath;

pub use judgement::{
    Band, Ended, ErrorGroup, Exit, Generator, Interval, JudgedFault, JudgedObjective, JudgedTrigger,
    Judgement, OperationPhase, OperationTable, Phase, Quantity, Run, ShapeBand, ShapeTrigger, Span, Summary,
    Unit, UnsoundCell, VERSION, Word,
};
pub use live::{Live, live};

/// Judges a whole history: the same function for the end of a run and for `squall report`.
pub fn judge(timeline: &Timeline) -> Judgement {
    let evidence = Evidence::of(timeline);
    let objectives: Vec<JudgedObjective> =
        timeline.outline().objectives.iter().map(|o| objectives::judge(&evidence, o)).collect();
    let verdict = overall(&evidence, &objectives);
    let generator = evidence.sound.generator(timeline);
    let (code, reason) = exit::code(facts(&evidence, verdict));
    Judgement {
        version: VERSION,
        verdict,
        exit: Exit { code, reason: reason.to_owned() },
        summary: Summary {
            verdict: sentence(&evidence, &objectives, verdict),
            recovery: recovery_sentence(&evidence),
            generator: generator.sentence.clone(),
        },
        run: tables::run(timeline),
        phases: tables::phases(&evidence),
        operations: tables::operations(&evidence),
        errors: tables::errors(timeline),
        baseline: evidence.series.iter().map(|s| s.band.clone()).collect(),
        rule: decisive_rule(timeline).cloned(),
        ended: Ended {
            at: timeline.ended_at(),
            how: timeline.end.as_ref().map(|end| end.how),
            detail: timeline.end.as_ref().map_or(String::new(), |end| end.detail.clone()),
        },
        left: timeline.left.clone(),
        notes: notes(&evidence),
        triggers: evidence.aftermaths.into_iter().map(|a| a.judged).collect(),
        faults: evidence.faults,
        generator,
        objectives,
    }
}

fn decisive_rule(timeline: &Timeline) -> Option<&RuleEvent> {
    timeline.rules.iter().find(|r| r.rule == "abort").or(timeline.rules.first())
}

/// What the way the run went says, whatever the objectives say.
fn conduct(evidence: &Evidence) -> Word {
    let timeline = evidence.timeline;
    let ruled = |rule: &str| timeline.rules.iter().any(|r| r.rule == rule);
    match timeline.end.as_ref().map(|end| end.how) {
        _ if ruled("abort") => match decisive_rule(timeline).and_then(|rule| excuse(evidence, rule)) {
            Some(_) => Word::Invalid,
            None => Word::Fail,
        },
        Some(How::Aborted) => Word::Fail,
        Some(How::Unsteady) => Word::Invalid,
        _ if ruled("steady") || !evidence.problems.is_empty() => Word::Invalid,
        Some(How::Complete) => Word::Pass,
        Some(How::Interrupted | How::Failed) | None => Word::Inconclusive,
    }
}

/// Why an abort rule that fired proves nothing. It stops the run all the same: it is there to be safe.
fn excuse(evidence: &Evidence, event: &RuleEvent) -> Option<String> {
    let rule = evidence.timeline.outline().abort.iter().find(|rule| rule.text == event.text)?;
    live::excuse(evidence, rule, event.at)
}

fn overall(evidence: &Evidence, objectives: &[JudgedObjective]) -> Word {
    objectives.iter().map(|o| o.word).fold(conduct(evidence), Word::max)
}

fn facts(evidence: &Evidence, verdict: Word) -> Facts {
    let how = evidence.timeline.end.as_ref().map(|end| end.how);
    let removal = |e: &&FaultEvent| matches!(e.stage, FaultStage::Verified | FaultStage::NotCleared);
    let last = |name: &str| evidence.timeline.faults.iter().rfind(|e| e.fault == name && removal(e));
    let stuck = |f: &JudgedFault| last(&f.name).is_some_and(|e| e.stage == FaultStage::NotCleared);
    Facts {
        not_undone: evidence.faults.iter().any(stuck),
        interrupted: how == Some(How::Interrupted),
        runtime_error: matches!(how, Some(How::Failed) | None),
        verdict,
    }
}

fn sentence(evidence: &Evidence, objectives: &[JudgedObjective], verdict: Word) -> String {
    if let Some(rule) = decisive_rule(evidence.timeline).filter(|_| conduct(evidence) == verdict) {
        return match rule.rule.as_str() {
            "abort" => {
                let but = excuse(evidence, rule).map_or(String::new(), |why| format!(", but {why}"));
                format!("The abort rule `{}` stopped the run: {}{but}.", rule.text, rule.measured)
            }
            _ => format!(
                "The service was not in its steady state (`{}`) before the first fault: {}.",
                rule.text, rule.measured
            ),
        };
    }
    let of_word = objectives.iter().filter(|o| o.word == verdict);
    let count = of_word.clone().count();
    let worst = of_word.reduce(|a, b| if b.closeness() > a.closeness() { b } else { a });
    match (worst, verdict) {
        (None, Word::Pass) => "No objective was set, and the run went as planned.".to_owned(),
        (Some(o), Word::Pass) if count == 1 => format!("The objective holds. {}", o.reason),
        (Some(o), Word::Pass) => format!("All {count} objectives hold. The closest: {}", o.reason),
        (Some(o), _) => {
            format!("{} {}: {count} of {}.", o.reason, plural(verdict), objectives.len())
        }
        (None, Word::Invalid) => {
            let problem = evidence.problems.values().next().cloned();
            format!(
                "Nothing is proven: {}.",
                problem.unwrap_or_else(|| "the experiment itself went wrong".to_owned())
            )
        }
        (None, _) => "The run was cut short, so that it proves nothing.".to_owned(),
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

fn recovery_sentence(evidence: &Evidence) -> Option<String> {
    let worst = evidence.aftermaths.iter().max_by_key(|a| (a.judged.recovered.is_none(), a.judged.outage));
    worst.map(|a| a.judged.sentence.clone())
}

fn notes(evidence: &Evidence) -> Vec<String> {
    let timeline = evidence.timeline;
    let mut notes = timeline.notes.clone();
    if !complete(timeline) {
        notes.push(match timeline.end.as_ref().map(|end| end.how) {
            None => "The history breaks off: squall was killed or crashed.".to_owned(),
            Some(_) => "The run did not reach its planned end.".to_owned(),
        });
    }
    notes.extend(timeline.services.iter().filter(|event| event.what == "ended").map(|event| {
        format!("{} ended by itself at {} ({}).", event.service, clock(event.at), event.detail)
    }));
    if timeline.header.pacer == Pacing::Wheel {
        let text =
            "There is no timerfd on this machine: tokio's wheel paced the arrivals, each up to 1 ms late.";
        notes.push(text.to_owned());
    }
    if timeline.outline().objectives.is_empty() {
        notes.push("No objective was set: the verdict only says that the run went as planned.".to_owned());
    }
    if !evidence.triggers.is_empty() {
        notes.extend(settings_note(&timeline.outline().judge));
    }
    notes.extend(baseline_note(evidence));
    notes.extend(evidence.aftermaths.iter().filter_map(left_out_note));
    notes.extend(evidence.aftermaths.iter().filter_map(|a| flapping_note(&a.judged)));
    notes
}

/// Settings that are laxer than the defaults weaken the verdict, so they are told.
fn settings_note(judge: &JudgeSettings) -> Option<String> {
    let usual = JudgeSettings::default();
    let laxer = judge.warmup < usual.warmup
        || judge.windows < usual.windows
        || judge.stretch < usual.stretch
        || judge.stretch_windows < usual.stretch_windows;
    laxer.then(|| {
        format!(
            "Judged with a warm-up of {}, {} baseline windows and {} in {} windows to call it recovered; the defaults are {}, {}, {} and {}.",
            judge.warmup, judge.windows, judge.stretch, judge.stretch_windows,
            usual.warmup, usual.windows, usual.stretch, usual.stretch_windows,
        )
    })
}

fn baseline_note(evidence: &Evidence) -> Option<String> {
    let judge = &evidence.timeline.outline().judge;
    let cells = crate::timeline::phases::baseline(evidence.timeline, &evidence.triggers);
    let length = evidence.length(&cells);
    (!evidence.triggers.is_empty() && length < judge.baseline)
        .then(|| format!("The baseline is {length} long; {} were asked for.", judge.baseline))
}

/// What is said of the return rests on the other shapes alone.
fn left_out_note(aftermath: &Aftermath) -> Option<String> {
    let (name, left_out) = (&aftermath.judged.name, aftermath.left_out.join(" and "));
    (!left_out.is_empty()).then(|| {
        format!("Recovery from {name} leaves out {left_out}, whose load ended before {name} was over.")
    })
}

fn flapping_note(trigger: &JudgedTrigger) -> Option<String> {
    let relapses: Vec<String> = trigger
        .shapes
        .iter()
        .flat_map(|s| s.flapping.iter().map(move |at| format!("{} at {}", s.shape, clock(*at))))
        .collect();
    (!relapses.is_empty())
        .then(|| format!("FLAPPING after {}: it relapsed ({}).", trigger.name, relapses.join(", ")))
}

#[cfg(test)]
mod tests;
