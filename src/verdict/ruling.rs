//! A ruling: what one operation, or one shape after a trigger, says of an objective.

use super::judgement::Word;
use super::measure::Measured;

/// What became of an objective for one operation, or one shape after a trigger.
pub(super) struct Ruling {
    pub(super) word: Word,
    pub(super) who: Option<String>,
    pub(super) measured: Measured,
    /// Instead of the measured value's own text.
    pub(super) text: Option<&'static str>,
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
}

impl Ruling {
    pub(super) fn without(word: Word, who: Option<String>, reason: String) -> Ruling {
        Ruling { word, who, measured: Measured::default(), text: None, reason, notes: Vec::new() }
    }
}
