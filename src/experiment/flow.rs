//! Steps as written to steps that can be taken: kinds, names, texts, deadlines.

use std::collections::BTreeSet;

use crate::diagnose::{Span, one_of, suggest};
use crate::experiment::notes::{Notes, is_name};
use crate::experiment::{Body, BodyCheck, Capture, CaptureFrom, Expect, Request, Step, Text, Think};
use crate::outline::OperationOutline;
use crate::profile;
use crate::sample::OpId;
use crate::template::Scope;
use crate::units::Micros;
use crate::yaml::{At, Entries};

/// The deadline of an attempt without a timeout (VERDICTS.md 2).
pub const NO_TIMEOUT: Micros = Micros::secs(30);

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
const KINDS: [&str; 13] = [
    "get", "post", "put", "patch", "delete", "head", "options", "method", "think", "repeat", "choice",
    "for_each", "group",
];
/// Names that templates have without any capture.
const TAKEN: [&str; 6] = ["user", "i", "run", "data", "setup", "hex"];

/// Where steps stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Load,
    /// Setup and teardown: nothing is measured.
    Aside,
}

/// Turns the steps of one flow into the resolved ones.
pub(super) struct Flow<'a> {
    pub notes: &'a mut Notes,
    pub operations: &'a mut Vec<OperationOutline>,
    pub part: Part,
    /// Index of the shape; of no meaning aside.
    pub shape: usize,
    pub timeout: Option<Micros>,
    pub scope: Scope,
    /// Names that were captured so far.
    pub captured: BTreeSet<String>,
    pub in_group: bool,
    /// Nothing was cut out of these steps: what is not there was not written.
    pub whole: bool,
}

/// Resolved steps and the longest time that they may take, by their deadlines.
type Steps = (Vec<Step>, Micros);

