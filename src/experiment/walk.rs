//! Walking through steps: what they come to when they are taken once, as far as a plan tells.

use super::{Request, Step};
use crate::sample::OpId;
use crate::units::Micros;

/// How often steps that `counts` come to pass when `steps` are taken once, as expected.
pub fn expected(steps: &[Step], counts: &dyn Fn(&Step) -> bool) -> f64 {
    sum(steps, Forks::Expected, &|step| f64::from(u8::from(counts(step))))
}

/// What a flow that does not always take the same steps comes to.
#[derive(Clone, Copy)]
enum Forks {
    /// An `if` goes the way that comes to more, a choice comes to the mean of its branches, a list has one item.
    Expected,
    /// The way that comes to least, and no item in a list.
    Least,
}

impl Forks {
    fn either(self, then: f64, otherwise: f64) -> f64 {
        match self {
            Forks::Expected => then.max(otherwise),
            Forks::Least => then.min(otherwise),
        }
    }

    /// `branches` is the weight and what each comes to.
    fn choice(self, branches: &[(f64, f64)]) -> f64 {
        let all: f64 = branches.iter().map(|(weight, _)| weight).sum();
        let mean = || branches.iter().map(|(weight, worth)| weight * worth).sum::<f64>();
        match self {
            Forks::Expected => mean() / all.max(f64::MIN_POSITIVE),
            Forks::Least => branches.iter().map(|(_, worth)| *worth).reduce(f64::min).unwrap_or(0.0),
        }
    }

    /// How many items a list has that is captured.
    fn items(self) -> f64 {
        match self {
            Forks::Expected => 1.0,
            Forks::Least => 0.0,
        }
    }
}

/// What `steps` are worth when they are taken once, each of them by itself and all that it arranges.
fn sum(steps: &[Step], forks: Forks, worth: &dyn Fn(&Step) -> f64) -> f64 {
    let of = |steps: &[Step]| sum(steps, forks, worth);
    let inside = |step: &Step| match step {
        Step::Request(_) | Step::Think(_) => 0.0,
        Step::Repeat { times, steps, .. } => *times as f64 * of(steps),
        Step::ForEach { steps, .. } => forks.items() * of(steps),
        Step::Group { steps, .. } => of(steps),
        Step::If(either) => forks.either(of(&either.then), of(&either.otherwise)),
        Step::Choice(branches) => {
            let branches: Vec<_> = branches.iter().map(|(weight, steps)| (*weight, of(steps))).collect();
            forks.choice(&branches)
        }
    };
    steps.iter().map(|step| worth(step) + inside(step)).sum()
}

fn mean(step: &Step) -> f64 {
    match step {
        Step::Think(think) => (think.least + think.most).0 as f64 / 2.0,
        _ => 0.0,
    }
}

/// For how long `steps` think, as expected.
pub fn thinks(steps: &[Step]) -> Micros {
    Micros(sum(steps, Forks::Expected, &mean) as i64)
}

/// For how long whoever takes `steps` the shortest way thinks on average.
pub fn mean_thinking(steps: &[Step]) -> Micros {
    Micros(sum(steps, Forks::Least, &mean) as i64)
}

/// For how long whoever takes `steps` once thinks at least.
pub fn least_thinking(steps: &[Step]) -> Micros {
    let least = |step: &Step| match step {
        Step::Think(think) => think.least.0 as f64,
        _ => 0.0,
    };
    Micros(sum(steps, Forks::Least, &least) as i64)
}

/// How often `steps` do this operation, as expected.
pub fn of_operation(steps: &[Step], op: OpId) -> f64 {
    expected(steps, &|step| match step {
        Step::Request(request) => request.op == Some(op),
        Step::Group { op: group, .. } => *group == op,
        _ => false,
    })
}

