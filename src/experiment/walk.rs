//! Walking through steps: what they come to when they are taken once, as far as a plan tells.

use super::{Request, Step};
use crate::sample::OpId;
use crate::units::Micros;

/// How often steps that `counts` come to pass when `steps` are taken once, as expected.
pub fn expected(steps: &[Step], counts: &dyn Fn(&Step) -> bool) -> f64 {
    sum(steps, &|step| f64::from(u8::from(counts(step))))
}

/// What each step is worth, when `steps` are taken once, as expected: a choice is worth the mean of its branches, an `if`
/// as the way that comes to more, and a list that is captured as one item.
fn sum(steps: &[Step], worth: &dyn Fn(&Step) -> f64) -> f64 {
    let inside = |step: &Step| match step {
        Step::Request(_) | Step::Think(_) => 0.0,
        Step::Repeat { times, steps, .. } => *times as f64 * sum(steps, worth),
        Step::ForEach { steps, .. } | Step::Group { steps, .. } => sum(steps, worth),
        Step::If(either) => sum(&either.then, worth).max(sum(&either.otherwise, worth)),
        Step::Choice(branches) => {
            let all: f64 = branches.iter().map(|(weight, _)| weight).sum();
            let parts = branches.iter().map(|(weight, steps)| weight * sum(steps, worth));
            parts.sum::<f64>() / all.max(f64::MIN_POSITIVE)
        }
    };
    steps.iter().map(|step| worth(step) + inside(step)).sum()
}

/// For how long `steps` think, as expected.
pub fn thinks(steps: &[Step]) -> Micros {
    let mean = |step: &Step| match step {
        Step::Think(think) => (think.least + think.most).0 as f64 / 2.0,
        _ => 0.0,
    };
    Micros(sum(steps, &mean) as i64)
}

/// How often `steps` do this operation, as expected.
pub fn of_operation(steps: &[Step], op: OpId) -> f64 {
    expected(steps, &|step| match step {
        Step::Request(request) => request.op == Some(op),
        Step::Group { op: group, .. } => *group == op,
        _ => false,
    })
}

/// Requests on the wire that `steps` take once, as expected.
pub fn requests(steps: &[Step]) -> f64 {
    expected(steps, &|step| matches!(step, Step::Request(_)))
}

/// Every list that these steps go through.
pub fn each_list(steps: &[Step], visit: &mut dyn FnMut(&str)) {
    for step in steps {
        match step {
            Step::Request(_) | Step::Think(_) => {}
            Step::ForEach { list, steps, .. } => {
                visit(list);
                each_list(steps, visit);
            }
            Step::Repeat { steps, .. } | Step::Group { steps, .. } => each_list(steps, visit),
            Step::If(either) => {
                each_list(&either.then, visit);
                each_list(&either.otherwise, visit);
            }
            Step::Choice(branches) => branches.iter().for_each(|(_, steps)| each_list(steps, visit)),
        }
    }
}

/// For how long whoever takes `steps` once thinks at least.
pub fn least_thinking(steps: &[Step]) -> Micros {
    let of = |step: &Step| match step {
        Step::Think(think) => think.least,
        Step::Request(_) | Step::ForEach { .. } => Micros::ZERO,
        Step::Repeat { times, steps, .. } => least_thinking(steps) * (*times).min(1 << 30) as i64,
        Step::Group { steps, .. } => least_thinking(steps),
        Step::If(either) => least_thinking(&either.then).min(least_thinking(&either.otherwise)),
        Step::Choice(branches) => {
            branches.iter().map(|(_, steps)| least_thinking(steps)).min().unwrap_or_default()
        }
    };
    steps.iter().map(of).fold(Micros::ZERO, |sum, long| sum + long)
}

/// Every request of these steps, whatever arranges it.
pub fn each_request<'s>(steps: &'s [Step], visit: &mut dyn FnMut(&'s Request)) {
    for step in steps {
        match step {
            Step::Request(request) => visit(request),
            Step::Think(_) => {}
            Step::Repeat { steps, .. } | Step::ForEach { steps, .. } | Step::Group { steps, .. } => {
                each_request(steps, visit);
            }
            Step::If(either) => {
                each_request(&either.then, visit);
                each_request(&either.otherwise, visit);
            }
            Step::Choice(branches) => branches.iter().for_each(|(_, steps)| each_request(steps, visit)),
        }
    }
}
