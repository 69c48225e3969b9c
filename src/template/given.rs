//! What the environment gave inside a template: data, whatever is written in it.
//!
//! Owns the marks that the reader leaves around it, and how it becomes a part of a template's source.

use super::Mistake;
use crate::redact::{MASK, SHORTEST};
use crate::yaml::GIVEN;

/// Whether the environment had a part in it.
pub fn has_given(marked: &str) -> bool {
    marked.contains(GIVEN[0])
}

/// The text without marks.
pub fn plain(marked: &str) -> String {
    marked.replace(GIVEN, "")
}

/// What was written, with stars for what the environment gave.
pub fn shown(marked: &str) -> String {
    let parts = parts(marked).into_iter().map(|part| match part {
        Part::Given(value) if value.len() >= SHORTEST => MASK,
        Part::Given(text) | Part::Written(text) => text,
    });
    parts.collect()
}

/// What was written, with one mark for what was given.
pub(super) fn without(marked: &str) -> String {
    let parts = parts(marked).into_iter().map(|part| match part {
        Part::Given(_) => "\u{fdd0}",
        Part::Written(text) => text,
    });
    parts.collect()
}

/// Template source that gives what was given as it is, wherever it stands: as text, and inside quotes.
pub fn source(marked: &str) -> String {
    source_with(marked, &format!(" | {}", super::RAW))
}

/// The same for a value that is encoded: what was given is a part of it like any other.
pub fn encoded_source(marked: &str, encode: impl Fn(&str) -> String) -> String {
    with_outside(&source_with(marked, ""), encode)
}

fn source_with(marked: &str, filter: &str) -> String {
    let (mut out, mut at) = (String::new(), Where::Text);
    for part in parts(marked) {
        match (part, &at) {
            (Part::Written(text), _) => {
                at = at.after(text);
                out.push_str(text);
            }
            (Part::Given(value), Where::Text) if value.contains('{') => {
                out.push_str(&format!("{{{{ \"{}\"{filter} }}}}", literal(value)));
            }
            (Part::Given(value), Where::Text) => out.push_str(value),
            (Part::Given(value), Where::Quoted(..)) => out.push_str(&literal(value)),
            (Part::Given(value), Where::Code(_)) if is_number(value) => out.push_str(value),
            (Part::Given(value), Where::Code(_)) => out.push_str(&format!("\"{}\"", literal(value))),
        }
    }
    out
}

/// Where the environment would be read as code.
pub(super) fn as_code(marked: &str) -> Option<Mistake> {
    let mut at = Where::Text;
    for part in parts(marked) {
        match part {
            Part::Written(text) => at = at.after(text),
            Part::Given(value) if matches!(at, Where::Code(_)) && !is_number(value) => {
                let message = "what the environment gives is data, and no part of an expression".to_owned();
                let help = "put it in quotes: `{{ '${NAME}' | upper }}`".to_owned();
                return Some(Mistake { range: None, message, help });
            }
            Part::Given(_) => {}
        }
    }
    None
}

enum Part<'t> {
    Written(&'t str),
    Given(&'t str),
}

fn parts(marked: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), marked);
    while let Some((before, after)) = rest.split_once(GIVEN[0]) {
        let (value, after) = after.split_once(GIVEN[1]).unwrap_or((after, ""));
        parts.extend([Part::Written(before), Part::Given(value)]);
        rest = after;
    }
    parts.push(Part::Written(rest));
    parts
}

fn is_number(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(f64::is_finite)
        && value.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

/// The inside of a string literal: nothing in it ends the literal or begins anything else.
fn literal(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if c.is_alphanumeric() || " -_.:/+=,;@~".contains(c) {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Where in a template one is.
#[derive(Clone, Copy)]
pub(super) enum Where {
    Text,
    /// Inside of what ends so.
    Code(&'static str),
    /// Inside of such quotes, in code that ends so.
    Quoted(char, &'static str),
}

impl Where {
    fn after(self, text: &str) -> Where {
        let (mut at, mut rest) = (self, text);
        while let Some((next, _, after)) = step(at, rest) {
            (at, rest) = (next, after);
        }
        at
    }
}

/// The source with what stands outside of code made anew.
pub(super) fn with_outside(source: &str, made: impl Fn(&str) -> String) -> String {
    let (mut out, mut done) = (String::new(), 0);
    for (from, text) in outside(source) {
        out.push_str(&source[done..from]);
        out.push_str(&made(text));
        done = from + text.len();
    }
    out + &source[done..]
}

/// The texts that stand outside of code, and where they begin.
pub(super) fn outside(source: &str) -> Vec<(usize, &str)> {
    let (mut texts, mut at, mut rest) = (Vec::new(), Where::Text, source);
    loop {
        let next = step(at, rest);
        if matches!(at, Where::Text) {
            texts.push((source.len() - rest.len(), next.map_or(rest, |(_, before, _)| before)));
        }
        let Some((there, _, after)) = next else { return texts };
        (at, rest) = (there, after);
    }
}

/// The next place where something else begins: what that is, what stands before it and what after.
fn step(at: Where, text: &str) -> Option<(Where, &str, &str)> {
    let split = |from: usize, len: usize| (&text[..from], &text[from + len..]);
    match at {
        Where::Text => {
            let opens = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
            let found = opens.iter().filter_map(|(open, close)| Some((text.find(open)?, *close)));
            let (from, close) = found.min_by_key(|(from, _)| *from)?;
            let (before, after) = split(from, 2);
            Some((Where::Code(close), before, after))
        }
        Where::Code(close) => {
            let end = text.find(close);
            let quote = text.find(['"', '\'']).filter(|_| close != "#}");
            match quote.filter(|at| end.is_none_or(|end| *at < end)) {
                Some(from) => {
                    let (before, after) = split(from, 1);
                    Some((Where::Quoted(char::from(text.as_bytes()[from]), close), before, after))
                }
                None => {
                    let (before, after) = split(end?, 2);
                    Some((Where::Text, before, after))
                }
            }
        }
        Where::Quoted(quote, close) => {
            let mut escaped = false;
            let closing = text.char_indices().find(|(_, c)| {
                let ends = *c == quote && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            let (before, after) = split(closing?.0, 1);
            Some((Where::Code(close), before, after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(value: &str) -> String {
        format!("{}{value}{}", GIVEN[0], GIVEN[1])
    }

    proptest! {
        #[test]
        fn what_was_given_comes_out_as_it_is_wherever_it_stands(value in "(\\PC|[{}%#'\"\\\\])*") {
            let value = plain(&value);
            let mut env = minijinja::Environment::new();
            env.add_filter(crate::template::RAW, |value: minijinja::Value| value);
            env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
            let g = given(&value);
            for text in [format!("a{g}{{{{ 1 }}}}"), format!("a{{{{ '{g}' ~ 1 }}}}"), format!("a{{{{ \"{g}\" }}}}1")] {
                prop_assert_eq!(env.render_str(&source(&text), ()).unwrap(), format!("a{}1", value));
            }
            // Where values are encoded, what was given is one of them: here each is put in brackets.
            env.set_formatter(|out, _, value| out.write_str(&format!("[{value}]")).map_err(Into::into));
            let encoded = encoded_source(&format!("{g}{{{{ 1 }}}}"), |text| match text {
                "" => String::new(),
                text => format!("{{% raw %}}[{text}]{{% endraw %}}"),
            });
            let expected = if value.is_empty() { "[1]".to_owned() } else { format!("[{value}][1]") };
            if !value.contains("endraw") {
                prop_assert_eq!(env.render_str(&encoded, ()).unwrap(), expected);
            }
        }
    }
}
