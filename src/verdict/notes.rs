//! What a reader must know beside the verdict: early ends, lax settings, shapes that were left out.

use std::collections::BTreeMap;

use super::addresses;
use super::band::MEASURED;
use super::faults::{self, complete};
use super::judgement::{ShapeBand, ShapeTrigger};
use super::recovery::Aftermath;
use super::series::Series;
use super::view::View;
use super::whose::DELIVERED;
use super::width::IS_TRIGGER;
use crate::outline::JudgeSettings;
use crate::quantity::Quantity;
use crate::record::{Pacing, ServiceStage};
use crate::sample::OpId;
use crate::units::{clock, grouped, three_digits};

pub(super) fn notes(view: &View) -> Vec<String> {
    let timeline = view.timeline;
    let mut notes = timeline.notes.clone();
    if !complete(timeline) {
        notes.push(match timeline.end.as_ref().map(|end| end.how) {
            None => {
                "The history breaks off: squall was killed or crashed, or the run still goes on.".to_owned()
            }
            Some(_) => "The run did not reach its planned end.".to_owned(),
        });
    }
    let ended = timeline.services.iter().filter(|event| event.what == ServiceStage::Ended);
    notes.extend(ended.map(|event| {
        let (service, at, how) = (&event.service, clock(event.at), &event.detail);
        format!(
            "{service} ended by itself at {at} ({how}); what it said is in the run's services/{service}.log."
        )
    }));
    if timeline.header.pacer == Pacing::Wheel {
        let text =
            "There is no timerfd on this machine: tokio's wheel paced the arrivals, each up to 1 ms late.";
        notes.push(text.to_owned());
    }
    if !view.triggers.is_empty() {
        notes.extend(settings_notes(&timeline.outline().judge));
    }
    notes.extend(faults::met_nobody(timeline));
    notes.extend(forgone(view));
    notes.extend(addresses::told(&timeline.addresses));
    notes.extend(baseline_note(view));
    notes.extend(without_band(view));
    notes.extend(without_latency(view));
    notes.extend(view.aftermaths.iter().filter_map(left_out_note));
    notes.extend((0..view.aftermaths.len()).filter_map(|i| flapping_note(view, i)));
    notes
}

/// Load that never came, as the flows that it was of had failed: what else was measured meanwhile is of less.
fn forgone(view: &View) -> Vec<String> {
    let timeline = view.timeline;
    let mut all: BTreeMap<OpId, (u64, u32, u32)> = BTreeMap::new();
    for left in timeline.forgone() {
        let (n, from, to) = all.entry(left.op).or_insert((0, left.from, left.to));
        (*n, *from, *to) = (*n + left.n, left.from.min(*from), left.to.max(*to));
    }
    let note = |(op, (n, from, to)): (OpId, (u64, u32, u32))| {
        let asked = timeline.tally(op, &timeline.all_cells()).intended;
        let planned = asked + n;
        let much = (asked as f64) < DELIVERED * planned as f64;
        let name = &timeline.outline().operations[usize::from(op.0)].name;
        let [n, planned] = [n, planned].map(grouped);
        let (from, to) = (clock(timeline.cell_start(from)), clock(timeline.cell_start(to + 1)));
        let text = format!(
            "Flows that failed left out {n} of {planned} {name}, which were to come between {from} and {to}: there was so much less \
             load."
        );
        much.then_some(text)
    };
    all.into_iter().filter_map(note).collect()
}

/// Settings that are laxer than the defaults weaken the verdict, so they are told.
fn settings_notes(judge: &JudgeSettings) -> impl Iterator<Item = String> {
    let usual = JudgeSettings::default();
    let laxer = judge.warmup < usual.warmup
        || judge.windows < usual.windows
        || judge.stretch < usual.stretch
        || judge.stretch_windows < usual.stretch_windows;
    let sick = (judge.goodput < usual.goodput).then(|| {
        let (taken, usual) = (Quantity::share(judge.goodput), Quantity::share(usual.goodput));
        format!("A baseline of {taken} goodput is taken for normal; the default is {usual}.")
    });
    let short = laxer.then(|| {
        format!(
            "Judged with a warm-up of {}, {} baseline windows and {} in {} windows to call it recovered; the defaults are {}, {}, {} and {}.",
            judge.warmup, judge.windows, judge.stretch, judge.stretch_windows,
            usual.warmup, usual.windows, usual.stretch, usual.stretch_windows,
        )
    });
    short.into_iter().chain(sick)
}

fn baseline_note(view: &View) -> Option<String> {
    let judge = &view.timeline.outline().judge;
    let cells = crate::timeline::phases::baseline(view.timeline, &view.triggers);
    let length = view.length(&cells);
    (!view.triggers.is_empty() && length < judge.baseline)
        .then(|| format!("The baseline is {length} long; {} were asked for.", judge.baseline))
}

/// What is said of returns rests on the shapes that have a band; where none has, it is said of each return.
fn without_band(view: &View) -> impl Iterator<Item = String> {
    let any = view.series.iter().any(|s| s.band.none.is_none());
    let told = move |why: &&String| any && *why != IS_TRIGGER;
    let why = move |s: &Series| Some((s.band.shape.clone(), s.band.none.as_ref().filter(told)?.clone()));
    view.series.iter().filter_map(why).map(|(shape, why)| format!("Recovery leaves out {shape}: {why}."))
}

fn without_latency(view: &View) -> impl Iterator<Item = String> {
    let goes_by = |b: &ShapeBand| format!("Recovery goes by what failed of {}, not by latency:", b.shape);
    view.series.iter().filter(|s| s.band.none.is_none()).filter_map(move |s| match &s.band {
        b if b.latency.is_none() => Some(format!(
            "{} something is known of {} of the baseline's windows of {}, and it takes {MEASURED} to tell how much latency differs.",
            goes_by(b), b.windows, b.window
        )),
        b => s.too_wide(view.timeline.outline()).filter(|_| s.is_seldom()).map(|times| {
            format!(
                "{} of so few operations before the first trigger less than {} times as long is not told.",
                goes_by(b), three_digits(times)
            )
        }),
    })
}

/// What is said of the return rests on the other shapes alone.
fn left_out_note(aftermath: &Aftermath) -> Option<String> {
    let (name, left_out) = (&aftermath.judged.name, aftermath.left_out.join(" and "));
    (!left_out.is_empty()).then(|| {
        format!("Recovery from {name} leaves out {left_out}, whose load ended before {name} was over.")
    })
}

/// Of what relapsed without squall's own part too.
fn flapping_note(view: &View, trigger: usize) -> Option<String> {
    let seen = &view.aftermaths[trigger].judged;
    let clean = |s: &ShapeTrigger| {
        let shapes = &view.clean().aftermaths[trigger].judged.shapes;
        shapes.iter().any(|c| c.shape == s.shape && !c.flapping.is_empty())
    };
    let relapsed = seen.shapes.iter().filter(|s| !s.flapping.is_empty() && clean(s));
    let relapses: Vec<String> = relapsed
        .flat_map(|s| s.flapping.iter().map(move |at| format!("{} at {}", s.shape, clock(*at))))
        .collect();
    (!relapses.is_empty())
        .then(|| format!("FLAPPING after {}: it relapsed ({}).", seen.name, relapses.join(", ")))
}
