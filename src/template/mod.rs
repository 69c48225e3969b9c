//! Texts that are made anew for every use: which they are, and what they may speak of.
//!
//! Owns the checks when the plan is made; rendering, and the values, are the engine's.

mod given;
mod number;
mod path;

pub use given::{encoded_source, has_given, plain, shown, source};
pub use number::{NUMBER, with_numbers};
pub use path::{Stray, stray_in_path};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use crate::diagnose::{one_of, suggest};

/// A text that is either fixed or made anew for every use (minijinja). In a template, what the environment gave
/// is marked ([`source`] makes it a part of the source).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Text {
    Fixed(String),
    Template(String),
}

/// Variables that always exist: the user, the arrival's index, and an id unique to the run.
pub const ALWAYS: [&str; 3] = ["user", "i", "run"];

/// Functions that templates may call: `hex(n)` gives n random hex digits.
pub const FUNCTIONS: [&str; 2] = ["hex", "range"];

/// The filter that leaves a value of a path, a query or a form as it is.
pub const RAW: &str = "raw";

/// What a template may speak of where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Names that stand alone: always-known ones, captures, loop names.
    pub names: BTreeSet<String>,
    /// After `data.`.
    pub data: BTreeSet<String>,
    /// After `setup.`.
    pub setup: BTreeSet<String>,
    /// Captured on some ways through the steps before, and not on others: how.
    pub unsure: BTreeMap<String, &'static str>,
    /// Some names could not be read: say nothing about unknown ones.
    pub incomplete: bool,
}

/// What is wrong with a template, at which of its bytes if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub range: Option<Range<usize>>,
    pub message: String,
    pub help: String,
}

/// Fixed, or a template if it has `{{`, `{%` or `{#` that the environment did not put there.
pub fn text(written: &str) -> Text {
    if is_template(written) { Text::Template(written.to_owned()) } else { Text::Fixed(plain(written)) }
}

pub fn is_template(written: &str) -> bool {
    let own = given::without(written);
    ["{{", "{%", "{#"].iter().any(|mark| own.contains(mark))
}

/// The expression of a text that is exactly one `{{ expression }}`: it keeps its type.
pub fn lone_expression(written: &str) -> Option<&str> {
    let inside = written.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inside.contains("{{") && !inside.contains("}}")).then(|| inside.trim())
}

/// Compiles it and looks at every name it uses.
pub fn check(written: &str, scope: &Scope) -> Vec<Mistake> {
    if !is_template(written) {
        return Vec::new();
    }
    let (marked, written) = (written, source(written));
    if let Some(mistake) = given::as_code(marked) {
        return vec![mistake];
    }
    let written = written.as_str();
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.add_filter(RAW, |value: minijinja::Value| value);
    env.add_function("hex", |digits: u32| "0".repeat(digits.min(1024) as usize));
    let template = match env.template_from_str(written) {
        Ok(template) => template,
        Err(error) => {
            let range = error.range().filter(|r| written.get(r.clone()).is_some());
            let message = format!("the template is broken: {}", error.detail().unwrap_or("syntax error"));
            let help = "write it like `room-{{ i }}`".to_owned();
            return vec![Mistake { range, message, help }];
        }
    };
    let used: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    let mut mistakes: Vec<Mistake> = used.iter().filter_map(|name| unknown(name, written, scope)).collect();
    mistakes.extend(unknown_function(&template, written));
    mistakes
}

fn unknown(path: &str, written: &str, scope: &Scope) -> Option<Mistake> {
    if scope.incomplete {
        return None;
    }
    let (first, second) = match path.split_once('.') {
        Some((first, rest)) => (first, rest.split('.').next().unwrap_or(rest)),
        None => (path, ""),
    };
    let within = match first {
        "data" => &scope.data,
        "setup" => &scope.setup,
        _ => return unknown_name(first, written, scope),
    };
    let whole = format!("{first}.{second}");
    if second.is_empty() || within.contains(second) {
        return None;
    }
    if scope.unsure.contains_key(&whole) {
        return not_sure(&whole, written, scope);
    }
    let captured = |name: &str| scope.names.contains(name) && !ALWAYS.contains(&name);
    let help = if first == "setup" && captured(second) {
        format!("what these steps capture stands alone: `{second}`")
    } else if within.is_empty() {
        match first {
            "data" => format!("declare it: `data: {{{second}: {{sequence: {{start: 1}}}}}}`"),
            _ => format!("capture it in a step of setup: `capture: {{{second}: $.id}}`"),
        }
    } else {
        suggest(second, within)
    };
    Some(Mistake { range: place(written, path), message: format!("`{first}` has no `{second}`"), help })
}

/// How an expression asks for what JSON calls null.
const NOTHING: &str = "JSON's null is `none` here: `{{ next is none }}`";

