//! verdict.json: the judgement for programs (`docs/verdict.md`).
//!
//! Owns nothing but the file's form; the fields are `verdict`'s.

use crate::verdict::Judgement;

/// The judgement as indented JSON with a newline at its end.
pub fn json(judgement: &Judgement) -> String {
    let mut text = serde_json::to_string_pretty(judgement).expect("a judgement has only plain keys");
    text.push('\n');
    text
}
