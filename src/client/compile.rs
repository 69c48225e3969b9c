//! Flows made ready to run: templates compiled once, everything that is fixed built once.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::vars::Vars;
use crate::experiment::{Body, BodyCheck, Capture, Expect, Step as Written, Text, Think};
use crate::sample::OpId;
use crate::units::Micros;

/// A flow's steps and the templates in them.
pub struct Program {
    templates: Environment<'static>,
    pub steps: Vec<Step>,
}

pub enum Step {
    Request(Box<Request>),
    Think(Think),
    Repeat { times: u64, parallel: u32, steps: Vec<Step> },
    Choice(Vec<(f64, Vec<Step>)>),
    ForEach { list: String, name: String, steps: Vec<Step> },
    Group { op: OpId, steps: Vec<Step> },
}

/// Something fixed, or the name of the template that makes it.
#[derive(Clone, Debug)]
pub enum Compiled<T> {
    Fixed(T),
    Template(String),
}

pub struct Request {
    pub op: Option<OpId>,
    pub name: String,
    pub method: Method,
    uri: Compiled<Uri>,
    headers: HeaderMap,
    header_templates: Vec<(HeaderName, String)>,
    body: Compiled<Bytes>,
    pub expect: Expect,
    /// The text that the body check compares with.
    pub expected_text: Option<Compiled<String>>,
    pub captures: Vec<Capture>,
    pub items: Option<String>,
    pub timeout: Option<Micros>,
}

