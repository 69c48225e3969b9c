//! Live rules: abort and steady-state expressions over the last seconds of a run that still goes on.
//!
//! Owns which cells a live rule looks at; what is done when one decides is the controller's.

use std::collections::BTreeMap;
use std::ops::Range;

use super::answer::Answer;
use super::measure::Measured;
use super::rhythm::Rhythm;
use super::view::View;
use super::windows::{Subject, Window, badness, in_cells, measured, over, rate_at_best, together, value};
use super::words;
use crate::objective::{Metric, Objective, PhaseName};
use crate::sample::OpId;
use crate::timeline::phases::Return;
use crate::timeline::{Cells, Timeline};
use crate::units::{Micros, clock, grouped};

/// Why an abort rule has come true.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// `62 % of create_room failed or came too late, of 1,204 in the last 10 s`; of what was known
    /// late `in the 10 s before 1:00.00`.
    pub measured: String,
    /// Why that proves nothing: without squall's own part, as far as it is known, it would not have.
    pub excuse: Option<String>,
}

/// An abort rule, and of which times it has been asked: of each D on end when it is known how all of it ended, and of the
/// last until another one is, as what excuses it may be known later.
pub struct AbortRule {
    rule: Objective,
    /// Where the last D ended, of each operation; of a metric of the target there is one.
    asked: BTreeMap<Option<OpId>, u32>,
    /// Since when it has come true, and only through squall's own part.
    excused: Option<Micros>,
}

impl AbortRule {
    pub fn new(rule: &Objective) -> AbortRule {
        AbortRule { rule: rule.clone(), asked: BTreeMap::new(), excused: None }
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        &self.rule.text
    }

    /// Whether it has come true since it was asked last: in every window over D on end (default ten cells) in which it
    /// is known how every operation ended. Never in the warm-up; a rule with a phase only while that phase lasts. A
    /// rate that would be too low if everything succeeded is the plan's, and fires nothing. What it is only through
    /// squall's own part it must be for two D more: by then it is known of the target, or squall is not fit to tell.
    pub fn fired(&mut self, timeline: &Timeline, now: Micros) -> Option<Fired> {
        let long = self.rule.window.unwrap_or(timeline.outline().cell * 10);
        let found = self.came_true(timeline, long, now);
        let is_excused = found.as_ref().is_some_and(|fired| fired.excuse.is_some());
        self.excused = is_excused.then(|| self.excused.unwrap_or(now));
        found.filter(|_| self.excused.is_none_or(|since| now - since >= long * 2))
    }

    fn came_true(&mut self, timeline: &Timeline, long: Micros, now: Micros) -> Option<Fired> {
        let (view, rule) = (View::live(timeline), &self.rule);
        let on_end = Objective { window: Some(long), ..rule.clone() };
        let mut hits = Vec::new();
        for subject in subjects(&view, rule) {
            let known: Cells = known(timeline, subject, now).filter(is_inside(&view, rule)).collect();
            let rhythm = Rhythm::of(&view, rule, subject, &known);
            let asked = self.asked.entry(subject.operation()).or_default();
            let all = rhythm.on_end_since(*asked, in_cells(timeline, long));
            *asked = rhythm.last().unwrap_or(*asked);
            let all = all.into_iter().rev().filter(|cells| may_come_true(&view, rule, subject, cells));
            let come_true = all.filter(|cells| comes_true(&view, &on_end, subject, cells));
            hits.extend(come_true.map(|cells| (subject, cells)));
        }
        let whole = Objective { window: None, ..rule.clone() };
        let hits = hits.into_iter().map(|(subject, cells)| {
            let innocent = !comes_true(view.clean(), &on_end, subject, &cells);
            (innocent, value(&view, &whole, subject, &cells), subject, cells)
        });
        // What squall spoilt of one excuses no other. The rule names what must not be: what satisfies it most is the worst.
        let (innocent, m, subject, cells) = hits.reduce(|a, b| {
            let by = |hit: &(bool, Measured, Subject, Cells)| (hit.0, badness(rule, &hit.1));
            if by(&b) < by(&a) { b } else { a }
        })?;
        let excuse =
            innocent.then(|| format!("without squall's own part it would not have{}", view.blame(&cells)));
        let long = match subject {
            Subject::Operation(_) => long.max(timeline.outline().cell * cells.len() as i64),
            Subject::Target(..) => long,
        };
        // What became known of late may be long over.
        let until = cells.last().map_or(now, |&last| timeline.cell_start(last + 1));
        let when = match until + timeline.outline().cell * 2 < now {
            true => format!("the {long} before {}", clock(until)),
            false => format!("the last {long}"),
        };
        Some(Fired { measured: said(timeline, rule, subject, (&m, &cells), &when), excuse })
    }
}

