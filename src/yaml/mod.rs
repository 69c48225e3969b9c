//! YAML as users write it: text to a tree that knows its places, and from there to typed values.
//!
//! Owns the parser (granit-parser, behind this module), `${NAME}` from the environment, and the
//! report of everything that is wrong in a file at once. What the values mean is not known here.

mod at;
mod decode;
mod error;
mod fill;
mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use at::{At, Entries, text_of};
pub use decode::Cut;
pub use fill::GIVEN;

use crate::diagnose::{self, Problem, Source, Span};
use crate::redact;

/// Environment variables by name, handed in.
pub type Env = BTreeMap<String, String>;

/// Problems that one file may have before reading stops.
const MOST_PROBLEMS: usize = 50;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
struct Node {
    /// Unique in its tree.
    id: u32,
    span: Span,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
struct Scalar {
    text: String,
    /// Written without quotes, so that it may be a number, a truth value or nothing.
    plain: bool,
    /// What the environment put into it.
    filled: Vec<String>,
    /// The environment had a say in it: it is text wherever any type may stand.
    given: bool,
    /// The text with [`GIVEN`] around what the environment gave.
    marked: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: Node,
    value: Node,
}

/// A file that was read: as much of its value as could be saved, and everything that is wrong.
#[derive(Clone, Debug)]
pub struct Document<T> {
    /// File name without folder and ending.
    pub name: String,
    pub source: Arc<Source>,
    pub value: Option<T>,
    pub problems: Vec<Problem>,
    /// What could not be read.
    pub cuts: Vec<Cut>,
    /// Values that must never be printed.
    pub secrets: Vec<String>,
}

impl<T> Document<T> {
    /// Whether all names under this top-level key could be read.
    pub fn has_all_names(&self, key: &str) -> bool {
        self.value.is_some() && !self.cuts.iter().any(|cut| cut.names && is_meant(&cut.key, key))
    }

    /// Whether everything under this top-level key could be read.
    pub fn is_whole(&self, key: &str) -> bool {
        self.value.is_some() && !self.cuts.iter().any(|cut| is_meant(&cut.key, key))
    }
}

/// Says of keys at the top that are unknown here where they stand instead.
pub fn elsewhere(problems: &mut [Problem], keys: &[&str], place: &str) {
    for problem in problems {
        let (Some(source), Some(span)) = (&problem.source, problem.span) else { continue };
        let before = source.text.get(..span.start).unwrap_or_default();
        let meant = keys.iter().any(|key| problem.message == error::unknown_key(key));
        if meant && (before.is_empty() || before.ends_with('\n')) {
            problem.help = Some(place.to_owned());
        }
    }
}

/// A cut key is this one, or this one mistyped.
fn is_meant(cut: &str, key: &str) -> bool {
    diagnose::nearest(cut, [key]).is_some()
}

/// What is known of a scalar by the path of keys to it.
#[derive(Clone, Copy)]
pub struct Places {
    /// Whether it is a secret whoever wrote it, or only where the environment put it there.
    pub secrecy: fn(&[&str]) -> Secrecy,
    /// It may be a template: what the environment gave stays marked with [`GIVEN`].
    pub templates: fn(&[&str]) -> bool,
}

/// Reads a file.
pub fn read<T: DeserializeOwned>(path: &str, text: &str, env: &Env, places: Places) -> Document<T> {
    let mut source = Arc::new(Source { path: path.to_owned(), text: text.to_owned() });
    let (tree, mut problems) = parse::parse(&source);
    let mut document = Document {
        name: stem(path),
        source: source.clone(),
        value: None,
        problems: Vec::new(),
        cuts: Vec::new(),
        secrets: Vec::new(),
    };
    if let Some(mut tree) = tree {
        let unfilled = fill::fill(&mut tree, &source, env, &mut problems);
        let mut masked = text.as_bytes().to_vec();
        find_secrets(&tree, &mut Vec::new(), places.secrecy, &mut document.secrets, &mut masked);
        mark_given(&mut tree, &mut Vec::new(), places.templates);
        source = Arc::new(Source { path: path.to_owned(), text: to_text(masked) });
        let decoded = decode::decode(tree, &unfilled, &source, &mut problems);
        (document.value, document.cuts) = decoded;
    }
    let secrets = redact::forms(document.secrets.clone());
    for problem in &mut problems {
        problem.source = Some(source.clone());
        *problem = problem.redacted(&secrets);
    }
    diagnose::sort(&mut problems);
    document.source = source;
    document.problems = problems;
    document
}

/// What is known of a scalar by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Open,
    /// Secret where the environment filled it in.
    IfFilled,
    /// An address: secret where the environment filled in what stands behind its host.
    BehindHost,
    Secret,
}

