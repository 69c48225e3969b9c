//! How many programs of the user's run at once, which squall needs files for.

use crate::experiment::fault::HOOK_TIMEOUT;
use crate::experiment::{Experiment, Fault};
use crate::units::Micros;

/// So many at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    pub services: usize,
    pub hooks: usize,
}

impl Programs {
    /// By the plan: a hook is run, checked, undone and checked again, and one that hangs is waited for.
    pub fn of(experiment: &Experiment) -> Programs {
        let hooks = experiment.faults.iter().zip(&experiment.outline.faults).enumerate();
        let times = hooks.flat_map(|(index, (fault, outline))| {
            let lasts = outline.length.unwrap_or_default() + HOOK_TIMEOUT * 3;
            let hook = matches!(fault, Fault::Exec { .. }).then_some((outline.at, outline.at + lasts));
            let began = |after: Micros| (outline.at + after, outline.at + after + HOOK_TIMEOUT);
            let actions = experiment.actions.get(index).into_iter().flatten();
            hook.into_iter().chain(actions.map(move |action| began(action.after)))
        });
        Programs { services: experiment.services.len(), hooks: at_once(&times.collect::<Vec<_>>()) }
    }
}

/// How many of these times lie over each other at most.
fn at_once(times: &[(Micros, Micros)]) -> usize {
    let over = |at: Micros| times.iter().filter(|(from, to)| (*from..*to).contains(&at)).count();
    times.iter().map(|(from, _)| over(*from)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_lie_over_each_other_are_counted() {
        let s = Micros::secs;
        assert_eq!(at_once(&[]), 0);
        assert_eq!(at_once(&[(s(1), s(3)), (s(3), s(4))]), 1);
        assert_eq!(at_once(&[(s(1), s(5)), (s(2), s(3)), (s(4), s(6)), (s(4), s(9))]), 3);
    }
}
