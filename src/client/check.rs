//! Checks of an answer's body: contains, matches, exists, compared, and the opposite of each.

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
                let value = json::text(&first(parsed, path).map_err(Failed::Check)?);
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

    fn compare(&self, path: &str, comparison: Comparison, value: &str, with: &str) -> Result<(), Failed> {
        let shown = cut(value, SHOWN);
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        let holds: fn(f64, f64) -> bool = match comparison {
            Comparison::Equals => {
                return need(value == with, || format!("{path} is `{shown}`, not `{}`", cut(with, SHOWN)));
            }
            Comparison::Matches => {
                return need(self.matches(value), || format!("{path} is `{shown}`, which does not match"));
            }
            Comparison::Above => |a, b| a > b,
            Comparison::AtLeast => |a, b| a >= b,
            Comparison::Below => |a, b| a < b,
            Comparison::AtMost => |a, b| a <= b,
        };
        let Some(limit) = number(with) else {
            return Err(Failed::Own(format!("`{}` is no number to compare {path} with", cut(with, SHOWN))));
        };
        let Some(found) = number(value) else {
            return Err(Failed::Check(format!("{path} is `{shown}`, which is no number")));
        };
        need(holds(found, limit), || format!("{path} is {shown}, not {} {with}", word(comparison)))
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
}
