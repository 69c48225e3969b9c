//! Objectives about outage and recovery: each shape after each trigger by itself, and the worst counts.
//!
//! Owns when such a result is INVALID or INCONCLUSIVE; how long a shape was away is `recovery`'s.

use super::answer::Answer;
use super::baseline::Window;
use super::chance::{part, total};
use super::gone::{Away, Gone};
use super::grown::{self, Grown};
use super::judgement::{JudgedTrigger, ShapeTrigger, Word};
use super::load::Load;
use super::measure::Measured;
use super::missing::{Missing, Placing};
use super::recovery::{self, Aftermath};
use super::ruling::Ruling;
use super::series::{Measures, Series};
use super::view::View;
use super::whose::{self, Settled, settle};
use super::words;
use crate::objective::{Metric, Objective, PhaseName};
use crate::quantity::{Quantity, Unit};
use crate::record::FaultStage;
use crate::timeline::Cells;
use crate::timeline::phases::{self, Return};
use crate::timeline::trigger::{self, Trigger};
use crate::units::{Micros, clock, three_digits};

/// Who answers no more than so much is dead, and not too busy.
const DEAD: f64 = 0.02;
/// Why nothing rests on what is out of its band.
const MORE_LOAD: &str = "the plan brings more load after it than in the baseline, and this may come of that";

/// One shape after one trigger.
struct Shape<'v, 'a> {
    view: &'v View<'a>,
    trigger: &'v Trigger,
    series: &'v Series,
    seen: Aftermath,
    /// Other shapes saw the trigger too.
    among_others: bool,
}

/// An outage or a recovery for every shape with a band, after every trigger that is meant.
pub(super) fn of_triggers(view: &View, objective: &Objective) -> Vec<Ruling> {
    let named = |a: &Aftermath| {
        objective.selector.as_ref().is_none_or(|s| *s == a.judged.trigger || *s == a.judged.name)
    };
    let meant = view.triggers.iter().zip(&view.aftermaths).filter(|(_, a)| named(a));
    let rulings: Vec<Ruling> = meant.flat_map(|(t, a)| of_trigger(view, objective, t, a)).collect();
    if rulings.is_empty() {
        let who = objective.selector.as_deref();
        let (word, reason) = who.and_then(|who| problem(view, who)).unwrap_or_else(|| {
            let nothing = who.map_or("No trigger came".to_owned(), |who| format!("{who} never came"));
            (Word::Inconclusive, format!("{nothing} to pass, so there is nothing to recover from."))
        });
        return vec![Ruling::new(word, objective.selector.clone(), reason)];
    }
    rulings
}

/// What is the matter with the fault that a trigger is, or with the load that it is made of.
pub(super) fn problem(view: &View, trigger: &str) -> Option<(Word, String)> {
    let faults = || view.faults.iter().filter(|f| f.trigger == trigger || f.name == trigger);
    if let Some((name, words)) = faults().find_map(|f| f.not_back.as_ref().map(|words| (&f.name, words))) {
        return Some((Word::Fail, format!("What {name} hit did not come back: {words}.")));
    }
    let of_fault = faults().find_map(|f| f.problem.as_ref());
    let problem = of_fault.map(|p| (Word::Invalid, format!("Nothing is proven: {p}.")));
    problem.or_else(|| {
        let shapes = &view.timeline.outline().shapes;
        let shape = shapes.iter().position(|s| s.trigger && s.name == trigger)?;
        let sent = view.timeline.last_intended(shape).is_some();
        (!sent).then(|| {
            (
                Word::Inconclusive,
                format!("{trigger} sent nothing, so that there was nothing to recover from."),
            )
        })
    })
}

/// Why nothing rests on what was seen after a trigger: it was not proven, or no shape had a normal to come back to.
pub(super) fn doubt(view: &View, judged: &JudgedTrigger) -> Option<String> {
    let unproven = view.faults.iter().any(|f| f.name == judged.name && f.problem.is_some());
    let bands = || {
        let of = |shape: &str| view.series.iter().find(|s| s.band.shape == shape);
        judged.shapes.iter().filter_map(move |s| of(&s.shape))
    };
    let abnormal = || bands().map(|s| s.band.broken.clone()).collect::<Option<Vec<_>>>()?.into_iter().next();
    if unproven { Some("it was not proven".to_owned()) } else { abnormal() }
}

