//! The tables of a judgement: operations by phase, errors, phases.
//!
//! Owns copying numbers out of the timeline; nothing is judged here.

use std::collections::BTreeMap;

use super::judgement::{ErrorGroup, InPhase, OperationPhase, OperationTable, Phase, Run, Span};
use super::measure::{Exposure, per_second};
use super::view::View;
use crate::objective::PhaseName;
use crate::quantity::Quantity;
use crate::record::ErrorSample;
use crate::sample::{Kind, OpId, Outcome};
use crate::timeline::Timeline;
use crate::timeline::phases::PhaseCells;
use crate::units::Micros;

pub(super) fn run(timeline: &Timeline) -> Run {
    let (header, outline) = (&timeline.header, timeline.outline());
    let cells = timeline.all_cells();
    let real = timeline.operations().filter(|(_, o)| !o.flow);
    Run {
        profile: outline.profile.clone(),
        chaos: outline.chaos.clone(),
        target: outline.target.clone(),
        command: outline.command.clone(),
        seed: outline.seed,
        virtual_time: outline.virtual_time,
        smoke: outline.smoke,
        started: header.started.clone(),
        duration: outline.duration,
        lasted: timeline.load_end(),
        squall: header.squall.clone(),
        host: header.host.clone(),
        intended: real.map(|(op, _)| cells.iter().map(|&c| timeline.intended(op, c)).sum::<u64>()).sum(),
    }
}

pub(super) fn phases(view: &View) -> Vec<Phase> {
    view.phases.iter().map(|phase| of_cells(view.timeline, phase)).collect()
}

fn of_cells(timeline: &Timeline, phase: &PhaseCells) -> Phase {
    let mut spans: Vec<Span> = Vec::new();
    for &cell in &phase.cells {
        let (from, to) = (timeline.cell_start(cell), timeline.cell_start(cell + 1));
        match spans.last_mut() {
            Some(last) if last.to == from => last.to = to,
            _ => spans.push(Span { from, to }),
        }
    }
    Phase {
        name: phase.name.clone(),
        from: spans.first().map_or(Micros::ZERO, |s| s.from),
        to: spans.last().map_or(Micros::ZERO, |s| s.to),
        spans,
    }
}

pub(super) fn operations(view: &View) -> Vec<OperationTable> {
    let timeline = view.timeline;
    let table = |(op, o): (OpId, &crate::outline::OperationOutline)| OperationTable {
        name: o.name.clone(),
        shape: timeline.outline().shapes.get(o.shape).map_or(String::new(), |s| s.name.clone()),
        flow: o.flow,
        deadline: o.deadline,
        phases: view.phases.iter().filter_map(|p| operation_phase(view, op, p)).collect(),
    };
    timeline.operations().map(table).collect()
}

fn operation_phase(view: &View, op: OpId, phase: &PhaseCells) -> Option<OperationPhase> {
    let tally = view.tally(op, &phase.cells);
    let (loaded, length) = view.loaded(&phase.cells);
    // As an objective would have it: patient probes, which are counted apart, fared like the rest.
    let shape = view.timeline.outline().operations[usize::from(op.0)].shape;
    let exposure = Exposure { length, weight: view.timeline.weight(shape, &loaded) };
    Some(OperationPhase {
        phase: phase.name.clone(),
        n: tally.intended,
        rate: per_second(&view.tally(op, &loaded), exposure).map_or(0.0, |rate| rate.value),
        bad: tally.bad_share()?,
        unreached: tally.of_kind(Kind::Unreached),
        forgone: view.left_out(op, &phase.cells),
        cut: tally.of_kind(Kind::Cut),
        amplification: tally.amplification(),
        p50: tally.quantile(0.5)?,
        p90: tally.quantile(0.9)?,
        p99: tally.quantile(0.99)?,
        p999: tally.quantile(0.999)?,
        max: tally.quantile(1.0)?,
        successes_p99: tally.successes.quantile(0.99).map(Quantity::time),
    })
}

/// What failed, the most frequent first. Flows only fail through their operations, unless they were
/// shed before the first one.
pub(super) fn errors(view: &View) -> Vec<ErrorGroup> {
    let timeline = view.timeline;
    let cells = timeline.all_cells();
    let triggered = view.phases.iter().any(|p| !matches!(p.name, PhaseName::Warmup | PhaseName::Run));
    let told = || view.phases.iter().filter(|p| !triggered || p.name != PhaseName::Run);
    let mut groups = Vec::new();
    for (op, o) in timeline.operations() {
        let outcomes = timeline.tally(op, &cells).outcomes;
        let bad = |outcome: &Outcome| !outcome.kind.is_good() && outcome.kind.counts();
        let counts = |outcome: &Outcome| bad(outcome) && (!o.flow || outcome.kind == Kind::Shed);
        if !outcomes.keys().any(counts) {
            continue;
        }
        let phases: Vec<_> = told().map(|p| (&p.name, timeline.tally(op, &p.cells).outcomes)).collect();
        for (&outcome, &count) in outcomes.iter().filter(|(outcome, _)| counts(outcome)) {
            let of_phase = |(phase, outcomes): &(&PhaseName, BTreeMap<Outcome, u64>)| {
                let count = *outcomes.get(&outcome)?;
                Some(InPhase { phase: (*phase).clone(), count })
            };
            let phases = phases.iter().filter_map(of_phase).collect();
            groups.push(ErrorGroup { phases, ..group(timeline, op, &o.name, outcome, count) });
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    groups
}

fn group(timeline: &Timeline, op: OpId, name: &str, outcome: Outcome, count: u64) -> ErrorGroup {
    let (first, last) = timeline.span_of(op, outcome).unwrap_or_default();
    let same = |e: &&ErrorSample| e.op == op && Outcome::new(e.kind, e.status) == outcome;
    ErrorGroup {
        operation: name.to_owned(),
        kind: outcome.kind,
        status: outcome.status,
        count,
        phases: Vec::new(),
        first: timeline.cell_start(first),
        last: timeline.cell_start(last),
        samples: samples(timeline.errors.iter().filter(same)),
    }
}

/// Samples told of one kind of error.
const SAMPLES: usize = 6;

/// One of each distinct text first, then more of the same, by their times.
fn samples<'t>(all: impl Iterator<Item = &'t ErrorSample>) -> Vec<ErrorSample> {
    let mut texts = BTreeMap::new();
    let mut ranked: Vec<(u32, &ErrorSample)> = all
        .map(|sample| {
            let seen: &mut u32 = texts.entry((&sample.detail, &sample.body)).or_default();
            *seen += 1;
            (*seen, sample)
        })
        .collect();
    ranked.sort_by_key(|(nth, sample)| (*nth, sample.at));
    let mut told: Vec<ErrorSample> = ranked.into_iter().take(SAMPLES).map(|(_, s)| s.clone()).collect();
    told.sort_by_key(|sample| sample.at);
    told
}
