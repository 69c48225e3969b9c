//! The verdict's words and the exit codes: what a script learns of a run (DESIGN.md).
//!
//! Owns the words, the table and their orders; who calls `exit` is `main`.

use serde::{Deserialize, Serialize};

/// What became of an objective or of the run. Ordered: the worse one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Word {
    #[default]
    Pass,
    /// Too little evidence.
    Inconclusive,
    /// The generator, the baseline or the injector was at fault.
    Invalid,
    Fail,
}

impl Word {
    /// `PASS`, `FAIL`, ...
    pub fn text(self) -> &'static str {
        match self {
            Word::Pass => "PASS",
            Word::Inconclusive => "INCONCLUSIVE",
            Word::Invalid => "INVALID",
            Word::Fail => "FAIL",
        }
    }
}

/// How a run ended, as far as its exit code is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A fault could not be undone.
    pub not_undone: bool,
    /// Bad configuration, or a target that never answered in setup: nothing was sent.
    pub bad_configuration: bool,
    /// Ctrl-C or SIGTERM; everything was healed.
    pub interrupted: bool,
    /// squall itself could not go on.
    pub runtime_error: bool,
    pub verdict: Word,
}

/// Bad configuration, or a target that never answered in setup: nothing was sent.
pub const BAD_CONFIGURATION: u8 = 104;
/// A runtime error, a later failure of setup included.
pub const RUNTIME_ERROR: u8 = 107;
/// Interrupted and healed.
pub const INTERRUPTED: u8 = 105;
/// A fault could not be undone.
pub const NOT_UNDONE: u8 = 110;

/// The exit code and its reason: the first that applies.
pub fn code(facts: Facts) -> (u8, &'static str) {
    match facts {
        Facts { not_undone: true, .. } => {
            (NOT_UNDONE, "a fault could not be undone; `squall heal` tries again what is left")
        }
        Facts { bad_configuration: true, .. } => {
            (BAD_CONFIGURATION, "bad configuration, and no load was sent")
        }
        Facts { interrupted: true, .. } => (INTERRUPTED, "interrupted, and every fault was healed"),
        Facts { runtime_error: true, .. } => (RUNTIME_ERROR, "squall could not finish the run"),
        Facts { verdict: Word::Fail, .. } => (99, "the verdict is FAIL"),
        Facts { verdict: Word::Invalid, .. } => (97, "the verdict is INVALID"),
        Facts { verdict: Word::Inconclusive, .. } => (98, "the verdict is INCONCLUSIVE"),
        Facts { verdict: Word::Pass, .. } => (0, "the verdict is PASS"),
    }
}

/// The reason of a code that squall gives for what outranks any verdict.
pub fn reason(code: u8) -> &'static str {
    let facts = Facts {
        not_undone: code == NOT_UNDONE,
        bad_configuration: code == BAD_CONFIGURATION,
        interrupted: code == INTERRUPTED,
        runtime_error: true,
        verdict: Word::Pass,
    };
    self::code(facts).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_exit_code_that_applies_wins() {
        let all = Facts {
            not_undone: true,
            bad_configuration: true,
            interrupted: true,
            runtime_error: true,
            verdict: Word::Fail,
        };
        let bad = Facts { not_undone: false, ..all };
        let interrupted = Facts { bad_configuration: false, ..bad };
        let error = Facts { interrupted: false, ..interrupted };
        let judged = |verdict| Facts { verdict, ..Facts::default() };
        let rows = [
            (all, 110),
            (bad, 104),
            (interrupted, 105),
            (error, 107),
            (judged(Word::Fail), 99),
            (judged(Word::Invalid), 97),
            (judged(Word::Inconclusive), 98),
            (judged(Word::Pass), 0),
        ];
        for (facts, expected) in rows {
            assert_eq!(code(facts).0, expected, "{facts:?}");
        }
    }
}
