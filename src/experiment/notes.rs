//! What is wrong so far: all checks write here, none stops at the first.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnose::{Problem, Source, Span};
use crate::objective::{self, Names, Objective};
use crate::template::{self, Scope};
use crate::units::Micros;
use crate::written::Duration;
use crate::yaml::At;

/// Problems of one file.
#[derive(Debug)]
pub(super) struct Notes {
    source: Arc<Source>,
    pub problems: Vec<Problem>,
}

impl Notes {
    pub fn new(source: &Arc<Source>) -> Notes {
        Notes { source: source.clone(), problems: Vec::new() }
    }

    pub fn add(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::at(&self.source, span, message).help(help));
    }

    /// A problem at a part of a scalar.
    pub fn add_in(&mut self, at: &At<String>, range: Range<usize>, message: String, help: String) {
        let span = self.source.within(at.span, &at.value, range);
        self.add(span, message, help);
    }

    /// `profile.yaml:12`
    pub fn line_of(&self, span: Span) -> String {
        self.source.line_of(span)
    }

    /// A problem that belongs to no place of the file.
    pub fn flag(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(message).help(help));
    }

    /// A template where a template may be.
    pub fn text(&mut self, at: &At<String>, scope: &Scope) -> super::Text {
        self.template(at.span, &at.value, scope);
        template::text(&at.value)
    }

    /// The checks of a template that is, or lies in, the scalar, list or map at `span`.
    pub fn template(&mut self, span: Span, written: &str, scope: &Scope) {
        for mistake in template::check(written, scope) {
            let range = mistake.range.unwrap_or(0..written.len());
            let place = self.source.within(span, written, range);
            self.add(place, mistake.message, mistake.help);
        }
    }

    /// A name of a field is sent as it is written: who takes it for a template, or for the environment's, would send
    /// the braces.
    pub fn sent_as_written(&mut self, span: Span, name: &str, instead: &str) {
        if ["{{", "{%", "${"].iter().any(|mark| name.contains(mark)) {
            let place = self.source.word_in(span, name);
            self.add(place, format!("`{name}` is a field's name, and no template"), instead);
        }
    }

    /// A path, with its query, where a template may be.
    pub fn path(&mut self, at: &At<String>, scope: &Scope) -> super::Text {
        if let Some(stray) = template::stray_in_path(&at.value) {
            let place = stray.range.map_or(at.span, |range| self.source.within(at.span, &at.value, range));
            self.add(place, stray.message, stray.help);
        }
        self.text(at, scope)
    }

    /// An expression, if it can be read.
    pub fn expression(&mut self, at: &At<String>, names: &Names) -> Option<Objective> {
        match objective::parse(&at.value, names) {
            Ok(objective) => Some(objective),
            Err(mistake) => {
                self.add_in(at, mistake.range, mistake.message, mistake.help);
                None
            }
        }
    }

    /// Something gets a name: it must be one.
    pub fn name(&mut self, span: Span, name: &str, what: &str) {
        if !is_name(name) {
            let help = "use letters from a to z, digits, `_` and `-`, and begin with a letter";
            self.add(span, format!("`{name}` is no name for {what}"), help);
        }
    }

    /// A duration that must not be zero.
    pub fn positive(&mut self, at: &At<Duration>, what: &str) -> Micros {
        if at.value.0 <= Micros::ZERO {
            self.add(
                at.span,
                format!("{what} must be longer than nothing"),
                "write it like `500ms` or `10s`",
            );
        }
        at.value.0
    }

    /// A regular expression that can be read.
    pub fn regex(&mut self, at: &At<String>) {
        if let Err(error) = regex::Regex::new(&at.value) {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            let help = "write it like `^room-[0-9]+$`";
            self.add(at.span, format!("`{}` is no regular expression: {reason}", at.value), help);
        }
    }

    /// A JSONPath that can be read.
    pub fn json_path(&mut self, at: Span, path: &str) {
        if let Err(error) = jsonpath_rust::parser::parse_json_path(path) {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or("").trim_start_matches([' ', '=']).to_owned();
            let help = "write it like `$.id` or `$.rooms[*].name` (RFC 9535)";
            self.add(at, format!("`{path}` is no JSONPath: {reason}"), help);
        }
    }
}

/// Letters, digits, `_`, `-` and `.`, beginning with a letter or `_`.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// A time as one writes it into YAML: whole seconds where they do, rounded up to milliseconds.
pub(super) fn as_written(at: Micros) -> String {
    match (at.0 % 1_000_000, (at.0 + 999) / 1000) {
        (0, _) => format!("{}s", at.0 / 1_000_000),
        (_, millis) => format!("{millis}ms"),
    }
}
