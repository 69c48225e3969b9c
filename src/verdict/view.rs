//! One view of a history: the timeline, counted as seen or without squall's own part, with its phases,
//! bands and aftermaths. Every judge looks through it.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use super::baseline;
use super::faults;
use super::judgement::JudgedFault;
use super::missing::{Missing, Placing};
use super::own::Own;
use super::recovery::{self, Aftermath};
use super::series::Series;
use crate::objective::PhaseName;
use crate::sample::OpId;
use crate::timeline::phases::{self, Frame, PhaseCells, Return};
use crate::timeline::trigger::{self, Trigger};
use crate::timeline::{Cells, Count, Tally, Timeline};
use crate::units::{Micros, clock};

/// The share of the load during a trigger without which nothing is known of what follows.
const MET: f64 = 0.5;

pub(super) struct View<'a> {
    pub(super) timeline: &'a Timeline,
    /// As seen, or without squall's own part.
    count: Count,
    /// What squall did wrong.
    pub(super) own: Rc<Own>,
    pub(super) triggers: Rc<Vec<Trigger>>,
    pub(super) phases: Rc<Vec<PhaseCells>>,
    pub(super) faults: Rc<Vec<JudgedFault>>,
    /// From when on a fault that could not be undone spoils everything, and which.
    pub(super) stuck: Rc<Option<(Micros, String)>>,
    /// The windows and bands of every shape.
    pub(super) series: Vec<Series>,
    /// One for each trigger.
    pub(super) aftermaths: Vec<Aftermath>,
    /// Counted as bad, though nobody asked for it.
    missing: Missing,
    clean: OnceCell<Box<View<'a>>>,
    left_out: OnceCell<Missing>,
}

impl<'a> View<'a> {
    /// A whole history as seen.
    pub(super) fn of(timeline: &'a Timeline) -> View<'a> {
        let triggers = trigger::triggers(timeline);
        let mut view = View::bare(timeline, Rc::new(triggers), Count::Seen, Rc::new(Own::of(timeline)));
        view.faults = Rc::new(faults::table(timeline));
        view.stuck = Rc::new(faults::spoilt_from(timeline));
        view.look();
        let returns: Vec<Return> = view.aftermaths.iter().map(|a| a.back).collect();
        view.phases = Rc::new(phases::phases(timeline, &view.triggers, &returns));
        view
    }

    /// A run that still goes on: nothing is known yet of returns.
    pub(super) fn live(timeline: &'a Timeline) -> View<'a> {
        let triggers = trigger::triggers(timeline);
        let returns = vec![Return::Unknown; triggers.len()];
        let phases = phases::phases(timeline, &triggers, &returns);
        let mut view = View::bare(timeline, Rc::new(triggers), Count::Seen, Rc::new(Own::of(timeline)));
        view.phases = Rc::new(phases);
        view
    }

    fn bare(timeline: &'a Timeline, triggers: Rc<Vec<Trigger>>, count: Count, own: Rc<Own>) -> View<'a> {
        View {
            timeline,
            count,
            own,
            triggers,
            phases: Rc::default(),
            faults: Rc::default(),
            stuck: Rc::default(),
            series: Vec::new(),
            aftermaths: Vec::new(),
            missing: Missing::default(),
            clean: OnceCell::new(),
            left_out: OnceCell::new(),
        }
    }

    fn look(&mut self) {
        self.series = baseline::series(self);
        self.aftermaths = self.triggers.iter().map(|t| recovery::aftermath(self, &self.series, t)).collect();
    }

    /// The same history without squall's own part; phases stay where they are.
    pub(super) fn clean(&self) -> &View<'a> {
        if self.count == Count::Clean {
            return self;
        }
        self.clean.get_or_init(|| {
            let (triggers, own) = (self.triggers.clone(), self.own.clone());
            let mut clean = View::bare(self.timeline, triggers, Count::Clean, own);
            clean.phases = self.phases.clone();
            (clean.faults, clean.stuck) = (self.faults.clone(), self.stuck.clone());
            if !self.series.is_empty() {
                clean.look();
            }
            Box::new(clean)
        })
    }

    /// The same history without squall's own part, before anything is known of bands and phases.
    pub(super) fn bare_clean(&self) -> View<'a> {
        View::bare(self.timeline, self.triggers.clone(), Count::Clean, self.own.clone())
    }

    /// The same history, had all been bad that is missing; phases stay where they are.
    pub(super) fn at_worst(&self, missing: Missing) -> View<'a> {
        let mut worst = View::bare(self.timeline, self.triggers.clone(), self.count, self.own.clone());
        worst.phases = self.phases.clone();
        (worst.faults, worst.stuck) = (self.faults.clone(), self.stuck.clone());
        worst.missing = missing;
        worst
    }

