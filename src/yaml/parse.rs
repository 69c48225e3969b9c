//! Text to tree, by the events of granit-parser.
//!
//! Owns duplicate keys, anchors and their budget, and what of YAML is not taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use super::{Entry, Node, Scalar, Value};
use crate::diagnose::{Problem, Source, Span};

/// Nodes that a file may grow to; anchors within anchors end here.
const MOST_NODES: usize = 200_000;

/// The tree of the first document, if there is one, and what is wrong with the text.
pub(super) fn parse(source: &Arc<Source>) -> (Option<Node>, Vec<Problem>) {
    let mut builder = Builder::new(source);
    for next in Parser::new_from_str(&source.text) {
        match next {
            Ok((event, span)) => {
                let bytes = span.byte_range().unwrap_or(0..0);
                builder.take(event, Span { start: bytes.start, end: bytes.end });
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(source.text.len());
                let (at, help) = trap(&source.text, at, &error.info());
                let span = Span { start: at, end: at };
                builder.problem(span, format!("this is not YAML: {}", error.info()), help);
                return (None, builder.problems);
            }
        }
        if builder.nodes > MOST_NODES {
            let message = format!("the file has more than {MOST_NODES} values, anchors repeated");
            builder.problem(Span::default(), message, None);
            return (None, builder.problems);
        }
    }
    if builder.root.is_none() {
        builder.problem(Span::default(), "the file is empty".to_owned(), None);
    }
    (builder.root, builder.problems)
}

const QUOTED: &str = "write templates quoted: \"{{ name }}\"";
const SPACES: &str = "indent with spaces: YAML takes no tabs";
/// What the parser says, and what to do.
const TRAPS: [(&[&str], &str); 6] = [
    (
        &["block collection", "block mapping"],
        "what belongs together begins in the same column: compare this line with those above it",
    ),
    (
        &["mapping values"],
        "keys that belong together begin in the same column, a space comes after `:`, and a text with `: ` in it stands in quotes",
    ),
    (
        &["flow mapping", "flow sequence", "bracket"],
        "close each bracket, and quote a text that has one, `,` or `: ` in it",
    ),
    (
        &["anchor or alias", "unexpected character"],
        "quote a text that has a `[` in it, or begins with `*`, `&`, `@` or `%`: \"$.rooms[*].name\"",
    ),
    (&["escape character"], "in double quotes `\\` begins an escape: put the text in single ones: '^\\d+$'"),
    (
        &["quote"],
        "close each quote, also in the lines above; a text that has one stands in the other kind: \"it's\"",
    ),
];

/// The traps of YAML that most errors come from: where the mistake is, and what to do.
fn trap(text: &str, at: usize, info: &str) -> (usize, Option<&'static str>) {
    let head = text.get(..at).unwrap_or(text);
    let start = head.rfind('\n').map_or(0, |n| n + 1);
    let rest = text.get(start..).unwrap_or("");
    let line = rest.lines().next().unwrap_or("");
    if let Some(tab) = tab_before_text(rest).filter(|_| info.contains("tab")) {
        return (start + tab, Some(SPACES));
    }
    let quotes = line.split("{{").next().unwrap_or("").matches(['"', '\'']).count();
    let help = if line.contains("${") {
        Some("inside `{ }` and `[ ]` write it quoted: \"${NAME}\"")
    } else if line.contains("{{") && quotes % 2 == 0 {
        Some(QUOTED)
    } else {
        TRAPS.iter().find(|(words, _)| words.iter().any(|words| info.contains(words))).map(|(_, help)| *help)
    };
    (at, help)
}

/// The tab that a line is indented with, or the one after it: a text that could go on there is blamed for that.
fn tab_before_text(lines: &str) -> Option<usize> {
    let mut start = 0;
    lines.split_inclusive('\n').take(2).find_map(|line| {
        let (indent, at) = (line.len() - line.trim_start().len(), start);
        start += line.len();
        line[..indent].find('\t').map(|tab| at + tab)
    })
}