/// What moved within the baseline, where by all else the service was not seen to stay out of its bands.
pub(super) fn moved(view: &View, trigger: &Trigger, aftermath: &Aftermath) -> Option<String> {
    let steady = || recovery::against(view, &view.series, trigger, Measures::Steady).back;
    let never = aftermath.back == Return::Never && steady() != Return::Never;
    let away = |s: &&Series| {
        aftermath.judged.shapes.iter().any(|w| w.shape == s.band.shape && w.recovered.is_none())
    };
    never.then(|| view.series.iter().filter(away).find_map(|s| s.band.unsteady.clone())).flatten()
}

/// What did not come back is only as restless as the baseline was, where that would not count as well itself.
pub(super) fn restless(view: &View, trigger: &Trigger) -> Option<String> {
    let as_before = |s: &Series| s.as_before().unwrap_or_else(|| s.clone());
    let told = view.series.iter().find_map(|s| Some(s.restless.as_ref()?.why.clone()))?;
    let series: Vec<Series> = view.series.iter().map(as_before).collect();
    let again = recovery::against(view, &series, trigger, Measures::All).back;
    matches!(again, Return::At(_)).then_some(told)
}

/// Why the time after a one-shot never came, and what that is worth; none if it came.
pub(super) fn never_came(view: &View, trigger: &str) -> Option<(Word, String)> {
    let all = view.triggers.iter().zip(&view.aftermaths);
    let of_it = all.filter(|(t, a)| t.trigger == *trigger && t.one_shot && a.back == Return::Never);
    let shapes = of_it.flat_map(|(t, a)| shapes(view, t, a)).filter(|s| s.seen.back == Return::Never);
    let came = |s: &Shape, again: &Aftermath| match again.back {
        // Another trigger, the end of its own load, or whoever stopped or shortened it, left it no time to come.
        Return::Never if view.timeline.outline().smoke.is_some() || s.ends_too_early() => {
            Answer::Unknown(None)
        }
        Return::Never => Answer::Breaks,
        Return::At(_) => Answer::Holds,
        Return::TooShort | Return::Unknown => Answer::Unknown(None),
    };
    let rulings = shapes.map(|s| {
        let settled = s.settled(|again| came(&s, again), || false);
        let but = settled.because.map_or(String::new(), |why| format!(", but {why}"));
        let late = s.just_back().map_or(String::new(), |at| format!("; it was back only at {}", clock(at)));
        (settled.word, format!("{}{late}{but}.", s.said()))
    });
    rulings.reduce(|a, b| if b.0 > a.0 { b } else { a })
}

fn of_trigger(view: &View, objective: &Objective, t: &Trigger, a: &Aftermath) -> Vec<Ruling> {
    let judged = &a.judged;
    let without = |word, reason| vec![Ruling::new(word, Some(judged.name.clone()), reason)];
    if let Some((word, reason)) = problem(view, &judged.trigger) {
        return without(word, reason);
    }
    let watched = view.frame().horizon(t).at();
    if let Some((at, fault)) = view.stuck.as_ref().as_ref().filter(|(at, _)| *at < watched) {
        let why = format!("{fault} could not be undone at {}, and spoils what comes after", clock(*at));
        return without(Word::Invalid, format!("Nothing is proven: {why}."));
    }
    let shapes = shapes(view, t, a);
    let gone = view.series.iter().filter(|s| s.band.none.is_some());
    let gone: Vec<Ruling> = gone.filter_map(|s| bandless(view, objective, (t, a), s)).collect();
    if shapes.is_empty() && gone.is_empty() {
        let bands = view.series.iter().map(|s| &s.band);
        let mut why: Vec<String> =
            bands.filter_map(|b| b.none.as_ref().map(|why| format!("{}: {why}", b.shape))).collect();
        why.extend(a.left_out.iter().map(|shape| format!("{shape}: its load ended before")));
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return without(Word::Inconclusive, format!("{}{why}", judged.sentence));
    }
    shapes.iter().map(|shape| shape.ruling(objective)).chain(gone).collect()
}

/// A shape without a band tells nothing of a return, unless some of it fails for good.
fn bandless(
    view: &View,
    objective: &Objective,
    (t, a): (&Trigger, &Aftermath),
    s: &Series,
) -> Option<Ruling> {
    let seen = a.clone();
    let shape = Shape { view, trigger: t, series: s, seen, among_others: true };
    let (settled, away) = shape.away(objective)?;
    let because = settled.because.unwrap_or_default();
    let said = format!("{}: {because}.", s.band.shape);
    Some(Ruling::new(settled.word, Some(a.judged.name.clone()), said).measured(measured(&away)))
}

fn measured(away: &Away) -> Measured {
    Measured { value: away.lasted.map(Quantity::time), n: 1, answer: Answer::Breaks, ..Measured::default() }
}

