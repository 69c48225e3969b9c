//! Shapes as written to shapes that can run: arrivals, caps, users, and the outline of each.

use crate::arrival::{Arrival, Rate, Spacing, Stage};
use crate::experiment::flow::{Flow, Part};
use crate::experiment::notes::{Notes, as_written};
use crate::experiment::{Shape, Start};
use crate::outline::{OperationOutline, ShapeOutline};
use crate::profile;
use crate::sample::OpId;
use crate::template::Scope;
use crate::units::{Micros, grouped, three_digits};
use crate::yaml::At;

/// Arrivals of one shape that a plan may have, a day at 20,000/s and more: a guard against slips of the pen.
const MOST_ARRIVALS: f64 = 2e9;
/// Cells of a run's clock that a plan may have.
const MOST_CELLS: u64 = 10_000_000;

/// What shapes are resolved against.
pub(super) struct Frame<'a> {
    pub duration: Micros,
    pub cell: Micros,
    pub seed: u64,
    /// What every template of a flow may speak of.
    pub scope: &'a Scope,
    /// Nothing was cut out of the shapes.
    pub whole: bool,
    /// A smoke run: what comes of it proves nothing, and need not be enough.
    pub smoke: bool,
}

/// One shape; its operations are appended to `operations`, the flow as a whole first.
pub(super) fn resolve(
    notes: &mut Notes,
    frame: &Frame<'_>,
    index: usize,
    name: &At<String>,
    written: &At<profile::Shape>,
    operations: &mut Vec<OperationOutline>,
) -> (Shape, ShapeOutline) {
    notes.name(name.span, name, "a shape");
    let start = written.start.as_ref().map_or(Micros::ZERO, |s| s.value.0);
    let until = length(notes, frame, written, start);
    caps(notes, written);
    let (arrival, period) = match &written.arrival {
        Some(written) => arrival(notes, written, start, until),
        None => {
            if frame.whole {
                let message = format!("when do the flows of `{}` start?", name.value);
                notes.add(name.span, message, "add `arrival: {constant: {rate: 50/s}}`");
            }
            (Start::Closed { users: 1, until: start + until }, None)
        }
    };
    let timeout = written.timeout.as_ref().map(|t| notes.positive(t, "a timeout"));

    let op = OpId(operations.len() as u16);
    let whole = OperationOutline {
        name: name.value.clone(),
        shape: index,
        deadline: Micros::ZERO,
        flow: true,
        written: None,
    };
    operations.push(whole);
    let steps = written.flow.as_ref().map_or(&[][..], |f| &f.value);
    if steps.is_empty() && frame.whole {
        let span = written.flow.as_ref().map_or(name.span, |f| f.span);
        notes.add(span, format!("`{}` has no steps", name.value), "write `flow: [{get: /rooms}]`");
    }
    let mut flow = Flow {
        notes,
        operations,
        part: Part::Load,
        shape: index,
        timeout,
        scope: frame.scope.clone(),
        captured: Default::default(),
        in_group: false,
        whole: frame.whole,
    };
    let (steps, deadline) = flow.steps(steps);
    operations[usize::from(op.0)].deadline = deadline;

    let outline = ShapeOutline {
        name: name.value.clone(),
        arrival: in_words(&arrival),
        start,
        end: start + until,
        first: first(frame, index, &arrival, start),
        trigger: written.trigger,
        closed: matches!(arrival, Start::Closed { .. }),
        users: if let Start::Closed { users, .. } = arrival { Some(users) } else { None },
        planned: planned(notes, frame, index, written, &arrival, start),
        period,
    };
    let open = !outline.closed;
    let shape = Shape {
        name: name.value.clone(),
        start,
        arrival,
        users: written.users.as_ref().map(|n| n.value),
        in_flight_cap: written.in_flight.as_ref().map(|n| n.value),
        connections: written.connections.as_ref().map(|n| n.value),
        timeout,
        probes: written.probes.unwrap_or(open && !written.trigger),
        flow: steps,
        op,
    };
    (shape, outline)
}

/// How long the shape lasts, within the load.
fn length(notes: &mut Notes, frame: &Frame<'_>, written: &profile::Shape, start: Micros) -> Micros {
    let left = frame.duration - start;
    if let Some(at) = written.start.as_ref().filter(|_| left <= Micros::ZERO) {
        let message = format!("this shape begins at {start}, the load ends at {}", frame.duration);
        notes.add(at.span, message, "begin earlier, or raise `duration`");
    }
    let Some(at) = &written.length else { return left.max(Micros::ZERO) };
    let length = notes.positive(at, "a shape");
    if length > left && left > Micros::ZERO {
        let message =
            format!("this shape lasts until {}, the load ends at {}", start + length, frame.duration);
        notes.add(at.span, message, format!("shorten it to `{}`, or raise `duration`", as_written(left)));
    }
    length.min(left).max(Micros::ZERO)
}

fn caps(notes: &mut Notes, written: &profile::Shape) {
    let zero = [
        ("users", written.users.as_ref().map(|n| (n.value, n.span))),
        ("in_flight", written.in_flight.as_ref().map(|n| (n.value, n.span))),
        ("connections", written.connections.as_ref().map(|n| (u64::from(n.value), n.span))),
    ];
    for (key, value) in zero {
        if let Some((0, span)) = value {
            notes.add(
                span,
                format!("`{key}: 0` lets nothing through"),
                "write 1 or more, or leave it out for no limit",
            );
        }
    }
}

