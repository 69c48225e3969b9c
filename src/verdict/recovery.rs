//! Recovered: how long each trigger put each shape out of its band, and when it came back
//! (VERDICTS.md 3, SEMANTICS.md "Phases").
//!
//! Owns the rule; it does not decide whether a time is acceptable.

use super::baseline::Window;
use super::gone;
use super::judgement::{JudgedTrigger, ShapeTrigger};
use super::pace::By;
use super::series::{Measures, Series};
use super::view::View;
use super::words;
use crate::stats;
use crate::timeline::Timeline;
use crate::timeline::phases::Return;
use crate::timeline::trigger::Trigger;
use crate::units::Micros;

/// So many windows in a row out of band are a relapse.
pub(super) const RELAPSE: usize = 3;

/// A trigger and all that was seen after it.
#[derive(Clone, Debug)]
pub(super) struct Aftermath {
    pub(super) judged: JudgedTrigger,
    pub(super) back: Return,
    /// It was watched until the planned end of the load, and for so long after it was over.
    pub(super) watched: (bool, Micros),
    /// Shapes with a band, but without load after the trigger: they cannot tell of a return.
    pub(super) left_out: Vec<String>,
}

/// The times between which windows are looked at.
#[derive(Clone, Copy)]
struct Watch {
    effective: Micros,
    clear: Micros,
    /// The next trigger, or the end of the load.
    until: Micros,
    /// It is the end of the load.
    last: bool,
    /// Another trigger that began no later is still in force.
    outlasted: bool,
}

impl Watch {
    /// From here on an operation with this deadline may have been harmed by another trigger.
    fn doubtful(&self, deadline: Micros) -> Micros {
        match (self.outlasted, self.last) {
            (true, _) => self.clear,
            (_, true) => self.until,
            _ => self.until - deadline,
        }
    }
}

/// What a trigger did.
pub(super) fn aftermath(view: &View, series: &[Series], trigger: &Trigger) -> Aftermath {
    against(view, series, trigger, Measures::All)
}

/// The same, with windows held against some measures only.
pub(super) fn against(view: &View, series: &[Series], trigger: &Trigger, measures: Measures) -> Aftermath {
    let timeline = view.timeline;
    let until = view.frame().horizon(trigger).at();
    let last = until >= timeline.load_end();
    let beside = view.frame().outlasting(trigger);
    let outlasted = beside.is_some();
    let times = trigger.t_effective.zip(trigger.t_clear);
    let watch = times.map(|(effective, clear)| Watch { effective, clear, until, last, outlasted });
    let banded = series.iter().filter(|s| s.band.none.is_none());
    let has_load_after = |s: &&Series, w: Watch| {
        timeline.load_planned_until(&s.band.shape).is_none_or(|until| until > w.clear)
    };
    let (lasting, ended): (Vec<&Series>, Vec<&Series>) =
        banded.partition(|s| watch.is_none_or(|w| has_load_after(s, w)));
    let seen: Vec<(ShapeTrigger, Return)> = match watch {
        Some(watch) => lasting.iter().map(|s| of_shape(view, s, trigger, watch, measures)).collect(),
        None => Vec::new(),
    };
    let back = all_back(seen.iter().map(|(_, back)| *back));
    // Of a shape whose load ends before nothing is seen to the end.
    let of_it = lasting.iter().zip(&seen).filter(|(_, (_, one))| *one == back);
    let until = of_it.map(|(s, _)| view.watched(&s.band.shape, trigger)).max().unwrap_or(until);
    let shapes = seen.into_iter().map(|(s, _)| s).collect();
    let left_out: Vec<String> = ended.iter().map(|s| s.band.shape.clone()).collect();
    let to_the_end = timeline.was_all(until);
    let watched = (to_the_end, until - trigger.t_clear.unwrap_or(until));
    let mut judged = judged(trigger, back, shapes);
    let beside = beside.map(|other| other.name.as_str());
    judged.sentence = words::aftermath(&judged, back, until, &left_out, beside);
    Aftermath { judged, back, watched, left_out }
}

/// All shapes are back when the last one is; one that never was outweighs one that was not seen to be.
fn all_back(each: impl Iterator<Item = Return>) -> Return {
    let worse = |a, b| match (a, b) {
        (Return::Never, _) | (_, Return::Never) => Return::Never,
        (Return::At(a), Return::At(b)) => Return::At(a.max(b)),
        _ => Return::TooShort,
    };
    each.reduce(worse).unwrap_or(Return::Unknown)
}