impl Request {
    /// The whole body is needed to check, capture or count.
    pub fn needs_body(&self) -> bool {
        self.expect.body.is_some()
            || self.items.is_some()
            || self.captures.iter().any(|c| !matches!(c.from, crate::experiment::CaptureFrom::Header(_)))
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
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let mut compiler = Compiler { templates, common, count: 0 };
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
                text.parse().map_err(|_| format!("`{text}` is no path"))?
            }
        };
        let body = match &request.body {
            Compiled::Fixed(bytes) => bytes.clone(),
            Compiled::Template(name) => Bytes::from(self.text(name, &context)?),
        };
        let mut rendered = http::Request::new(Full::new(body));
        *rendered.method_mut() = request.method.clone();
        *rendered.uri_mut() = uri;
        let headers = rendered.headers_mut();
        *headers = request.headers.clone();
        for (name, template) in &request.header_templates {
            let text = self.text(template, &context)?;
            let value = HeaderValue::from_str(&text).map_err(|_| format!("`{text}` is no header value"))?;
            headers.insert(name, value);
        }
        if let Some((name, value)) = auth {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        Ok(rendered)
    }

    /// The path as sent, for people; what cannot be rendered is shown as it was written.
    pub fn path_of(&self, request: &Request, vars: &Arc<Vars>) -> String {
        match &request.uri {
            Compiled::Fixed(uri) => uri.to_string(),
            Compiled::Template(name) => {
                self.text(name, &Value::from_dyn_object(vars.clone())).unwrap_or_else(|error| error)
            }
        }
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
            let detail = error.detail().map(str::to_owned).unwrap_or_else(|| error.to_string());
            format!("template failed: {detail}")
        })
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
            Written::Repeat { times, parallel, steps } => {
                Step::Repeat { times: *times, parallel: *parallel, steps: self.steps(steps)? }
            }
            Written::Choice(branches) => Step::Choice(
                branches
                    .iter()
                    .map(|(weight, steps)| Ok((*weight, self.steps(steps)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Written::ForEach { list, name, steps } => {
                Step::ForEach { list: list.clone(), name: name.clone(), steps: self.steps(steps)? }
            }
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
                    let value =
                        HeaderValue::from_str(text).map_err(|_| format!("`{text}` is no header value"))?;
                    headers.insert(name, value);
                }
                Text::Template(source) => header_templates.push((name, self.add(source.clone())?)),
            }
        }
        let expected_text = match &written.expect.body {
            Some(BodyCheck::Contains(text) | BodyCheck::Json { equals: text, .. }) => Some(self.text(text)?),
            _ => None,
        };
        Ok(Request {
            op: written.op,
            name: written.name.clone(),
            method,
            uri: self.uri(&written.path, &written.query)?,
            headers,
            header_templates,
            body,
            expect: written.expect.clone(),
            expected_text,
            captures: written.captures.clone(),
            items: written.items.clone(),
            timeout: written.timeout,
        })
    }

    fn uri(&mut self, path: &Text, query: &[(String, Text)]) -> Result<Compiled<Uri>, String> {
        let mut joined = Joined::default();
        joined.fixed(self.common.base_path);
        joined.text(path, None);
        for (n, (name, value)) in query.iter().enumerate() {
            let already = n > 0 || matches!(path, Text::Fixed(p) | Text::Template(p) if p.contains('?'));
            joined.fixed(if already { "&" } else { "?" });
            joined.fixed(&encode(name));
            joined.fixed("=");
            joined.text(value, Some("urlencode"));
        }
        Ok(match self.finish(joined)? {
            Compiled::Fixed(text) => {
                Compiled::Fixed(text.parse().map_err(|_| format!("`{text}` is no path"))?)
            }
            Compiled::Template(name) => Compiled::Template(name),
        })
    }

    fn body(&mut self, body: &Body) -> Result<(Compiled<Bytes>, Option<&'static str>), String> {
        let mut joined = Joined::default();
        let content_type = match body {
            Body::None => None,
            Body::Raw(text) => {
                joined.text(text, None);
                None
            }
            Body::Form(fields) => {
                for (n, (name, value)) in fields.iter().enumerate() {
                    joined.fixed(if n > 0 { "&" } else { "" });
                    joined.fixed(&encode(name));
                    joined.fixed("=");
                    joined.text(value, Some("urlencode"));
                }
                Some("application/x-www-form-urlencoded")
            }
            Body::Json(value) => {
                joined.json(value);
                Some("application/json")
            }
        };
        let compiled = match self.finish(joined)? {
            Compiled::Fixed(text) => Compiled::Fixed(Bytes::from(text)),
            Compiled::Template(name) => Compiled::Template(name),
        };
        Ok((compiled, content_type))
    }

    fn text(&mut self, text: &Text) -> Result<Compiled<String>, String> {
        let mut joined = Joined::default();
        joined.text(text, None);
        self.finish(joined)
    }

    fn finish(&mut self, joined: Joined) -> Result<Compiled<String>, String> {
        if joined.is_template {
            self.add(joined.source).map(Compiled::Template)
        } else {
            Ok(Compiled::Fixed(joined.plain))
        }
    }

    fn add(&mut self, source: String) -> Result<String, String> {
        let name = format!("t{}", self.count);
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

    fn text(&mut self, text: &Text, filter: Option<&str>) {
        match (text, filter) {
            (Text::Fixed(text), Some("urlencode")) => self.fixed(&encode(text)),
            (Text::Fixed(text), _) => self.fixed(text),
            (Text::Template(source), None) => self.template(source),
            (Text::Template(source), Some(filter)) => {
                self.template(&format!("{{% filter {filter} %}}{source}{{% endfilter %}}"));
            }
        }
    }

    fn template(&mut self, source: &str) {
        self.is_template = true;
        self.source.push_str(source);
    }

    /// JSON whose strings are texts: `"{{ expr }}"` alone keeps its type, other templates give strings.
    fn json(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) if text.contains("{{") || text.contains("{%") => {
                match sole_expression(text) {
                    Some(expression) => self.template(&format!("{{{{ ({expression})|tojson }}}}")),
                    None => self.template(&format!("{{% filter tojson %}}{text}{{% endfilter %}}")),
                }
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

/// The expression of a text that is exactly `{{ expr }}`.
fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim())
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
