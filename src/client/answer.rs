//! Reading an answer: is it what the step expects, what is captured from it, how long is its list.

use std::sync::Arc;

use bytes::Bytes;
use jsonpath_rust::JsonPath;
use minijinja::Value;

use super::compile::{Program, Request};
use super::vars::Vars;
use crate::experiment::{BodyCheck, CaptureFrom, Expect};
use crate::sample::Kind;

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

/// Checks status and body and takes the captures. `count` asks for the length of the list.
pub fn read_answer(
    program: &Program,
    request: &Request,
    vars: &Arc<Vars>,
    answer: (u16, &http::HeaderMap, &Bytes),
    count: bool,
) -> Finding {
    let (status, headers, body) = answer;
    if !accepts(&request.expect, status) {
        return Finding::bad(Kind::Status, format!("status {status} was not expected"));
    }
    let mut parsed = Lazy { body, json: None };
    if let Err(detail) = check_body(program, request, vars, &mut parsed) {
        return Finding::bad(Kind::Check, detail);
    }
    let mut captured = Vec::new();
    for capture in &request.captures {
        match take(&capture.from, headers, &mut parsed) {
            Ok(value) => captured.push((capture.name.clone(), value)),
            Err(detail) => return Finding::bad(Kind::Check, format!("capture `{}`: {detail}", capture.name)),
        }
    }
    let items = request.items.as_ref().filter(|_| count).and_then(|path| {
        let json = parsed.json().ok()?;
        let found = json.query(path).ok()?;
        match found.as_slice() {
            [serde_json::Value::Array(list)] => Some(list.len() as u64),
            several => Some(several.len() as u64),
        }
    });
    Finding { kind: Kind::Ok, detail: String::new(), captured, items }
}

fn accepts(expect: &Expect, status: u16) -> bool {
    expect.status.iter().any(|&(from, to)| (from..=to).contains(&status))
}

/// The body, parsed when first asked for.
struct Lazy<'a> {
    body: &'a Bytes,
    json: Option<serde_json::Value>,
}

impl Lazy<'_> {
    fn json(&mut self) -> Result<&serde_json::Value, String> {
        if self.json.is_none() {
            let parsed = serde_json::from_slice(self.body).map_err(|_| "the answer is no JSON".to_owned())?;
            self.json = Some(parsed);
        }
        self.json.as_ref().ok_or_else(String::new)
    }
}

fn check_body(
    program: &Program,
    request: &Request,
    vars: &Arc<Vars>,
    parsed: &mut Lazy<'_>,
) -> Result<(), String> {
    let Some(check) = &request.expect.body else { return Ok(()) };
    let expected = request.expected_text.as_ref().map(|text| program.render_text(text, vars)).transpose()?;
    let expected = expected.unwrap_or_default();
    match check {
        BodyCheck::Contains(_) => {
            let found = parsed.body.windows(expected.len().max(1)).any(|w| w == expected.as_bytes());
            if found || expected.is_empty() {
                Ok(())
            } else {
                Err(format!("the body does not contain `{expected}`"))
            }
        }
        BodyCheck::Exists { path } => first(parsed, path).map(|_| ()),
        BodyCheck::Json { path, .. } => {
            let value = first(parsed, path)?;
            let text = as_text(&value);
            if text == expected { Ok(()) } else { Err(format!("{path} is `{text}`, not `{expected}`")) }
        }
    }
}

fn first(parsed: &mut Lazy<'_>, path: &str) -> Result<serde_json::Value, String> {
    let found = parsed.json()?.query(path).map_err(|e| e.to_string())?;
    found.first().map(|value| (*value).clone()).ok_or_else(|| format!("{path} matches nothing"))
}

fn as_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn take(from: &CaptureFrom, headers: &http::HeaderMap, parsed: &mut Lazy<'_>) -> Result<Value, String> {
    match from {
        CaptureFrom::Header(name) => headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(Value::from)
            .ok_or_else(|| format!("the answer has no header {name}")),
        CaptureFrom::Json(path) => first(parsed, path).map(Value::from_serialize),
        CaptureFrom::JsonAll(path) => {
            let found = parsed.json()?.query(path).map_err(|e| e.to_string())?;
            Ok(Value::from_serialize(&found))
        }
    }
}