/// A list or map that is still open.
struct Open {
    start: Span,
    anchor: usize,
    items: Vec<Node>,
    map: bool,
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    problems: Vec<Problem>,
    nodes: usize,
    documents: usize,
}

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>) -> Builder<'s> {
        Builder {
            source,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            problems: Vec::new(),
            nodes: 0,
            documents: 0,
        }
    }

    fn problem(&mut self, span: Span, message: String, help: Option<&str>) {
        let problem = Problem::at(self.source, span, message);
        self.problems.push(problem.help_maybe(help.map(str::to_owned)));
    }

    fn take(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let plain = style == ScalarStyle::Plain;
                let fills = plain || style == ScalarStyle::DoubleQuoted;
                let filled = if fills { vec![String::new()] } else { Vec::new() };
                let scalar =
                    Scalar { text: text.into_owned(), plain, filled, given: false, marked: String::new() };
                let node = self.node(span, Value::Scalar(scalar));
                self.finish(node, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(span, anchor, tag.is_some(), false),
            Event::MappingStart(_, anchor, tag) => self.begin(span, anchor, tag.is_some(), true),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(id) => self.alias(id, span),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    let help = "put it into a file of its own";
                    self.problem(span, "a second document in one file".to_owned(), Some(help));
                }
            }
            _ => {}
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.problem(span, "a YAML tag (`!...`) means nothing here".to_owned(), Some("leave it out"));
        }
    }

    fn node(&mut self, span: Span, value: Value) -> Node {
        self.nodes += 1;
        Node { id: self.nodes as u32, span, value }
    }

    fn begin(&mut self, start: Span, anchor: usize, tagged: bool, map: bool) {
        self.refuse_tag(tagged, start);
        self.open.push(Open { start, anchor, items: Vec::new(), map });
    }

    fn end(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let last = open.items.last().map_or(open.start.end, |n| n.span.end);
        let end = if span.end > span.start { span.end } else { last };
        let whole = Span { start: open.start.start, end: end.max(open.start.end) };
        let value = if open.map { Value::Map(self.entries(open.items)) } else { Value::List(open.items) };
        let node = self.node(whole, value);
        self.finish(node, open.anchor);
    }

    /// Keys and values in turn to entries; of a key that is there twice the first counts.
    fn entries(&mut self, items: Vec<Node>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(items.len() / 2);
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if !matches!(key.value, Value::Scalar(_)) {
                // `{{ name }}` without quotes is a map whose key is a map.
                let braces = matches!(key.value, Value::Map(_));
                let help = braces.then_some(QUOTED);
                self.problem(key.span, "a key must be one word".to_owned(), help);
            } else if entries.iter().any(|e| e.key.text() == key.text()) {
                let message = format!("`{}` is here twice", key.text());
                self.problem(key.span, message, Some("keep one of them"));
            } else {
                entries.push(Entry { key, value });
            }
        }
        entries
    }

    fn alias(&mut self, id: usize, span: Span) {
        match self.anchors.get(&id).cloned() {
            Some(node) => {
                let copy = self.copy(&node, span);
                self.finish(copy, 0);
            }
            None => {
                self.problem(span, "this alias stands inside its own anchor".to_owned(), None);
                let nothing = self.node(span, Value::List(Vec::new()));
                self.finish(nothing, 0);
            }
        }
    }

    /// The same value under new numbers; it lies where the alias does.
    fn copy(&mut self, node: &Node, span: Span) -> Node {
        if self.nodes > MOST_NODES {
            return self.node(span, Value::List(Vec::new()));
        }
        let value = match &node.value {
            Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
            Value::List(items) => Value::List(items.iter().map(|n| self.copy(n, span)).collect()),
            Value::Map(entries) => {
                let copy =
                    |e: &Entry| Entry { key: self.copy(&e.key, span), value: self.copy(&e.value, span) };
                Value::Map(entries.iter().map(copy).collect())
            }
        };
        self.node(span, value)
    }

    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None if self.root.is_none() => self.root = Some(node),
            None => {}
        }
    }
}
