//! Phases: when, and in which cells of the run, each trigger's before, during and after are (SEMANTICS.md).
//!
//! Owns the clock arithmetic, of a run that was as of one that is planned. Whether and when the service recovered is
//! handed in by the judge.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::trigger::Trigger;
use super::{Cells, Timeline};
use crate::objective::PhaseName;
use crate::outline::Outline;
use crate::units::Micros;

/// What is known of the service's return after a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// r.
    At(Micros),
    Never,
    /// What was watched may be the beginning of a recovery, and is too short for one.
    TooShort,
    /// Nothing was there to tell: no shape has a band.
    Unknown,
}

/// A phase and its cells; empty if it never came.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseCells {
    pub name: PhaseName,
    pub cells: Cells,
}

/// What ends the time in which something is a trigger's own doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Horizon<'t> {
    Load(Micros),
    /// What the next trigger does is not this one's doing.
    Next(&'t Trigger),
    /// Another trigger that began later is still in force when this one is over, at this time.
    InForce(&'t Trigger, Micros),
}

impl Horizon<'_> {
    pub fn at(&self) -> Micros {
        match self {
            Horizon::Load(at) | Horizon::InForce(_, at) => *at,
            Horizon::Next(trigger) => trigger.t_inject,
        }
    }
}

/// Where phases lie: triggers within a load, as they came to be or as they are planned.
#[derive(Clone, Copy)]
pub struct Frame<'f> {
    pub outline: &'f Outline,
    /// In order of injection.
    pub triggers: &'f [Trigger],
    pub load_end: Micros,
}

impl<'f> Frame<'f> {
    pub fn of(timeline: &'f Timeline, triggers: &'f [Trigger]) -> Frame<'f> {
        Frame { outline: timeline.outline(), triggers, load_end: timeline.load_end() }
    }

    /// From the end of the warm-up to one deadline before the first trigger; it may end before it begins.
    pub fn baseline(&self) -> Range<Micros> {
        let first = self.triggers.iter().map(|t| t.t_inject - self.outline.largest_deadline()).min();
        self.outline.judge.warmup..first.unwrap_or(Micros::MAX).min(self.load_end)
    }

    /// Until when something is this trigger's own doing.
    pub fn horizon(&self, of: &Trigger) -> Horizon<'f> {
        let over = of.over();
        // Whoever begins later is injected no earlier.
        let from = |at: Micros| &self.triggers[self.triggers.partition_point(|t| t.t_inject < at)..];
        let mut within = from(of.t_inject).iter().take_while(|t| t.t_inject < over);
        if let Some(other) = within.find(|t| self.begins_later(t, of) && self.outlasts(t, over)) {
            return Horizon::InForce(other, over.min(self.load_end));
        }
        let next = from(over.max(of.t_inject)).iter().find(|t| self.begins_later(t, of));
        next.filter(|t| t.t_inject < self.load_end).map_or(Horizon::Load(self.load_end), Horizon::Next)
    }

    /// Another trigger, which began before or with it, and is still in force when this one is over: from then on what is out of
    /// order may be that one's doing.
    pub fn outlasting(&self, of: &Trigger) -> Option<&'f Trigger> {
        let over = of.over();
        let mut before = self.triggers.iter().filter(|t| t.name != of.name && !self.begins_later(t, of));
        before.find(|t| self.outlasts(t, over))
    }

    /// Whether a trigger begins after another. Of those that begin together one is asked for a moment before the other:
    /// within half a cell, or before the other is over where the plan has one time for both.
    fn begins_later(&self, other: &Trigger, of: &Trigger) -> bool {
        let same = other.planned == of.planned;
        let together = same && other.t_inject < of.over();
        // One may be over within that moment.
        let after_it = !same && !of.one_shot && other.t_inject >= of.over();
        after_it || (other.t_inject > of.t_inject + self.moment() && !together)
    }

    /// Whether a trigger is still in force when another is over. Of those that end together one is gone a moment
    /// before the other: that is within half a cell.
    fn outlasts(&self, other: &Trigger, over: Micros) -> bool {
        !other.one_shot && other.t_clear.is_none_or(|clear| clear > over + self.moment())
    }

    /// What lies no further apart is at the same time.
    fn moment(&self) -> Micros {
        Micros(self.outline.cell.0 / 2)
    }

    /// `during` and `after` of one trigger, where the service came back as said; no `after` if it never came.
    pub fn spans(&self, of: &Trigger, back: Return) -> (Range<Micros>, Option<Range<Micros>>) {
        let next = self.horizon(of).at();
        let end = match back {
            _ if !of.one_shot => of.t_clear,
            Return::At(r) => Some(r.max(of.settled())),
            Return::Unknown => Some(of.settled().min(next)),
            Return::Never | Return::TooShort => None,
        };
        (of.t_inject..end.unwrap_or(next), end.map(|end| end..next))
    }

    /// All phases, in the order in which they are told, with a span for each time that its trigger came. `returns`
    /// belongs to `triggers`, one for one.
    pub fn phases(&self, returns: &[Return]) -> Vec<(PhaseName, Vec<Range<Micros>>)> {
        let warmup = self.outline.judge.warmup;
        let mut all = vec![(PhaseName::Warmup, vec![Micros::ZERO..warmup])];
        let names = planned_names(self.outline);
        if !names.is_empty() {
            all.push((PhaseName::Baseline, vec![self.baseline()]));
        }
        let mut named: HashMap<&str, Vec<(&Trigger, Return)>> = HashMap::new();
        for (trigger, back) in self.triggers.iter().zip(returns) {
            named.entry(&trigger.trigger).or_default().push((trigger, *back));
        }
        for name in names {
            let named = named.remove(name.as_str()).unwrap_or_default().into_iter();
            let (during, after): (Vec<_>, Vec<_>) = named.map(|(t, back)| self.spans(t, back)).unzip();
            all.push((PhaseName::During(name.clone()), during));
            all.push((PhaseName::After(name), after.into_iter().flatten().collect()));
        }
        all.push((PhaseName::Run, vec![warmup..self.load_end]));
        all
    }
}

