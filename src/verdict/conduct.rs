//! What the way a run went says, whatever its objectives say: rules that decided, an early end, requests that
//! squall could not make, nothing that was asked for.

use super::judgement::Word;
use super::ruling::Ruling;
use super::view::View;
use crate::record::{How, RuleEvent, RuleKind};
use crate::sample::Kind;
use crate::timeline::Timeline;
use crate::units::{grouped, three_digits};

pub(super) fn judge(view: &View) -> Vec<Ruling> {
    let timeline = view.timeline;
    let rule = decisive_rule(timeline).map(of_rule);
    let end = if rule.is_none() { of_end(timeline) } else { None };
    let all = [rule, end, templates(timeline), unasked(timeline), smoke(timeline)];
    all.into_iter().flatten().collect()
}

/// The abort or steady-state rule that decided, if one did.
pub(super) fn decisive_rule(timeline: &Timeline) -> Option<&RuleEvent> {
    timeline.rules.iter().find(|r| r.rule == RuleKind::Abort).or(timeline.rules.first())
}

/// An abort rule stops the run in any case, as it is there to be safe; what it proves was found out then.
fn of_rule(rule: &RuleEvent) -> Ruling {
    let (text, measured) = (&rule.text, &rule.measured);
    match (rule.rule, &rule.excuse) {
        (RuleKind::Abort, None) => {
            let sentence = format!("The abort rule `{text}` stopped the run: {measured}.");
            Ruling::new(Word::Fail, None, sentence)
        }
        (RuleKind::Abort, Some(excuse)) => {
            let sentence = format!("The abort rule `{text}` stopped the run: {measured}, but {excuse}.");
            Ruling::new(Word::Invalid, None, sentence)
        }
        (RuleKind::Steady, _) => {
            let sentence = format!(
                "The service was not in its steady state (`{text}`) before the first fault: {measured}."
            );
            Ruling::new(Word::Invalid, None, sentence)
        }
    }
}

fn of_end(timeline: &Timeline) -> Option<Ruling> {
    match timeline.end.as_ref().map(|end| end.how) {
        Some(How::Complete | How::Interrupted | How::Failed) | None => None,
        Some(How::Aborted) => {
            Some(Ruling::new(Word::Fail, None, "An abort rule stopped the run.".to_owned()))
        }
        Some(How::Unsteady) => {
            let sentence = "The service was not in its steady state before the first fault.";
            Some(Ruling::new(Word::Invalid, None, sentence.to_owned()))
        }
    }
}

/// What did not come to its end proves nothing, but for what it has shown to be broken.
pub(super) fn cut_short(timeline: &Timeline) -> Option<Ruling> {
    let end = timeline.end.as_ref();
    let early = matches!(end.map(|end| end.how), Some(How::Interrupted | How::Failed) | None);
    if !early || decisive_rule(timeline).is_some() {
        return None;
    }
    let detail = end.map_or("", |end| end.detail.as_str());
    let why = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let sentence = format!("The run was cut short, so that it proves nothing{why}.");
    Some(Ruling::new(Word::Inconclusive, None, sentence))
}

/// A request that squall could not make is squall's mistake, or its profile's, and never the target's.
fn templates(timeline: &Timeline) -> Option<Ruling> {
    let n: u64 = timeline.all_cells().iter().map(|&cell| timeline.of_kind(Kind::Template, cell)).sum();
    let why = timeline.errors.iter().find(|e| e.kind == Kind::Template).map_or("", |e| e.detail.as_str());
    (n > 0).then(|| {
        let sentence =
            format!("squall could not make {} requests, and sent none instead: {why}.", grouped(n));
        Ruling::new(Word::Invalid, None, sentence).advice("mend the template, or give it a default")
    })
}

fn unasked(timeline: &Timeline) -> Option<Ruling> {
    timeline.outline().objectives.is_empty().then(|| {
        let sentence = "No objective was set, so nothing was asked for and nothing is proven.";
        Ruling::new(Word::Inconclusive, None, sentence.to_owned())
            .advice("add `objectives:`, such as `errors < 1%` and `p99 < 300ms`")
    })
}

/// What was shortened until it fits into seconds shows that everything works, and nothing else.
fn smoke(timeline: &Timeline) -> Option<Ruling> {
    timeline.outline().smoke.map(|factor| {
        let factor = three_digits(factor);
        let sentence =
            format!("This is a smoke run, {factor} times shorter than the plan: it shows that the plan works, and proves nothing.");
        Ruling::new(Word::Inconclusive, None, sentence).advice("run it without `--smoke`")
    })
}