fn unknown_name(name: &str, written: &str, scope: &Scope) -> Option<Mistake> {
    if scope.unsure.contains_key(name) {
        return not_sure(name, written, scope);
    }
    if scope.names.contains(name) || FUNCTIONS.contains(&name) {
        return None;
    }
    let mut known: Vec<&str> = scope.names.iter().map(String::as_str).chain(FUNCTIONS).collect();
    known.extend(["data", "setup"]);
    let help = match crate::diagnose::nearest(name, known.iter().copied()) {
        _ if matches!(name, "null" | "nil" | "None" | "undefined") => NOTHING.to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it knows {}", one_of(known.iter().copied()).trim_start_matches("one of ")),
    };
    Some(Mistake {
        range: place(written, name),
        message: format!("the template knows no `{name}` here"),
        help,
    })
}

/// It is captured on some ways only, and the template does not ask.
fn not_sure(name: &str, written: &str, scope: &Scope) -> Option<Mistake> {
    let how = scope.unsure.get(name).filter(|_| !guarded(name, written))?;
    let message = format!("`{name}` is captured only {how}, and not always there");
    let help = format!("use it there, or say what else: `{{{{ {name} | default(\"none\") }}}}`");
    Some(Mistake { range: place(written, name), message, help })
}

/// The template itself asks whether it is there, as a word of an expression.
fn guarded(name: &str, written: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let asks = |after: &str| {
        let (rest, spaced) = (after.trim_start(), after.starts_with(char::is_whitespace));
        let filter = rest.strip_prefix('|').map(str::trim_start);
        let is_word =
            |rest: &str, word: &str| rest.strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_part));
        (spaced && is_word(rest, "is"))
            || filter.is_some_and(|filter| is_word(filter, "default") || is_word(filter, "d"))
    };
    let code = given::with_outside(written, |_| " ".to_owned());
    code.match_indices(name).any(|(at, _)| !code[..at].ends_with(is_part) && asks(&code[at + name.len()..]))
}

fn place(written: &str, word: &str) -> Option<Range<usize>> {
    let start = written.find(word)?;
    Some(start..start + word.len())
}

/// Filters and tests are looked up when a template runs: so it runs once, on nothing.
fn unknown_function(template: &minijinja::Template<'_, '_>, written: &str) -> Option<Mistake> {
    let error = template.render(()).err()?;
    let what = match error.kind() {
        ErrorKind::UnknownFilter => "filter",
        ErrorKind::UnknownTest => "test",
        ErrorKind::UnknownMethod => "method",
        _ => return None,
    };
    let range = error.range().filter(|r| written.get(r.clone()).is_some());
    let message = format!("the template uses an unknown {what}: {}", error.detail().unwrap_or("no detail"));
    Some(Mistake { range, message, help: "see minijinja's list of filters".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope() -> Scope {
        let set = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Scope {
            names: set(&["user", "i", "run", "room"]),
            data: set(&["region"]),
            setup: set(&["tenant"]),
            unsure: [("maybe".to_owned(), "in one branch")].into(),
            incomplete: false,
        }
    }

    #[test]
    fn texts_are_fixed_or_templates_and_a_lone_expression_keeps_its_type() {
        assert_eq!(text("plain"), Text::Fixed("plain".into()));
        assert_eq!(text("room-{{ i }}"), Text::Template("room-{{ i }}".into()));
        assert_eq!(lone_expression("{{ data.n }}"), Some("data.n"));
        assert_eq!(lone_expression("{{ a }}{{ b }}"), None);
        assert_eq!(lone_expression("n={{ a }}"), None);
    }

    #[test]
    fn known_names_pass_and_unknown_ones_are_named() {
        let good = [
            "x",
            "{{ user }}-{{ hex(8) }}",
            "{{ data.region | upper }}",
            "{{ setup.tenant }}",
            "{{ room.id[0] }}",
            "{% for x in range(3) %}{{ x }}{{ loop.index }}{% endfor %}",
            "{% if maybe is defined %}{{ maybe }}{% endif %}{{ maybe | default(1) }}{{ room | raw }}",
            "\u{fdd0}{{ usr }}{%\u{fdd1}",
            "{{ '\u{fdd0}it's \\ {{\u{fdd1}' ~ \u{fdd0}12\u{fdd1} }}",
        ];
        for written in good {
            assert_eq!(check(written, &scope()), [], "{written}");
        }
        for unasked in [
            "maybe is {{ maybe }}",
            "{{ maybe ~ 'is' }}",
            "{{ room is defined }}{{ maybe }}",
            "{{ maybe | upper }}",
        ] {
            assert_eq!(check(unasked, &scope()).len(), 1, "{unasked}");
        }
        let bad = [
            "{{ usr }}",
            "{{ data.regoin }}",
            "{{ setup.x }}",
            "{{ setup.room }}",
            "{{ room | uper }}",
            "{{ room",
            "{{ zzz }}",
            "{{ room != null }}",
            "{{ maybe }}",
            "{{ \u{fdd0}user\u{fdd1} }}",
        ];
        let shown: Vec<String> = bad
            .iter()
            .flat_map(|w| check(w, &scope()).into_iter().map(move |m| format!("{w}: {m:?}")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(written in "(\\{\\{|\\}\\}|\\{%|%\\}|\\PC| if | for |user|\\|){0,12}") {
            check(&written, &scope());
        }
    }
}