    /// The same with its bands and aftermaths.
    pub(super) fn bands_at_worst(&self, missing: Missing) -> View<'a> {
        let mut worst = self.at_worst(missing);
        worst.look();
        worst
    }

    /// The cells of all triggers but some.
    pub(super) fn during_other(&self, than: &Cells) -> Cells {
        let during = self.phases.iter().filter(|p| matches!(p.name, PhaseName::During(_)));
        during.flat_map(|p| &p.cells).filter(|cell| !than.contains(cell)).copied().collect()
    }

    /// So many of an operation would have been in these cells, if their flows had not failed.
    pub(super) fn left_out(&self, op: OpId, cells: &Cells) -> u64 {
        let left_out = || Missing::of(self.timeline, Placing::Planned, &Cells::new());
        self.left_out.get_or_init(left_out).within(op, cells)
    }

    /// Whether squall's own part is left out.
    pub(super) fn is_clean(&self) -> bool {
        self.count == Count::Clean
    }

    /// Where its phases lie.
    pub(super) fn frame(&self) -> Frame<'_> {
        Frame::of(self.timeline, &self.triggers)
    }

    /// Until when it is seen how a shape fares after a trigger.
    pub(super) fn watched(&self, shape: &str, after: &Trigger) -> Micros {
        let (until, shapes) = (self.frame().horizon(after).at(), &self.timeline.outline().shapes);
        shapes.iter().find(|s| s.name == shape).map_or(until, |s| s.end.min(until))
    }

    /// The cells of a phase; empty if there is no such phase or it never came.
    pub(super) fn cells(&self, phase: &PhaseName) -> Cells {
        self.phases.iter().find(|p| p.name == *phase).map(|p| p.cells.clone()).unwrap_or_default()
    }

    /// Without the cells that squall's keeper spoilt, where those are left out.
    pub(super) fn counted(&self, cells: &Cells) -> Cells {
        if self.is_clean() && !self.own.spoilt.is_empty() { cells - &self.own.spoilt } else { cells.clone() }
    }

    /// Cells of which the target's own numbers say something: where squall's part is left out, none in which it
    /// was in trouble, nor those until the harm of that had gone.
    pub(super) fn trusted(&self, cells: &Cells) -> Cells {
        if !self.is_clean() {
            return cells.clone();
        }
        let (timeline, deadline) = (self.timeline, self.timeline.outline().largest_deadline());
        let harmed = |cell: u32| {
            let from = timeline.cell_of(timeline.cell_start(cell) - deadline);
            self.own.cells.range(from..=cell).next().is_some()
        };
        cells.iter().copied().filter(|&cell| !harmed(cell)).collect()
    }

    pub(super) fn tally(&self, op: OpId, cells: &Cells) -> Tally {
        let mut tally = self.timeline.counted(op, &self.counted(cells), self.count);
        tally.miss(self.missing.within(op, cells), self.timeline.deadline(op));
        tally
    }

    /// The clean count leaves out most of an operation's cells, or of what was intended in them: what is left is chance.
    pub(super) fn is_mostly_left_out(&self, op: OpId, cells: &Cells) -> bool {
        self.is_clean() && self.is_little_left(cells, &self.tally(op, cells))
    }

    /// The same of what was counted of cells.
    pub(super) fn is_little_left(&self, cells: &Cells, tally: &Tally) -> bool {
        self.is_clean() && (2 * self.counted(cells).len() < cells.len() || tally.left_out > tally.intended)
    }

    pub(super) fn shape_tally(&self, shape: usize, cells: &Cells) -> Tally {
        let mut tally = self.timeline.shape_tally(shape, &self.counted(cells), self.count);
        for (op, _) in self.timeline.steps_of(shape) {
            tally.miss(self.missing.within(op, cells), self.timeline.deadline(op));
        }
        tally
    }

    /// Those of the cells in which load was planned, and how much time is counted of them: what flows do after its end
    /// is none of a rate's.
    pub(super) fn loaded(&self, cells: &Cells) -> (Cells, Micros) {
        let (timeline, end) = (self.timeline, self.timeline.load_end());
        let cells: Cells = cells.iter().copied().filter(|&c| timeline.cell_start(c) < end).collect();
        let length = self.under_load(&self.counted(&cells));
        (cells, length)
    }

    /// How much of cells with load lies before its end.
    fn under_load(&self, cells: &Cells) -> Micros {
        let (timeline, end) = (self.timeline, self.timeline.load_end());
        let beyond = |&last: &u32| (timeline.cell_start(last + 1) - end).max(Micros::ZERO);
        self.length(cells) - cells.last().map_or(Micros::ZERO, beyond)
    }

    /// How much of a time what is counted stands for: operations that are left out take their share with them.
    pub(super) fn exposed(&self, length: Micros, tally: &Tally) -> Micros {
        let all = tally.intended + tally.left_out;
        if self.is_clean() && all > 0 { share(length, tally.intended, all) } else { length }
    }

    /// The same of an operation's cells with load, of which `length` is counted. What was due in those that squall's
    /// keeper spoilt may be more than their share of the time: a burst, the top of a ramp, all of a shape that begins
    /// late.
    pub(super) fn exposed_of(&self, op: OpId, (cells, length): (&Cells, Micros), tally: &Tally) -> Micros {
        let (exposed, outline) = (self.exposed(length, tally), self.timeline.outline());
        let closed = outline.shapes[outline.operations[usize::from(op.0)].shape].closed;
        if !self.is_clean() || closed || cells.is_disjoint(&self.own.spoilt) {
            return exposed;
        }
        let due = self.timeline.tally(op, cells).intended;
        exposed.min(share(self.under_load(cells), tally.intended, due.max(1)))
    }

    /// How often what is counted of some cells fits into all that there was; endless where nothing is left.
    pub(super) fn whole(&self, (all, some): (&Cells, &Cells), tally: &Tally) -> f64 {
        let left = self.exposed(self.length(&self.counted(some)), tally);
        self.length(all).0 as f64 / left.0 as f64
    }

    /// The time that cells cover.
    pub(super) fn length(&self, cells: &Cells) -> Micros {
        self.timeline.outline().cell * cells.len() as i64
    }

    /// The share of the arrivals of these shapes, planned for these cells, that were issued within half a
    /// cell of their time; none where none were planned, or the history does not tell. Of closed loops the share
    /// of their time in which squall did not stand still.
    pub(super) fn delivered(&self, shapes: &BTreeSet<usize>, cells: &Cells) -> Option<f64> {
        let closed = |shape: &&usize| self.timeline.outline().shapes.get(**shape).is_some_and(|s| s.closed);
        let of_users = shapes.iter().filter(closed).filter_map(|&shape| self.alive(shape, cells));
        of_users.chain(self.issued(shapes, cells)).reduce(f64::min)
    }

    /// The share of a closed loop's time within these cells in which squall did not stand still.
    fn alive(&self, shape: usize, cells: &Cells) -> Option<f64> {
        let there = |cell: &&u32| self.was_planned(shape, &[**cell].into());
        let there: Vec<&u32> = cells.iter().filter(there).collect();
        let asleep: Micros =
            there.iter().filter_map(|cell| self.own.asleep.get(cell)).fold(Micros::ZERO, |a, b| a + *b);
        let length = self.timeline.outline().cell * there.len() as i64;
        (!there.is_empty()).then(|| 1.0 - asleep.0 as f64 / length.0 as f64)
    }

    /// The share of what was planned that was issued in time.
    fn issued(&self, shapes: &BTreeSet<usize>, cells: &Cells) -> Option<f64> {
        let timeline = self.timeline;
        let (mut planned, mut in_time, mut told) = (0, 0, false);
        for &shape in shapes {
            for &cell in cells {
                let expected = timeline.planned_and_told(shape, cell);
                let (n, timely) = timeline.arrived(shape, cell);
                planned += expected;
                in_time += timely.min(expected);
                told |= n > 0;
            }
        }
        (planned > 0 && (told || self.own.counts_arrivals)).then(|| in_time as f64 / planned as f64)
    }

    /// The same for a phase of a trigger.
    pub(super) fn delivered_in(
        &self,
        shapes: &BTreeSet<usize>,
        phase: &PhaseName,
        cells: &Cells,
    ) -> Option<f64> {
        let (PhaseName::During(name) | PhaseName::After(name)) = phase else {
            return self.delivered(shapes, cells);
        };
        self.delivered_about(shapes, name, (&self.cells(&PhaseName::During(name.clone())), cells))
    }

    /// The same for cells about a trigger: what follows one that hardly met any load while it was in force proves
    /// nothing, and where it is a shape the load that it is made of belongs to it.
    pub(super) fn delivered_about(
        &self,
        shapes: &BTreeSet<usize>,
        trigger: &str,
        (during, cells): (&Cells, &Cells),
    ) -> Option<f64> {
        let outline = self.timeline.outline();
        let trigger = outline.shapes.iter().position(|s| s.trigger && s.name == trigger);
        let of_trigger = trigger.and_then(|shape| {
            let until = self.timeline.cell_of(self.timeline.load_end()) + 1;
            self.delivered(&[shape].into(), &(0..until).collect())
        });
        let missed = self.delivered(shapes, during).filter(|share| *share < MET);
        [self.delivered(shapes, cells), missed, of_trigger].into_iter().flatten().reduce(f64::min)
    }

    /// Until when the users of a shape waited for what they asked in these cells, at the latest.
    pub(super) fn waits_until(&self, shape: usize, cells: Range<u32>) -> Micros {
        let each = cells
            .map(|cell| self.timeline.cell_start(cell) + self.shape_tally(shape, &[cell].into()).waited());
        each.max().unwrap_or_default()
    }

    /// For how many users of a closed loop each of them stands: those that squall itself held up could not ask. By
    /// Little's law the time that it held them up, for each second, is how many they were. 1 as seen, and of an
    /// open loop; endless where it held up all.
    pub(super) fn stands_for(&self, shape: usize, cells: &Cells) -> f64 {
        let timeline = self.timeline;
        if !self.is_clean() || !timeline.outline().shapes[shape].closed {
            return 1.0;
        }
        let cells = self.counted(cells);
        let users: Vec<f64> = cells.iter().filter_map(|&cell| timeline.in_flight(shape, cell)).collect();
        if users.is_empty() {
            return 1.0;
        }
        // Who thinks out a flow that failed is not in flight, and there all the same.
        let all = timeline.outline().shapes[shape].users.unwrap_or(0) as f64;
        let users = (users.iter().sum::<f64>() / users.len() as f64).max(all);
        let tally = timeline.shape_tally(shape, &cells, Count::Seen);
        let held = (tally.lag.sum() + tally.held.sum()) / self.length(&cells).0.max(1) as f64;
        if held == 0.0 {
            return 1.0;
        }
        if held < users { users / (users - held) } else { f64::INFINITY }
    }

    /// Whether any arrival of a shape was planned for these cells; a closed loop's users are there all the
    /// time of its window.
    pub(super) fn was_planned(&self, shape: usize, cells: &Cells) -> bool {
        let Some(outline) = self.timeline.outline().shapes.get(shape) else { return false };
        let within = |cell: u32| {
            let start = self.timeline.cell_start(cell);
            start >= outline.start && start < outline.end.min(self.timeline.load_end())
        };
        match outline.closed {
            true => cells.iter().any(|&cell| within(cell)),
            false => cells.iter().any(|&cell| self.timeline.planned(shape, cell) > 0),
        }
    }

    /// Whether a shape's arrivals are planned without a pause of so many cells, from the first to the last: where one of
    /// its operations is silent for as long, flows do not come to it.
    pub(super) fn plans_no_pause(&self, shape: usize, cells: u32) -> bool {
        let planned = self.timeline.outline().shapes.get(shape).map_or(&[][..], |outline| &outline.planned);
        let any: Vec<usize> = (0..planned.len()).filter(|&cell| planned[cell] > 0).collect();
        !any.is_empty() && any.windows(2).all(|pair| pair[1] - pair[0] <= cells as usize)
    }

    /// Whether flows of the operation's shape came to their end in these cells and none of their paths led to it:
    /// through the other branch of an `if`, an empty list, or a branch that was not drawn. What a flow should have
    /// reached and did not was intended; what the end of the load cut off says nothing of the rest.
    pub(super) fn was_passed_by(&self, op: OpId, cells: &Cells) -> bool {
        let timeline = self.timeline;
        let came = |op: OpId| cells.iter().any(|&cell| timeline.intended(op, cell) > 0);
        let shape = timeline.outline().operations.get(usize::from(op.0)).map(|o| o.shape);
        let ended = |flow: OpId| self.tally(flow, cells).good() > 0;
        !came(op) && timeline.operations().any(|(flow, o)| o.flow && Some(o.shape) == shape && ended(flow))
    }

    /// `(at 0:41.00: squall stood still for 4.9 s)`: what squall did wrong in cells, or soon after.
    pub(super) fn blame(&self, cells: &Cells) -> String {
        let inside = self.own.cells.iter().find(|(cell, _)| cells.contains(cell));
        let later = || self.own.cells.iter().find(|(c, _)| cells.last().is_some_and(|last| *c > last));
        match inside.or_else(later) {
            Some((cell, why)) => format!(" (at {}: {why})", clock(self.timeline.cell_start(*cell))),
            None if self.were_left_open(cells) => {
                format!(
                    " (the history breaks off at {}, with operations open)",
                    clock(self.timeline.ended_at())
                )
            }
            None => self.small_delays(cells),
        }
    }

    /// Whether squall was killed, or goes on, before operations of these cells had their time.
    pub(super) fn were_left_open(&self, cells: &Cells) -> bool {
        let timeline = self.timeline;
        let since = timeline.ended_at() - timeline.outline().largest_deadline();
        timeline.end.is_none() && cells.last().is_some_and(|&last| last >= timeline.cell_of(since))
    }

    /// ` (1 in 100 operations left 0.4 ms late or more, or was held up for 4.7 ms or more)`: no standstill, and yet.
    fn small_delays(&self, cells: &Cells) -> String {
        let mut all = Tally::default();
        for (op, _) in self.timeline.operations().filter(|(_, o)| !o.flow) {
            all.merge(&self.timeline.tally(op, cells));
        }
        let late = all.lag.quantile(0.99).zip(all.holds().quantile(0.99));
        late.map_or(String::new(), |(lag, held)| {
            format!(" (1 in 100 operations left {lag} late or more, or was held up for {held} or more)")
        })
    }
}

/// So many of all that there were, of a time.
fn share(length: Micros, some: u64, all: u64) -> Micros {
    Micros((length.0 as f64 * some as f64 / all as f64).round() as i64)
}
