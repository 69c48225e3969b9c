//! The error of decoding: what serde says, turned into words for people, with its place.
//!
//! Owns wording and what must be cut out of the tree to look for the next error.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::diagnose::{Span, suggest};

#[derive(Clone, Debug)]
pub(super) struct Error {
    pub message: String,
    pub help: Option<String>,
    pub span: Option<Span>,
    /// The node whose content is incomplete: no error if something was cut out of it before.
    pub lacks: Lack,
    /// The entry (by its value) or list element to cut out.
    pub cut: Option<u32>,
}

/// Whether an error may be the mere consequence of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    No,
    /// Of the node that is being decoded; its number is not known yet.
    Here,
    Of(u32),
}

impl Error {
    pub fn new(message: String) -> Error {
        Error { message, help: None, span: None, lacks: Lack::No, cut: None }
    }

    pub fn help(mut self, help: String) -> Error {
        self.help = Some(help);
        self
    }

    pub fn lack(mut self) -> Error {
        self.lacks = Lack::Here;
        self
    }

    /// Settles what the innermost place knows and leaves the rest.
    pub fn placed(mut self, span: Span, cut: u32) -> Error {
        self.span = self.span.or(Some(span));
        self.cut = self.cut.or(Some(cut));
        self
    }

    /// Settles which node is incomplete.
    pub fn within(mut self, node: u32) -> Error {
        if self.lacks == Lack::Here {
            self.lacks = Lack::Of(node);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    /// A message may carry its help after a line break.
    fn custom<T: fmt::Display>(message: T) -> Error {
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, help)) => Error::new(message.to_owned()).help(help.to_owned()),
            None => Error::new(text),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::new(format!("expected {}, found {}", plainly(&expected.to_string()), in_words(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Error {
        Error::new(format!("expected {expected}, found {length}"))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Error {
        Error::new(format!("`{variant}` is not known here")).help(suggest(variant, known))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Error {
        let help = match field {
            "<<" => {
                "there are no merge keys here: write the keys out, or name a whole value with `&` and `*`"
                    .to_owned()
            }
            _ if known.is_empty() => "it takes no keys".to_owned(),
            _ => suggest(field, known),
        };
        Error::new(unknown_key(field)).help(help)
    }

    fn missing_field(field: &'static str) -> Error {
        Error::new(format!("`{field}` is missing")).help(format!("add `{field}: ...`")).lack()
    }
}

pub(super) fn unknown_key(key: &str) -> String {
    format!("unknown key `{key}`")
}

/// serde's and Rust's words for things, in those of people.
fn plainly(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number, not below zero",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" => "a text",
        "a sequence" => "a list (`[...]`)",
        other => other,
    }
}

fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(b) => format!("`{b}`"),
        Unexpected::Unsigned(n) => format!("the number {n}"),
        Unexpected::Signed(n) => format!("the number {n}"),
        Unexpected::Float(n) => format!("the number {n}"),
        Unexpected::Str(s) => format!("the text `{s}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}
