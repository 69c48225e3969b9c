//! What did not come back where a stretch in band says otherwise: a service that relapsed or goes down again and again, and
//! operations that are asked too seldom to be seen in the band of their shape, or of a shape that has none.
//!
//! Owns which; what it makes of a return is for `recovery` and `returns`.

use std::ops::Range;

use super::baseline::Window;
use super::chance::{Share, part, total};
use super::judgement::Hit;
use super::load::Load;
use super::pace::By;
use super::recovery::{RELAPSE, relapses};
use super::series::{Measures, Series};
use super::stretch::Seen;
use super::view::View;
use crate::objective::{Metric, Objective};
use crate::sample::{Kind, OpId};
use crate::stats;
use crate::timeline::phases;
use crate::timeline::trigger::Trigger;
use crate::timeline::{Cells, Tally};
use crate::units::{Micros, clock, grouped};

/// What goes no later after a trigger, or than so many times as long as it was in force, may be its doing (X in VERDICTS.md 3).
const SOON: Micros = Micros::secs(120);
const SOON_TIMES: i64 = 10;
/// Fewer times are not again and again.
const AGAIN: usize = 3;

/// A job that comes now and then makes nothing so many times as slow.
const MUCH_SLOWER: f64 = 3.0;

/// Fewer that failed are no proof, nor is a share that is less.
const LEAST: u64 = 3;
const MOST: f64 = 0.5;
/// Fewer operations in the baseline tell nothing of what is usual.
const KNOWN: u64 = 5;

/// After a trigger, with what was planned.
pub(super) struct Gone<'v, 'a> {
    pub(super) view: &'v View<'a>,
    pub(super) trigger: &'v Trigger,
    /// Index into the shapes.
    pub(super) shape: usize,
}

/// An operation that was away for too long, in words; and for how long, if it came back.
pub(super) struct Away {
    pub(super) why: String,
    pub(super) lasted: Option<Micros>,
    /// While the load was as in the baseline.
    pub(super) as_planned: bool,
}

impl Gone<'_, '_> {
    /// The first operation that was well before the first trigger and breaks the limit by itself. `since` is when its shape
    /// was well again.
    pub(super) fn away(&self, objective: &Objective, since: Micros) -> Option<Away> {
        let timeline = self.view.timeline;
        let until = self.until();
        if self.view.frame().outlasting(self.trigger).is_some() {
            return None;
        }
        let mut steps = timeline.steps_of(self.shape);
        steps.find_map(|(op, o)| {
            let lost = self.lost((op, &o.name), since..until);
            lost.or_else(|| self.late(objective, (op, &o.name), until))
        })
    }

    /// What is near to the next trigger may be that one's doing.
    fn until(&self) -> Micros {
        let timeline = self.view.timeline;
        let name = &timeline.outline().shapes[self.shape].name;
        let horizon = self.view.frame().horizon(self.trigger).at();
        let deadline =
            if horizon < timeline.load_end() { timeline.outline().deadline_of(name) } else { Micros::ZERO };
        self.view.watched(name, self.trigger).min(horizon - deadline)
    }

    /// Most of it fails until the end of what was watched, and in its last stretch, too.
    fn lost(&self, (op, name): (OpId, &str), span: Range<Micros>) -> Option<Away> {
        let timeline = self.view.timeline;
        let stretch = timeline.outline().judge.stretch;
        if span.end - span.start < stretch {
            return None;
        }
        let all = self.cells(span.clone());
        let asked = all.iter().rev().find(|cell| timeline.intended(op, **cell) > 0)?;
        let since = (timeline.cell_start(asked + 1) - stretch).max(span.start);
        let last = self.cells(since..span.end);
        let fails = |(bad, n): Share| part((bad, n)) > MOST;
        // To look at all of them takes long.
        let has_failed = last.iter().any(|cell| timeline.has_failed(op, *cell));
        if !has_failed || !fails(own(&self.view.tally(op, &last))) {
            return None;
        }
        let (bad, n) = own(&self.view.tally(op, &all));
        let usual = self.usual(op)?;
        let is = |(bad, n): Share| bad >= LEAST && fails((bad, n)) && stats::exceeds_sample((bad, n), usual);
        if !is((bad, n)) {
            return None;
        }
        // What failed before more load came does not come of that.
        let before = self.cells(span.start..Load::of(self.view, self.shape).is_usual_until(span.clone()));
        let as_planned = before.len() == all.len() || is(own(&self.view.tally(op, &before)));
        let (n, since, bad) = (grouped(n), clock(span.start), grouped(bad));
        let why = format!("{name} did not come back: of {n} from {since} on {bad} failed");
        Some(Away { why, lasted: None, as_planned })
    }

