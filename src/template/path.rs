//! Paths as they are written: what of them HTTP cannot carry.

use std::ops::Range;

use super::{given, plain};

/// Bytes of a path that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// In the text without marks; none where that is not the file's.
    pub range: Option<Range<usize>>,
    pub message: String,
    pub help: String,
}

/// The first character outside of `{{ }}` that has no place in a path with its query (RFC 3986, 3.3 and 3.4).
pub fn stray_in_path(written: &str) -> Option<Stray> {
    let text = plain(written);
    let outside = if super::is_template(written) { given::outside(&text) } else { vec![(0, text.as_str())] };
    let mut found = outside.into_iter().filter_map(|(from, part)| Some((from, first_bad(part)?)));
    let (from, (at, bad)) = found.next()?;
    let start = from + at;
    let range = (text == written).then_some(start..start + bad.len_utf8());
    let (message, help) = match bad {
        '#' => {
            ("what stands behind a `#` is never sent".to_owned(), "write `%23` for the character".to_owned())
        }
        '{' => (
            "a path has no single `{`".to_owned(),
            "write `{{ id }}` for what `id` stands for, `%7B` for the character".to_owned(),
        ),
        '%' => ("`%` stands before two hex digits".to_owned(), "write `%25` for the character".to_owned()),
        other => {
            let mut utf8 = [0; 4];
            let encoded: String = other.encode_utf8(&mut utf8).bytes().map(|b| format!("%{b:02X}")).collect();
            (format!("a path has no `{}`", other.escape_debug()), format!("write `{encoded}`"))
        }
    };
    Some(Stray { range, message, help })
}

fn first_bad(part: &str) -> Option<(usize, char)> {
    let hex = |at: usize| part.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    part.char_indices().find(|&(at, c)| match c {
        '%' => !(hex(at + 1) && hex(at + 2)) && part.len() > at + 2,
        c => !(c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?".contains(c)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_cannot_carry_is_found_outside_of_expressions() {
        let found = |text: &str| stray_in_path(text).map(|stray| stray.range.unwrap().start);
        let rows = [
            ("/rooms/a?q=1&b=%20", None),
            ("/a b", Some(2)),
            ("/caf\u{e9}", Some(4)),
            ("/a#b", Some(2)),
            ("/50%-off", Some(3)),
            ("/{{ 'a b' }}/x", None),
            ("/{{ 'a b' }}/x y", Some(14)),
            ("/{a}", Some(1)),
        ];
        for (text, at) in rows {
            assert_eq!(found(text), at, "{text}");
        }
    }
}
