//! What an `if` compares with a number must be one: minijinja takes any text for more than any number, and equal to none.
//!
//! Owns which names that are; the filter is the engine's.

use regex::{Captures, Regex};

/// The filter that refuses a text, with the name that it has.
pub const NUMBER: &str = "squall_number";

/// A text in quotes, or a name before a comparison with a number. Behind a `|` it is a filter's.
const COMPARED: &str = r#"(?x) "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'
    | (?P<filter>\|\s*)? \b(?P<name>[A-Za-z_][\w.]*) (?P<rest>\s*(?:<=|>=|<|>|==|!=)\s*-?[0-9])"#;

/// The same expression, in which names that are compared with a number (`size > 10`) are looked at by [`NUMBER`].
pub fn with_numbers(expression: &str) -> String {
    let compared = Regex::new(COMPARED).expect("the pattern is valid");
    let looked_at = |found: &Captures<'_>| match (found.name("filter"), found.name("name")) {
        (None, Some(name)) => {
            let (name, rest) = (name.as_str(), &found["rest"]);
            format!("{name}|{NUMBER}(\"{name}\"){rest}")
        }
        _ => found[0].to_owned(),
    };
    compared.replace_all(expression, looked_at).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_compared_with_a_number_is_looked_at() {
        let rows = [
            ("size > 10", "size|squall_number(\"size\") > 10"),
            ("a.b<=-1 and not c>=2", "a.b|squall_number(\"a.b\")<=-1 and not c|squall_number(\"c\")>=2"),
            ("size | int > 10", "size | int > 10"),
            ("x == 3 or y!=-1", "x|squall_number(\"x\") == 3 or y|squall_number(\"y\")!=-1"),
            (
                "size|length>10 or x|length == 3 or i % 3 == 1",
                "size|length>10 or x|length == 3 or i % 3 == 1",
            ),
            ("x == '3'", "x == '3'"),
            ("text == 'n > 3' or \"n > \\\"3\" == n", "text == 'n > 3' or \"n > \\\"3\" == n"),
            ("a > b", "a > b"),
        ];
        for (written, expected) in rows {
            assert_eq!(with_numbers(written), expected, "{written}");
        }
    }
}