    /// Most of it failed for longer than may be, from before it had been well for a stretch: until when most of it did more
    /// than at any other time.
    fn late(&self, objective: &Objective, (op, name): (OpId, &str), until: Micros) -> Option<Away> {
        let timeline = self.view.timeline;
        let (effective, clear) = self.trigger.t_effective.zip(self.trigger.t_clear)?;
        let begins_by = timeline.cell_of(clear + timeline.outline().judge.stretch);
        let cells = timeline.cell_of(clear)..timeline.cell_of(until.min(soon((effective, clear))));
        let (mut now, mut worst) = ((0, 0, cells.start), (0, 0, cells.start));
        let mut failed = Vec::new();
        let more = |(bad, n, _): (u64, u64, u32)| 2 * bad as i64 - n as i64;
        for cell in cells {
            let (bad, n) = match timeline.has_failed(op, cell) {
                true => own(&self.view.tally(op, &[cell].into())),
                false => (0, timeline.intended(op, cell)),
            };
            failed.extend(Some(cell).filter(|_| bad > 0));
            let anew = more(now) <= 0 && cell <= begins_by;
            now = if anew { (bad, n, cell + 1) } else { (now.0 + bad, now.1 + n, cell + 1) };
            worst = if more(now) > more(worst) { now } else { worst };
        }
        let (bad, n, last) = worst;
        // What fails together once is one thing that happened.
        let (first, again) = (*failed.first()?, failed.iter().rev().find(|cell| **cell < last)?);
        let last = timeline.cell_start(last);
        let lasted = last - if objective.metric == Metric::Outage { effective } else { clear };
        let since = timeline.cell_start(first) - clear;
        let is = bad >= LEAST
            && *again > first + 1
            && objective.comparison.holds(since.0 as f64, objective.value)
            && !objective.comparison.holds(lasted.0 as f64, objective.value)
            && stats::exceeds_sample((bad, n), self.usual(op)?);
        is.then(|| {
            let why = format!("of {} {name} until {} {} failed", grouped(n), clock(last), grouped(bad));
            Away {
                why,
                lasted: Some(lasted),
                as_planned: Load::of(self.view, self.shape).is_usual(clear..last),
            }
        })
    }

    /// The operation that lost most of its own while its shape as a whole lost less: of all windows whose goodput was out, from
    /// the first of them to the last, or of those after the trigger.
    pub(super) fn hit(&self, series: &Series, windows: &[Seen], clear: Micros) -> Option<Hit> {
        let start = |w: &Window| self.view.timeline.cell_start(w.from);
        let since = |from: Micros| {
            let some = &windows[windows.partition_point(|(w, _)| start(w) < from)..];
            let lost = |(w, _): &Seen| series.goodput_out(w);
            let (first, last) = some.iter().position(lost).zip(some.iter().rposition(lost))?;
            self.hit_within(&some[first..=last])
        };
        since(Micros::ZERO).or_else(|| since(clear))
    }

    fn hit_within(&self, windows: &[Seen]) -> Option<Hit> {
        let timeline = self.view.timeline;
        if part(total(windows.iter().map(|(w, _)| (w.bad(), w.intended)))) > MOST {
            return None;
        }
        let span = span(self.view, windows);
        let cells = timeline.cell_of(span.start)..timeline.cell_of(span.end);
        let steps = timeline.steps_of(self.shape).filter_map(|(op, o)| {
            let (failed, fine): (Vec<u32>, Vec<u32>) =
                cells.clone().partition(|cell| timeline.has_failed(op, *cell));
            let (bad, n) = own(&self.view.tally(op, &failed.into_iter().collect()));
            let n = n + fine.iter().map(|cell| timeline.intended(op, *cell)).sum::<u64>();
            let is = bad >= LEAST && part((bad, n)) > MOST && self.usual(op).is_some();
            is.then(|| Hit { operation: o.name.clone(), bad, n, from: span.start, to: span.end })
        });
        steps.max_by(|a, b| part((a.bad, a.n)).total_cmp(&part((b.bad, b.n))))
    }

    /// How it fared before the first trigger, if it was well.
    fn usual(&self, op: OpId) -> Option<Share> {
        let tally = self.view.tally(op, &phases::baseline(self.view.timeline, &self.view.triggers));
        let well = tally.good_share()? >= self.view.timeline.outline().judge.goodput;
        (well && tally.intended >= KNOWN).then(|| own(&tally))
    }

    fn cells(&self, span: Range<Micros>) -> Cells {
        let timeline = self.view.timeline;
        (timeline.cell_of(span.start)..timeline.cell_of(span.end)).collect()
    }
}

/// Those that failed, of those that were reached.
fn own(tally: &Tally) -> Share {
    let unreached = tally.of_kind(Kind::Unreached).min(tally.bad());
    (tally.bad() - unreached, tally.intended - unreached)
}

