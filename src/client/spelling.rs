//! How values are written into a request: as JSON spells them, percent-encoded where they are a part of a path,
//! a query or a form.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use crate::template::{NUMBER, RAW};

/// Templates whose names begin so are paths, queries or forms.
pub(super) const ENCODED: &str = "encoded";

/// The environment of all templates of a flow.
pub(super) fn templates() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_keep_trailing_newline(true);
    env.set_formatter(write);
    env.add_filter(RAW, |value: Value| there(value).map(|value| Value::from_object(Raw(value))));
    env.add_filter("tojson", |value: Value| json(&there(value)?));
    env.add_filter("string", |value: Value| spelled(&there(value)?));
    env.add_filter(NUMBER, no_text);
    env
}

fn there(value: Value) -> Result<Value, Error> {
    if value.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { Ok(value) }
}

/// A text that is compared with a number is more than any of them and equal to none, which nobody means.
fn no_text(value: Value, name: &str) -> Result<Value, Error> {
    let why = || format!("`{name}` is text and is compared with a number: write `{name} | int`");
    if value.kind() == ValueKind::String {
        Err(Error::new(ErrorKind::InvalidOperation, why()))
    } else {
        Ok(value)
    }
}

/// A value that is left as it is where others are encoded.
#[derive(Debug)]
struct Raw(Value);

impl Object for Raw {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelled(&self.0).map_err(|_| fmt::Error)?)
    }
}

fn write(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = spelled(value)?;
    let raw = value.downcast_object_ref::<Raw>().is_some();
    let text = if state.name().starts_with(ENCODED) && !raw { segment(&text) } else { text };
    out.write_str(&text).map_err(Error::from)
}

/// A text as it is, everything else as JSON.
pub(super) fn spelled(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
            json(value)
        }
        _ => Ok(value.to_string()),
    }
}

fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, format!("there is no JSON for it: {e}")))
}

/// One segment of a path, whatever is in it. Dots alone would lead elsewhere (RFC 3986, 5.2.4).
fn segment(text: &str) -> String {
    if matches!(text, "." | "..") { text.replace('.', "%2E") } else { encode(text) }
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(name: &str, source: &str) -> Result<String, String> {
        let mut env = templates();
        env.add_template(name, source).unwrap();
        let json = serde_json::json!({
            "yes": true, "nil": null, "list": [true, null, "é<"], "map": {"a": [1.0]}, "name": "a/b?c#d é%2F",
            "up": "..", "n": 7, "x": 0.5, "big": 1e21, "cookie": "sid=a%2Fb; Path=/; HttpOnly",
        });
        let rendered = env.get_template(name).unwrap().render(Value::from_serialize(&json));
        rendered.map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_spelled_as_json_spells_them() {
        let rows = [
            ("{{ yes }} {{ nil }} {{ n }} {{ x }} {{ big }}\n", "true null 7 0.5 1e+21\n"),
            ("{{ cookie|split(';')|first }}", "sid=a%2Fb"),
            ("{{ list }}", "[true,null,\"é<\"]"),
            ("{{ map }}", "{\"a\":[1.0]}"),
            ("{{ (list)|tojson }}{{ yes|string }}", "[true,null,\"é<\"]true"),
            ("{% filter tojson %}a {{ yes }} {{ name }}{% endfilter %}", "\"a true a/b?c#d é%2F\""),
        ];
        for (source, expected) in rows {
            assert_eq!(rendered("t0", source).unwrap(), expected, "{source}");
        }
        for missing in ["{{ nope }}", "{{ nope|raw }}", "{{ (nope)|tojson }}", "{{ nope.x }}", "{{ map.b }}"]
        {
            assert!(rendered("t0", missing).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_value_of_a_path_is_one_segment_unless_it_is_raw() {
        let rows = [
            ("/rooms/{{ name }}/x", "/rooms/a%2Fb%3Fc%23d%20%C3%A9%252F/x"),
            ("/rooms/{{ up }}", "/rooms/%2E%2E"),
            ("/rooms/{{ name | raw }}", "/rooms/a/b?c#d é%2F"),
            ("/{{ yes }}/{{ list }}", "/true/%5Btrue%2Cnull%2C%22%C3%A9%3C%22%5D"),
        ];
        for (source, expected) in rows {
            assert_eq!(rendered("encoded0", source).unwrap(), expected, "{source}");
        }
    }
}
