//! The verdict: what a history proves about a service (VERDICTS.md).
//!
//! Pure and three-valued: every judge works over the folded history, and one that cannot judge says
//! so. Findings (metastable, contagion, growth, ...) are not part of it yet.

mod judgement;

pub use judgement::{
    Band, Ended, ErrorGroup, Exit, Generator, Interval, JudgedFault, JudgedObjective, JudgedTrigger,
    Judgement, OperationPhase, OperationTable, Phase, Quantity, Run, ShapeBand, ShapeTrigger, Span, Summary,
    Unit, UnsoundCell, VERSION, Word,
};