/// What speaks against a steady state over the last D before `now`; none if it holds. Without a D it is asked of the
/// last ten cells, or of as many as there were since the warm-up.
pub fn unsteady(timeline: &Timeline, rule: &Objective, now: Micros) -> Option<String> {
    let view = View::live(timeline);
    let cell = timeline.outline().cell;
    // A good second of ten makes no steady state of the rest.
    let whole = Objective { window: None, ..rule.clone() };
    let last = |subject, long| recent(&view, rule, subject, (long, now));
    let looked_at = subjects(&view, rule).into_iter().map(|subject| {
        let most = || (1..=10).rev().find_map(|cells| last(subject, cell * cells));
        (subject, rule.window.map_or_else(most, |long| last(subject, long)))
    });
    // What was not to be there yet says nothing of the service, and of all operations those that no flow came to do.
    let due = |subject: &Subject, cells: &Option<Cells>| {
        let planned = |cells: &Cells| subject.shapes(timeline).iter().any(|&s| view.was_planned(s, cells));
        let passed_by = |cells: &Cells| match subject {
            Subject::Operation(op) => rule.asks_whoever_came() && view.was_passed_by(*op, cells),
            Subject::Target(..) => false,
        };
        cells.as_ref().is_none_or(|cells| planned(cells) && !passed_by(cells))
    };
    let subjects: Vec<_> = looked_at.filter(|(subject, cells)| due(subject, cells)).collect();
    if subjects.is_empty() {
        return Some("nothing to measure".to_owned());
    }
    subjects.into_iter().find_map(|(subject, cells)| {
        let Some(cells) = cells else {
            return Some(format!("too little was seen of {}", subject.name(timeline)));
        };
        let m = value(&view, &whole, subject, &cells);
        match m.answer {
            Answer::Holds => overdue(&view, &whole, subject, &cells, now),
            Answer::Breaks => {
                let when = format!("the last {}", cell * cells.len() as i64);
                Some(said(timeline, rule, subject, (&m, &cells), &when))
            }
            Answer::Unknown(_) => {
                let (name, needed) = (subject.name(timeline), rule.least().max(1));
                Some(format!(
                    "too little was seen of {name} ({}, and it takes {})",
                    grouped(m.n),
                    grouped(needed)
                ))
            }
        }
    })
}

/// What speaks against a steady state since the last D of which all is known: what has been open for more than twice as
/// long as anything took in that D is bad by now, though its deadline is to come.
fn overdue(view: &View, rule: &Objective, subject: Subject, seen: &Cells, now: Micros) -> Option<String> {
    let (timeline, cell) = (view.timeline, view.timeline.outline().cell);
    let Subject::Operation(op) = subject else { return None };
    if rule.metric == Metric::Count {
        return None;
    }
    let slowest = value(view, &Objective { metric: Metric::Max, ..rule.clone() }, subject, seen).value?;
    let usual = Micros(slowest.value as i64 * 2).min(timeline.deadline(op));
    let until = timeline.cell_of(now).checked_sub(in_cells(timeline, usual))?;
    let open = seen.last()? + 1;
    if until <= open {
        return None;
    }
    let from = open.min(until.saturating_sub(seen.len() as u32));
    let cells: Cells = (from..until).filter(is_inside(view, rule)).collect();
    let m = value(view, rule, subject, &cells);
    let when = format!("the {} before {}", cell * cells.len() as i64, clock(timeline.cell_start(until)));
    let breaks = m.answer == Answer::Breaks && !is_one_failure(rule, &m);
    breaks.then(|| said(timeline, rule, subject, (&m, &cells), &when))
}