/// Without its sentence.
fn judged(trigger: &Trigger, back: Return, shapes: Vec<ShapeTrigger>) -> JudgedTrigger {
    let worst = |of: fn(&ShapeTrigger) -> Option<Micros>| {
        shapes.iter().map(of).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
    };
    // Of some no load that lasts longer would tell.
    let is_hidden = shapes.iter().any(|s| s.recovered.is_none() && s.needed.is_none());
    JudgedTrigger {
        name: trigger.name.clone(),
        trigger: trigger.trigger.clone(),
        shape: trigger.shape,
        one_shot: trigger.one_shot,
        t_inject: trigger.t_inject,
        t_effective: trigger.t_effective,
        t_clear: trigger.t_clear,
        recovered: if let Return::At(r) = back { Some(r) } else { None },
        outage: worst(|s| s.outage),
        recovery: worst(|s| s.recovery),
        margin: shapes.iter().map(|s| s.window).max().unwrap_or(Micros::ZERO),
        needed: shapes.iter().filter_map(|s| s.needed).max().filter(|_| !is_hidden),
        shapes,
        doubt: None,
        sentence: String::new(),
    }
}

/// The result for one shape. That it never came back needs evidence: what was seen must not end with what could
/// be the beginning of a recovery.
fn of_shape(
    view: &View,
    series: &Series,
    trigger: &Trigger,
    watch: Watch,
    measures: Measures,
) -> (ShapeTrigger, Return) {
    let timeline = view.timeline;
    let start = |w: &Window| timeline.cell_start(w.from);
    let end = |w: &Window| timeline.cell_start(w.to);
    // What is out beside another trigger, or so near to the next, may be that one's doing: from there on nothing is
    // known.
    let mut windows: Vec<(&Window, bool)> = known(timeline, series, watch, measures).collect();
    let doubtful_from = watch.doubtful(timeline.outline().deadline_of(&series.band.shape));
    let doubtful =
        windows.iter().position(|(w, out)| *out && end(w) > doubtful_from && start(w) >= watch.clear);
    let loaded =
        timeline.load_planned_until(&series.band.shape).map_or(watch.until, |end| end.min(watch.until));
    let known_until = doubtful.map_or(loaded, |i| start(windows[i].0));
    windows.truncate(doubtful.unwrap_or(windows.len()));
    let after = windows.partition_point(|(w, _)| start(w) < watch.clear);
    let stretch = &series.stretch;
    let together = |some: &[(&Window, bool)]| series.stray_together(some, measures).contains(&true);
    let could_be = |some: &[(&Window, bool)]| stretch.could_be(some) && !together(some);
    let whole = |i: usize| stretch.of(timeline, &windows[i..], known_until);
    let mut well = (after..windows.len()).filter(|&i| whole(i).is_some_and(could_be));
    // A tail that is too short for a stretch, and could have become one.
    let begins = (after..windows.len()).find(|&i| whole(i).is_none() && could_be(&windows[i..]));
    let (first, last) = (well.next(), well.next_back());
    // What comes back as the load ends may do so for good, and may not.
    let seen = &windows[..begins.unwrap_or(windows.len())];
    let times = (watch.effective, watch.clear);
    let gone = |i: usize| gone::is_gone_again(view, series, (seen, i, last.unwrap_or(i)), times);
    let found = first.filter(|i| !gone(*i));
    let r = found.map(|i| start(windows[i].0));
    let until_back = found.unwrap_or(windows.len());
    // Each in band, and together they were not: all that time until it was back.
    let dragged =
        (after..until_back).find(|&i| whole(i).is_some_and(|some| stretch.could_be(some) && together(some)));
    let seen_until = || windows.last().map_or(watch.clear, |(w, _)| end(w));
    let back_at = || r.or(begins.map(|i| start(windows[i].0))).unwrap_or_else(seen_until);
    let dragged = dragged.map(|i| (start(windows[i].0), back_at()));
    let significant = significant(series, &windows, until_back).into_iter().map(|w| (start(w), end(w)));
    let (outage, recovery) = lasted(&significant.chain(dragged).collect::<Vec<_>>(), watch);
    let during_end = match r {
        Some(r) if trigger.one_shot => r.max(watch.effective + trigger.settle),
        None if trigger.one_shot => watch.until,
        _ => watch.clear,
    };
    // What squall spoilt to the end of what was watched may have been a recovery.
    let last = series.windows.iter().rfind(|w| start(w) >= watch.clear && end(w) <= watch.until);
    let ends_unknown = last.is_some_and(|w| w.unknown);
    let split = windows.partition_point(|(w, _)| start(w) < during_end);
    // What is lost after it was back is none of its harm.
    let harmed = &windows[..until_back.max(after)];
    let afterwards = &harmed[split.min(harmed.len())..];
    let (left, slowest) = (strayed(series, harmed, measures), slowest(view, series, harmed, measures));
    let back = match (r, begins) {
        (Some(r), _) => Return::At(r),
        (None, None) if windows.len() > after && !ends_unknown => Return::Never,
        (None, _) => Return::TooShort,
    };
    // A stretch that begins where this one may have, or at the end of what was seen.
    let needed = match begins {
        Some(i) => stretch.told(timeline, &windows[i..], series.band.window),
        None => watch.until.max(watch.clear) + stretch.lasts,
    };
    // Another trigger must not come before all of it had its deadline.
    let needed = needed + doubtful.map_or(Micros::ZERO, |_| watch.until - doubtful_from);
    let judged = ShapeTrigger {
        shape: series.band.shape.clone(),
        recovered: r,
        outage: r.map(|_| outage),
        recovery: r.map(|_| recovery),
        outage_so_far: outage,
        recovery_so_far: recovery,
        unseen: found.and_then(|i| unseen(timeline, series, (&windows, i), watch.effective)),
        well_for: longest_well(timeline, &windows[after..]).filter(|_| r.is_none()),
        needed: (back == Return::TooShort && !(watch.outlasted && doubtful.is_some())).then_some(needed),
        window: series.band.window,
        quantile: slowest.quantile,
        operation: slowest.operation,
        usually: slowest.usually,
        depth_during: depth(series, &windows[..split]),
        depth_after: depth(series, afterwards),
        deepest: depth_of(series, harmed, 1),
        slowest: slowest.took,
        in_a_row: slowest.in_a_row,
        briefly: outage == Micros::ZERO && briefly(timeline, series, &windows, watch),
        lossy: left.contains(&NAMES[0]),
        hit: gone::Gone { view, trigger, shape: series.shape }.hit(series, harmed, watch.clear),
        quietly: (!left.is_empty() && !left.iter().any(is_felt)).then(|| left.join(" and ")),
        still_out: if back == Return::Never { still_out(series, &windows, measures) } else { Vec::new() },
        area_during: area(series, &windows[..split]),
        area_after: area(series, afterwards),
        time_to_detect: windows.windows(2).find(|p| p[0].1 && p[1].1).map(|p| end(p[1].0) - watch.effective),
        flapping: found.map(|i| flapping(timeline, series, &windows[i..])).unwrap_or_default(),
    };
    (judged, back)
}

