//! JSON of answers: read with every digit of its whole numbers, what is wrong with it named.
//!
//! serde_json keeps 64 bits of a whole number; longer ones are read as texts behind a mark of ours.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use minijinja::Value as Rendered;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Stands before the digits of a long whole number; Unicode keeps it for a program's own use.
const LONG: char = '\u{fdd2}';
/// Digits that 64 bits always hold.
const SHORT: usize = 18;

/// Reads an answer's body.
///
/// # Errors
/// In words: no JSON, or which of its parts is not taken.
pub fn read(body: &[u8]) -> Result<Value, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(&marked(body)).map_err(|error| wrong(&error))
}

fn wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = match text.split(" at line ").next().unwrap_or_default() {
        "number out of range" => "a number in it is out of range",
        "recursion limit exceeded" => "it is nested deeper than 127 levels",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "a text in it has half a character (a lone surrogate)"
        }
        "invalid unicode code point" => "a text in it is no UTF-8",
        _ if error.is_eof() => return "the answer is no whole JSON: it ends too early".to_owned(),
        _ => return format!("the answer is no JSON: {text}"),
    };
    format!("the answer's JSON is not taken: {what}, line {} column {}", error.line(), error.column())
}

/// Long whole numbers as marked texts.
fn marked(body: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut done, mut at) = (Vec::new(), 0, 0);
    while at < body.len() {
        match body[at] {
            b'"' => at = end_of_text(body, at + 1),
            b'-' | b'0'..=b'9' => {
                let number = number_at(&body[at..]);
                let digits = number.iter().filter(|b| b.is_ascii_digit()).count();
                let whole = !number.iter().any(|b| matches!(b, b'.' | b'e' | b'E' | b'+'));
                if whole && digits > SHORT && !fits(number) {
                    out.extend_from_slice(&body[done..at]);
                    out.extend_from_slice(format!("\"{LONG}").as_bytes());
                    out.extend_from_slice(number);
                    out.push(b'"');
                    done = at + number.len();
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    if done == 0 {
        return Cow::Borrowed(body);
    }
    out.extend_from_slice(&body[done..]);
    Cow::Owned(out)
}

fn number_at(rest: &[u8]) -> &[u8] {
    let end =
        rest.iter().position(|b| !(b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E')));
    &rest[..end.unwrap_or(rest.len())]
}

fn fits(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    // What is no number (`-`, a leading zero) is left to the parser to refuse.
    let plain = text.trim_start_matches('-');
    text.parse::<u64>().is_ok()
        || text.parse::<i64>().is_ok()
        || plain.starts_with('0')
        || plain.contains('-')
}

fn end_of_text(body: &[u8], mut at: usize) -> usize {
    while at < body.len() && body[at] != b'"' {
        at += if body[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of the list at this path, as far as the body goes: a list that is cut off counts what is there. None
/// where the path is more than names behind each other (`$.data.rooms`), which takes the whole value.
pub fn count(body: &[u8], path: &str) -> Option<u64> {
    let names: Vec<&str> = path.strip_prefix('$')?.split('.').skip(1).collect();
    let plain =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !(path.starts_with("$.") || path == "$") || !names.iter().all(plain) {
        return None;
    }
    let counted = Cell::new(0);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // What is wrong with the rest is no matter: so many there were.
    let _ = Counter { names: &names, counted: &counted }
        .deserialize(&mut serde_json::Deserializer::from_slice(body));
    Some(counted.get())
}

/// Looks for the list and counts; everything else is passed over without being kept.
struct Counter<'c> {
    names: &'c [&'c str],
    counted: &'c Cell<u64>,
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// One value that is no list is one.
macro_rules! single {
    ($($method:ident($type:ty))*) => { $(
        fn $method<E: Error>(self, _: $type) -> Result<(), E> {
            self.counted.set(u64::from(self.names.is_empty()));
            Ok(())
        }
    )* };
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    single! { visit_bool(bool) visit_u64(u64) visit_i64(i64) visit_f64(f64) visit_str(&str) }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_bool(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.counted.set(0);
        while seq.next_element::<IgnoredAny>()?.is_some() {
            self.counted.set(self.counted.get() + u64::from(self.names.is_empty()));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.counted.set(u64::from(self.names.is_empty()));
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.names.split_first() {
                Some((name, rest)) if *name == key => {
                    map.next_value_seed(Counter { names: rest, counted: self.counted })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A value as text: texts as they are, everything else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.strip_prefix(LONG).unwrap_or(text).to_owned(),
        other => unmarked(other).to_string(),
    }
}

/// A number, however long.
pub fn is_number(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.starts_with(LONG))
}

/// Nested long numbers as JSON texts; for messages and comparisons only.
fn unmarked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace(LONG, "")),
        Value::Array(items) => items.iter().map(unmarked).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), unmarked(value))).collect(),
        other => other.clone(),
    }
}

/// A captured value for templates.
///
/// # Errors
/// In words: a whole number of more than 128 bits, which no template can carry.
pub fn to_rendered(value: &Value) -> Result<Rendered, String> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix(LONG) {
            Some(digits) => long(digits)?,
            None => Rendered::from(text.as_str()),
        },
        Value::Array(items) => Rendered::from(items.iter().map(to_rendered).collect::<Result<Vec<_>, _>>()?),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| Ok((key.clone(), to_rendered(value)?)));
            Rendered::from_iter(entries.collect::<Result<Vec<_>, String>>()?)
        }
        other => Rendered::from_serialize(other),
    })
}

