//! Objectives: each sentence held against the view (VERDICTS.md 2 and 3).
//!
//! Owns which operation or trigger decides, and when a phase cannot be judged.

use super::answer::Answer;
use super::faults;
use super::judgement::{JudgedObjective, Word};
use super::measure::Measured;
use super::missing::{Missing, Placing};
use super::returns;
use super::ruling::Ruling;
use super::view::View;
use super::whose::{self, DELIVERED, Settled, settle};
use super::windows::{Subject, badness, rate_at_best, value};
use super::words;
use crate::objective::{Aggregate, Comparison, Metric, Objective, PhaseName};
use crate::quantity::Quantity;
use crate::record::ServiceStage;
use crate::sample::OpId;
use crate::stats;
use crate::timeline::{Cells, Timeline};
use crate::units::{Micros, clock, grouped, three_digits};

/// Judges one objective. Where nothing is to disturb the service, its baseline is the run.
pub(super) fn judge(view: &View, objective: &Objective) -> (Ruling, JudgedObjective) {
    let undisturbed = !view.phases.iter().any(|p| p.name == PhaseName::Baseline);
    if undisturbed && objective.phase == PhaseName::Baseline {
        return judge(view, &Objective { phase: PhaseName::Run, ..objective.clone() });
    }
    let rulings = match &objective.metric {
        Metric::Outage | Metric::Recovery => returns::of_triggers(view, objective),
        _ => match obstacle(view, objective) {
            Some(ruling) => vec![ruling],
            None => in_short(view, objective, of_phase(view, objective)),
        },
    };
    let badness = |r: &Ruling| match r.measured.value {
        None if matches!(r.measured.answer, Answer::Breaks) => f64::MAX,
        _ => badness(objective, &r.measured),
    };
    let worse = |a: &Ruling, b: &Ruling| (b.word, badness(b)) > (a.word, badness(a));
    let worst = rulings.into_iter().reduce(|a, b| if worse(&a, &b) { b } else { a });
    let worst = worst.unwrap_or_else(|| nothing(objective));
    let judged = dress(objective, &worst);
    (worst, judged)
}

/// A smoke run's phases are shorter, and time-outs and restarts are not: of a phase that it shares with a trigger it may
/// break what the whole run does not, unless that was broken before the first trigger too.
fn in_short(view: &View, objective: &Objective, rulings: Vec<Ruling>) -> Vec<Ruling> {
    let disturbed = view.phases.iter().any(|p| p.name == PhaseName::Baseline);
    let Some(factor) = view.timeline.outline().smoke.filter(|_| disturbed) else { return rulings };
    // One deadline, which is not shorter either, often leaves no baseline, but a warm-up.
    let phase = match view.cells(&PhaseName::Baseline).is_empty() {
        true => PhaseName::Warmup,
        false => PhaseName::Baseline,
    };
    let before = of_phase(view, &Objective { phase, ..objective.clone() });
    // More time may yet bring it.
    let counts = objective.metric == Metric::Count && !objective.comparison.wants_less();
    let broken =
        |who: &Option<String>| !counts && before.iter().any(|r| r.subject == *who && r.word == Word::Fail);
    let weaker = |ruling: Ruling| {
        if ruling.word != Word::Fail || broken(&ruling.subject) {
            return ruling;
        }
        let (said, factor) = (ruling.sentence.trim_end_matches('.'), three_digits(factor));
        let why = "what a service takes to fail and to come back is not";
        let sentence = format!("{said}, but in a smoke run phases are {factor} times shorter, and {why}.");
        Ruling { word: Word::Inconclusive, sentence, ..ruling }
    };
    rulings.into_iter().map(weaker).collect()
}

fn nothing(objective: &Objective) -> Ruling {
    let what = objective.selector.as_deref().unwrap_or("operations");
    let phase = words::phase(&objective.phase);
    let reason = format!("{phase}, no {what} were intended, so nothing is proven.");
    Ruling::new(Word::Inconclusive, objective.selector.clone(), reason)
}