impl Flow<'_> {
    pub fn steps(&mut self, steps: &[At<profile::Step>]) -> Steps {
        let (mut out, mut longest) = (Vec::new(), Micros::ZERO);
        for step in steps {
            if let Some((step, deadline)) = self.step(step) {
                out.push(step);
                longest += deadline;
            }
        }
        (out, longest)
    }

    fn step(&mut self, step: &At<profile::Step>) -> Option<(Step, Micros)> {
        let kinds = kinds(step);
        match kinds.as_slice() {
            [] if !self.whole => return None,
            [] => {
                let help = format!("it is {}", one_of(&KINDS));
                self.notes.add(step.span, "this step does nothing", help);
                return None;
            }
            [(kind, _)] => self.stray_keys(step, kind),
            [(first, _), (second, span), ..] => {
                let message = format!("a step is one thing, not `{first}` and `{second}`");
                self.notes.add(*span, message, "make two steps of it");
                return None;
            }
        }
        if let Some(think) = &step.think {
            return Some((Step::Think(Think { least: think.least, most: think.most }), Micros::ZERO));
        }
        if let Some(repeat) = &step.repeat {
            return Some(self.repeat(repeat));
        }
        if let Some(choice) = &step.choice {
            return Some(self.choice(choice));
        }
        if let Some(for_each) = &step.for_each {
            return Some(self.for_each(for_each));
        }
        match &step.group {
            Some(group) => self.group(group),
            None => self.request(step),
        }
    }

    /// Keys of requests on a step that is none, and `path` without `method`.
    fn stray_keys(&mut self, step: &profile::Step, kind: &str) {
        let request = METHODS.contains(&kind) || kind == "method";
        for (key, span) in request_keys(step) {
            if !request {
                let message = format!("`{key}` belongs to requests, this step is `{kind}`");
                self.notes.add(span, message, "move it to a step with `get`, `post` or another method");
            } else if key == "path" && kind != "method" {
                let help = format!("write the path after `{kind}:`");
                self.notes.add(span, format!("`path` goes with `method`, this step has `{kind}`"), help);
            }
        }
    }

    fn repeat(&mut self, repeat: &At<profile::Repeat>) -> (Step, Micros) {
        let times = *repeat.times;
        if times == 0 {
            self.notes.add(repeat.times.span, "repeated 0 times is not at all", "write 1 or more");
        }
        let parallel = repeat.parallel.as_ref().map_or(1, |p| p.value);
        if let Some(at) = &repeat.parallel {
            if self.part == Part::Load {
                let help = "leave it out; for more load at once raise the arrival's rate";
                self.notes.add(at.span, "`parallel` is for setup and teardown only", help);
            } else if parallel == 0 {
                self.notes.add(at.span, "0 at a time is none", "write 1 or more");
            }
        }
        let (steps, longest) = self.steps(&repeat.steps);
        (Step::Repeat { times, parallel: parallel.max(1), steps }, longest * times.min(1 << 30) as i64)
    }

    fn choice(&mut self, branches: &At<Vec<profile::Choice>>) -> (Step, Micros) {
        if branches.is_empty() {
            self.notes.add(
                branches.span,
                "a choice of nothing",
                "write `choice: [{weight: 1, steps: [...]}]`",
            );
        }
        let (mut out, mut longest) = (Vec::new(), Micros::ZERO);
        for branch in &branches.value {
            let weight = branch.weight.as_ref().map_or(1.0, |w| w.value);
            if let Some(at) = branch.weight.as_ref().filter(|_| !(weight > 0.0 && weight.is_finite())) {
                self.notes.add(at.span, "a weight must be above 0", "write it like `weight: 3`");
            }
            let (steps, deadline) = self.steps(&branch.steps);
            longest = longest.max(deadline);
            out.push((weight, steps));
        }
        (Step::Choice(out), longest)
    }

    fn for_each(&mut self, each: &At<profile::ForEach>) -> (Step, Micros) {
        let list = &each.list;
        if !self.captured.contains(list.as_str()) && !self.scope.incomplete {
            let message = format!("no step before this one captures `{}`", list.value);
            let help = match self.captured.is_empty() {
                true => {
                    format!("capture it first: `capture: {{{}: {{all: \"$.rooms[*].name\"}}}}`", list.value)
                }
                false => suggest(list, &self.captured),
            };
            self.notes.add(list.span, message, help);
        }
        self.name_is_free(&each.name);
        self.scope.names.insert(each.name.value.clone());
        let (steps, longest) = self.steps(&each.steps);
        self.scope.names.remove(&each.name.value);
        (Step::ForEach { list: list.value.clone(), name: each.name.value.clone(), steps }, longest)
    }

    fn group(&mut self, group: &At<profile::Group>) -> Option<(Step, Micros)> {
        if self.part == Part::Aside {
            let help = "nothing is measured here: write its steps as they are";
            self.notes.add(group.span, "a group is an operation, and here are none", help);
            return None;
        }
        if self.in_group {
            self.notes.add(group.span, "a group inside a group", "one operation has no others inside");
            return None;
        }
        let op = self.operation(&group.name.value, Some(group.name.span), Micros::ZERO);
        self.in_group = true;
        let (steps, longest) = self.steps(&group.steps);
        self.in_group = false;
        let outline = &mut self.operations[usize::from(op.0)];
        outline.deadline = outline.deadline.max(longest);
        Some((Step::Group { op, steps }, longest))
    }

    fn request(&mut self, step: &At<profile::Step>) -> Option<(Step, Micros)> {
        let (method, path) = self.method_and_path(step)?;
        let timeout = step.timeout.as_ref().map(|t| self.notes.positive(t, "a timeout"));
        let deadline = timeout.or(self.timeout).unwrap_or(NO_TIMEOUT);
        let name = step.name.as_ref().map_or_else(|| format!("{method} {}", path.value), |n| n.value.clone());
        if !path.value.starts_with('/') && !path.value.starts_with("{{") {
            self.notes.add(path.span, "a path begins with `/`", format!("write `/{}`", path.value));
        }
        let path = self.notes.text(path, &self.scope);
        let mut request = Request {
            op: None,
            name,
            method,
            path,
            query: self.texts(&step.query),
            headers: headers(self.notes, &step.headers, &self.scope),
            body: self.body(step),
            expect: self.expect(step.expect.as_ref()),
            captures: Vec::new(),
            items: step.items.as_ref().map(|p| p.value.clone()),
            timeout,
        };
        if let Some(items) = &step.items {
            self.notes.json_path(items.span, items);
        }
        request.captures = self.captures(&step.capture);
        request.op = self.request_operation(step, &request.name, deadline);
        Some((Step::Request(Box::new(request)), deadline))
    }

    /// In the load a request outside a group is an operation; elsewhere it may not be named.
    fn request_operation(&mut self, step: &profile::Step, name: &str, deadline: Micros) -> Option<OpId> {
        let named = step.name.as_ref();
        match (self.part, self.in_group, named) {
            (Part::Load, true, Some(at)) => {
                self.notes.add(
                    at.span,
                    "a step inside a group has no name",
                    "the group is the operation: leave `as` out",
                );
                None
            }
            (Part::Load, true, None) | (Part::Aside, ..) => None,
            (Part::Load, false, _) => Some(self.operation(name, named.map(|n| n.span), deadline)),
        }
    }

    /// The operation of this name in this shape; steps may share one.
    fn operation(&mut self, name: &str, span: Option<Span>, deadline: Micros) -> OpId {
        if let Some(span) = span {
            self.notes.name(span, name, "an operation");
        }
        let shape = self.shape;
        let here = self.operations.iter().position(|o| o.shape == shape && !o.flow && o.name == name);
        let index = here.unwrap_or_else(|| {
            let outline =
                OperationOutline { name: name.to_owned(), shape, deadline: Micros::ZERO, flow: false };
            self.operations.push(outline);
            self.operations.len() - 1
        });
        let outline = &mut self.operations[index];
        outline.deadline = outline.deadline.max(deadline);
        OpId(index as u16)
    }

    fn method_and_path<'s>(&mut self, step: &'s At<profile::Step>) -> Option<(String, &'s At<String>)> {
        let paths = [&step.get, &step.post, &step.put, &step.patch, &step.delete, &step.head, &step.options];
        let short = METHODS.iter().zip(paths).find_map(|(m, p)| Some((m.to_uppercase(), p.as_ref()?)));
        if short.is_some() {
            return short;
        }
        let method = step.method.as_ref()?;
        if method.is_empty() || !method.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
            self.notes.add(
                method.span,
                format!("`{}` is no HTTP method", method.value),
                "write it like `PURGE`",
            );
        }
        match &step.path {
            Some(path) => Some((method.to_uppercase(), path)),
            None => {
                self.notes.add(method.span, "`method` needs a `path`", "add `path: /...`");
                None
            }
        }
    }

    fn texts(&mut self, entries: &Entries<At<String>>) -> Vec<(String, Text)> {
        entries.iter().map(|(key, text)| (key.value.clone(), self.notes.text(text, &self.scope))).collect()
    }

    fn body(&mut self, step: &profile::Step) -> Body {
        let second = match (&step.json, &step.form, &step.body) {
            (Some(_), Some(form), _) => form.0.first().map(|(key, _)| key.span),
            (Some(_), _, Some(body)) | (_, Some(_), Some(body)) => Some(body.span),
            _ => None,
        };
        if let Some(span) = second {
            self.notes.add(span, "a request has one body", "keep one of `json`, `form` and `body`");
        }
        if let Some(json) = &step.json {
            self.json(json.span, &json.value);
            return Body::Json(json.value.clone());
        }
        if let Some(form) = &step.form {
            return Body::Form(self.texts(form));
        }
        step.body.as_ref().map_or(Body::None, |b| Body::Raw(self.notes.text(b, &self.scope)))
    }

    fn json(&mut self, span: Span, value: &serde_json::Value) {
        json_templates(self.notes, span, value, &self.scope);
    }

    fn expect(&mut self, expect: Option<&profile::Expect>) -> Expect {
        let status = expect.and_then(|e| e.status.as_ref()).map_or_else(|| vec![(200, 299)], |s| s.0.clone());
        let body = expect.and_then(|e| e.body.as_ref()).map(|check| match check {
            profile::BodyCheck::Contains(text) => BodyCheck::Contains(self.notes.text(text, &self.scope)),
            profile::BodyCheck::Exists(path) => {
                self.notes.json_path(path.span, path);
                BodyCheck::Exists { path: path.value.clone() }
            }
            profile::BodyCheck::Json(check) => {
                self.notes.json_path(check.path.span, &check.path);
                let equals = self.notes.text(&check.equals, &self.scope);
                BodyCheck::Json { path: check.path.value.clone(), equals }
            }
        });
        Expect { status, body }
    }

    fn captures(&mut self, captures: &Entries<At<profile::Capture>>) -> Vec<Capture> {
        let mut out = Vec::new();
        for (name, capture) in captures.iter() {
            self.name_is_free(name);
            let from = match &capture.value {
                profile::Capture::First(path) => CaptureFrom::Json(path.clone()),
                profile::Capture::All(path) => CaptureFrom::JsonAll(path.clone()),
                profile::Capture::Header(header) => CaptureFrom::Header(header.to_ascii_lowercase()),
            };
            if let CaptureFrom::Json(path) | CaptureFrom::JsonAll(path) = &from {
                self.notes.json_path(capture.span, path);
            }
            self.captured.insert(name.value.clone());
            self.scope.names.insert(name.value.clone());
            out.push(Capture { name: name.value.clone(), from });
        }
        out
    }

    fn name_is_free(&mut self, name: &At<String>) {
        let good = is_name(name) && !name.contains(['-', '.']);
        if !good {
            let help = "use letters, digits and `_`";
            self.notes.add(name.span, format!("`{}` is no name for a variable", name.value), help);
        } else if TAKEN.contains(&name.as_str()) {
            let message = format!("`{}` has a meaning of its own in templates", name.value);
            self.notes.add(name.span, message, "choose another name");
        }
    }
}