/// Windows were out while the trigger was in force.
fn briefly(timeline: &Timeline, series: &Series, windows: &[(&Window, bool)], watch: Watch) -> bool {
    let over = watch.clear.max(watch.effective + series.band.window);
    windows.iter().any(|(w, out)| *out && !w.unknown && timeline.cell_start(w.from) < over)
}

/// How long the service was out of its band, from the beginning to the end of these times; and how long after the trigger.
fn lasted(out: &[(Micros, Micros)], watch: Watch) -> (Micros, Micros) {
    let first = out.iter().map(|(from, _)| *from).min();
    let last = out.iter().map(|(_, to)| *to).max();
    let later = out.iter().filter(|(from, _)| *from >= watch.clear).map(|(_, to)| *to).max();
    (
        first.zip(last).map_or(Micros::ZERO, |(from, to)| to - from.max(watch.effective)),
        later.map_or(Micros::ZERO, |to| to - watch.clear),
    )
}

/// The windows that end after the trigger began, until the end of what is watched, and whether each was out of band. What squall
/// slept through after one in band may be more of the same; after one that was out it is passed over.
fn known<'s>(
    timeline: &Timeline,
    series: &'s Series,
    watch: Watch,
    measures: Measures,
) -> impl Iterator<Item = (&'s Window, bool)> + use<'s> {
    let upto = |at: Micros| series.windows.partition_point(|w| timeline.cell_start(w.to) <= at);
    let (before, within) =
        series.windows[..upto(watch.until)].split_at(upto(watch.effective.min(watch.until)));
    let before = before.iter().rfind(|w| !w.unknown);
    let mut was_out = before.is_none_or(|w| series.out(w, measures));
    within.iter().filter_map(move |window| {
        if !window.unknown {
            was_out = series.out(window, measures);
        }
        (!window.unknown || !was_out).then_some((window, was_out))
    })
}

/// From the end of what was last out of band before it was back to the start of what was seen next: if users of a closed
/// loop asked nothing for longer than in any such time before the first trigger.
fn unseen(
    timeline: &Timeline,
    series: &Series,
    (windows, back): (&[(&Window, bool)], usize),
    effective: Micros,
) -> Option<(Micros, Micros)> {
    let closed = timeline.outline().shapes[series.shape].closed;
    let (start, end) = (|w: &Window| timeline.cell_start(w.from), |w: &Window| timeline.cell_start(w.to));
    let from = windows[..back].iter().rfind(|(_, out)| *out).map(|(w, _)| end(w)).filter(|_| closed)?;
    let to = series.windows.iter().map(start).find(|start| *start >= from)?;
    // What another fault silenced is none of its own pauses.
    let first = timeline.outline().first_trigger().map_or(effective, |first| first.min(effective));
    let before: Vec<&Window> = series.windows.iter().filter(|w| end(w) <= first).collect();
    let longest = before.windows(2).map(|two| start(two[1]) - end(two[0])).max().unwrap_or_default();
    (to - from > longest.max(series.band.window)).then_some((from, to))
}

/// The longest time in which two windows or more in a row were in band.
fn longest_well(timeline: &Timeline, windows: &[(&Window, bool)]) -> Option<Micros> {
    let runs = windows.split(|(_, out)| *out).filter(|run| run.len() > 1);
    let lengths = runs.filter_map(|run| {
        run.first().zip(run.last()).map(|(a, b)| timeline.cell_start(b.0.to) - timeline.cell_start(a.0.from))
    });
    lengths.max()
}

/// The worst latency of windows of which it left its band.
#[derive(Default)]
struct Slowest {
    took: Option<Micros>,
    /// Of all operations together.
    quantile: Option<f64>,
    /// Or whose mean it is, and what that usually is.
    operation: Option<String>,
    usually: Option<Micros>,
    /// It is within the limit of a window.
    in_a_row: bool,
}

/// A quantile is told before an average: people know it.
fn slowest(view: &View, series: &Series, windows: &[(&Window, bool)], measures: Measures) -> Slowest {
    let worst = [By::Tail, By::Average].into_iter().find_map(|by| {
        let slow = windows.iter().filter(|(w, _)| !w.unknown && series.is_slow(w, by, measures));
        let answered = slow.filter_map(|(w, _)| Some((answered_in(view, series, w, by)?, *w)));
        let (took, window) = answered.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let limit = series.band.latency_by(by)?.limit;
        let in_a_row = window.pace(by).latency.is_some_and(|latency| latency < limit);
        match series.band.tail.filter(|_| by == By::Tail) {
            Some(tail) => {
                let (took, quantile) = (Some(Micros(took as i64)), Some(tail.quantile));
                Some(Slowest { took, quantile, in_a_row, ..Slowest::default() })
            }
            None => slowest_of(view, series, window).map(|slowest| Slowest { in_a_row, ..slowest }),
        }
    });
    worst.unwrap_or_default()
}

/// The mean of the operation that took longest by what is usual of it.
fn slowest_of(view: &View, series: &Series, window: &Window) -> Option<Slowest> {
    let cells = (window.from..window.to).collect();
    let each = series.band.each.iter().filter_map(|one| {
        let now = view.tally(one.op, &cells).successes.mean()?;
        let times = (now.0 as f64 - one.leeway) / one.mean.0.max(1) as f64;
        Some((times, now, one))
    });
    let (_, now, one) = each.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (operation, usually) = (Some(one.operation.clone()), Some(one.mean));
    Some(Slowest { took: Some(now), operation, usually, ..Slowest::default() })
}

/// How long those took that succeeded, if that is out of band too: what fails stands at its deadline, and nobody need have
/// waited for it.
fn answered_in(view: &View, series: &Series, window: &Window, by: By) -> Option<f64> {
    let band = &series.band;
    let Some(tail) = band.tail.filter(|_| by == By::Tail && window.bad() > 0) else {
        return window.pace(by).latency;
    };
    let tally = view.shape_tally(series.shape, &(window.from..window.to).collect());
    let took = tally.successes.quantile(tail.quantile)?.0 as f64;
    (took > tail.band.limit).then_some(took)
}

/// Measures as people call them.
const NAMES: [&str; 4] = ["goodput", "latency", "the number of flows in flight", "amplification"];

/// What left its band in one of these windows, for people, goodput first.
fn strayed(series: &Series, windows: &[(&Window, bool)], measures: Measures) -> Vec<&'static str> {
    let out = windows.iter().filter(|(w, out)| *out && !w.unknown);
    let each = out.map(|(w, _)| series.strayed(w, measures));
    let any = each.reduce(|a, b| std::array::from_fn(|i| a[i] || b[i])).unwrap_or_default();
    NAMES.into_iter().zip(any).filter(|(_, strayed)| *strayed).map(|(name, _)| name).collect()
}

