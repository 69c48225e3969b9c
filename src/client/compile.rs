//! Flows made ready to run: templates compiled once, everything that is fixed built once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use minijinja::{Environment, ErrorKind, Template, Value};

use super::check::{self, Check};
use super::odds::{Odds, Usual};
use super::spelling::{ENCODED, encode, templates};
use super::vars::Vars;
use crate::experiment::{Body, Capture, Step as Written, Text, Think};
use crate::sample::OpId;
use crate::template::{self, lone_expression, source};
use crate::units::Micros;

/// A flow's steps and the templates in them.
pub struct Program {
    templates: Environment<'static>,
    pub steps: Vec<Step>,
}

pub enum Step {
    Request(Box<Request>),
    Think(Think),
    Repeat { times: u64, parallel: u32, steps: Vec<Step>, pace: Usual },
    Choice(Vec<(f64, Vec<Step>)>),
    ForEach { list: String, name: String, steps: Vec<Step>, odds: Odds, lengths: Usual, pace: Usual },
    Group { op: OpId, steps: Vec<Step> },
    If(Box<If>),
}

/// One of two ways.
pub struct If {
    /// Where it was written.
    pub place: String,
    /// The template that says something if it is true.
    condition: String,
    pub then: Vec<Step>,
    pub otherwise: Vec<Step>,
    pub odds: Odds,
}

/// With these methods servers ask for a length also where there is no body (411), and clients give it (RFC 9110, 8.6).
const MEANT_FOR_A_BODY: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// Something fixed, or the name of the template that makes it.
#[derive(Clone, Debug)]
pub enum Compiled<T> {
    Fixed(T),
    Template(String),
}

pub struct Request {
    /// Where it was written.
    pub place: String,
    pub op: Option<OpId>,
    pub name: String,
    pub method: Method,
    uri: Compiled<Uri>,
    headers: HeaderMap,
    header_templates: Vec<(HeaderName, String)>,
    body: Compiled<Bytes>,
    /// What is looked for in the answer.
    pub asked: Arc<Asked>,
    /// The texts that the body's checks compare with, in their order.
    pub expected: Vec<Compiled<String>>,
    pub timeout: Option<Micros>,
    /// Of its responses.
    pub pace: Usual,
}

/// What is looked for in an answer.
#[derive(Debug)]
pub struct Asked {
    pub status: Vec<(u16, u16)>,
    pub checks: Vec<Check>,
    pub captures: Vec<Capture>,
    pub items: Option<String>,
}

impl Asked {
    /// The whole body is needed to check or capture.
    pub fn needs_body(&self) -> bool {
        let of_body = |c: &Capture| !matches!(c.from, crate::experiment::CaptureFrom::Header(_));
        !self.checks.is_empty() || self.captures.iter().any(of_body)
    }
}

/// What all requests to a target share.
pub struct Common<'a> {
    pub authority: &'a str,
    pub base_path: &'a str,
    pub headers: &'a [(String, Text)],
}

impl Program {
    /// Compiles steps; errors are the document's and were refused when the plan was made, so one here
    /// names the text and ends the run.
    pub fn compile(common: &Common<'_>, steps: &[Written]) -> Result<Program, String> {
        let mut compiler = Compiler { templates: templates(), common, count: 0 };
        let steps = compiler.steps(steps)?;
        Ok(Program { templates: compiler.templates, steps })
    }

