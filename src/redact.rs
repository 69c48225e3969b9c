//! Taking secrets out of texts and values before anyone sees them.
//!
//! Owns the replacement only; what is a secret is found where it is read.

use serde_json::Value;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// Shorter values are left alone: they would blank half of every message.
pub const SHORTEST: usize = 4;

/// `text` with every secret replaced by `***`. Longer secrets must come first (see [`ordered`]).
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|s| s.len() >= SHORTEST) {
        if out.contains(secret.as_str()) {
            out = out.replace(secret.as_str(), MASK);
        }
    }
    out
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
    fn every_place_of_every_secret_is_masked() {
        let secrets = ordered(vec!["hunter2".into(), "ab".into(), "hunter2-long".into(), "hunter2".into()]);
        assert_eq!(secrets, ["hunter2-long", "hunter2"]);
        assert_eq!(redact("a hunter2-long, hunter2 and ab", &secrets), "a ***, *** and ab");
        let value = redact_json(&json!({"k hunter2": ["x hunter2", 7]}), &secrets);
        assert_eq!(value, json!({"k ***": ["x ***", 7]}));
    }
}
