//! Checks of an answer's body: contains, matches, exists, compared, and the opposite of each.

use std::cmp::Ordering;

use regex::Regex;

use super::answer::{Lazy, first};
use super::json;
use crate::experiment::{BodyCheck, Comparison, Text};
use crate::units::cut;

/// Characters of a value that a message shows.
const SHOWN: usize = 100;

/// A check made ready.
#[derive(Debug)]
pub struct Check {
    check: BodyCheck,
    regex: Option<Regex>,
}

/// Why a check failed.
pub enum Failed {
    /// The answer is not as expected.
    Check(String),
    /// What it is compared with is no such value: the profile's own mistake.
    Own(String),
}

/// The text that a check compares with; empty for those that have none.
pub fn text_of(check: &BodyCheck) -> Text {
    match check {
        BodyCheck::Contains(text) => text.clone(),
        BodyCheck::Json { comparison, with, .. } if *comparison != Comparison::Matches => with.clone(),
        BodyCheck::Not(inner) => text_of(inner),
        _ => Text::Fixed(String::new()),
    }
}

fn pattern_of(check: &BodyCheck) -> Option<&str> {
    match check {
        BodyCheck::Matches(pattern) => Some(pattern),
        BodyCheck::Json { comparison: Comparison::Matches, with: Text::Fixed(pattern), .. } => Some(pattern),
        BodyCheck::Not(inner) => pattern_of(inner),
        _ => None,
    }
}

impl Check {
    /// # Errors
    /// The regular expression cannot be read; the plan refuses that.
    pub fn new(check: &BodyCheck) -> Result<Check, String> {
        let regex = pattern_of(check).map(Regex::new).transpose().map_err(|e| e.to_string())?;
        Ok(Check { check: check.clone(), regex })
    }

    /// `expected` is what [`text_of`] came to.
    pub(super) fn holds(&self, expected: &str, parsed: &mut Lazy<'_>) -> Result<(), Failed> {
        self.look(&self.check, expected, parsed)
    }

    fn look(&self, check: &BodyCheck, expected: &str, parsed: &mut Lazy<'_>) -> Result<(), Failed> {
        match check {
            BodyCheck::Contains(_) => {
                let body = parsed.whole().map_err(Failed::Check)?;
                let found = body.windows(expected.len().max(1)).any(|w| w == expected.as_bytes());
                need(found || expected.is_empty(), || {
                    format!("the body does not contain `{}`", cut(expected, SHOWN))
                })
            }
            BodyCheck::Matches(pattern) => {
                let body = String::from_utf8_lossy(parsed.whole().map_err(Failed::Check)?);
                need(self.matches(&body), || format!("nothing in the body matches `{pattern}`"))
            }
            BodyCheck::Exists { path } => first(parsed, path).map(|_| ()).map_err(Failed::Check),
            BodyCheck::Json { path, comparison, .. } => {
                let value = first(parsed, path).map_err(Failed::Check)?;
                self.compare(path, *comparison, &value, expected)
            }
            BodyCheck::Not(inner) => self.not(inner, expected, parsed),
        }
    }

    /// The opposite, of what can be looked at: a body that is no JSON shows nothing either way.
    fn not(&self, inner: &BodyCheck, expected: &str, parsed: &mut Lazy<'_>) -> Result<(), Failed> {
        match inner {
            BodyCheck::Json { .. } | BodyCheck::Exists { .. } => parsed.json().map(|_| ()),
            BodyCheck::Contains(_) | BodyCheck::Matches(_) => parsed.whole().map(|_| ()),
            BodyCheck::Not(_) => Ok(()),
        }
        .map_err(Failed::Check)?;
        match self.look(inner, expected, parsed) {
            Err(Failed::Check(_)) => Ok(()),
            Err(own) => Err(own),
            Ok(()) => Err(Failed::Check(format!("it holds, and must not: {}", in_words(inner, expected)))),
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn compare(
        &self,
        path: &str,
        comparison: Comparison,
        value: &serde_json::Value,
        with: &str,
    ) -> Result<(), Failed> {
        let text = json::text(value);
        let (found, limit) = (Number::of(&text), Number::of(with));
        let shown = cut(&text, SHOWN);
        let holds: fn(Ordering) -> bool = match comparison {
            Comparison::Equals => {
                // However a number is spelled: a 1 that comes as 1.0 is one.
                let same =
                    json::is_number(value) && found.zip(limit).is_some_and(|(a, b)| a.order(b).is_eq());
                return need(same || text == with, || {
                    format!("{path} is `{shown}`, not `{}`", cut(with, SHOWN))
                });
            }
            Comparison::Matches => {
                return need(self.matches(&text), || format!("{path} is `{shown}`, which does not match"));
            }
            Comparison::Above => Ordering::is_gt,
            Comparison::AtLeast => Ordering::is_ge,
            Comparison::Below => Ordering::is_lt,
            Comparison::AtMost => Ordering::is_le,
        };
        let Some(limit) = limit else {
            return Err(Failed::Own(format!("`{}` is no number to compare {path} with", cut(with, SHOWN))));
        };
        let Some(found) = found else {
            return Err(Failed::Check(format!("{path} is `{shown}`, which is no number")));
        };
        need(holds(found.order(limit)), || format!("{path} is {shown}, not {} {with}", word(comparison)))
    }
}

/// A number to compare: a whole one with every digit, as ids of 64 bits differ where their nearest fractions do not.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    fn of(text: &str) -> Option<Number> {
        let text = text.trim();
        let whole = text.parse().ok().map(Number::Whole);
        whole.or_else(|| text.parse().ok().filter(|n: &f64| n.is_finite()).map(Number::Other))
    }

