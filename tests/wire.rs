//! What a profile says is what goes over the wire: the example of docs/profile.md, sent to a server that keeps
//! what it got.
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

mod support;

use support::http::{Message, Server};
use support::{Bench, code_and_text, root};

fn answer(message: &Message) -> (u16, String) {
    match message.first_line.starts_with("HEAD") {
        true => (200, String::new()),
        false => (200, r#"{"id": 42, "rooms": [{"name": "x"}, {"name": "y"}]}"#.to_owned()),
    }
}

#[test]
fn the_example_of_the_docs_is_sent_as_it_is_written() {
    let docs = std::fs::read_to_string(root().join("docs/profile.md")).unwrap();
    let example = docs.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (bench, server) = (Bench::new("wire"), Server::start(answer));
    let file = bench.file("example.yaml", &example.replace("http://127.0.0.1:8080", &server.url()));
    let (code, said) = code_and_text(&bench.run(&file, None).output().unwrap());
    assert_eq!(code, 0, "{said}");

    let seen = server.seen.lock().unwrap();
    let of = |beginning: &str| -> Vec<&Message> {
        seen.iter().filter(|m| m.first_line.starts_with(beginning)).collect()
    };
    let header = |m: &Message, name: &str| m.headers.get(name).cloned().unwrap_or_default();
    for line in
        ["POST /json", "POST /form/42 ", "PUT /raw ", "GET /search?", "HEAD /join ", "PROPFIND /join "]
    {
        assert_eq!(of(line).len(), 70, "5/s for 14 s: {line}");
    }
    assert!(seen.iter().all(|m| header(m, "x-team") == "realtime"));

    let mut bodies: Vec<serde_json::Value> = of("POST /json").iter().map(|m| m.json()).collect();
    bodies.sort_by_key(|body| body["n"].as_i64());
    for (i, body) in bodies.iter().enumerate() {
        let colour = ["red", "green"][i % 2];
        let sent =
            serde_json::json!({"n": 7 + 2 * i, "name": format!("{colour}-{i}"), "deep": [{"a": true}]});
        assert_eq!(*body, sent, "a lone expression keeps its type");
    }
    let mut bearers: Vec<String> = of("POST /json").iter().map(|m| header(m, "authorization")).collect();
    bearers.sort();
    bearers.dedup();
    assert_eq!(bearers, ["Bearer token-of-0", "Bearer token-of-1", "Bearer token-of-2"]);
    assert!(of("POST /json").iter().all(|m| header(m, "content-type") == "application/json"));

    let form = of("POST /form")[0];
    assert_eq!(header(form, "content-type"), "application/x-www-form-urlencoded");
    assert_eq!(form.body, "a=1%20%26%202&name=%C3%A9%2042");
    let raw = of("PUT /raw")[0];
    let digits = raw.body.strip_prefix("raw ").unwrap();
    assert!(digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{}", raw.body);
    let size = answer(form).1.len().to_string();
    assert_eq!((header(raw, "content-type"), header(raw, "x-size")), ("text/plain".to_owned(), size));
    for search in of("GET /search") {
        let query = search.first_line.split([' ', '?']).nth(2).unwrap();
        let room = query.strip_prefix("q=a%20b%26c&room=");
        assert!((1..=5).contains(&room.unwrap().parse().unwrap()), "{query}");
    }

    assert_eq!(of("PATCH /again").len(), 140, "repeated");
    let (often, seldom) = (of("GET /often").len(), of("GET /seldom").len());
    assert!(often + seldom == 70 && often > seldom, "one of both, by weight: {often} and {seldom}");
    assert_eq!((of("DELETE /rooms/x ").len(), of("DELETE /rooms/y ").len()), (70, 70), "for each");
    assert_eq!((of("POST /setup ").len(), of("DELETE /setup/42 ").len()), (1, 1), "setup and teardown");

    let verdict = bench.verdict();
    let operations = verdict["operations"].as_array().unwrap();
    let names: Vec<&str> = operations.iter().map(|o| o["name"].as_str().unwrap()).collect();
    for name in ["send_json", "send_form", "send_raw", "search", "again", "often", "remove", "join"] {
        assert!(names.contains(&name), "{name} is none of {names:?}");
    }
}
