//! Reading an answer: is it what the step expects, what is captured from it, how long is its list.

use std::sync::Arc;

use bytes::Bytes;
use jsonpath_rust::JsonPath;
use minijinja::Value;

use super::check::Failed;
use super::compile::{Asked, Program, Request};
use super::json;
use super::kept::{CAPTURED, LONGEST, NoRoom, ROOM, Shelf, Taken};
use super::vars::{Captured, Vars};
use crate::experiment::{Capture, CaptureFrom};
use crate::sample::Kind;
use crate::units::{Micros, cut, grouped};
use crate::world::World;

/// What reading an answer found.
#[derive(Debug)]
pub struct Finding {
    /// `Ok`, `Status` or `Check`.
    pub kind: Kind,
    /// Why, where it is not `Ok`.
    pub detail: String,
    pub captured: Vec<Captured>,
    /// Length of the list that the step counts.
    pub items: Option<u64>,
}

impl Finding {
    fn bad(kind: Kind, detail: String) -> Finding {
        Finding { kind, detail, captured: Vec::new(), items: None }
    }
}

/// Characters of a header that a message shows.
const SHOWN: usize = 40;
/// How long an answer that came may wait to be read aside.
pub const READING: Micros = Micros::secs(10);
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
    /// It was needed whole, and there was no room for it.
    pub short: bool,
    /// Its room, until it is read.
    pub(super) taken: Option<Arc<Taken>>,
}

impl From<Failed> for Finding {
    fn from(failed: Failed) -> Finding {
        match failed {
            Failed::Check(detail) => Finding::bad(Kind::Check, detail),
            Failed::Own(detail) => Finding::bad(Kind::Template, detail),
        }
    }
}

impl Answer {
    /// How the body is encoded, if it is not as it is.
    fn coding(&self) -> Option<String> {
        let coding = String::from_utf8_lossy(self.headers.get(http::header::CONTENT_ENCODING)?.as_bytes());
        (!coding.eq_ignore_ascii_case("identity")).then(|| cut(&coding, SHOWN))
    }

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
    let expected = request.expected.iter().map(|text| program.render_text(text, vars)).collect();
    let expected: Vec<String> = match expected {
        Ok(expected) => expected,
        Err(detail) => return Finding::bad(Kind::Template, detail),
    };
    let room = vars.room();
    if !answer.is_long() {
        return look(&request.asked, &expected, answer, count, &room);
    }
    let asked = request.asked.clone();
    let Answer { status, length, short, .. } = *answer;
    let (headers, body) = (answer.headers.clone(), answer.body.clone());
    let taken = answer.taken.clone();
    let answer = Answer { status, headers, body, length, short, taken };
    let found =
        world.timeout(READING, world.aside(move || look(&asked, &expected, &answer, count, &room))).await;
    let own = |why: String| Finding::bad(Kind::Local, why);
    match found {
        Ok(found) => found.unwrap_or_else(|_| own("squall failed to read the answer".to_owned())),
        Err(_) => own(format!("squall did not come to read the answer within {READING}")),
    }
}

fn look(asked: &Asked, expected: &[String], answer: &Answer, count: bool, room: &Shelf) -> Finding {
    if !accepts(&asked.status, answer.status) {
        return Finding::bad(Kind::Status, format!("status {} was not expected", answer.status));
    }
    if answer.short && asked.needs_body() {
        let room = ROOM >> 20;
        let detail = format!("squall keeps {room} MiB of answers at a time, and had no room for this one");
        return Finding::bad(Kind::Local, detail);
    }
    if let Some(coding) = answer.coding().filter(|_| asked.needs_body()) {
        let detail = format!(
            "the body is encoded as {coding}, and squall takes none of that apart: send no `accept-encoding`"
        );
        return Finding::bad(Kind::Check, detail);
    }
    let mut parsed = Lazy::new(&answer.body, answer.length);
    for (check, expected) in asked.checks.iter().zip(expected) {
        if let Err(failed) = check.holds(expected, &mut parsed) {
            return failed.into();
        }
    }
    let mut captured = Vec::new();
    for capture in &asked.captures {
        match take(capture, &answer.headers, &mut parsed, room) {
            Ok(one) => captured.push(one),
            Err(bad) => return bad,
        }
    }
    let items = asked.items.as_ref().filter(|_| count && !answer.short);
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

fn accepts(expected: &[(u16, u16)], status: u16) -> bool {
    expected.iter().any(|&(from, to)| (from..=to).contains(&status))
}

/// The body, parsed when first asked for.
pub(super) struct Lazy<'a> {
    pub body: &'a Bytes,
    length: u64,
    json: Option<serde_json::Value>,
}

