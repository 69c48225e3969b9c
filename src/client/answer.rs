//! Reading an answer: is it what the step expects, what is captured from it, how long is its list.

use std::sync::Arc;

use bytes::Bytes;
use jsonpath_rust::JsonPath;
use minijinja::Value;

use super::compile::{Asked, Program, Request};
use super::json;
use super::vars::Vars;
use crate::experiment::{BodyCheck, CaptureFrom, Expect};
use crate::sample::Kind;
use crate::units::{cut, grouped};
use crate::world::World;

/// What reading an answer found.
#[derive(Debug)]
pub struct Finding {
    /// `Ok`, `Status` or `Check`.
    pub kind: Kind,
    /// Why, where it is not `Ok`.
    pub detail: String,
    pub captured: Vec<(String, Value)>,
    /// Length of the list that the step counts.
    pub items: Option<u64>,
}

impl Finding {
    fn bad(kind: Kind, detail: String) -> Finding {
        Finding { kind, detail, captured: Vec::new(), items: None }
    }
}

/// Bodies above this size are read aside.
const ASIDE: usize = 64 << 10;
/// Bodies above this size are not taken apart: a value takes many times the room of its text.
const MOST_TAKEN_APART: u64 = 32 << 20;

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    /// As much of it as was kept.
    pub body: Bytes,
    /// Bytes of the whole.
    pub length: u64,
}

impl Answer {
    /// It is read aside.
    pub fn is_long(&self) -> bool {
        self.body.len() > ASIDE
    }
}

/// Checks status and body and takes the captures; a long body is read aside of this thread. `count` asks for the
/// length of the list.
pub async fn read_answer(
    world: &World,
    program: &Program,
    request: &Request,
    vars: &Arc<Vars>,
    answer: &Answer,
    count: bool,
) -> Finding {
    let expected = request.expected_text.as_ref().map(|text| program.render_text(text, vars)).transpose();
    let expected = match expected {
        Ok(expected) => expected.unwrap_or_default(),
        Err(detail) => return Finding::bad(Kind::Template, detail),
    };
    if !answer.is_long() {
        return look(&request.asked, &expected, answer, count);
    }
    let (asked, status, length) = (request.asked.clone(), answer.status, answer.length);
    let answer = Answer { status, headers: answer.headers.clone(), body: answer.body.clone(), length };
    let found = world.aside(move || look(&asked, &expected, &answer, count)).await;
    found.unwrap_or_else(|_| Finding::bad(Kind::Local, "squall failed to read the answer".to_owned()))
}

fn look(asked: &Asked, expected: &str, answer: &Answer, count: bool) -> Finding {
    if !accepts(&asked.expect, answer.status) {
        return Finding::bad(Kind::Status, format!("status {} was not expected", answer.status));
    }
    let mut parsed = Lazy { body: &answer.body, length: answer.length, json: None };
    if let Err(detail) = check_body(asked, expected, &mut parsed) {
        return Finding::bad(Kind::Check, detail);
    }
    let mut captured = Vec::new();
    for capture in &asked.captures {
        match take(&capture.from, &answer.headers, &mut parsed) {
            Ok(value) => captured.push((capture.name.clone(), value)),
            Err(detail) => return Finding::bad(Kind::Check, format!("capture `{}`: {detail}", capture.name)),
        }
    }
    let items = asked.items.as_ref().filter(|_| count);
    let items = items.and_then(|path| json::count(&answer.body, path).or_else(|| matches(&mut parsed, path)));
    Finding { kind: Kind::Ok, detail: String::new(), captured, items }
}

/// How many there are at a path that takes the whole value.
fn matches(parsed: &mut Lazy<'_>, path: &str) -> Option<u64> {
    let found = parsed.json().ok()?.query(path).ok()?;
    match found.as_slice() {
        [serde_json::Value::Array(list)] => Some(list.len() as u64),
        several => Some(several.len() as u64),
    }
}

fn accepts(expect: &Expect, status: u16) -> bool {
    expect.status.iter().any(|&(from, to)| (from..=to).contains(&status))
}

/// The body, parsed when first asked for.
struct Lazy<'a> {
    body: &'a Bytes,
    length: u64,
    json: Option<serde_json::Value>,
}

impl Lazy<'_> {
    fn json(&mut self) -> Result<&serde_json::Value, String> {
        if self.length > MOST_TAKEN_APART {
            let (long, most) = (grouped(self.length), MOST_TAKEN_APART >> 20);
            return Err(format!("the answer has {long} bytes, and squall takes apart {most} MiB at most"));
        }
        if self.json.is_none() {
            self.json = Some(json::read(self.body)?);
        }
        self.json.as_ref().ok_or_else(String::new)
    }
}

fn check_body(asked: &Asked, expected: &str, parsed: &mut Lazy<'_>) -> Result<(), String> {
    let Some(check) = &asked.expect.body else { return Ok(()) };
    match check {
        BodyCheck::Contains(_) => {
            let found = parsed.body.windows(expected.len().max(1)).any(|w| w == expected.as_bytes());
            if found || expected.is_empty() {
                Ok(())
            } else {
                Err(format!("the body does not contain `{}`", cut(expected, SHOWN)))
            }
        }
        BodyCheck::Exists { path } => first(parsed, path).map(|_| ()),
        BodyCheck::Json { path, .. } => {
            let value = first(parsed, path)?;
            let text = json::text(&value);
            let [shown, wanted] = [text.as_str(), expected].map(|text| cut(text, SHOWN));
            if text == expected { Ok(()) } else { Err(format!("{path} is `{shown}`, not `{wanted}`")) }
        }
    }
}

fn first(parsed: &mut Lazy<'_>, path: &str) -> Result<serde_json::Value, String> {
    let found = parsed.json()?.query(path).map_err(|e| e.to_string())?;
    found.first().map(|value| (*value).clone()).ok_or_else(|| format!("{path} matches nothing"))
}

/// Characters of a value that a message shows.
const SHOWN: usize = 100;

fn take(from: &CaptureFrom, headers: &http::HeaderMap, parsed: &mut Lazy<'_>) -> Result<Value, String> {
    match from {
        CaptureFrom::Header(name) => {
            let value = headers.get(name).ok_or_else(|| format!("the answer has no header {name}"))?;
            let text = std::str::from_utf8(value.as_bytes());
            text.map(Value::from).map_err(|_| format!("the header {name} is no UTF-8, and no text"))
        }
        CaptureFrom::Json(path) => json::to_rendered(&first(parsed, path)?),
        CaptureFrom::JsonAll(path) => {
            let found = parsed.json()?.query(path).map_err(|e| e.to_string())?;
            found.into_iter().map(json::to_rendered).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
    }
}