fn mark_given(node: &mut Node, path: &mut Vec<String>, templates: fn(&[&str]) -> bool) {
    match &mut node.value {
        Value::Scalar(scalar) => {
            if scalar.given && templates(&path.iter().map(String::as_str).collect::<Vec<_>>()) {
                scalar.text.clone_from(&scalar.marked);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| mark_given(item, path, templates)),
        Value::Map(entries) => {
            for entry in entries {
                path.push(entry.key.text().to_owned());
                mark_given(&mut entry.value, path, templates);
                path.pop();
            }
        }
    }
}

fn find_secrets<'t>(
    node: &'t Node,
    path: &mut Vec<&'t str>,
    is_secret: fn(&[&str]) -> Secrecy,
    secrets: &mut Vec<String>,
    masked: &mut [u8],
) {
    match &node.value {
        Value::Scalar(scalar) => match is_secret(path) {
            Secrecy::Open => hide_user_info(node.span, &scalar.text, secrets, masked),
            Secrecy::IfFilled => {
                hide_user_info(node.span, &scalar.text, secrets, masked);
                secrets.extend(scalar.filled.iter().cloned());
            }
            Secrecy::BehindHost => {
                hide_user_info(node.span, &scalar.text, secrets, masked);
                let behind = behind_host(&scalar.text);
                // Of an address that is given as a whole the query is secret.
                let secret = |given: &String| match behind.contains(given.as_str()) {
                    true => Some(given.clone()),
                    false => given.split_once('?').map(|(_, query)| query.to_owned()),
                };
                secrets.extend(scalar.filled.iter().filter_map(secret));
            }
            Secrecy::Secret => {
                secrets.extend(scalar.filled.iter().cloned());
                if !scalar.text.contains("{{") {
                    secrets.push(scalar.text.clone());
                }
                mask(masked, node.span);
            }
        },
        Value::List(items) => {
            items.iter().for_each(|item| find_secrets(item, path, is_secret, secrets, masked));
        }
        Value::Map(entries) => {
            for entry in entries {
                path.push(entry.key.text());
                find_secrets(&entry.value, path, is_secret, secrets, masked);
                path.pop();
            }
        }
    }
}

/// Path and query of a URL, or of what begins with its path.
fn behind_host(url: &str) -> &str {
    let from = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[from..].find(['/', '?', '#']).map_or(url.len(), |n| from + n);
    &url[end..]
}

/// `user:password@` of a URL is a secret wherever it stands, also where the URL is written wrongly.
fn hide_user_info(span: Span, text: &str, secrets: &mut Vec<String>, masked: &mut [u8]) {
    let user_info = |text: &str| -> Option<(usize, usize)> {
        let start = match text.find("://") {
            Some(scheme) => scheme + 3,
            None if text.contains([' ', '{', '\n']) || !text.split_once('@')?.0.contains(':') => return None,
            None => 0,
        };
        let end = if start == 0 { None } else { text[start..].find(['/', '?', '#']) };
        let end = end.map_or(text.len(), |n| start + n);
        Some((start, start + text[start..end].rfind('@')?))
    };
    if let Some((start, end)) = user_info(text) {
        secrets.push(text[start..end].to_owned());
    }
    let written = masked.get(span.start..span.end).map(String::from_utf8_lossy);
    if let Some((start, end)) = written.as_deref().and_then(user_info) {
        mask(masked, Span { start: span.start + start, end: span.start + end });
    }
}

/// Stars over the bytes, line breaks left in place, so that every other place stays where it is.
fn mask(text: &mut [u8], span: Span) {
    let len = text.len();
    for byte in &mut text[span.start.min(len)..span.end.min(len)] {
        if *byte != b'\n' && *byte != b'\r' {
            *byte = b'*';
        }
    }
}

fn to_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn stem(path: &str) -> String {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".yaml").or(file.strip_suffix(".yml")).unwrap_or(file).to_owned()
}

impl Node {
    /// A scalar's text; empty for lists and maps.
    fn text(&self) -> &str {
        match &self.value {
            Value::Scalar(scalar) => &scalar.text,
            _ => "",
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(s) if s.plain && matches!(s.text.as_str(), "" | "~" | "null"))
    }
}

#[cfg(test)]
mod tests;