/// About so many bytes a value takes up in memory as `to_rendered` makes it: a map has nodes of eleven entries, and most
/// of them hold few.
pub fn bytes_once_rendered(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 24,
        Value::String(text) => 48 + text.len(),
        Value::Array(items) => 48 + items.iter().map(bytes_once_rendered).sum::<usize>(),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| key.len() + bytes_once_rendered(value));
            600 * (1 + map.len() / 8) + entries.sum::<usize>()
        }
    }
}

fn long(digits: &str) -> Result<Rendered, String> {
    let signed = digits.parse::<i128>().map(Rendered::from);
    signed.or_else(|_| digits.parse::<u128>().map(Rendered::from)).map_err(|_| {
        let n = digits.trim_start_matches('-').len();
        format!("a whole number of {n} digits is longer than any that squall can pass on")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_keep_every_digit_up_to_128_bits() {
        let rows = [
            "1",
            "-9223372036854775808",
            "18446744073709551615",
            "18446744073709551617",
            "-18446744073709551617",
            "340282366920938463463374607431768211455",
        ];
        for digits in rows {
            let json = read(format!("{{\"a\": [{digits}], \"b\": \"{digits}\"}}").as_bytes()).unwrap();
            assert_eq!(text(&json["a"][0]), digits);
            let rendered = to_rendered(&json).unwrap();
            let again = serde_json::to_string(&rendered).unwrap();
            assert_eq!(again, format!("{{\"a\":[{digits}],\"b\":\"{digits}\"}}"), "a number stays one");
        }
        let longer = read(b"340282366920938463463374607431768211456").unwrap();
        assert!(to_rendered(&longer).unwrap_err().contains("39 digits"));
    }

    #[test]
    fn what_is_wrong_with_json_is_named() {
        let deep = format!("{}{}", "[".repeat(130), "]".repeat(130));
        let rows = [
            ("{\"a\": 1e400}", "out of range"),
            (deep.as_str(), "deeper than 127"),
            ("{\"a\": \"\\ud800\"}", "lone surrogate"),
            ("{\"a\": \"\\ud800\\u0041\"}", "lone surrogate"),
            ("{\"a\": 1", "ends too early"),
            ("<html>", "no JSON"),
            ("00000000000000000000000", "no JSON"),
        ];
        for (json, word) in rows {
            let told = read(json.as_bytes()).unwrap_err();
            assert!(told.contains(word), "{json}: {told}");
        }
        assert_eq!(read(b"\xef\xbb\xbf{\"a\": 1}").unwrap()["a"], 1, "a byte order mark is passed over");
        assert!(read(b"{\"a\": \"\xff\"}").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn lists_are_counted_without_being_kept_also_where_they_are_cut_off() {
        let body = r#"{"n": 1, "data": {"rooms": [1, [2, 3], {"a": 1e999}, "x"], "more": []}, "rooms": 7}"#;
        let rows = [
            ("$.data.rooms", Some(4)),
            ("$.data.more", Some(0)),
            ("$.rooms", Some(1)),
            ("$.none", Some(0)),
            ("$", Some(1)),
            ("$.data[*]", None),
            ("$..rooms", None),
        ];
        for (path, expected) in rows {
            assert_eq!(count(body.as_bytes(), path), expected, "{path}");
        }
        assert_eq!(count(b"[1, 2, 3]", "$"), Some(3));
        assert_eq!(count(b"{\"rooms\": [1, 2, {\"cut\": ", "$.rooms"), Some(2));
    }

    proptest! {
        #[test]
        fn what_has_no_long_numbers_is_read_as_it_is(text in "([\\[\\]{}:,\"\\\\ue.+-]|[0-9]{1,3}| |true)*") {
            prop_assert_eq!(read(text.as_bytes()).ok(), serde_json::from_str::<Value>(&text).ok());
        }
    }
}
