//! How many operations an objective or a steady state will have, and what is said where those are too few, or fewer than
//! it asks for. Goes by what is expected and by what chance leaves of that, never by one seed's draw.

use serde::Serialize;

use super::PhaseAhead;
use crate::experiment::watch::{Come, Watch};
use crate::objective::{Metric, Objective};
use crate::outline::OperationOutline;
use crate::quantity::{Quantity, Unit};
use crate::units::{Micros, grouped};

/// A plan of less than this share of what is asked for cannot bring it.
const SURELY: f64 = 0.9;

/// How many operations an objective will have to be judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// The operation that will have the fewest.
    pub operation: String,
    /// As expected.
    pub n: u64,
    /// So many will come, but for bad luck.
    pub least: u64,
    /// No more will come, whatever chance does.
    pub most: u64,
    /// So many are needed to tell that it holds.
    pub needed: u64,
    /// Of an objective `for D`, how many come within D on average.
    pub on_end: Option<u64>,
}

impl Expectation {
    fn new(operation: &str, needed: u64, come: &Come) -> Expectation {
        Expectation {
            operation: operation.to_owned(),
            n: whole(come.expected),
            least: whole(come.likely),
            most: whole(come.most),
            needed,
            on_end: None,
        }
    }

    /// `planned`, unless chance has a part in it.
    fn expected(&self) -> &'static str {
        if self.most > self.n { "expected" } else { "planned" }
    }

    /// How sure it is that there will be too few.
    fn not(&self) -> &'static str {
        if self.most < self.needed { NOT } else { HARDLY }
    }

    /// Says so where a steady state will not be found, as there are too few operations of one to tell.
    pub(super) fn never_steady(&self, rule: &Objective) -> Option<String> {
        let Expectation { operation, n, least, needed, .. } = self;
        let (found, chance) = match (n < needed, least < needed) {
            (true, _) => ("will hardly", String::new()),
            (false, true) => ("may not", format!(", of which chance may leave {}", grouped(*least))),
            (false, false) => return None,
        };
        Some(format!(
            "`steady: {}` {found} be found, and the run then ends as INVALID: it looks at about {} {operation}{chance}, and it takes {}; ask it of a shape or of another operation, look at more with `for`, or raise the rate",
            rule.text.trim(),
            grouped(*n),
            grouped(*needed),
        ))
    }
}