/// The cells of a phase that lies so: warm-up and `during` to their outer edges, what comes after them to its inner
/// ones; the run has its last cell whole.
pub fn cells(phase: &PhaseName, span: &Range<Micros>, cell: Micros) -> Range<u32> {
    let width = cell.0.max(1);
    let (down, up) = (|at: Micros| at.0.div_euclid(width), |at: Micros| -(-at.0).div_euclid(width));
    let (from, to) = match phase {
        PhaseName::Warmup | PhaseName::During(_) => (down(span.start), up(span.end)),
        PhaseName::Run => (up(span.start), up(span.end)),
        PhaseName::Baseline | PhaseName::After(_) => (up(span.start), down(span.end)),
    };
    let whole = |at: i64| u32::try_from(at.max(0)).unwrap_or(u32::MAX);
    whole(from)..whole(to)
}

/// The cells of the baseline.
pub fn baseline(timeline: &Timeline, triggers: &[Trigger]) -> Cells {
    kept(timeline, &PhaseName::Baseline, &Frame::of(timeline, triggers).baseline()).collect()
}

/// The cells of all phases, in the order in which they are told. `returns` belongs to `triggers`, one for one. Of a
/// run that still goes on only the cells that are kept of it.
pub fn phases(timeline: &Timeline, triggers: &[Trigger], returns: &[Return]) -> Vec<PhaseCells> {
    let spans = Frame::of(timeline, triggers).phases(returns);
    let of_spans = |(name, spans): (PhaseName, Vec<Range<Micros>>)| {
        let mut cells: Cells = spans.iter().flat_map(|span| kept(timeline, &name, span)).collect();
        if name == PhaseName::Run {
            // What was intended after the planned end is of the run too.
            let warm =
                self::cells(&PhaseName::Warmup, &(Micros::ZERO..spans[0].start), timeline.outline().cell);
            cells.extend(timeline.all_cells().range(warm.end..));
        }
        PhaseCells { name, cells }
    };
    spans.into_iter().map(of_spans).collect()
}

/// Those cells of a phase that the timeline has kept.
fn kept(timeline: &Timeline, phase: &PhaseName, span: &Range<Micros>) -> Range<u32> {
    let all = cells(phase, span, timeline.outline().cell);
    all.start.max(timeline.oldest())..all.end
}

/// Names of all planned triggers, each once, by planned time.
fn planned_names(outline: &Outline) -> Vec<String> {
    let shapes = outline.shapes.iter().filter(|s| s.trigger).map(|s| (s.start, s.name.clone()));
    let faults = outline.faults.iter().map(|f| (f.at, f.trigger.clone()));
    let mut planned: Vec<(Micros, String)> = shapes.chain(faults).collect();
    planned.sort_by_key(|(at, _)| *at);
    let mut seen = HashSet::new();
    planned.into_iter().map(|(_, name)| name).filter(|name| seen.insert(name.clone())).collect()
}
