//! Reading an answer: is it what the step expects, what is captured from it, how long is its list.

use std::sync::Arc;

use bytes::Bytes;
use jsonpath_rust::JsonPath;
use minijinja::Value;

use super::compile::{Program, Request};
use super::json;
use super::vars::Vars;
use crate::experiment::{BodyCheck, CaptureFrom, Expect};
use crate::sample::Kind;
use crate::units::cut;

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
    let expected = request.expected_text.as_ref().map(|text| program.render_text(text, vars)).transpose();
    let expected = match expected {
        Ok(expected) => expected.unwrap_or_default(),
        Err(detail) => return Finding::bad(Kind::Template, detail),
    };
    if let Err(detail) = check_body(request, &expected, &mut parsed) {
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
            self.json = Some(json::read(self.body)?);
        }
        self.json.as_ref().ok_or_else(String::new)
    }
}

fn check_body(request: &Request, expected: &str, parsed: &mut Lazy<'_>) -> Result<(), String> {
    let Some(check) = &request.expect.body else { return Ok(()) };
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