/// What is out in the last windows, of which a stretch would have been made: what users feel, or what else there is.
fn still_out(series: &Series, windows: &[(&Window, bool)], measures: Measures) -> Vec<String> {
    let last = &windows[windows.len().saturating_sub(series.stretch.windows)..];
    let mut names = strayed(series, last, measures);
    let together = NAMES.into_iter().zip(series.stray_together(last, measures));
    let together: Vec<&str> = together.filter(|(_, strayed)| *strayed).map(|(name, _)| name).collect();
    names.extend(together.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let felt = names.iter().any(is_felt);
    names.into_iter().filter(|name| !felt || is_felt(name)).map(str::to_owned).collect()
}

fn is_felt(name: &&str) -> bool {
    matches!(*name, "goodput" | "latency")
}

/// Out-of-band windows before `until` that count as an outage: goodput out, one of two in a row, or one of more than a
/// stretch may have.
fn significant<'a>(series: &Series, windows: &[(&'a Window, bool)], until: usize) -> Vec<&'a Window> {
    let out = |i: Option<usize>| i.and_then(|i| windows[..until].get(i)).is_some_and(|(_, out)| *out);
    let crowded = series.stretch.crowded(windows);
    let counts = |i: usize| {
        let alone = !out(i.checked_sub(1)) && !out(Some(i + 1)) && !crowded(i);
        out(Some(i)) && (series.goodput_out(windows[i].0) || !alone)
    };
    (0..until).filter(|&i| counts(i)).map(|i| windows[i].0).collect()
}