/// An objective that is broken by what has been seen so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// As the user wrote it.
    pub text: String,
    /// `3.1 % of list failed or came too late, of 1,204 since 0:35`.
    pub measured: String,
    /// By what is left of its phase: of the whole it may hold.
    pub of_late: bool,
}

/// What is known of an objective while the run goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// By what has been seen so far.
    Broken(Broken),
    /// Not by what has been seen so far.
    Open,
    /// Part of its phase was let go: what was known of it last is what is known.
    Past,
}

/// How each objective stands by what the live fold still holds of its phase, in the profile's order: an estimate while
/// the run goes on. Counts grow, and what follows a trigger is known when the run is over: those are open.
pub fn standings(timeline: &Timeline, now: Micros) -> Vec<Standing> {
    let view = View::live(timeline);
    let grows = |o: &Objective| matches!(o.metric, Metric::Outage | Metric::Recovery | Metric::Count);
    let phases = view.frame().phases(&vec![Return::Unknown; view.triggers.len()]);
    let begins_before = |span: &Range<Micros>| timeline.cell_of(span.start) < timeline.oldest();
    let let_go = |o: &Objective| {
        phases.iter().any(|(name, spans)| *name == o.phase && spans.iter().any(begins_before))
    };
    let stands = |objective: &Objective| match grows(objective) {
        true => Standing::Open,
        false => match broken_one(&view, objective, now) {
            Some(broken) => Standing::Broken(Broken { of_late: let_go(objective), ..broken }),
            None if objective.phase != PhaseName::Run && let_go(objective) => Standing::Past,
            None => Standing::Open,
        },
    };
    timeline.outline().objectives.iter().map(stands).collect()
}

fn broken_one(view: &View, objective: &Objective, now: Micros) -> Option<Broken> {
    let timeline = view.timeline;
    let range = timeline.oldest()..timeline.cell_of(now);
    let phase: Cells = view.cells(&objective.phase).range(range).copied().collect();
    let broken = subjects(view, objective).into_iter().filter_map(|subject| {
        let known = |cell: &u32| match subject {
            Subject::Operation(op) => timeline.decided(op, *cell, now),
            Subject::Target(..) => true,
        };
        let cells: Cells = phase.iter().copied().filter(known).collect();
        let m = (!cells.is_empty()).then(|| value(view, objective, subject, &cells))?;
        (m.answer == Answer::Breaks).then_some((subject, m, cells))
    });
    let (subject, m, cells) =
        broken.reduce(|a, b| match badness(objective, &b.1) > badness(objective, &a.1) {
            true => b,
            false => a,
        })?;
    let claim = words::claim(objective, &subject.name(timeline), &m);
    let since = clock(timeline.cell_start(*cells.first()?));
    let all = all(timeline, objective, subject, (&m, &cells));
    Some(Broken {
        text: objective.text.clone(),
        measured: format!("{claim}, of {} since {since}", grouped(all)),
        of_late: false,
    })
}

fn said(
    timeline: &Timeline,
    rule: &Objective,
    subject: Subject,
    (m, cells): (&Measured, &Cells),
    when: &str,
) -> String {
    let claim = words::claim(rule, &subject.name(timeline), m);
    match rule.metric {
        Metric::Count => format!("{claim} in {when}"),
        _ => format!("{claim}, of {} in {when}", grouped(all(timeline, rule, subject, (m, cells)))),
    }
}

/// How many there were of what was measured: a rate stands for patient probes as well.
fn all(timeline: &Timeline, rule: &Objective, subject: Subject, (m, cells): (&Measured, &Cells)) -> u64 {
    match subject {
        Subject::Operation(op) if rule.metric == Metric::Rate => {
            let shape = timeline.outline().operations[usize::from(op.0)].shape;
            (m.n as f64 * timeline.weight(shape, cells)).round() as u64
        }
        Subject::Operation(_) | Subject::Target(..) => m.n,
    }
}

fn subjects<'o>(view: &View, rule: &'o Objective) -> Vec<Subject<'o>> {
    if let Metric::Target { name, aggregate } = &rule.metric {
        return vec![Subject::Target(name, *aggregate)];
    }
    let all = view.timeline.operations().filter(|(_, o)| o.is_meant_by(rule));
    all.map(|(op, _)| Subject::Operation(op)).collect()
}