fn dress(objective: &Objective, ruling: &Ruling) -> JudgedObjective {
    let m = &ruling.measured;
    let never = m.value.is_none() && m.answer == Answer::Breaks;
    let limit = Quantity::new(objective.metric.unit(), objective.value);
    // What is known to be at least nothing is not known.
    let m = Measured { value: m.value.filter(|v| !v.is_bound() || v.value > 0.0), ..m.clone() };
    let ratio = m.value.filter(|_| objective.value != 0.0).map(|v| v.value / objective.value);
    let of_trigger = match objective.metric {
        Metric::Outage => ruling.subject.clone().map(PhaseName::During),
        Metric::Recovery => ruling.subject.clone().map(PhaseName::After),
        _ => None,
    };
    JudgedObjective {
        text: objective.text.clone(),
        word: ruling.word,
        phase: of_trigger.unwrap_or_else(|| objective.phase.clone()),
        decided: ruling.subject.clone(),
        measured: m.value,
        measured_text: if never { "never".to_owned() } else { words::measured(&m, objective.value) },
        successes: m.successes,
        interval: m.interval,
        comparison: objective.comparison,
        limit,
        limit_text: limit.to_string(),
        ratio,
        n: m.n,
        needed: Some(objective.least()).filter(|least| *least > 1),
        bad: m.bad,
        reason: ruling.sentence.clone(),
        notes: ruling.evidence.clone(),
    }
}

