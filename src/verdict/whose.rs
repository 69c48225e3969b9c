//! Whose fault was it? One function measures again without squall's own part; every judge goes through it
//! (VERDICTS.md 2).

use super::answer::Answer;
use super::judgement::Word;
use super::view::View;

/// The share of a phase's planned arrivals that must have been issued in time.
pub(super) const DELIVERED: f64 = 0.95;

/// What came of a question.
pub(super) struct Settled {
    pub(super) word: Word,
    /// What squall did, in words, where the word is INVALID.
    pub(super) because: Option<String>,
    /// Operations that it takes, where the word is INCONCLUSIVE and more of them would tell.
    pub(super) needed: Option<u64>,
}

/// The word for a question: `ask` answers it of one view. `delivered` is the share of the planned arrivals that
/// it rests on, where any were planned; `blame` names what squall did.
pub(super) fn settle(
    view: &View,
    delivered: Option<f64>,
    blame: impl Fn() -> String,
    ask: impl Fn(&View) -> Answer,
) -> Settled {
    let settled = |word, because| Settled { word, because, needed: None };
    match ask(view) {
        Answer::Unknown(needed) => Settled { word: Word::Inconclusive, because: None, needed },
        Answer::Holds => match delivered.filter(|share| *share < DELIVERED) {
            Some(share) => {
                let percent = crate::quantity::Quantity::share(share);
                let why = format!("squall sent only {percent} of what was planned in time{}", blame());
                settled(Word::Invalid, Some(why))
            }
            None => settled(Word::Pass, None),
        },
        Answer::Breaks => match ask(view.clean()) {
            Answer::Breaks => settled(Word::Fail, None),
            Answer::Holds => {
                settled(Word::Invalid, Some(format!("without squall's own part it would hold{}", blame())))
            }
            Answer::Unknown(_) => settled(
                Word::Invalid,
                Some(format!("what squall did not spoil itself is too little to tell{}", blame())),
            ),
        },
    }
}