/// The cells of which it is known how every operation ended; the newest reading lies in the cell that has just begun.
fn known(timeline: &Timeline, subject: Subject, now: Micros) -> Range<u32> {
    let present = timeline.cell_of(now);
    let until = match subject {
        Subject::Target(..) => present + 1,
        Subject::Operation(op) => {
            let back = in_cells(timeline, timeline.deadline(op)) + 2;
            let known = (present.saturating_sub(back)..present).find(|&c| !timeline.decided(op, c, now));
            known.unwrap_or(present)
        }
    };
    // The last readings are kept for longer than cells are.
    let first = timeline.scrapes.first().map_or(until, |scrape| timeline.cell_of(scrape.at));
    timeline.oldest().min(first)..until
}

/// The last of them, for so long; none if that has not been lived yet, or lies outside of the rule's phase.
fn recent(view: &View, rule: &Objective, subject: Subject, (long, now): (Micros, Micros)) -> Option<Cells> {
    let until = known(view.timeline, subject, now).end;
    let cells = until.checked_sub(in_cells(view.timeline, long))?..until;
    let inside = is_inside(view, rule);
    cells.clone().all(|cell| inside(&cell)).then(|| cells.collect())
}

/// Whether a cell is one of the rule's phase. Nobody knows yet where the load will end, and with it the last phase.
fn is_inside<'v>(view: &'v View, rule: &Objective) -> impl Fn(&u32) -> bool + 'v {
    let phase = (rule.phase != PhaseName::Run).then(|| view.cells(&rule.phase));
    let warm = view.timeline.outline().judge.warmup;
    move |cell| match &phase {
        Some(phase) => phase.contains(cell),
        None => view.timeline.cell_start(*cell) >= warm,
    }
}

/// Whether a share or a time of all of the cells satisfies the rule, as it must where every window does: one look, where
/// windows take many.
fn may_come_true(view: &View, rule: &Objective, subject: Subject, cells: &Cells) -> bool {
    let pooled = matches!(rule.metric, Metric::Errors | Metric::Goodput | Metric::Quantile(_) | Metric::Max);
    let whole = || measured(view, &Objective { window: None, ..rule.clone() }, subject, cells).0;
    let holds =
        |m: Measured| m.value.is_some_and(|v| v.is_bound() || rule.comparison.holds(v.value, rule.value));
    !pooled || holds(whole())
}

/// Every window over the whole of the cells satisfies the rule, and together they are enough to tell.
fn comes_true(view: &View, on_end: &Objective, subject: Subject, cells: &Cells) -> bool {
    let (_, windows) = measured(view, on_end, subject, cells);
    if windows.is_empty() || together(&windows, Answer::Holds) != Answer::Holds {
        return false;
    }
    let whole = over(view, on_end, subject, &windows, cells);
    is_whole(&windows, cells)
        && whole.answer == Answer::Holds
        && !is_one_failure(on_end, &whole)
        && !is_the_plans(view, on_end, subject, cells, &whole)
}

/// They go from one end to the other: what squall itself spoilt there is none of D.
fn is_whole(windows: &[Window], cells: &Cells) -> bool {
    let begins = windows.first().map(|window| window.cells.start);
    let ends = windows.last().map(|window| window.cells.end);
    begins <= cells.first().copied() && ends > cells.last().copied()
}

/// One failure ends no run, unless any at all was to: a share above nothing.
fn is_one_failure(rule: &Objective, m: &Measured) -> bool {
    let share = matches!(rule.metric, Metric::Errors | Metric::Goodput);
    let bad = (m.bad * m.n as f64).round() as u64;
    share && bad < 2 && m.n < rule.least()
}

/// A rate that satisfies the rule even where everything succeeds: too little was planned by then.
fn is_the_plans(view: &View, rule: &Objective, subject: Subject, cells: &Cells, m: &Measured) -> bool {
    let at_best = || rate_at_best(view, subject, (cells, view.length(cells)), m.n);
    rule.metric == Metric::Rate
        && !subject.closed(view.timeline)
        && rule.comparison.holds(at_best(), rule.value)
}
