//! What the reader takes, and what it says when it does not.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::diagnose::render;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a thing")]
struct Thing {
    name: At<String>,
    count: Option<u32>,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    more: Entries<Inner>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Kind {
    Plain,
    Burst(Inner),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "an inner thing")]
struct Inner {
    size: u32,
    #[serde(default)]
    label: Option<String>,
}

fn read_thing(text: &str) -> Document<Thing> {
    let env =
        Env::from([("HOME_TOWN".to_owned(), "Ulm".to_owned()), ("KEY".to_owned(), "hush hush".to_owned())]);
    read(
        "t.yaml",
        text,
        &env,
        Places {
            secrecy: |path| if path.ends_with(&["label"]) { Secrecy::Secret } else { Secrecy::Open },
            templates: |path| path.ends_with(&["name"]),
        },
    )
}

#[test]
fn values_come_with_their_places_and_maps_in_their_order() {
    let doc =
        read_thing("name: 12\nkinds: [plain, burst: {size: 3}]\nmore:\n  z: {size: 1}\n  a: {size: 2}\n");
    assert!(doc.problems.is_empty(), "{}", render(&doc.problems, false));
    let thing = doc.value.unwrap();
    assert_eq!((thing.name.value.as_str(), thing.name.span), ("12", Span { start: 6, end: 8 }));
    assert_eq!(
        thing.more.iter().map(|(k, v)| (k.as_str(), v.size)).collect::<Vec<_>>(),
        [("z", 1), ("a", 2)]
    );
    assert_eq!(thing.kinds[1], Kind::Burst(Inner { size: 3, label: None }));
}

#[test]
fn everything_wrong_is_reported_at_once_and_no_consequence_of_it() {
    let doc = read_thing(
        "nmae: x\ncount: many\ncount: 3\nkinds:\n  - brust: {size: 1}\n  - burst: {size: -1}\n  - burst:\n      label: x\n  - {}\nmore:\n  a: {size: 1, lable: top secret}\n  b: 7\n  c:\n    size: ${NO_TOWN}\n",
    );
    insta::assert_snapshot!(render(&doc.problems, false));
}

#[test]
fn the_environment_fills_plain_and_double_quoted_scalars_only() {
    let doc = read_thing(
        "name: \"from ${HOME_TOWN}\"\ncount: ${COUNT:-5}\nmore: {a: {size: 1, label: '${HOME_TOWN}'}, b: {size: 1, label: \"${KEY}\"}}\n",
    );
    assert!(doc.problems.is_empty(), "{}", render(&doc.problems, false));
    let thing = doc.value.unwrap();
    assert_eq!((thing.name.value.as_str(), thing.count), ("from \u{fdd0}Ulm\u{fdd1}", Some(5)));
    assert_eq!(thing.more.0[0].1.label.as_deref(), Some("${HOME_TOWN}"));
    assert!(doc.secrets.contains(&"hush hush".to_owned()));
}

#[test]
fn secrets_are_masked_where_the_source_is_shown() {
    let doc = read_thing("name: a\nmore: {a: {size: x, label: hunter2}}\n");
    let text = render(&doc.problems, false);
    assert!(text.contains("label: *******") && !text.contains("hunter2"), "{text}");
}

#[test]
fn anchors_work_and_bombs_do_not() {
    let doc = read_thing("name: x\nmore:\n  a: &a {size: 1}\n  b: *a\n");
    assert_eq!(doc.value.unwrap().more.0[1].1.size, 1);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        let inner = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{inner}]\n");
    }
    let doc = read_thing(&bomb);
    assert!(doc.value.is_none() && doc.problems[0].message.contains("values"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\PC|[\\n:{}\\[\\]\"'&*!|>$ -]){0,60}") {
        render(&read_thing(&text).problems, false);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        render(&read_thing(&String::from_utf8_lossy(&bytes)).problems, false);
    }
}

#[test]
fn a_template_without_quotes_is_told_as_that() {
    let doc = read_thing("name: {{ town }}\n");
    let text = render(&doc.problems, false);
    assert!(text.contains("write templates quoted"), "{text}");
}

#[test]
fn what_is_no_yaml_is_told_where_it_is_and_with_what_to_do() {
    let rows = [
        ("name: a\nmore:\n\tx: {}\n", "3:1", "indent with spaces"),
        ("name: a\nmore:\n  x: a\n\ty: b\n", "4:1", "indent with spaces"),
        ("kinds:\n  - a: b\n   c: d\n", "3:4", "begins in the same column"),
        ("name: a\n  count: 3\n", "2:8", "begin in the same column"),
        ("name: a: b\n", "1:8", "in quotes"),
        ("name: \"{{ a }}\"\nmore: [ \"{{ a }}\" }\n", "2:7", "close each bracket"),
        ("more: [ { all: $.rooms[*].name } ]\n", "1:24", "quote a text that has a `[` in it"),
        ("more: [ { all: \"b } ]\n", "1:16", "close each quote"),
        ("more:\n  - all: \"b\n    one: c\n", "3:5", "close each quote"),
        ("name: 'it's'\n", "1:11", "close each quote"),
        ("name: \"^\\d+$\"\n", "1:7", "in single ones"),
    ];
    for (text, place, help) in rows {
        let told = render(&read_thing(text).problems, false);
        assert!(told.contains(&format!(":{place}")) && told.contains(help), "{text}\n{told}");
        assert!(!told.contains("write templates quoted"), "{told}");
    }
}

#[test]
fn a_list_where_keys_belong_is_told_as_that_and_not_taken_in_their_order() {
    for list in ["[1, x]", "[{size: 1}]", "[]"] {
        let doc = read_thing(&format!("name: a\nmore:\n  z: {list}\n"));
        let told: Vec<&str> = doc.problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(told, ["expected an inner thing, found a list"], "{list}");
    }
}

#[test]
fn a_kind_that_needs_more_says_how_to_write_it() {
    let told = render(&read_thing("name: a\nkinds: [burst]\n").problems, false);
    assert!(told.contains("`burst` alone says too little") && told.contains("`{burst: ...}`"), "{told}");
    let told = render(&read_thing("name: a\nkinds: [bust]\n").problems, false);
    assert!(told.contains("`bust` is not known here") && told.contains("burst"), "{told}");
}