impl<'a> Lazy<'a> {
    /// What was kept of so many bytes.
    pub fn new(body: &'a Bytes, length: u64) -> Lazy<'a> {
        Lazy { body, length, json: None }
    }

    /// The body, if all of it was kept.
    pub fn whole(&self) -> Result<&[u8], String> {
        if self.length > self.body.len() as u64 {
            let (long, most) = (grouped(self.length), LONGEST >> 20);
            return Err(format!("the answer has {long} bytes, and squall looks through {most} MiB at most"));
        }
        Ok(self.body)
    }

    pub fn json(&mut self) -> Result<&serde_json::Value, String> {
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

pub(super) fn first(parsed: &mut Lazy<'_>, path: &str) -> Result<serde_json::Value, String> {
    let found = parsed.json()?.query(path).map_err(|e| e.to_string())?;
    found.first().map(|value| (*value).clone()).ok_or_else(|| format!("{path} matches nothing"))
}

/// What flows capture adds up, and how much of it there is the target decides: without room for it nothing is made of it.
fn take(
    capture: &Capture,
    headers: &http::HeaderMap,
    parsed: &mut Lazy<'_>,
    room: &Shelf,
) -> Result<Captured, Finding> {
    let name = capture.name.clone();
    let bad = |detail: String| Finding::bad(Kind::Check, format!("capture `{name}`: {detail}"));
    let room_for = |bytes| {
        let most = CAPTURED >> 20;
        let detail =
            || format!("capture `{name}`: squall keeps {most} MiB of captures at a time, and had no room");
        room.room_for(bytes).map_err(|NoRoom| Finding::bad(Kind::Local, detail()))
    };
    let (room, value) = match &capture.from {
        CaptureFrom::Header(name) => {
            let text = header(headers, name).map_err(bad)?;
            (room_for(text.len())?, Ok(Value::from(text)))
        }
        CaptureFrom::Json(path) => {
            let found = first(parsed, path).map_err(bad)?;
            (room_for(json::bytes_once_rendered(&found))?, json::to_rendered(&found))
        }
        CaptureFrom::JsonAll(path) => {
            let found = parsed.json().map_err(bad)?.query(path).map_err(|e| bad(e.to_string()))?;
            let room = room_for(found.iter().map(|value| json::bytes_once_rendered(value)).sum())?;
            let values = found.into_iter().map(json::to_rendered).collect::<Result<Vec<_>, _>>();
            (room, values.map(Value::from))
        }
    };
    let value = value.map_err(bad)?;
    Ok(Captured { name, value, room })
}

/// The first of this name; of cookies all, as a `cookie` header has them: a balancer's comes before the session's.
fn header(headers: &http::HeaderMap, name: &str) -> Result<String, String> {
    let most = if name == http::header::SET_COOKIE { usize::MAX } else { 1 };
    let values = headers.get_all(name).iter().take(most);
    let texts: Result<Vec<&str>, _> = values.map(|value| std::str::from_utf8(value.as_bytes())).collect();
    let texts = texts.map_err(|_| format!("the header {name} is no UTF-8, and no text"))?;
    if texts.is_empty() { Err(format!("the answer has no header {name}")) } else { Ok(texts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::super::check::Check;
    use super::*;
    use crate::experiment::{BodyCheck, Text};

    #[test]
    fn a_body_that_is_encoded_is_told_as_that_where_it_is_looked_at() {
        let contains = BodyCheck::Contains(Text::Fixed("a".to_owned()));
        for (coding, looked_at, kind) in [
            (Some("gzip"), true, Kind::Check),
            (Some("gzip"), false, Kind::Ok),
            (Some("identity"), true, Kind::Ok),
            (None, true, Kind::Ok),
        ] {
            let mut headers = http::HeaderMap::new();
            headers.extend(coding.map(|c| (http::header::CONTENT_ENCODING, c.parse().unwrap())));
            let body = Bytes::from_static(b"a");
            let answer = Answer { status: 200, headers, body, length: 1, short: false, taken: None };
            let checks = if looked_at { vec![Check::new(&contains).unwrap()] } else { Vec::new() };
            let asked = Asked { status: vec![(200, 299)], checks, captures: Vec::new(), items: None };
            let found = look(&asked, &["a".to_owned()], &answer, false, &Shelf::of_run());
            assert_eq!(found.kind, kind, "{coding:?}: {}", found.detail);
            assert_eq!(found.detail.contains("encoded as gzip"), kind == Kind::Check);
        }
    }

    #[test]
    fn of_several_cookies_all_are_captured_and_of_other_headers_the_first() {
        let mut headers = http::HeaderMap::new();
        for (name, value) in
            [("set-cookie", "lb=1; Path=/"), ("set-cookie", "sid=2"), ("via", "a"), ("via", "b")]
        {
            headers.append(name, value.parse().unwrap());
        }
        assert_eq!(header(&headers, "set-cookie").unwrap(), "lb=1; Path=/; sid=2");
        assert_eq!(header(&headers, "via").unwrap(), "a");
        assert!(header(&headers, "etag").unwrap_err().contains("no header etag"));
    }

    /// What a list takes up once it is captured is a multiple of its text, and as many flows have one as are under way.
    #[test]
    fn what_flows_capture_has_room_only_as_long_as_they_do_not_keep_too_much_already() {
        let room = Shelf::new(100_000);
        let rooms: Vec<_> = (0..100).map(|n| serde_json::json!({ "id": n })).collect();
        let body = Bytes::from(serde_json::json!({ "rooms": rooms }).to_string());
        for from in [CaptureFrom::Json("$.rooms".to_owned()), CaptureFrom::JsonAll("$.rooms[*]".to_owned())] {
            let captures = vec![Capture { name: "rooms".to_owned(), from }];
            let asked = Asked { status: vec![(200, 299)], checks: Vec::new(), captures, items: None };
            let found = || {
                let (headers, length) = (http::HeaderMap::new(), body.len() as u64);
                let answer =
                    Answer { status: 200, headers, body: body.clone(), length, short: false, taken: None };
                look(&asked, &[], &answer, false, &room)
            };
            let first = found();
            assert_eq!((first.kind, first.captured.len()), (Kind::Ok, 1));
            let second = found();
            assert_eq!((second.kind, second.captured.len()), (Kind::Local, 0));
            assert!(second.detail.starts_with("capture `rooms`: squall keeps 1024 MiB"), "{}", second.detail);
            drop(first);
            assert_eq!(found().kind, Kind::Ok);
        }
    }
}