/// The shapes that can say something of the time after a trigger.
fn shapes<'v, 'a>(view: &'v View<'a>, trigger: &'v Trigger, aftermath: &Aftermath) -> Vec<Shape<'v, 'a>> {
    let seen = |series: &&Series| aftermath.judged.shapes.iter().any(|s| s.shape == series.band.shape);
    let among_others = aftermath.judged.shapes.len() > 1;
    let shape = |series: &'v Series| {
        let seen = recovery::aftermath(view, std::slice::from_ref(series), trigger);
        Shape { view, trigger, series, seen, among_others }
    };
    let mut shapes: Vec<Shape> = view.series.iter().filter(seen).map(shape).collect();
    // Of those that were back as soon the one that was out for longest speaks for all.
    shapes.sort_by_key(|s| std::cmp::Reverse(s.seen.judged.shapes.first().map(|one| one.outage_so_far)));
    shapes
}

/// What an aftermath says of a limit. While nothing is known of the return, what has been lost already is a
/// lower bound.
fn answer(objective: &Objective, aftermath: &Aftermath) -> Answer {
    let holds = |v: f64| objective.comparison.holds(v, objective.value);
    match (aftermath.back, span(objective, aftermath)) {
        // It may have lasted for longer than was seen, and who knows for how long.
        (Return::At(_), Some(v)) if holds(v.value) && !holds(at_longest(objective, aftermath, v)) => {
            Answer::Unknown(None)
        }
        (Return::At(_), Some(v)) if holds(v.value) => Answer::Holds,
        (Return::At(_), Some(_)) => Answer::Breaks,
        // The next trigger, the end of its own load or whoever stopped it came too soon to tell.
        (Return::Never, Some(v)) if cut_short(objective, aftermath) && holds(v.value) => {
            Answer::Unknown(None)
        }
        (Return::Never, _) => {
            if holds(f64::INFINITY) {
                Answer::Holds
            } else {
                Answer::Breaks
            }
        }
        (_, Some(v)) if !holds(v.value) && !holds(f64::INFINITY) => Answer::Breaks,
        _ => Answer::Unknown(None),
    }
}

/// An outage or recovery together with the time in which nobody asked.
fn at_longest(objective: &Objective, aftermath: &Aftermath, seen: Quantity) -> f64 {
    let Some((from, to)) = aftermath.judged.shapes.first().and_then(|s| s.unseen) else { return seen.value };
    match aftermath.judged.t_clear.filter(|_| objective.metric == Metric::Recovery) {
        Some(clear) => seen.value.max((to - clear).0 as f64),
        None => seen.value + (to - from).0 as f64,
    }
}

/// It was watched for less than the limit, as another trigger came or its load ended before the run did.
fn cut_short(objective: &Objective, aftermath: &Aftermath) -> bool {
    let (to_the_end, watched) = aftermath.watched;
    !to_the_end && (watched.0 as f64) < objective.value
}

/// The outage or recovery: exact once the service is back, a lower bound before.
fn span(objective: &Objective, aftermath: &Aftermath) -> Option<Quantity> {
    let shape = aftermath.judged.shapes.first()?;
    let outage = objective.metric == Metric::Outage;
    let (whole, so_far) =
        if outage { (shape.outage, shape.outage_so_far) } else { (shape.recovery, shape.recovery_so_far) };
    match aftermath.back {
        Return::At(_) => whole.map(Quantity::time),
        Return::Never | Return::TooShort | Return::Unknown => Some(Quantity::time(so_far).at_least()),
    }
}

impl Shape<'_, '_> {
    /// What follows the trigger was over before it was to have settled, or before anything was seen of what came back.
    fn ends_too_early(&self) -> bool {
        self.watched() < self.trigger.settled() || self.just_back().is_some()
    }

    fn watched(&self) -> Micros {
        self.view.watched(&self.series.band.shape, self.trigger)
    }

    /// When it was there again, where that was after it was to have settled and no whole window was watched since: what
    /// breaks it next waits for a start that takes longer than the plan leaves it.
    fn just_back(&self) -> Option<Micros> {
        let (timeline, watched) = (self.view.timeline, self.watched());
        let back = trigger::first(&timeline.faults, &self.trigger.name, FaultStage::Verified)?;
        let whole = |w: &Window| timeline.cell_start(w.from) >= back && timeline.cell_start(w.to) <= watched;
        (back > self.trigger.settled() && !self.series.windows.iter().any(whole)).then_some(back)
    }