/// Why the phase as a whole cannot be judged, or fails without looking.
fn obstacle(view: &View, objective: &Objective) -> Option<Ruling> {
    let (PhaseName::During(trigger) | PhaseName::After(trigger)) = &objective.phase else { return None };
    let ruling = |word, reason| Some(Ruling::new(word, objective.selector.clone(), reason));
    let after = matches!(objective.phase, PhaseName::After(_));
    match returns::problem(view, trigger) {
        // That something did not come back fails what comes after; what it did before can be judged.
        Some((Word::Fail, reason)) if after => return ruling(Word::Fail, reason),
        Some((Word::Fail, _)) | None => {}
        Some((word, reason)) => return ruling(word, reason),
    }
    if let Some((word, why)) = returns::never_came(view, trigger).filter(|_| after) {
        return ruling(word, format!("There was no time after {trigger} to judge: {}", lower(&why)));
    }
    if !view.cells(&objective.phase).is_empty() {
        return None;
    }
    let phase = phase_words(&objective.phase);
    let known = view.aftermaths.iter().find(|a| a.judged.trigger == *trigger);
    let why = match known {
        _ if !faults::complete(view.timeline) => "never came: the run was cut short".to_owned(),
        Some(a) if after => format!("has no whole cell. {}", a.judged.sentence.trim_end_matches('.')),
        _ => "has no whole cell".to_owned(),
    };
    ruling(Word::Inconclusive, format!("The phase `{phase}` {why}, so nothing is proven."))
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

fn of_phase(view: &View, objective: &Objective) -> Vec<Ruling> {
    let cells = &view.cells(&objective.phase);
    if let Metric::Target { name, aggregate } = &objective.metric {
        return vec![of_subject(view, objective, Subject::Target(name, *aggregate), cells)];
    }
    let timeline = view.timeline;
    // Where arrivals were planned and nothing came of them, there is something to be said all the same.
    let owed = |op: OpId, shape: usize| {
        cells.iter().any(|&cell| timeline.intended(op, cell) > 0)
            || objective.metric == Metric::Count
            || view.was_planned(shape, cells)
    };
    let all = timeline.operations().filter(|(op, o)| o.is_meant_by(objective) && owed(*op, o.shape));
    // Who was led to it before the first trigger, and is no more, may be led elsewhere by what is broken.
    let normal = view.cells(&PhaseName::Baseline);
    let was_usual = |op| normal.iter().any(|&cell| timeline.intended(op, cell) > 0);
    let passed_by = |op| objective.asks_whoever_came() && !was_usual(op) && view.was_passed_by(op, cells);
    let (none, all): (Vec<OpId>, Vec<OpId>) = all.map(|(op, _)| op).partition(|&op| passed_by(op));
    let of_one = |op: OpId| of_subject(view, objective, Subject::Operation(op), cells);
    let mut rulings: Vec<Ruling> = all.into_iter().map(of_one).collect();
    let names: Vec<String> = none.iter().map(|&op| Subject::Operation(op).name(timeline)).collect();
    if !names.is_empty() {
        let note = format!("No flow came to {}, so nothing is said of it.", names.join(", "));
        rulings.iter_mut().for_each(|ruling| ruling.evidence.push(note.clone()));
    }
    rulings
}

fn of_subject(view: &View, objective: &Objective, subject: Subject, cells: &Cells) -> Ruling {
    let m = value(view, objective, subject, cells);
    let phase = words::phase(&objective.phase);
    let name = subject.name(view.timeline);
    let settled = settled(view, objective, subject, cells);
    let long = objective.window.map_or(String::new(), |d| format!(" for {d} on end"));
    let limit = words::limit(
        objective.comparison,
        &Quantity::new(objective.metric.unit(), objective.value).to_string(),
    );
    let at_best = if long.is_empty() { "" } else { " at best" };
    let said = || format!("{phase}, {}{at_best}{long}; {limit}", words::claim(objective, &name, &m));
    let sentence = match (settled.word, settled.because, settled.needed) {
        (Word::Inconclusive, _, _) if m.n == 0 && matches!(subject, Subject::Target(..)) => {
            format!("{phase}, {name} was not seen.")
        }
        (Word::Inconclusive, _, _) if m.n == 0 => {
            format!("{phase}, no {name} were intended, so nothing is proven.")
        }
        (Word::Inconclusive, _, Some(needed)) if !long.is_empty() && m.n >= needed => {
            format!("{}, but of too few: it takes {} {name}{long} to tell.", said(), grouped(needed))
        }
        (Word::Inconclusive, _, Some(needed)) => format!(
            "{phase}, only {} {name} were intended{long}; it takes {} to tell `{}`.",
            grouped(m.n),
            grouped(needed),
            objective.text
        ),
        (Word::Inconclusive, _, None) if m.value.is_none() => {
            format!("{phase}, the time was too short to judge {} of {name}.", objective.text)
        }
        (Word::Inconclusive, None, None) => format!("{}, and that may or may not hold.", said()),
        (_, Some(because), _) => format!("{}, but {because}.", said()),
        (_, None, _) => format!("{}.", said()),
    };
    let mut ruling = Ruling::new(settled.word, Some(name), sentence).measured(m);
    if subject.closed(view.timeline) {
        let note = "A closed loop: its users wait for an answer before they ask again, so their waiting is hidden from this number.";
        ruling.evidence.push(note.to_owned());
    }
    // What broke both ways is told with what squall made worse.
    let unsound = || cells.iter().any(|cell| view.own.cells.contains_key(cell)) || view.were_left_open(cells);
    if ruling.word == Word::Fail && unsound() {
        let clean = value(view.clean(), objective, subject, cells);
        let note = format!(
            "Without squall's own part: {}, n = {}.",
            words::measured(&clean, objective.value),
            grouped(clean.n)
        );
        ruling.evidence.push(note);
    }
    ruling
}

/// The word over these cells. What a fault of squall's that could not be undone spoilt proves nothing, nor does
/// what answered when a service had ended.
fn settled(view: &View, objective: &Objective, subject: Subject, cells: &Cells) -> Settled {
    let shapes = subject.shapes(view.timeline);
    let over = |cells: &Cells| {
        let blame = || match &objective.phase {
            // It may be the trigger that met no load.
            PhaseName::After(x) if cells.is_disjoint(&view.own.cells.keys().copied().collect()) => {
                view.blame(&view.cells(&PhaseName::During(x.clone())))
            }
            _ => view.blame(cells),
        };
        let delivered = view.delivered_in(&shapes, &objective.phase, cells);
        settle(view, delivered, blame, |view| asked(view, objective, subject, cells))
    };
    let invalid = |because: String| Settled { word: Word::Invalid, because: Some(because), needed: None };
    if let Some((at, fault)) = view.stuck.as_ref()
        && cells.range(view.timeline.cell_of(*at)..).next().is_some()
    {
        return invalid(format!(
            "{fault} could not be undone at {}, and spoils what comes after",
            clock(*at)
        ));
    }
    let settled = over(cells);
    if settled.word != Word::Pass {
        return settled;
    }
    let unread = || unread(view, subject, cells);
    let unread =
        || unread().map(|why| Settled { word: Word::Inconclusive, because: Some(why), needed: None });
    let unasked = || unasked(view, objective, subject, cells);
    let unasked =
        || unasked().map(|why| Settled { word: Word::Inconclusive, because: Some(why), needed: None });
    ended(view, cells).map(invalid).or_else(unread).or_else(unasked).unwrap_or(settled)
}

/// That flows which failed left out so much that it may not hold; a rate and a count tell so themselves. Who left during
/// another trigger is that one's harm.
fn unasked(view: &View, objective: &Objective, subject: Subject, cells: &Cells) -> Option<String> {
    let Subject::Operation(op) = subject else { return None };
    if matches!(objective.metric, Metric::Rate | Metric::Count | Metric::Amplification) {
        return None;
    }
    view.timeline.forgone().next()?;
    let missing = Missing::of(view.timeline, Placing::Planned, &view.during_other(cells));
    let ask = |view: &View| asked(view, objective, subject, cells);
    let name = subject.name(view.timeline);
    whose::left_out(view, &view.at_worst(missing), &name, |view| view.tally(op, cells).intended, ask)
}

/// The share of a phase over which a metric of the target must have been read for it to hold.
const READ: f64 = 0.5;

/// That a metric of the target was not read for most of the time. A reading stands for as long as most of them come
/// apart.
fn unread(view: &View, subject: Subject, cells: &Cells) -> Option<String> {
    let Subject::Target(name, _) = subject else { return None };
    let timeline = view.timeline;
    let all: Vec<f64> =
        timeline.scrapes.iter().filter(|s| s.name == *name).map(|s| s.at.as_secs_f64()).collect();
    let apart: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let usual = stats::median(&apart).unwrap_or(0.0);
    let inside = all.iter().filter(|at| cells.contains(&timeline.cell_of(Micros::from_secs_f64(**at))));
    let length = view.length(cells).as_secs_f64();
    let read = inside.count() as f64 * usual;
    // One more may be due at each end.
    (read + usual < READ * length).then(|| {
        let (read, length) = (Micros::from_secs_f64(read), Micros::from_secs_f64(length));
        format!("it was read for {read} of {length} only, and nothing is known of the rest")
    })
}

/// A service of squall's that had ended by itself in these cells.
fn ended(view: &View, cells: &Cells) -> Option<String> {
    let timeline = view.timeline;
    let last = timeline.cell_start(cells.last()? + 1);
    let event = timeline.services.iter().find(|e| e.what == ServiceStage::Ended && e.at < last)?;
    Some(format!(
        "{} had ended by itself at {} ({}), so that what was measured was not the system of the plan",
        event.service,
        clock(event.at),
        event.detail
    ))
}

/// What one view says. Of a rate or a count nothing is known without squall's part where it did not send what
/// was planned.
fn asked(view: &View, objective: &Objective, subject: Subject, cells: &Cells) -> Answer {
    let m = value(view, objective, subject, cells);
    let volume = matches!(objective.metric, Metric::Rate | Metric::Count);
    let shapes = subject.shapes(view.timeline);
    let short = !subject.closed(view.timeline)
        && view.delivered(&shapes, cells).is_some_and(|share| share < DELIVERED);
    let nothing_left = m.value.is_none_or(|v| !v.value.is_finite());
    match volume && view.is_clean() && (short || nothing_left) {
        true => Answer::Unknown(None),
        false if m.n == 0 && !volume => Answer::Unknown(None),
        false if m.answer == Answer::Breaks && is_cut(view, cells) => {
            let grows = grows(view, objective, subject, (cells, m.n));
            if grows { Answer::Unknown(None) } else { m.answer }
        }
        false => m.answer,
    }
}

/// More of the load may yet satisfy it: a count, of squall's or of the target's own, and a rate that would be too low by now
/// if everything had succeeded, as the beginning of a ramp is.
fn grows(view: &View, objective: &Objective, subject: Subject, (cells, n): (&Cells, u64)) -> bool {
    match objective.metric {
        Metric::Count => !objective.comparison.wants_less(),
        Metric::Target { ref name, aggregate: Aggregate::Last | Aggregate::Max } => {
            objective.comparison.wants_more() && rises(view.timeline, name, cells)
        }
        Metric::Rate if objective.window.is_none() && !subject.closed(view.timeline) => {
            let at_best = rate_at_best(view, subject, (cells, view.loaded(cells).1), n);
            objective.comparison.wants_more() && !objective.comparison.holds(at_best, objective.value)
        }
        _ => false,
    }
}

/// A metric of the target rose in these cells, and never fell: a counter.
fn rises(timeline: &Timeline, name: &str, cells: &Cells) -> bool {
    let inside =
        timeline.scrapes.iter().filter(|s| s.name == name && cells.contains(&timeline.cell_of(s.at)));
    let values: Vec<f64> = inside.map(|s| s.value).collect();
    values.is_sorted() && values.first() < values.last()
}

/// The load was stopped before its planned end or was planned in short, and with it these cells.
fn is_cut(view: &View, cells: &Cells) -> bool {
    let (timeline, end) = (view.timeline, view.timeline.load_end());
    let reached = cells.last().is_none_or(|&last| timeline.cell_start(last + 1) >= end);
    !timeline.was_all(end) && reached
}

impl JudgedObjective {
    /// How close it is to its limit, or how far beyond: above 1 it is broken. What is broken by a lower bound
    /// is broken by nobody knows how much.
    pub fn closeness(&self) -> f64 {
        let broken = self.word == Word::Fail;
        let ratio = self.ratio.unwrap_or(if broken { f64::MAX } else { 0.0 });
        match self.comparison {
            Comparison::Above | Comparison::AtLeast if ratio > 0.0 => 1.0 / ratio,
            Comparison::Below | Comparison::AtMost
                if broken && self.measured.is_some_and(|m| m.is_bound()) =>
            {
                f64::MAX
            }
            _ => ratio,
        }
    }
}
