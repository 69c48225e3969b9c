//! `${NAME}` and `${NAME:-default}` in plain and double-quoted scalars.
//!
//! Owns the substitution and remembers what came from the environment, which is data: it makes no template and
//! changes no type. Single quotes and block scalars keep the text as it stands.

use std::sync::Arc;

use super::{Env, Node, Scalar, Value};
use crate::diagnose::{Problem, Source, nearest};

/// Stand before and after what the environment gave, in texts that may be templates. Unicode keeps them for a
/// program's own use, so that no text has them.
pub const GIVEN: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// Fills the whole tree in; gives back the scalars that could not be.
pub(super) fn fill(
    node: &mut Node,
    source: &Arc<Source>,
    env: &Env,
    problems: &mut Vec<Problem>,
) -> Vec<u32> {
    match &mut node.value {
        Value::List(items) => items.iter_mut().flat_map(|n| fill(n, source, env, problems)).collect(),
        Value::Map(entries) => {
            entries.iter_mut().flat_map(|e| fill(&mut e.value, source, env, problems)).collect()
        }
        Value::Scalar(scalar) => {
            // The parser leaves one empty text in scalars that may be filled.
            if scalar.filled.is_empty() {
                return Vec::new();
            }
            scalar.filled.clear();
            scalar.plain |= is_one_variable(&scalar.text);
            scalar.given = scalar.text.contains("${");
            let wrong = fill_scalar(scalar, env);
            for (written, missing) in &wrong {
                let span = source.word_in(node.span, written);
                let problem = Problem::at(source, span, missing.message.as_str());
                problems.push(problem.help(missing.help.as_str()));
            }
            if wrong.is_empty() { Vec::new() } else { vec![node.id] }
        }
    }
}

/// `"${N}"` may stand for a number: inside `{ }` YAML wants it quoted.
fn is_one_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

struct Missing {
    message: String,
    help: String,
}

/// Replaces what it can; what it cannot comes back with the piece of text that asked for it.
fn fill_scalar(scalar: &mut Scalar, env: &Env) -> Vec<(String, Missing)> {
    let (mut out, mut marked, mut wrong) = (String::new(), String::new(), Vec::new());
    let text = std::mem::take(&mut scalar.text);
    let mut rest = text.as_str();
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        marked.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else {
            let help = "close it with `}`, or put the text in single quotes to keep it as it is".to_owned();
            wrong.push((rest[start..].to_owned(), Missing { message: "`${` without `}`".to_owned(), help }));
            rest = &rest[start + 2..];
            continue;
        };
        let written = &rest[start..=start + end];
        let (name, default) = match written[2..written.len() - 1].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&written[2..written.len() - 1], None),
        };
        match (env.get(name).filter(|v| default.is_none() || !v.is_empty()), default) {
            (Some(value), _) if value.ends_with(['\n', '\r']) => {
                wrong.push((written.to_owned(), line_break(name)));
            }
            (Some(value), _) => {
                out.push_str(value);
                marked.push(GIVEN[0]);
                marked.push_str(&value.replace(GIVEN, ""));
                marked.push(GIVEN[1]);
                scalar.filled.push(value.clone());
            }
            (None, Some(default)) => {
                out.push_str(default);
                marked.push_str(default);
            }
            (None, None) => wrong.push((written.to_owned(), not_set(name, env))),
        }
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    marked.push_str(rest);
    (scalar.text, scalar.marked) = (out, marked);
    wrong
}

/// What is mounted as a file often ends so, and what is made of it is then no header and no password.
fn line_break(name: &str) -> Missing {
    Missing {
        message: format!("the value of `{name}` ends with a line break"),
        help: format!(
            "cut it off where it is set: `{name}=\"$(cat FILE)\"`; one that is meant is written here: `\"${{{name}}}\\n\"`"
        ),
    }
}

fn not_set(name: &str, env: &Env) -> Missing {
    let near = nearest(name, env.keys()).map(|n| format!(" (or did you mean `{n}`?)")).unwrap_or_default();
    Missing {
        message: format!("the environment has no `{name}`"),
        help: format!("set it, or give a default: `${{{name}:-...}}`{near}"),
    }
}
