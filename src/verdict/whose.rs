//! Whose fault was it? One function measures again without squall's own part; every judge goes through it
//! (VERDICTS.md 2).

use super::answer::Answer;
use super::judgement::Word;
use super::view::View;
use crate::quantity::Quantity;

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

/// Why what holds may not: much of what was planned of some operations (`what`) was left out by flows that had failed,
/// and had it been bad (`worst`) it would not hold. `intended` counts them in a view.
pub(super) fn left_out(
    view: &View,
    worst: &View,
    what: &str,
    intended: impl Fn(&View) -> u64,
    ask: impl Fn(&View) -> Answer,
) -> Option<String> {
    let (asked, planned) = (intended(view) as f64, intended(worst) as f64);
    if asked >= DELIVERED * planned || ask(worst) == Answer::Holds {
        return None;
    }
    let left = Quantity::share(1.0 - asked / planned);
    Some(format!(
        "the flows that failed left out {left} of what was planned of {what}, and had that been bad it would not hold"
    ))
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
                let percent = Quantity::share(share);
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