    fn order(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (a, b) => (a.nearly() + 0.0).total_cmp(&(b.nearly() + 0.0)),
        }
    }

    fn nearly(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Other(x) => x,
        }
    }
}

fn need(holds: bool, why: impl Fn() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::Check(why())) }
}

fn word(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equals => "equal to",
        Comparison::Matches => "matched by",
        Comparison::Above => "above",
        Comparison::AtLeast => "at least",
        Comparison::Below => "below",
        Comparison::AtMost => "at most",
    }
}

fn in_words(check: &BodyCheck, expected: &str) -> String {
    let expected = cut(expected, SHOWN);
    match check {
        BodyCheck::Contains(_) => format!("the body contains `{expected}`"),
        BodyCheck::Matches(pattern) => format!("the body matches `{pattern}`"),
        BodyCheck::Exists { path } => format!("there is {path}"),
        BodyCheck::Json { path, comparison: Comparison::Matches, .. } => format!("{path} matches"),
        BodyCheck::Json { path, comparison, .. } => format!("{path} is {} `{expected}`", word(*comparison)),
        BodyCheck::Not(_) => "a check that must fail does".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// What is beyond the part that was kept is neither there nor not.
    #[test]
    fn of_a_body_that_was_not_kept_whole_nothing_is_said_either_way() {
        let contains = || BodyCheck::Contains(Text::Fixed("error".to_owned()));
        for (check, length, holds) in [
            (BodyCheck::Not(Box::new(contains())), 4, true),
            (BodyCheck::Not(Box::new(contains())), 5, false),
            (BodyCheck::Not(Box::new(BodyCheck::Matches("err.r".to_owned()))), 5, false),
            (BodyCheck::Matches("fine".to_owned()), 4, true),
            (BodyCheck::Matches("fine".to_owned()), 5, false),
        ] {
            let body = Bytes::from_static(b"fine");
            let ready = Check::new(&check).unwrap();
            let told = ready.holds("error", &mut Lazy::new(&body, length));
            assert_eq!(told.is_ok(), holds, "{check:?} of {length}");
        }
    }

    /// Ids of 64 bits differ where floats of theirs do not, and one server writes `1.0` where another writes `1`.
    #[test]
    fn numbers_are_compared_with_every_digit_and_however_they_are_spelled() {
        use Comparison::{Above, AtMost, Equals};
        let answer =
            br#"{"id": 9007199254740993, "long": 12345678901234567890123, "one": 1.0, "k": 1e3, "zero": -0.0, "text": "1.0", "no": null}"#;
        for (path, comparison, with, holds) in [
            ("$.id", Above, "9007199254740992", true),
            ("$.id", AtMost, "9007199254740992", false),
            ("$.id", Equals, "9007199254740992", false),
            ("$.long", Above, "12345678901234567890122", true),
            ("$.long", Equals, "12345678901234567890123", true),
            ("$.long", Equals, "12345678901234567890122", false),
            ("$.one", Equals, "1", true),
            ("$.k", Equals, "1000", true),
            ("$.zero", Equals, "0", true),
            ("$.text", Equals, "1", false),
            ("$.text", Equals, "1.0", true),
            ("$.no", Equals, "null", true),
        ] {
            let body = Bytes::from_static(answer);
            let with_text = Text::Fixed(with.to_owned());
            let check = BodyCheck::Json { path: path.to_owned(), comparison, with: with_text };
            let told = Check::new(&check).unwrap().holds(with, &mut Lazy::new(&body, body.len() as u64));
            assert_eq!(told.is_ok(), holds, "{path} {comparison:?} {with}");
        }
    }
}