    /// Renders a request; `auth` is the header that identifies the user.
    ///
    /// # Errors
    /// In words: a variable is missing, or what a template made is no URI or header.
    pub fn render(
        &self,
        request: &Request,
        vars: &Arc<Vars>,
        auth: Option<&(HeaderName, HeaderValue)>,
    ) -> Result<http::Request<Full<Bytes>>, String> {
        let context = Value::from_dyn_object(vars.clone());
        let uri = match &request.uri {
            Compiled::Fixed(uri) => uri.clone(),
            Compiled::Template(name) => {
                let text = self.text(name, &context)?;
                target(&text)?
            }
        };
        let body = match &request.body {
            Compiled::Fixed(bytes) => bytes.clone(),
            Compiled::Template(name) => Bytes::from(self.text(name, &context)?),
        };
        let no_body = body.is_empty() && MEANT_FOR_A_BODY.contains(&request.method);
        let mut rendered = http::Request::new(Full::new(body));
        *rendered.method_mut() = request.method.clone();
        *rendered.uri_mut() = uri;
        let headers = rendered.headers_mut();
        *headers = request.headers.clone();
        for (name, template) in &request.header_templates {
            let text = self.text(template, &context)?;
            headers.insert(name, header_value(name, &text)?);
        }
        if let Some((name, value)) = auth {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if no_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(rendered)
    }

    /// The path as sent, for people; what cannot be rendered is shown as it was written.
    pub fn path_of(&self, request: &Request, vars: &Arc<Vars>) -> String {
        match &request.uri {
            Compiled::Fixed(uri) => uri.to_string(),
            Compiled::Template(name) => {
                let source = || self.templates.get_template(name).map(|t| t.source().to_owned());
                let path = self.text(name, &Value::from_dyn_object(vars.clone()));
                path.unwrap_or_else(|error| source().unwrap_or(error))
            }
        }
    }

    /// The way that an `if` takes, which is remembered.
    ///
    /// # Errors
    /// In words: a variable is missing, or the expression cannot be worked out.
    pub fn way<'s>(&self, either: &'s If, vars: &Arc<Vars>) -> Result<&'s [Step], String> {
        let said = self.text(&either.condition, &Value::from_dyn_object(vars.clone()))?;
        either.odds.saw(!said.is_empty());
        Ok(if said.is_empty() { &either.otherwise } else { &either.then })
    }

    /// Renders a request's body alone.
    pub(super) fn render_body(&self, request: &Request, vars: &Arc<Vars>) -> Result<String, String> {
        match &request.body {
            Compiled::Fixed(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Compiled::Template(name) => self.text(name, &Value::from_dyn_object(vars.clone())),
        }
    }

    /// Renders one text.
    pub fn render_text(&self, text: &Compiled<String>, vars: &Arc<Vars>) -> Result<String, String> {
        match text {
            Compiled::Fixed(text) => Ok(text.clone()),
            Compiled::Template(name) => self.text(name, &Value::from_dyn_object(vars.clone())),
        }
    }

    fn text(&self, name: &str, context: &Value) -> Result<String, String> {
        let template = self.templates.get_template(name).map_err(|e| e.to_string())?;
        template.render(context).map_err(|error| {
            let unknown =
                self.unknown(&template, context).filter(|_| error.kind() == ErrorKind::UndefinedError);
            let detail = unknown.or_else(|| error.detail().map(str::to_owned));
            format!("template failed: {}", detail.unwrap_or_else(|| error.to_string()))
        })
    }

    /// What a template asks for and nobody has: `nothing is known of setup.token`.
    fn unknown(&self, template: &Template<'_, '_>, context: &Value) -> Option<String> {
        let given: BTreeSet<&str> = self.templates.globals().map(|(name, _)| name).collect();
        let is_unknown = |path: &String| {
            let value = path.split('.').try_fold(context.clone(), |value, part| value.get_attr(part));
            !given.contains(path.as_str()) && value.map_or(true, |value| value.is_undefined())
        };
        let mut unknown: Vec<String> =
            template.undeclared_variables(true).into_iter().filter(is_unknown).collect();
        unknown.sort();
        (!unknown.is_empty()).then(|| format!("nothing is known of `{}`", unknown.join("`, `")))
    }
}

struct Compiler<'a> {
    templates: Environment<'static>,
    common: &'a Common<'a>,
    count: usize,
}

