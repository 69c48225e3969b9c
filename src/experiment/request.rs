//! Requests as written to those that can be sent: paths, headers, bodies, checks and captures.

use crate::diagnose::Span;
use crate::experiment::flow::{Flow, METHODS, NO_TIMEOUT, Part};
use crate::experiment::notes::Notes;
use crate::experiment::{Body, BodyCheck, Capture, CaptureFrom, Comparison, Expect, Request, Step, Text};
use crate::profile;
use crate::sample::OpId;
use crate::template::{self, Scope};
use crate::units::Micros;
use crate::yaml::{At, Entries};

impl Flow<'_> {
    pub(super) fn request(&mut self, step: &At<profile::Step>) -> Option<(Step, Micros)> {
        let (method, path) = self.method_and_path(step)?;
        let timeout = step.timeout.as_ref().map(|t| self.notes.positive(t, "a timeout"));
        let deadline = timeout.or(self.timeout).unwrap_or(NO_TIMEOUT);
        let shown = template::shown(path);
        let name = step.name.as_ref().map_or_else(|| format!("{method} {shown}"), |n| n.value.clone());
        self.begins_with_a_slash(path);
        let place = self.notes.line_of(path.span);
        let path = self.notes.path(path, &self.scope);
        let mut request = Request {
            place,
            op: None,
            name,
            method,
            path,
            query: self.texts(&step.query, "write it into the path: `/search?{{ name }}={{ value }}`"),
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

    /// A value in a path is one segment of it: only what is left as it is can bring the slash.
    fn begins_with_a_slash(&mut self, path: &At<String>) {
        let text = template::plain(path);
        let first = text.strip_prefix("{{").and_then(|rest| rest.split_once("}}")).map(|(first, _)| first);
        match first {
            Some(first) if first.trim_end().ends_with(template::RAW) => {}
            Some(first) => {
                let message = "a value in a path is one segment of it, and a path begins with `/`";
                let help = format!(
                    "write `/{{{{{first}}}}}`, or `{{{{{} | raw }}}}` for a whole path",
                    first.trim_end()
                );
                self.notes.add(path.span, message, help);
            }
            None if !text.starts_with('/') && !text.starts_with("{%") => {
                let shown = template::shown(path);
                let help = match shown.split_once("://") {
                    Some((_, rest)) => {
                        let path = rest.find('/').map_or("/", |at| &rest[at..]);
                        format!("the host is that of `target`: write `{path}`")
                    }
                    None => format!("write `/{shown}`"),
                };
                self.notes.add(path.span, "a path begins with `/`", help);
            }
            None => {}
        }
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

    fn texts(&mut self, entries: &Entries<At<String>>, instead: &str) -> Vec<(String, Text)> {
        let text = |(key, text): &(At<String>, At<String>)| {
            self.notes.sent_as_written(key.span, key, instead);
            (key.value.clone(), self.notes.text(text, &self.scope))
        };
        entries.iter().map(text).collect()
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
            let instead = "write the whole as a text, with its `content-type`: `body: '{{ name }}=1'`";
            return Body::Form(self.texts(form, instead));
        }
        step.body.as_ref().map_or(Body::None, |b| Body::Raw(self.notes.text(b, &self.scope)))
    }

    fn json(&mut self, span: Span, value: &serde_json::Value) {
        json_templates(self.notes, span, value, &self.scope);
    }

    fn expect(&mut self, expect: Option<&profile::Expect>) -> Expect {
        let status = expect.and_then(|e| e.status.as_ref()).map_or_else(|| vec![(200, 299)], |s| s.0.clone());
        let body = expect.map(|e| e.body.0.iter().filter_map(|check| self.check(check)).collect());
        Expect { status, body: body.unwrap_or_default() }
    }

    fn check(&mut self, check: &profile::BodyCheck) -> Option<BodyCheck> {
        Some(match check {
            profile::BodyCheck::Contains(text) => BodyCheck::Contains(self.notes.text(text, &self.scope)),
            profile::BodyCheck::Matches(pattern) => {
                self.notes.regex(pattern);
                BodyCheck::Matches(pattern.value.clone())
            }
            profile::BodyCheck::Exists(path) => {
                self.notes.json_path(path.span, path);
                BodyCheck::Exists { path: path.value.clone() }
            }
            profile::BodyCheck::Absent(path) => {
                self.notes.json_path(path.span, path);
                BodyCheck::Not(Box::new(BodyCheck::Exists { path: path.value.clone() }))
            }
            profile::BodyCheck::Json(check) => {
                self.notes.json_path(check.path.span, &check.path);
                let (comparison, with) = self.comparison(check)?;
                BodyCheck::Json { path: check.path.value.clone(), comparison, with }
            }
            profile::BodyCheck::Not(inner) => BodyCheck::Not(Box::new(self.check(inner)?)),
        })
    }

    /// The one comparison that a check makes.
    fn comparison(&mut self, check: &profile::JsonCheck) -> Option<(Comparison, Text)> {
        let all = [
            (Comparison::Equals, &check.equals),
            (Comparison::Matches, &check.matches),
            (Comparison::Above, &check.above),
            (Comparison::AtLeast, &check.at_least),
            (Comparison::Below, &check.below),
            (Comparison::AtMost, &check.at_most),
        ];
        let mut written = all.iter().filter_map(|(comparison, at)| Some((*comparison, at.as_ref()?)));
        let Some((comparison, at)) = written.next() else {
            let help = "add one of `equals`, `matches`, `above`, `at_least`, `below` and `at_most`; for a null `equals: \"null\"`";
            self.notes.add(check.path.span, "this is compared with nothing", help);
            return None;
        };
        if let Some((_, second)) = written.next() {
            self.notes.add(second.span, "a check makes one comparison", "make a list of two checks of it");
        }
        match comparison {
            Comparison::Matches => {
                self.notes.regex(at);
                return Some((comparison, Text::Fixed(at.value.clone())));
            }
            Comparison::Equals => {}
            _ if !template::is_template(at) && template::plain(at).parse::<f64>().is_err() => {
                let message = format!("`{}` is no number", template::shown(at));
                self.notes.add(at.span, message, "write it like `above: 5`");
            }
            _ => {}
        }
        Some((comparison, self.notes.text(at, &self.scope)))
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
            self.learn(name.value.clone());
            out.push(Capture { name: name.value.clone(), from });
        }
        out
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
        } else {
            one_line(notes, value.span, &template::plain(value));
            if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                let message = format!("`{}` is squall's own to set: it follows from the body", name.value);
                notes.add(name.span, message, "leave it out");
            }
        }
        out.push((name.to_ascii_lowercase(), notes.text(value, scope)));
    }
    out
}

/// Headers that say how a body is sent.
const OWN_HEADERS: [&str; 2] = ["content-length", "transfer-encoding"];

/// What a header cannot carry.
pub(super) fn one_line(notes: &mut Notes, span: Span, value: &str) {
    if value.contains(['\r', '\n']) {
        notes.add(span, "a header has one line, and this has a line break", "take the line break out");
    } else if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        notes.add(span, "a header has no control characters", "take them out");
    }
}

/// What does what names of fields cannot.
const AS_TEXT: &str = "write the whole as a text, with its `content-type`: `body: '{\"{{ name }}\": 1}'`";

/// Every text inside a JSON value may be a template; the names of its fields are none.
pub(super) fn json_templates(notes: &mut Notes, span: Span, value: &serde_json::Value, scope: &Scope) {
    match value {
        serde_json::Value::String(text) => notes.template(span, text, scope),
        serde_json::Value::Array(items) => items.iter().for_each(|v| json_templates(notes, span, v, scope)),
        serde_json::Value::Object(map) => map.iter().for_each(|(name, value)| {
            notes.sent_as_written(span, name, AS_TEXT);
            json_templates(notes, span, value, scope);
        }),
        _ => {}
    }
}