/// By how much that varies from one time to the next, as choices go by chance: the variance.
pub fn variance_of(steps: &[Step], op: OpId) -> f64 {
    let inside = |step: &Step| match step {
        Step::Request(_) | Step::Think(_) => 0.0,
        Step::Repeat { times, steps, .. } => *times as f64 * variance_of(steps, op),
        Step::ForEach { steps, .. } | Step::Group { steps, .. } => variance_of(steps, op),
        Step::If(either) => {
            let ways = [&either.then, &either.otherwise].map(|way| (of_operation(way, op), way));
            variance_of(if ways[0].0 >= ways[1].0 { ways[0].1 } else { ways[1].1 }, op)
        }
        Step::Choice(branches) => {
            let moment = |forks: &dyn Fn(f64, f64) -> f64| {
                let each = branches
                    .iter()
                    .map(|(weight, steps)| (*weight, forks(of_operation(steps, op), variance_of(steps, op))));
                Forks::Expected.choice(&each.collect::<Vec<_>>())
            };
            moment(&|mean, variance| variance + mean * mean) - moment(&|mean, _| mean).powi(2)
        }
    };
    steps.iter().map(inside).sum()
}

/// How often whoever takes `steps` over and over does this operation within so long at most, as they think on average.
pub fn most_within(steps: &[Step], op: OpId, long: Micros) -> f64 {
    let round = mean_thinking(steps);
    if round <= Micros::ZERO {
        return f64::INFINITY;
    }
    let rounds = long.0 / round.0;
    rounds as f64 * of_operation(steps, op) + part_within(steps, op, Micros(long.0 % round.0), true)
}

/// The same of less than a round, which may begin at any of `steps`, and go on with the next `round`. Of the first and of the
/// last there may be no more than an end: what lies between them is thought through.
fn part_within(steps: &[Step], op: OpId, long: Micros, round: bool) -> f64 {
    let one = |step: &Step| (one_within(step, op, long), mean_thinking(std::slice::from_ref(step)));
    let each: Vec<(f64, Micros)> = steps.iter().map(one).collect();
    let from = |first: usize| {
        let ends = if round { first + each.len() } else { each.len() };
        let (mut n, mut between) = (0.0, Micros::ZERO);
        for at in first..ends {
            let (come, thinks) = each[at % each.len()];
            n += come;
            between += if at > first { thinks } else { Micros::ZERO };
            if between > long {
                break;
            }
        }
        n
    };
    (0..each.len()).map(from).fold(0.0, f64::max)
}

fn one_within(step: &Step, op: OpId, long: Micros) -> f64 {
    let part = |steps: &[Step]| part_within(steps, op, long, false);
    match step {
        Step::Repeat { times, steps, .. } => {
            most_within(steps, op, long).min(*times as f64 * of_operation(steps, op))
        }
        Step::Group { op: group, steps } => f64::from(u8::from(*group == op)) + part(steps),
        Step::If(either) => Forks::Expected.either(part(&either.then), part(&either.otherwise)),
        Step::Choice(branches) => {
            let branches: Vec<_> = branches.iter().map(|(weight, steps)| (*weight, part(steps))).collect();
            Forks::Expected.choice(&branches)
        }
        Step::Request(_) | Step::Think(_) | Step::ForEach { .. } => {
            of_operation(std::slice::from_ref(step), op)
        }
    }
}

/// Requests on the wire that `steps` take once, as expected.
pub fn requests(steps: &[Step]) -> f64 {
    expected(steps, &|step| matches!(step, Step::Request(_)))
}

/// Every request of these steps, whatever arranges it.
pub fn each_request<'s>(steps: &'s [Step], visit: &mut dyn FnMut(&'s Request)) {
    each_step(steps, &mut |step| {
        if let Step::Request(request) = step {
            visit(request);
        }
    });
}

/// Every step of these, and every step that they arrange, in the order of the profile.
pub fn each_step<'s>(steps: &'s [Step], visit: &mut dyn FnMut(&'s Step)) {
    for step in steps {
        visit(step);
        match step {
            Step::Request(_) | Step::Think(_) => {}
            Step::Repeat { steps, .. } | Step::ForEach { steps, .. } | Step::Group { steps, .. } => {
                each_step(steps, visit);
            }
            Step::If(either) => {
                each_step(&either.then, visit);
                each_step(&either.otherwise, visit);
            }
            Step::Choice(branches) => branches.iter().for_each(|(_, steps)| each_step(steps, visit)),
        }
    }
}