/// 1 - the least 3-window median of g / g_base.
fn depth(series: &Series, windows: &[(&Window, bool)]) -> f64 {
    depth_of(series, windows, 3)
}

/// 1 - the least median of g / g_base over so many windows in a row.
fn depth_of(series: &Series, windows: &[(&Window, bool)], row: usize) -> f64 {
    let base = series.band.goodput.map_or(1.0, |b| b.median).max(1e-9);
    let ratios: Vec<f64> = windows.iter().map(|(w, _)| w.goodput() / base).collect();
    let least = ratios.windows(row.min(ratios.len().max(1))).filter_map(stats::median).fold(1.0, f64::min);
    1.0 - least
}

/// Good operations lost against the baseline's ratio.
fn area(series: &Series, windows: &[(&Window, bool)]) -> f64 {
    let base = series.band.goodput.map_or(1.0, |b| b.median);
    windows.iter().map(|(w, _)| base * w.intended as f64 - w.good as f64).sum::<f64>().max(0.0)
}

/// When it went again after it was back: for three windows or more, or again and again.
fn flapping(timeline: &Timeline, series: &Series, since: &[(&Window, bool)]) -> Vec<Micros> {
    let least = if gone::is_out_again_and_again(series, since) { 1 } else { RELAPSE };
    relapses(since, 0, least).map(|i| timeline.cell_start(since[i].0.from)).collect()
}

/// Where so many windows in a row or more begin that are out of band.
pub(super) fn relapses<'w>(
    windows: &'w [(&Window, bool)],
    from: usize,
    least: usize,
) -> impl Iterator<Item = usize> + use<'w> {
    let starts = move |i: &usize| *i == from || !windows[i - 1].1;
    let lasts = move |i: &usize| windows[*i..].iter().take(least).filter(|(_, out)| *out).count() == least;
    (from..windows.len()).filter(starts).filter(lasts)
}