impl Watch<'_> {
    pub(super) fn expectation(&self, phases: &[PhaseAhead], objective: &Objective) -> Option<Expectation> {
        let (cells, cell) = (self.planned_cells(phases, &objective.phase), self.outline.cell);
        let begin = |shape: usize, at: i64| self.flows(shape, cell * at, cell * (at + 1));
        let arrivals = |o: &OperationOutline| cells.iter().map(|&at| begin(o.shape, at as i64)).sum::<f64>();
        let within = |n: u64| n * self.looks_at(objective) as u64 / (cells.len() as u64).max(1);
        let on_end = |n: u64| objective.window.map(|_| within(n).min(n));
        // Where none has load in the phase, that is told.
        let fewest = self.fewest(objective, &arrivals).map(|(_, ahead)| ahead);
        fewest.map(|ahead| Expectation { on_end: on_end(ahead.n), ..ahead })
    }

    /// By the time that a steady state is looked for; none where nothing has load by then, of which nothing is asked.
    pub(super) fn steady_ahead(&self, rule: &Objective) -> Option<Expectation> {
        let first = self.outline.first_trigger()?;
        let long = self.looks_at(rule);
        let arrivals = |o: &OperationOutline| self.before_trigger(first, o, long);
        self.fewest(rule, &arrivals).filter(|(idle, _)| !idle).map(|(_, ahead)| ahead)
    }

    /// The fewest operations that one of those which an expression speaks of will have, of so many planned arrivals, and
    /// whether it has no load. One without load is not asked about, unless none has any; users of a closed loop have.
    fn fewest(
        &self,
        rule: &Objective,
        arrivals: &dyn Fn(&OperationOutline) -> f64,
    ) -> Option<(bool, Expectation)> {
        let counted = !matches!(rule.metric, Metric::Outage | Metric::Recovery | Metric::Target { .. });
        let all = self.outline.operations.iter().enumerate().filter(|(_, o)| counted && o.is_meant_by(rule));
        let is_closed = |o: &OperationOutline| self.outline.shapes.get(o.shape).is_some_and(|s| s.closed);
        let others_come = self.outline.operations.iter().any(|o| o.is_meant_by(rule) && is_closed(o));
        let each = all.filter(|(_, o)| !is_closed(o)).filter_map(|(op, o)| {
            let arrivals = arrivals(o);
            let ahead = Expectation::new(&o.name, rule.least(), &self.come_of((op, o), arrivals)?);
            Some((arrivals <= 0.0 && rule.metric != Metric::Count, ahead))
        });
        each.filter(|(idle, _)| !(*idle && others_come)).min_by_key(|(idle, ahead)| (*idle, ahead.n))
    }

    /// Says so where there will be too few operations to tell that an objective holds, or chance may leave too few.
    pub(super) fn too_few(&self, objective: &Objective, ahead: &Expectation) -> Option<String> {
        let Expectation { operation, n, least, needed, .. } = ahead;
        let text = objective.text.trim();
        let instead = match (&objective.metric, objective.quantile_of(*least), limit_for(*least)) {
            (Metric::Quantile(_), Some(quantile), _) => {
                format!("ask for `{}`, or raise the rate", objective.asking(&quantile))
            }
            (Metric::Errors, _, Some((percent, digits))) => {
                format!("a limit of {percent:.digits$} % could be told, or raise the rate")
            }
            (Metric::Goodput, _, Some((percent, digits))) => {
                format!("a limit of {:.digits$} % could be told, or raise the rate", 100.0 - percent)
            }
            _ => "raise the rate, or let the phase last longer".to_owned(),
        };
        let (told, chance) = match (n < needed, least < needed) {
            (true, _) => (format!("will {} be told", ahead.not()), String::new()),
            (false, true) => {
                ("may not be told".to_owned(), format!(", of which chance may leave {}", grouped(*least)))
            }
            (false, false) => return None,
        };
        Some(format!(
            "`{text}` {told} to hold: about {} {operation} are {} for it{chance}, and it takes {}; {instead}",
            grouped(*n),
            ahead.expected(),
            grouped(*needed),
        ))
    }

    /// Says so where a rate or a count is asked for that is more than what is planned: a shape may begin late, or end
    /// early, in the time that is asked about. With `for D` no second may have it.
    pub(super) fn too_much(
        &self,
        objective: &Objective,
        ahead: &Expectation,
        phases: &[PhaseAhead],
    ) -> Option<String> {
        let phase = phases.iter().find(|phase| phase.name == objective.phase);
        if phase.is_some_and(|phase| phase.one_shot) {
            return None;
        }
        // Without triggers the run is its own baseline.
        let spans = phase.map_or_else(|| vec![self.frame().baseline()], |phase| phase.spans.clone());
        let long: Micros = spans.iter().map(|span| span.end - span.start).fold(Micros::ZERO, |a, b| a + b);
        let (planned, not) = match objective.window {
            None => hopeless(objective, (ahead.n as f64, ahead.most as f64), long)?,
            Some(_) if objective.metric == Metric::Rate => {
                let all = self.outline.operations.iter().enumerate();
                let (op, of) = all.into_iter().find(|(_, o)| o.name == ahead.operation)?;
                let come = self.come_of((op, of), self.densest(&spans, of, 1))?;
                hopeless(objective, (come.expected, come.most), self.outline.cell)
                    .filter(|(_, not)| *not == NOT)?
            }
            Some(_) => return None,
        };
        Some(format!(
            "`{}` will {not} hold: {planned} {} are {} for {}; ask for less, raise the rate, or ask of a phase in which all of its load lies",
            objective.text.trim(),
            ahead.operation,
            ahead.expected(),
            objective.phase,
        ))
    }

    /// A steady state will not be found, as a rate or a count is asked for that is more than what is planned.
    pub(super) fn too_much_before(&self, rule: &Objective, ahead: &Expectation) -> Option<String> {
        let until = self.outline.first_trigger()? - self.outline.cell;
        let long = self.outline.cell * self.looks_at(rule) as i64;
        let long = long.min(until - self.outline.judge.warmup);
        let (planned, not) = hopeless(rule, (ahead.n as f64, ahead.most as f64), long)?;
        Some(format!(
            "`steady: {}` will {not} be found, and the run then ends as INVALID: {planned} {} are {} for the {long} at which it looks; ask for less, or raise the rate",
            rule.text.trim(),
            ahead.operation,
            ahead.expected(),
        ))
    }
}

/// The least share of bad ones, in percent of two digits, that can be told of so many operations, and how many decimals
/// it has; none if none can.
fn limit_for(n: u64) -> Option<(f64, usize)> {
    let percent = 100.0 / n.max(1) as f64;
    let digits = (1.0 - percent.log10().floor()).max(0.0);
    let step = 10f64.powf(digits);
    let percent = (percent * step - 1e-9).ceil() / step;
    (percent < 100.0).then_some((percent, digits as usize))
}

/// As many as there will be whole ones of.
fn whole(n: f64) -> u64 {
    (n + 1e-6).max(0.0) as u64
}

/// So many of so long, as a rate or a count tells it; none if neither is asked for.
fn per(metric: &Metric, n: f64, long: Micros) -> Option<Quantity> {
    match metric {
        Metric::Rate if long > Micros::ZERO => Some(Quantity::new(Unit::Rate, n / long.as_secs_f64())),
        Metric::Count => Some(Quantity::new(Unit::Number, n)),
        _ => None,
    }
}

const NOT: &str = "not";
const HARDLY: &str = "hardly";

/// What is expected of so long where more is asked for, and whether chance cannot bring that, or hardly will.
fn hopeless(
    asked: &Objective,
    (expected, most): (f64, f64),
    long: Micros,
) -> Option<(Quantity, &'static str)> {
    let (planned, most) = (per(&asked.metric, expected, long)?, per(&asked.metric, most, long)?);
    let too_much = asked.comparison.wants_more() && planned.value < SURELY * asked.value;
    too_much.then_some((planned, if most.value < asked.value { NOT } else { HARDLY }))
}