/// The arrival, and how far its bursts are apart if it has any.
fn arrival(
    notes: &mut Notes,
    written: &profile::Arrival,
    start: Micros,
    until: Micros,
) -> (Start, Option<Micros>) {
    let open = |spacing, rate| Start::Open(Arrival { spacing, rate, until });
    let even = Spacing::Even;
    match written {
        profile::Arrival::Constant(c) => (open(even, Rate::Constant(some_rate(notes, &c.rate))), None),
        profile::Arrival::Poisson(p) => {
            (open(Spacing::Poisson, Rate::Constant(some_rate(notes, &p.rate))), None)
        }
        profile::Arrival::Stages(s) => {
            let from = s.from.map_or(0.0, |r| r.0);
            let stages = s.steps.iter().map(|s| Stage { to: s.to.value.0, over: s.over.0 }).collect();
            let spacing = if s.poisson { Spacing::Poisson } else { even };
            (open(spacing, Rate::Stages { from, stages }), None)
        }
        profile::Arrival::Bursts(b) => {
            let every = notes.positive(&b.every, "the time between bursts");
            let over = b.over.as_ref().map_or(Micros::ZERO, |o| o.value.0);
            if let Some(at) = b.over.as_ref().filter(|_| over > every) {
                let help = "let `over` be shorter than `every`";
                notes.add(at.span, "a burst that lasts longer than the time to the next", help);
            }
            if *b.size == 0 {
                notes.add(b.size.span, "a burst of 0 is none", "write 1 or more");
            }
            (open(even, Rate::Bursts { size: *b.size, every: every.max(Micros(1)), over }), Some(every))
        }
        profile::Arrival::Closed(c) => {
            if *c.users == 0 {
                notes.add(c.users.span, "0 users do nothing", "write 1 or more");
            }
            (Start::Closed { users: *c.users, until: start + until }, None)
        }
    }
}

fn some_rate(notes: &mut Notes, at: &At<crate::written::Rate>) -> f64 {
    if at.value.0 <= 0.0 {
        notes.add(at.span, "at this rate nothing ever starts", "write a rate above 0, such as `50/s`");
    }
    at.value.0
}

/// Arrivals for each cell of the run's clock.
fn planned(
    notes: &mut Notes,
    frame: &Frame<'_>,
    index: usize,
    written: &At<profile::Shape>,
    arrival: &Start,
    start: Micros,
) -> Vec<u64> {
    let (Start::Open(arrival), Some(at)) = (arrival, &written.arrival) else { return Vec::new() };
    let expected = arrival.expected(Micros::ZERO, arrival.until);
    if expected > MOST_ARRIVALS {
        let message = format!("{} arrivals are more than squall plans for", grouped(expected as u64));
        notes.add(at.span, message, "lower the rate or the duration");
        return Vec::new();
    }
    let cells = (frame.duration.0.max(0) as u64).div_ceil(frame.cell.0.max(1) as u64).min(MOST_CELLS);
    let ends = (1..=cells).map(|cell| frame.cell.max(Micros(1)) * cell as i64 - start);
    let mut planned = arrival.counts_before(frame.seed, index as u32, ends);
    for cell in (1..planned.len()).rev() {
        planned[cell] -= planned[cell - 1];
    }
    if frame.smoke {
        return planned;
    }
    let help = "raise the rate, or let the shape last longer";
    let by_chance = arrival.spacing == Spacing::Poisson;
    if written.trigger && expected < 1.0 {
        let message = format!("a trigger of {} flows triggers nothing", three_digits(expected));
        notes.add(at.span, message, help);
    } else if by_chance && expected > 0.0 && expected < 1.0 {
        let message = format!("a shape of {} flows may never start one", three_digits(expected));
        notes.add(at.span, message, help);
    } else if (written.trigger || !by_chance) && expected > 0.0 && planned.iter().all(|&n| n == 0) {
        notes.add(at.span, "this shape never starts a flow", help);
    }
    planned
}

/// The first flow's start.
fn first(frame: &Frame<'_>, index: usize, arrival: &Start, start: Micros) -> Option<Micros> {
    match arrival {
        Start::Closed { .. } => Some(start),
        Start::Open(arrival) => arrival.times(frame.seed, index as u32).next().map(|at| start + at),
    }
}

fn in_words(arrival: &Start) -> String {
    let Start::Open(arrival) = arrival else {
        let Start::Closed { users, .. } = arrival else { return String::new() };
        return format!("closed loop of {users} users");
    };
    let random = if arrival.spacing == Spacing::Poisson { ", at random (Poisson)" } else { "" };
    match &arrival.rate {
        Rate::Constant(rate) => format!("{}/s{random}", three_digits(*rate)),
        Rate::Bursts { size, every, over } if *over > Micros::ZERO => {
            format!("bursts of {size} over {over} every {every}")
        }
        Rate::Bursts { size, every, .. } => format!("bursts of {size} every {every}"),
        Rate::Stages { from, stages } => {
            let steps: Vec<String> =
                stages.iter().map(|s| format!("{}/s in {}", three_digits(s.to), s.over)).collect();
            format!("{}/s, then {}{random}", three_digits(*from), steps.join(", then "))
        }
    }
}