/// Headers whose names HTTP allows.
pub(super) fn headers(
    notes: &mut Notes,
    entries: &Entries<At<String>>,
    scope: &Scope,
) -> Vec<(String, Text)> {
    let mut out = Vec::new();
    for (name, value) in entries.iter() {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            notes.add(
                name.span,
                format!("`{}` is no name for a header", name.value),
                "write it like `x-tenant`",
            );
        } else if value.contains(['\r', '\n', '\0']) {
            notes.add(value.span, "a header has one line", "take the line break out");
        }
        out.push((name.to_ascii_lowercase(), notes.text(value, scope)));
    }
    out
}

/// Every text inside a JSON value may be a template.
pub(super) fn json_templates(notes: &mut Notes, span: Span, value: &serde_json::Value, scope: &Scope) {
    match value {
        serde_json::Value::String(text) => notes.template(span, text, scope),
        serde_json::Value::Array(items) => items.iter().for_each(|v| json_templates(notes, span, v, scope)),
        serde_json::Value::Object(map) => map.values().for_each(|v| json_templates(notes, span, v, scope)),
        _ => {}
    }
}

/// The kinds that a step claims to be, with their places.
fn kinds(step: &profile::Step) -> Vec<(&'static str, Span)> {
    let texts = [
        &step.get,
        &step.post,
        &step.put,
        &step.patch,
        &step.delete,
        &step.head,
        &step.options,
        &step.method,
    ];
    let mut found: Vec<(&'static str, Span)> =
        KINDS.iter().zip(texts).filter_map(|(kind, at)| Some((*kind, at.as_ref()?.span))).collect();
    found.extend(step.think.as_ref().map(|at| ("think", at.span)));
    found.extend(step.repeat.as_ref().map(|at| ("repeat", at.span)));
    found.extend(step.choice.as_ref().map(|at| ("choice", at.span)));
    found.extend(step.for_each.as_ref().map(|at| ("for_each", at.span)));
    found.extend(step.group.as_ref().map(|at| ("group", at.span)));
    found
}

/// Keys that only requests have, with their places.
fn request_keys(step: &profile::Step) -> Vec<(&'static str, Span)> {
    let first = |entries: &Entries<At<String>>| entries.0.first().map(|(key, _)| key.span);
    let keys = [
        ("path", step.path.as_ref().map(|at| at.span)),
        ("as", step.name.as_ref().map(|at| at.span)),
        ("query", first(&step.query)),
        ("headers", first(&step.headers)),
        ("json", step.json.as_ref().map(|at| at.span)),
        ("form", step.form.as_ref().and_then(first)),
        ("body", step.body.as_ref().map(|at| at.span)),
        ("capture", step.capture.0.first().map(|(key, _)| key.span)),
        ("items", step.items.as_ref().map(|at| at.span)),
        ("timeout", step.timeout.as_ref().map(|at| at.span)),
    ];
    keys.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
}