impl Compiler<'_> {
    fn steps(&mut self, steps: &[Written]) -> Result<Vec<Step>, String> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Written) -> Result<Step, String> {
        Ok(match step {
            Written::Request(request) => Step::Request(Box::new(self.request(request)?)),
            Written::Think(think) => Step::Think(*think),
            Written::Repeat { times, parallel, steps } => Step::Repeat {
                times: *times,
                parallel: *parallel,
                steps: self.steps(steps)?,
                pace: Usual::default(),
            },
            Written::Choice(branches) => Step::Choice(
                branches
                    .iter()
                    .map(|(weight, steps)| Ok((*weight, self.steps(steps)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Written::ForEach { list, name, steps } => {
                let (list, name, steps) = (list.clone(), name.clone(), self.steps(steps)?);
                Step::ForEach {
                    list,
                    name,
                    steps,
                    odds: Odds::default(),
                    lengths: Usual::default(),
                    pace: Usual::default(),
                }
            }
            Written::If(either) => Step::If(Box::new(If {
                place: either.place.clone(),
                condition: self.add("", format!("{{% if ({}) %}}yes{{% endif %}}", either.condition))?,
                then: self.steps(&either.then)?,
                otherwise: self.steps(&either.otherwise)?,
                odds: Odds::default(),
            })),
            Written::Group { op, steps } => Step::Group { op: *op, steps: self.steps(steps)? },
        })
    }

    fn request(&mut self, written: &crate::experiment::Request) -> Result<Request, String> {
        let method = Method::from_bytes(written.method.as_bytes())
            .map_err(|_| format!("`{}` is no HTTP method", written.method))?;
        let (body, content_type) = self.body(&written.body)?;
        let mut headers = HeaderMap::new();
        let mut header_templates = Vec::new();
        let host = HeaderValue::from_str(self.common.authority).map_err(|e| e.to_string())?;
        headers.insert(HOST, host);
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(concat!("squall/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, text) in self.common.headers.iter().chain(&written.headers) {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header"))?;
            match text {
                Text::Fixed(text) => {
                    let value = header_value(&name, text)?;
                    headers.insert(name, value);
                }
                Text::Template(text) => header_templates.push((name, self.add("", source(text))?)),
            }
        }
        let checks = &written.expect.body;
        let expected =
            checks.iter().map(|check| self.text(&check::text_of(check))).collect::<Result<_, _>>()?;
        Ok(Request {
            place: written.place.clone(),
            op: written.op,
            name: written.name.clone(),
            method,
            uri: self.uri(&written.path, &written.query)?,
            headers,
            header_templates,
            body,
            asked: Arc::new(Asked {
                status: written.expect.status.clone(),
                checks: checks.iter().map(Check::new).collect::<Result<_, _>>()?,
                captures: written.captures.clone(),
                items: written.items.clone(),
            }),
            expected,
            timeout: written.timeout,
            pace: Usual::default(),
        })
    }

    fn uri(&mut self, path: &Text, query: &[(String, Text)]) -> Result<Compiled<Uri>, String> {
        let mut joined = Joined::default();
        joined.fixed(self.common.base_path);
        joined.text(path);
        for (n, (name, value)) in query.iter().enumerate() {
            let already = n > 0 || matches!(path, Text::Fixed(p) | Text::Template(p) if p.contains('?'));
            joined.fixed(if already { "&" } else { "?" });
            joined.fixed(&encode(name));
            joined.fixed("=");
            joined.encoded(value);
        }
        Ok(match self.finish(ENCODED, joined)? {
            Compiled::Fixed(text) => Compiled::Fixed(target(&text)?),
            Compiled::Template(name) => Compiled::Template(name),
        })
    }

    fn body(&mut self, body: &Body) -> Result<(Compiled<Bytes>, Option<&'static str>), String> {
        let (mut joined, mut kind) = (Joined::default(), "");
        let content_type = match body {
            Body::None => None,
            Body::Raw(text) => {
                joined.text(text);
                None
            }
            Body::Form(fields) => {
                for (n, (name, value)) in fields.iter().enumerate() {
                    joined.fixed(if n > 0 { "&" } else { "" });
                    joined.fixed(&encode(name));
                    joined.fixed("=");
                    joined.encoded(value);
                }
                kind = ENCODED;
                Some("application/x-www-form-urlencoded")
            }
            Body::Json(value) => {
                joined.json(value);
                Some("application/json")
            }
        };
        let compiled = match self.finish(kind, joined)? {
            Compiled::Fixed(text) => Compiled::Fixed(Bytes::from(text)),
            Compiled::Template(name) => Compiled::Template(name),
        };
        Ok((compiled, content_type))
    }

    fn text(&mut self, text: &Text) -> Result<Compiled<String>, String> {
        let mut joined = Joined::default();
        joined.text(text);
        self.finish("", joined)
    }

    fn finish(&mut self, kind: &str, joined: Joined) -> Result<Compiled<String>, String> {
        if joined.is_template {
            self.add(kind, joined.source).map(Compiled::Template)
        } else {
            Ok(Compiled::Fixed(joined.plain))
        }
    }

    /// `kind` begins the template's name.
    fn add(&mut self, kind: &str, source: String) -> Result<String, String> {
        let name = format!("{kind}{}", self.count);
        self.count += 1;
        self.templates.add_template_owned(name.clone(), source).map_err(|e| e.to_string())?;
        Ok(name)
    }
}

/// A text put together from fixed parts and templates: as plain text and as template source.
#[derive(Default)]
struct Joined {
    plain: String,
    source: String,
    is_template: bool,
}

impl Joined {
    fn fixed(&mut self, text: &str) {
        self.plain.push_str(text);
        if text.contains(['{', '}']) {
            self.source.push_str("{% raw %}");
            self.source.push_str(text);
            self.source.push_str("{% endraw %}");
        } else {
            self.source.push_str(text);
        }
    }

    fn text(&mut self, text: &Text) {
        match text {
            Text::Fixed(text) => self.fixed(text),
            Text::Template(text) => self.template(&source(text)),
        }
    }

    /// A value of a query or a form: what stands outside of expressions is encoded here, the others' values when
    /// they are written.
    fn encoded(&mut self, text: &Text) {
        match text {
            Text::Fixed(text) => self.fixed(&encode(text)),
            Text::Template(text) => self.template(&template::encoded_source(text, encode)),
        }
    }

    fn template(&mut self, source: &str) {
        self.is_template = true;
        self.source.push_str(source);
    }

    /// JSON whose strings are texts: `"{{ expr }}"` alone keeps its type, other templates give strings.
    fn json(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) if template::is_template(text) => {
                let text = source(text);
                match lone_expression(&text) {
                    Some(expression) => self.template(&format!("{{{{ ({expression})|tojson }}}}")),
                    None => self.template(&format!("{{% filter tojson %}}{text}{{% endfilter %}}")),
                }
            }
            serde_json::Value::String(text) => {
                self.fixed(&serde_json::Value::from(template::plain(text)).to_string());
            }
            serde_json::Value::Array(values) => {
                self.fixed("[");
                for (n, value) in values.iter().enumerate() {
                    self.fixed(if n > 0 { "," } else { "" });
                    self.json(value);
                }
                self.fixed("]");
            }
            serde_json::Value::Object(fields) => {
                self.fixed("{");
                for (n, (name, value)) in fields.iter().enumerate() {
                    self.fixed(if n > 0 { "," } else { "" });
                    self.fixed(&format!("{}:", serde_json::Value::from(name.as_str())));
                    self.json(value);
                }
                self.fixed("}");
            }
            other => self.fixed(&other.to_string()),
        }
    }
}

/// A path with its query. What HTTP cannot carry in it is refused, not sent in part.
fn target(text: &str) -> Result<Uri, String> {
    let shown = crate::units::cut(text, SHOWN);
    if let Some(stray) = template::stray_in_path(text) {
        return Err(format!("`{shown}` is no path: {}", stray.message));
    }
    if !text.starts_with('/') {
        return Err(format!("`{shown}` is no path: it begins with no `/`"));
    }
    text.parse().map_err(|_| format!("`{shown}` is no path"))
}

/// Characters of a value that a message shows.
const SHOWN: usize = 100;

fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| match text.contains(['\r', '\n']) {
        true => format!("the value of `{name}` has a line break, and a header has one line"),
        false => format!("the value of `{name}` has control characters"),
    })
}