    fn ruling(&self, objective: &Objective) -> Ruling {
        let value = span(objective, &self.seen).filter(|_| self.seen.back != Return::Never);
        let settled = self.settled(|again| answer(objective, again), || self.has_more_load(objective));
        let away = Some(&settled).filter(|s| s.word == Word::Pass).and_then(|_| self.away(objective));
        let (settled, away) = match away {
            Some((settled, away)) => (settled, Some(away)),
            None => (settled, None),
        };
        let limit = words::limit(objective.comparison, &words::value(Unit::Duration, objective.value));
        let said = match (settled.word, self.seen.back, value) {
            (Word::Inconclusive, ..) => self.said(),
            // Whatever comes of it, it is too late already.
            (_, Return::TooShort, Some(v)) => {
                let (metric, name) = (&objective.metric, &self.seen.judged.name);
                format!(
                    "The {metric} of {name} has lasted for at least {} already{}; {limit}",
                    Quantity::time(v.micros()),
                    words::hit(&self.seen.judged)
                )
            }
            _ => format!("{}; for the {} {limit}", self.said(), objective.metric),
        };
        let but = settled.because.map_or(String::new(), |why| format!(", but {why}"));
        let measured = match away {
            Some(away) => measured(&away),
            None => Measured { value, n: 1, answer: answer(objective, &self.seen), ..Measured::default() },
        };
        let who = Some(self.seen.judged.name.clone());
        Ruling::new(settled.word, who, format!("{said}{but}.")).measured(measured)
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

    /// During the trigger and after it, and the former alone: of a repeat its own.
    fn cells(&self) -> (Cells, Cells) {
        let (during, after) = self.view.frame().spans(self.trigger, self.seen.back);
        let (name, cell) = (|| self.trigger.trigger.clone(), self.view.timeline.outline().cell);
        let during: Cells = phases::cells(&PhaseName::During(name()), &during, cell).collect();
        let after = after.map(|span| phases::cells(&PhaseName::After(name()), &span, cell));
        let after: Cells = after.into_iter().flatten().collect();
        (&during | &after, during)
    }

    /// The word for a question about the aftermath. Where the baseline is no normal, nothing rests on it; where a
    /// measure moved within it, only the others can break.
    fn settled(&self, ask: impl Fn(&Aftermath) -> Answer, has_more_load: impl Fn() -> bool) -> Settled {
        let invalid = |why: String| Settled { word: Word::Invalid, because: Some(why), needed: None };
        let unknown = |why: &String| invalid(format!("what is normal is not known: {why}"));
        if let Some(broken) = &self.series.band.broken {
            return invalid(broken.clone());
        }
        let shape = self.series.shape;
        let (cells, during) = self.cells();
        let delivered = self.view.delivered_about(&[shape].into(), &self.trigger.trigger, (&during, &cells));
        let with = |measures: Measures, of: &dyn Fn(&View, &Series) -> Option<Series>| {
            let again = |view: &View| match view.series.get(shape) {
                Some(series) => {
                    let other = of(view, series);
                    let series = std::slice::from_ref(other.as_ref().unwrap_or(series));
                    ask(&recovery::against(view, series, self.trigger, measures))
                }
                None => Answer::Unknown(None),
            };
            let settled = settle(self.view, delivered, || self.view.blame(&cells), again);
            let left_out = || {
                self.view.timeline.forgone().next()?;
                let missing = Missing::of(self.view.timeline, Placing::Failed, &Cells::new());
                let intended = |view: &View| view.shape_tally(shape, &cells).intended;
                let worst = self.view.bands_at_worst(missing);
                whose::left_out(self.view, &worst, &self.series.band.shape, intended, again)
            };
            match (settled.word == Word::Pass).then(left_out).flatten() {
                Some(why) => Settled { word: Word::Inconclusive, because: Some(why), needed: None },
                None => settled,
            }
        };
        let unsteady = self.series.band.unsteady.as_ref();
        let measures = if unsteady.is_some() { Measures::Steady } else { Measures::All };
        let settled = with(measures, &|_, _| None);
        let fails = settled.word == Word::Fail;
        if fails && has_more_load() {
            return invalid(MORE_LOAD.to_owned());
        }
        let holds = |of: &dyn Fn(&View, &Series) -> Option<Series>| with(measures, of).word != Word::Fail;
        // What fails is worse than its baseline was, not only than a calm one; and than that became by itself.
        let restless = self.series.restless.as_ref().filter(|_| fails && holds(&|_, s| s.as_before()));
        let clear = self.seen.judged.t_clear.filter(|_| fails && restless.is_none());
        let after = clear.map(|clear| clear..self.watched());
        let grown = after.clone().and_then(|after| Grown::of(self.view, self.series, after));
        let grown = grown.filter(|grown| holds(&|view, s| Some(grown.levelled(view, s))));
        let beside = after.filter(|_| grown.is_none() && holds(&|_, s| Some(s.without_latency())));
        let beside = beside.and_then(|after| grown::beside(self.view, self.series, after));
        match (unsteady, restless, grown) {
            (Some(moved), ..) if !fails => unknown(moved),
            (_, Some(restless), _) => unknown(&restless.why),
            (.., Some(grown)) => unknown(&grown.why(&self.series.band.shape)),
            _ if let Some(beside) = &beside => unknown(beside),
            _ if settled.word == Word::Pass => self.too_wide().unwrap_or(settled),
            _ => settled,
        }
    }

    /// More load was planned than in the baseline until it was back, or before it was told that it was not in time; and it was not
    /// dead ever since.
    fn has_more_load(&self, objective: &Objective) -> bool {
        let judged = &self.seen.judged;
        let (Some(clear), timeline) = (judged.t_clear, self.view.timeline) else { return false };
        // Flows in flight are held against the load that was planned.
        let felt = |what: &String| what == "goodput" || what == "latency";
        let is_felt = |s: &ShapeTrigger| {
            s.quietly.is_none() && (s.still_out.is_empty() || s.still_out.iter().any(felt))
        };
        let until = judged.recovered.unwrap_or_else(|| self.watched());
        if until <= clear || !judged.shapes.iter().all(is_felt) {
            return false;
        }
        let all = total(self.series.within(timeline, &(clear..until)).iter().map(|w| (w.good, w.intended)));
        let since = judged.t_effective.filter(|_| objective.metric == Metric::Outage).unwrap_or(clear);
        let until = until.min(self.told(clear.max(since + Micros(objective.value as i64))));
        let load = Load::of(self.view, self.series.shape);
        load.is_usual_until(clear..until) < until && part(all) > DEAD
    }

    /// When it is known of what was not back in time: as windows in a row are out that no stretch leaves room for.
    fn told(&self, due: Micros) -> Micros {
        let (timeline, stretch) = (self.view.timeline, &self.series.stretch);
        let late = due + timeline.outline().judge.stretch;
        let windows = self.series.within(timeline, &(due..late));
        let is_out = |w: &&Window| self.series.out(w, Measures::All);
        let row = windows.windows(stretch.row + 1).find(|row| row.iter().all(is_out));
        row.and_then(|row| row.last()).map_or(late, |w| timeline.cell_start(w.to))
    }

    /// One of its operations breaks the limit by itself, which the band does not see.
    fn away(&self, objective: &Objective) -> Option<(Settled, Away)> {
        let shape = self.series.shape;
        let outline = &self.view.timeline.outline().shapes[shape];
        if objective.comparison.holds(f64::INFINITY, objective.value) || outline.trigger {
            return None;
        }
        let back = self.seen.judged.shapes.iter().find(|s| s.shape == outline.name).and_then(|s| s.recovered);
        let since = back.or(self.seen.judged.t_clear)?;
        let of = |view: &View| Gone { view, trigger: self.trigger, shape }.away(objective, since);
        let away = of(self.view)?;
        // Who was watched for less than the limit may yet come back in time.
        let (until, clear) = (self.watched(), self.seen.judged.t_clear?);
        let is_short = !self.view.timeline.was_all(until) && ((until - clear).0 as f64) < objective.value;
        let is_early = away.lasted.is_none() && is_short;
        let breaks = if is_early { Answer::Unknown(None) } else { Answer::Breaks };
        let answer = |view: &View| if of(view).is_some() { breaks } else { Answer::Holds };
        let settled = settle(self.view, None, || self.view.blame(&self.cells().0), answer);
        let because =
            settled.because.map_or(away.why.clone(), |squall| format!("{}, and {squall}", away.why));
        let settled = match away.as_planned {
            true => Settled { because: Some(because), ..settled },
            false => {
                let because = Some(format!("{because}; {MORE_LOAD}"));
                Settled { word: Word::Invalid, because, needed: None }
            }
        };
        Some((settled, away))
    }

    /// That it came back proves nothing where it could be many times as slow and within its band.
    fn too_wide(&self) -> Option<Settled> {
        let times =
            self.series.too_wide(self.view.timeline.outline()).filter(|_| !self.series.is_seldom())?;
        let because = format!(
            "what its operations take varies so much by itself that less than {} times as long is not told: more \
             arrivals, or a longer `baseline`, tell more",
            three_digits(times)
        );
        Some(Settled { word: Word::Inconclusive, because: Some(because), needed: None })
    }
}