/// After it was well for a stretch that began at `last`, and for no later one, it relapsed; or since the first, `back`, it was out
/// again and again. Unless that began much later, or comes with more load.
pub(super) fn is_gone_again(
    view: &View,
    series: &Series,
    (windows, back, last): (&[Seen], usize, usize),
    times: (Micros, Micros),
) -> bool {
    let load = Load::of(view, series.shape);
    has_relapsed(series, (&load, view), (windows, last), times) || {
        let whole = span(view, &windows[back..]);
        let until = load.is_usual_until(whole.start..whole.end.min(soon(times))).max(whole.start);
        goes_again_and_again(view, series, &windows[back..][..ended(view, &windows[back..], until)])
    }
}

/// For as long as a stretch takes, and as it had been well since the trigger.
fn has_relapsed(
    series: &Series,
    (load, view): (&Load, &View),
    (windows, from): (&[Seen], usize),
    times: (Micros, Micros),
) -> bool {
    let begins = |i: &usize| view.timeline.cell_start(windows[*i].0.from);
    relapses(windows, from, RELAPSE).take_while(|i| begins(i) <= soon(times)).any(|i| {
        let whole = span(view, &windows[i..]);
        let well = whole.start - times.1;
        // More of it would prove no more.
        let enough = whole.start + well.max(series.stretch.lasts) + series.band.window;
        let end = load.is_usual_until(whole.start..whole.end.min(enough));
        ended(view, &windows[i..], end) >= series.stretch.windows && end - whole.start >= well
    })
}

/// From the start of the first to the end of the last; of none, nothing.
fn span(view: &View, some: &[Seen]) -> Range<Micros> {
    let at = |cell: Option<u32>| cell.map_or(Micros::ZERO, |cell| view.timeline.cell_start(cell));
    at(some.first().map(|(w, _)| w.from))..at(some.last().map(|(w, _)| w.to))
}

/// How many of these windows ended by then.
fn ended(view: &View, some: &[Seen], by: Micros) -> usize {
    some.partition_point(|(w, _)| view.timeline.cell_start(w.to) <= by)
}

/// Until when a trigger may be what something comes of.
fn soon((effective, clear): (Micros, Micros)) -> Micros {
    clear + SOON.max((clear - effective) * SOON_TIMES)
}

/// More of its operations failed, or came while it was slow for as long as a relapse is, than may fail of a baseline, and it was
/// out oftener. What is some times as slow may be a job that the baseline was too short for: unless it was never again well for as
/// long as it had been before.
fn goes_again_and_again(view: &View, series: &Series, since: &[Seen]) -> bool {
    if since.len() < series.stretch.windows || !times_out(since) {
        return false;
    }
    let usual = series.band.latency.map_or(f64::MAX, |band| band.median);
    let is_slow = |w: &Window, times: f64| {
        series.strayed(w, Measures::All)[1] && w.pace(By::Average).is_beyond(usual * times)
    };
    let harms = |times: f64| {
        let harmed = since.chunk_by(|a, b| a.1 == b.1).flat_map(|run| {
            let lasts = run[0].1 && run.len() >= RELAPSE;
            run.iter().map(move |(w, _)| {
                (if lasts && is_slow(w, times) { w.intended } else { w.bad() }, w.intended)
            })
        });
        part(total(harmed)) > 1.0 - view.timeline.outline().judge.goodput
    };
    let out = |some: &[Seen]| some.iter().filter(|(_, out)| *out).count() as u64;
    let before = series.within(view.timeline, &view.frame().baseline());
    let before: Vec<Seen> = before.into_iter().map(|w| (w, series.out(w, Measures::All))).collect();
    let well = |some: &[Seen]| {
        let runs = some.chunk_by(|a, b| a.1 == b.1).filter(|run| !run[0].1);
        runs.map(|run| span(view, run)).map(|run| run.end - run.start).max().unwrap_or_default()
    };
    let between = since.iter().position(|(_, out)| *out).zip(since.iter().rposition(|(_, out)| *out));
    let between = between.map_or(Micros::ZERO, |(first, last)| well(&since[first..=last]));
    stats::exceeds_sample((out(since), since.len() as u64), (out(&before), before.len() as u64))
        && (harms(MUCH_SLOWER) || harms(0.0) && between < well(&before))
}

/// It was out three times and more, or twice for as long as a relapse is.
fn times_out(since: &[Seen]) -> bool {
    let runs = || since.chunk_by(|a, b| a.1 == b.1).filter(|run| run[0].1);
    runs().count() >= AGAIN || runs().filter(|run| run.len() >= RELAPSE).count() > 1
}

/// It was out again and again, and lost more of its goodput than the band leaves.
pub(super) fn is_out_again_and_again(series: &Series, since: &[Seen]) -> bool {
    times_out(since) && series.loses(&since.iter().map(|(w, _)| *w).collect::<Vec<&Window>>())
}
