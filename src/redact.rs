//! Taking secrets out of texts and values before anyone sees them.
//!
//! Owns the replacement only; what is a secret is found where it is read.

use serde_json::Value;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// Shorter values are left alone: they would blank half of every message.
pub const SHORTEST: usize = 4;

/// `text` with every secret replaced by `***`, also one whose end was cut off with the text's, and with
/// it everything that looks like a JSON Web Token: those are minted as the run goes on, and no list has
/// them. Longer secrets must come first (see [`ordered`]).
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|s| s.len() >= SHORTEST) {
        if out.contains(secret.as_str()) {
            out = out.replace(secret.as_str(), MASK);
        }
        let cuts = (SHORTEST..secret.len()).rev().filter(|&at| secret.is_char_boundary(at));
        if let Some(cut) = cuts.map(|at| &secret[..at]).find(|cut| out.ends_with(cut)) {
            out.truncate(out.len() - cut.len());
            out.push_str(MASK);
        }
    }
    without_tokens(&out)
}

/// A token is `{"` in base64url and what follows, with dots (RFC 7519); the text may end inside of it.
fn without_tokens(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("eyJ") {
        let (before, found) = rest.split_at(at);
        let part_of_one = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let (token, after) = found.split_at(found.find(|c| !part_of_one(c)).unwrap_or(found.len()));
        out.push_str(before);
        out.push_str(if token.contains('.') || after.is_empty() { MASK } else { token });
        rest = after;
    }
    out + rest
}

/// The same for every text inside a JSON value, keys included.
pub fn redact_json(value: &Value, secrets: &[String]) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text, secrets)),
        Value::Array(items) => Value::Array(items.iter().map(|v| redact_json(v, secrets)).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (redact(k, secrets), redact_json(v, secrets))).collect())
        }
        other => other.clone(),
    }
}

/// Secrets worth hiding, each once, the longest first, so that none hides a part of another.
pub fn ordered(mut secrets: Vec<String>) -> Vec<String> {
    secrets.retain(|s| s.len() >= SHORTEST);
    secrets.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    secrets.dedup();
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_masked_whoever_made_them_and_words_are_not() {
        let rows = [
            ("Bearer eyJhbGci.eyJzdWIi.c2ln, and more", "Bearer ***, and more"),
            ("cut off: eyJhbGci", "cut off: ***"),
            ("eyJay is a name, eyJ.a-_b no more", "eyJay is a name, *** no more"),
        ];
        for (text, masked) in rows {
            assert_eq!(redact(text, &[]), masked);
        }
    }

    #[test]
    fn every_place_of_every_secret_is_masked() {
        let secrets = ordered(vec!["hunter2".into(), "ab".into(), "hunter2-long".into(), "hunter2".into()]);
        assert_eq!(secrets, ["hunter2-long", "hunter2"]);
        assert_eq!(redact("a hunter2-long, hunter2 and ab", &secrets), "a ***, *** and ab");
        assert_eq!(redact("it ends in hunter2-lo", &secrets), "it ends in ***");
        assert_eq!(redact("it ends in hunt", &secrets), "it ends in ***");
        let value = redact_json(&json!({"k hunter2": ["x hunter2", 7]}), &secrets);
        assert_eq!(value, json!({"k ***": ["x ***", 7]}));
    }
}
