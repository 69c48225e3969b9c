//! The house rules: floors, lengths, markers, who may know a clock. Style keeps itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the lowest up, and on each the modules from left to right: a module imports from
/// lower floors or from its left.
const FLOORS: [(&str, &[&str]); 5] = [
    ("words", &["units", "random", "redact", "sample", "diagnose"]),
    (
        "maths",
        &[
            "quantity",
            "histogram",
            "arrival",
            "toxic",
            "stats",
            "objective",
            "exit",
            "outline",
            "sampling",
            "record",
            "timeline",
            "verdict",
        ],
    ),
    ("documents", &["yaml", "written", "template", "profile", "chaos_plan", "experiment", "history"]),
    (
        "machines",
        &[
            "world",
            "http",
            "client",
            "engine",
            "sandbox",
            "proxy",
            "recorder",
            "service",
            "chaos",
            "conductor",
        ],
    ),
    ("faces", &["report", "progress", "cli", "commands", "main"]),
];
const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 100;

struct Source {
    /// From the repository's root.
    path: String,
    /// `engine` for `src/engine/flow.rs`.
    module: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn below(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no Rust in {folder}");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let module = relative.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs").to_owned();
            found.push(Source { path: relative, module, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The text without what only tests see.
fn shipped(source: &Source) -> &str {
    if source.path.ends_with("/tests.rs")
        || source.path.ends_with("/fake.rs")
        || source.path.ends_with("/fixture.rs")
    {
        return "";
    }
    let cut = source.text.find("#[cfg(test)]\nmod tests {").unwrap_or(source.text.len());
    &source.text[..cut]
}

/// Code without comments: what follows `//` goes, unless it is part of a URL.
fn code(text: &str) -> String {
    let line = |line: &str| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Names after `crate::` and, in the binary, `squall::`; groups in braces included.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, path) in text.match_indices("crate::").chain(text.match_indices("squall::")) {
        let rest = &text[at + path.len()..];
        let name = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
        };
        match rest.strip_prefix('{').and_then(|group| group.split_once('}')) {
            Some((group, _)) => found.extend(group.split(',').map(name)),
            None => found.push(name(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Floor and place of each module.
fn places() -> BTreeMap<&'static str, (usize, usize)> {
    let each = FLOORS.iter().enumerate().flat_map(|(floor, (_, modules))| {
        modules.iter().enumerate().map(move |(place, module)| (*module, (floor, place)))
    });
    each.collect()
}

#[track_caller]
fn nothing(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_module_has_a_floor_and_imports_only_from_below_or_from_its_left() {
    let places = places();
    let mut wrong = Vec::new();
    for source in below("src").iter().filter(|s| s.module != "lib") {
        let Some(own) = places.get(source.module.as_str()) else {
            wrong.push(format!("{} has no floor: give it one in tests/tidy.rs", source.path));
            continue;
        };
        for name in imports(&code(shipped(source))).iter().filter(|name| **name != source.module) {
            match places.get(name.as_str()) {
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{} imports {name} from above or from its right", source.path)),
                None => wrong.push(format!("{} imports crate::{name}, which is no module", source.path)),
            }
        }
    }
    nothing(&wrong, "floors");
}

#[test]
fn only_machines_and_faces_know_an_async_runtime() {
    let places = places();
    let async_from = 3;
    let quiet = |s: &&Source| places.get(s.module.as_str()).is_some_and(|(floor, _)| *floor < async_from);
    let sources = below("src");
    let words = ["tokio::", "tokio_", "async fn", "async move", ".await"];
    let knows = |s: &&Source| words.iter().any(|word| code(&s.text).contains(word));
    let wrong: Vec<String> = sources.iter().filter(quiet).filter(knows).map(|s| s.path.clone()).collect();
    nothing(&wrong, "words, maths and documents are not async");
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let all = below("src").into_iter().chain(below("tests"));
    let long = all.map(|s| (s.text.lines().count(), s.path)).filter(|(lines, _)| *lines > LONGEST_FILE);
    let wrong: Vec<String> = long.map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    nothing(&wrong, "split these by what they own");
}

/// rustfmt closes a function at the column where it began.
#[test]
fn no_function_is_longer_than_a_hundred_lines() {
    let mut wrong = Vec::new();
    for source in below("src").into_iter().chain(below("tests")) {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in source.text.lines().enumerate() {
            let column = line.len() - line.trim_start().len();
            let begins = line.contains("fn ") && !line.trim_start().starts_with("//");
            match &open {
                None if begins && !line.trim_end().ends_with([';', '}']) => {
                    open = Some((number, column, line.trim().to_owned()));
                }
                Some((from, at, name)) if line.trim_end() == format!("{}}}", " ".repeat(*at)) => {
                    if number - from + 1 > LONGEST_FUNCTION {
                        wrong.push(format!(
                            "{}:{}: {name} has {} lines",
                            source.path,
                            from + 1,
                            number - from + 1
                        ));
                    }
                    open = None;
                }
                Some((_, at, _)) if line.trim_end() == format!("{};", " ".repeat(*at)) => open = None,
                _ => {}
            }
        }
    }
    nothing(&wrong, "say it in shorter functions");
}

#[test]
fn every_file_begins_with_what_it_owns() {
    let all = below("src").into_iter().chain(below("tests"));
    let wrong: Vec<String> = all.filter(|s| !s.text.starts_with("//! ")).map(|s| s.path).collect();
    nothing(&wrong, "begin with `//!`");
}

/// Words and maths are what others build on; above them a name may speak for itself.
#[test]
fn every_public_item_of_words_and_maths_says_what_it_is() {
    let places = places();
    let published = |s: &&Source| places.get(s.module.as_str()).is_some_and(|(floor, _)| *floor < 2);
    let kinds = ["struct ", "enum ", "trait ", "type ", "const ", "fn ", "const fn "];
    let mut wrong = Vec::new();
    for source in below("src").iter().filter(published) {
        let lines: Vec<&str> = shipped(source).lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(item) = line.strip_prefix("pub ") else { continue };
            // Attributes may stand between, of several lines too; what ends another item may not.
            let ends = |line: &&&str| line.is_empty() || **line == "}" || line.ends_with(';');
            let mut before = lines[..number].iter().rev().take_while(|line| !ends(line));
            let told = before.any(|line| line.starts_with("///"));
            if kinds.iter().any(|kind| item.starts_with(kind)) && !told {
                wrong.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    nothing(&wrong, "say in a line of `///` what it is");
}

#[test]
fn nothing_is_left_over() {
    let markers = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("HA", "CK"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let mut wrong = Vec::new();
    for source in below("src").into_iter().chain(below("tests")) {
        for (number, line) in source.text.lines().enumerate() {
            let hits = markers.iter().filter(|marker| line.contains(*marker));
            wrong.extend(hits.map(|marker| format!("{}:{}: {marker}", source.path, number + 1)));
        }
    }
    nothing(&wrong, "do it, or write an issue");
}

/// `engine/flow` for `src/engine/flow.rs`, `engine` for `src/engine/mod.rs`.
fn module_path(path: &str) -> &str {
    path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod")
}

#[test]
fn every_module_has_its_line_in_the_design() {
    let design = fs::read_to_string(root().join("docs/design.md")).unwrap();
    let names = |s: &Source| module_path(&s.path).to_owned();
    let modules = below("src").iter().map(names).filter(|m| m != "lib").collect::<Vec<_>>();
    let has = |module: &str| design.lines().any(|line| line.starts_with(&format!("| `{module}` |")));
    let top = |module: &&String| !module.contains('/');
    let wrong: Vec<String> = modules.iter().filter(top).filter(|m| !has(m)).cloned().collect();
    nothing(&wrong, "docs/design.md has no line for");
    let told = |line: &str| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name.to_owned());
    let lines = design.lines().filter_map(told);
    let gone: Vec<String> = lines.filter(|name| !modules.contains(name)).collect();
    nothing(&gone, "docs/design.md has a line for what is gone");
}

/// What others may build on: the way from a history to its report, and the words on it.
#[test]
fn the_library_shows_what_others_may_build_on_and_hides_the_rest() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let shown = library.split("#[doc(hidden)]").next().unwrap();
    let modules: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    let way =
        ["exit;", "histogram;", "history;", "objective;", "outline;", "quantity;", "record;", "report;"];
    assert_eq!(modules, [&way[..], &["sample;", "timeline;", "units;", "verdict;"]].concat());
    let hidden = library.matches("#[doc(hidden)]\npub mod ").count();
    assert_eq!(modules.len() + hidden, library.matches("pub mod ").count());
}

#[test]
fn every_record_of_a_history_has_its_line_in_the_docs() {
    let (code, docs) = ("src/record.rs", "docs/history.md");
    let [code, docs] = [code, docs].map(|path| fs::read_to_string(root().join(path)).unwrap());
    let body = code.split("pub enum Record {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let variant = |line: &str| -> Option<String> {
        let name: String =
            line.strip_prefix("    ")?.chars().take_while(char::is_ascii_alphanumeric).collect();
        (!name.is_empty()).then(|| name.to_lowercase())
    };
    let names: Vec<String> = body.lines().filter_map(variant).collect();
    assert!(names.len() > 15, "{names:?}");
    let missing = names.into_iter().filter(|name| !docs.contains(&format!("| `{name}` |")));
    nothing(&missing.collect::<Vec<_>>(), "docs/history.md has no line for");
}

#[test]
fn no_foreign_tls_or_crypto_is_linked() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let unwanted = ["openssl-sys", "native-tls", "aws-lc-sys"];
    let found = unwanted.iter().filter(|name| lock.contains(&format!("name = \"{name}\"")));
    nothing(&found.map(|name| (*name).to_owned()).collect::<Vec<_>>(), "C libraries for TLS");
}

#[test]
fn unsafe_code_is_denied_but_where_a_descriptor_a_socket_or_what_is_started_takes_it() {
    let sources = below("src");
    let lib = sources.iter().find(|s| s.path == "src/lib.rs").unwrap();
    assert!(lib.text.contains("#![deny(unsafe_code)]"), "src/lib.rs");
    let allow = concat!("allow(", "unsafe_code)");
    let allowed: Vec<&str> =
        sources.iter().flat_map(|s| s.text.matches(allow).map(|_| s.path.as_str())).collect();
    // Descriptors of the keeper and the pacer, a service's limit of files, what a socket has not sent.
    let known = ["src/chaos/keeper.rs", "src/world/files.rs", "src/world/pacer.rs", "src/world/stream.rs"];
    assert_eq!(allowed, known);
}

#[test]
fn only_the_world_may_name_the_clock_and_the_network() {
    let allow = concat!("clippy::", "disallowed_methods");
    let all = below("src").into_iter();
    let wrong = all.filter(|s| s.text.contains(allow) && !s.path.starts_with("src/world/"));
    nothing(&wrong.map(|s| s.path).collect::<Vec<_>>(), "hand in the World");
}
