//! Problems in what the user wrote: file, place, message and next step, and how they are shown.
//!
//! Owns the look of a problem only; who finds it says what it is.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::redact::redact;

/// A text that problems point into. Secrets that stand in it are masked, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// As the user named it.
    pub path: String,
    pub text: String,
}

/// Bytes `start..end` of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// One thing that is wrong, with the step that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub source: Option<Arc<Source>>,
    pub span: Option<Span>,
    /// Lower-case fragment: `unknown key `durration``.
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    /// A problem of no file: a flag, or the machine.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { source: None, span: None, message: message.into(), help: None }
    }

    /// A problem at a place in a file.
    pub fn at(source: &Arc<Source>, span: Span, message: impl Into<String>) -> Problem {
        Problem { source: Some(source.clone()), span: Some(span), ..Problem::new(message) }
    }

    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Secrets taken out of its words.
    pub fn redacted(&self, secrets: &[String]) -> Problem {
        let (message, help) =
            (redact(&self.message, secrets), self.help.as_ref().map(|h| redact(h, secrets)));
        Problem { message, help, ..self.clone() }
    }

    /// Whoever gave the flag is not told of the profile's key.
    pub fn of_flag(mut self, is_given: bool) -> Problem {
        let instead = |help: String| help.replace("raise `duration`", "raise `--duration`");
        self.help = self.help.map(|help| if is_given { instead(help) } else { help });
        self
    }

    /// With the help that there is, if there is one.
    pub fn help_maybe(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }
}

impl Source {
    /// Where bytes `range` of `text` lie, `text` being what the scalar at `span` says. The whole
    /// scalar where the file writes it differently (escapes, line breaks, values filled in).
    pub fn within(&self, span: Span, text: &str, range: Range<usize>) -> Span {
        let written = self.text.get(span.start..span.end).unwrap_or("");
        match written.find(text) {
            Some(offset) => {
                Span { start: span.start + offset + range.start, end: span.start + offset + range.end }
            }
            None => span,
        }
    }

    /// `profile.yaml:12`: the line where it begins.
    pub fn line_of(&self, span: Span) -> String {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        format!("{}:{}", self.path, 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    /// The first place of `word` inside `span`; the whole of it if it is not there.
    pub fn word_in(&self, span: Span, word: &str) -> Span {
        self.within(span, word, 0..word.len())
    }
}

/// The word among `known` that was probably meant.
pub fn nearest<'a, S: AsRef<str> + ?Sized + 'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a S>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (closeness(&lower, &k.as_ref().to_lowercase()), k.as_ref()))
        .filter(|(score, _)| *score >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// About 1 for equal words; edits count (swapped neighbours as one), like beginnings break ties.
fn closeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b) + 0.1 * strsim::jaro_winkler(a, b)
}

/// `did you mean `x`?`, or else the words there are.
pub fn suggest<'a, S: AsRef<str> + ?Sized + 'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a S> + Clone,
) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => one_of(known),
    }
}

/// `one of `a`, `b`, `c``, shortened where there are many.
pub fn one_of<'a, S: AsRef<str> + ?Sized + 'a>(known: impl IntoIterator<Item = &'a S>) -> String {
    let words: Vec<String> = known.into_iter().map(|k| format!("`{}`", k.as_ref())).collect();
    match words.len() {
        0 => "there are none here".to_owned(),
        1 => format!("it can only be {}", words[0]),
        n if n > 30 => format!("one of {}, and {} more", words[..20].join(", "), n - 20),
        _ => format!("one of {}", words.join(", ")),
    }
}

/// All problems as text, in the order of their files and places, each followed by an empty line.
pub fn render(problems: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems {
        out.push_str(&render_one(&renderer, problem));
        out.push_str("\n\n");
    }
    out
}

fn render_one(renderer: &Renderer, problem: &Problem) -> String {
    let title = Level::ERROR.primary_title(problem.message.as_str());
    let mut group = match (&problem.source, problem.span) {
        (Some(source), Some(span)) => {
            let span = on_one_line(&source.text, span);
            let mark = AnnotationKind::Primary.span(span.start..span.end);
            let snippet = Snippet::source(source.text.as_str()).path(source.path.as_str()).annotation(mark);
            title.element(snippet)
        }
        (Some(source), None) => title.element(Origin::path(source.path.as_str())),
        (None, _) => title.elements(Vec::<Origin<'_>>::new()),
    };
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The span's part on its first line, at least one byte where there is one, on character bounds.
fn on_one_line(text: &str, span: Span) -> Span {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |n| start + n);
    let least = text[start..line_end].chars().next().map_or(start, |c| start + c.len_utf8());
    let mut end = span.end.clamp(least, line_end.max(least));
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Span { start, end }
}

/// Into the order in which a reader meets them: by file, then by place.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let key = |p: &Problem| (p.source.as_ref().map(|s| s.path.clone()), p.span);
        key(a).cmp(&key(b))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_word_is_the_one_that_was_mistyped() {
        let known = ["duration", "shapes", "objectives", "headers", "for", "flow"];
        let rows = [
            ("durration", Some("duration")),
            ("Shape", Some("shapes")),
            ("fro", Some("for")),
            ("xyz", None),
            ("", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, known.iter()), expected, "{word}");
        }
    }

    #[test]
    fn a_problem_shows_file_line_caret_and_help() {
        let source = Arc::new(Source { path: "a.yaml".into(), text: "x: 1\ndurration: 90s\n".into() });
        let problem =
            Problem::at(&source, Span { start: 5, end: 14 }, "unknown key `durration`").help("did you mean?");
        insta::assert_snapshot!(render(&[problem], false), @r"
        error: unknown key `durration`
         --> a.yaml:2:1
          |
        2 | durration: 90s
          | ^^^^^^^^^
          |
          = help: did you mean?
        ");
    }

    proptest! {
        #[test]
        fn no_span_makes_the_renderer_panic(text in "\\PC{0,20}(\n\\PC{0,9})?", start in 0usize..60, len in 0usize..60) {
            let source = Arc::new(Source { path: "a".into(), text });
            render(&[Problem::at(&source, Span { start, end: start + len }, "m")], false);
        }
    }
}
