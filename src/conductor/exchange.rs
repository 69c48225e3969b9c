//! What goes to and fro, as `squall try` shows it: whole heads, the beginnings of bodies, no secrets.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use minijinja::Value;

use crate::client::Answer;
use crate::experiment::CaptureFrom;
use crate::redact::{MASK, is_called_secret, redact};
use crate::units::{Micros, cut, grouped};

/// Characters of a body and of a value that are shown.
const SHOWN: usize = 2_000;
/// Headers that say who somebody is.
const HIDDEN: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token"];

/// A request as it is sent.
pub async fn sent(request: &http::Request<Full<Bytes>>, secrets: &[String]) -> String {
    let body = request.body().clone().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let line = format!("> {} {}", request.method(), request.uri());
    let all =
        [line, head("> ", request.headers()), body_text("> ", &body, body.len() as u64, secrets)].concat();
    redact(&all, secrets)
}

/// An answer as it came.
pub fn received(answer: &Answer, took: Micros, secrets: &[String]) -> String {
    let line = format!("< {} after {took}", answer.status);
    let all =
        [line, head("< ", &answer.headers), body_text("< ", &answer.body, answer.length, secrets)].concat();
    redact(&all, secrets)
}

/// A captured value; one that is hidden where it came from is hidden here, whatever the profile calls it.
pub fn captured(name: &str, from: Option<&CaptureFrom>, value: &Value, secrets: &[String]) -> String {
    if from.is_some_and(is_hidden) {
        return format!("= {name}: {MASK}");
    }
    let text = serde_json::to_string(value).unwrap_or_else(|_| value.to_string());
    // As JSON has it, so that what is called a token is none that is shown.
    let told = redact(&format!("\"{name}\": {text}"), secrets);
    format!("= {}", cut(&told.replacen('"', "", 2), SHOWN))
}

fn is_hidden(from: &CaptureFrom) -> bool {
    match from {
        CaptureFrom::Header(name) => HIDDEN.contains(&name.to_ascii_lowercase().as_str()),
        CaptureFrom::Json(path) | CaptureFrom::JsonAll(path) => {
            let of_a_name = |c: char| c.is_alphanumeric() || "_-".contains(c);
            path.rsplit(|c| !of_a_name(c)).any(is_called_secret)
        }
    }
}

fn head(mark: &str, headers: &http::HeaderMap) -> String {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let shown = if HIDDEN.contains(&name.as_str()) { MASK } else { &text };
        format!("\n{mark}{name}: {shown}")
    };
    headers.iter().map(line).collect()
}

/// Secrets go before it is cut: half of one is none that could be found.
fn body_text(mark: &str, body: &[u8], length: u64, secrets: &[String]) -> String {
    if length == 0 {
        return String::new();
    }
    let text = redact(&String::from_utf8_lossy(body), secrets);
    let lines: String = cut(&text, SHOWN).lines().map(|line| format!("\n{mark}{line}")).collect();
    let rest = match length > body.len() as u64 {
        true => format!("\n{mark}... ({} bytes in all)", grouped(length)),
        false => String::new(),
    };
    format!("\n{mark}{lines}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_shown_where_a_text_is_cut() {
        let secrets = ["correct-horse-battery".to_owned()];
        for before in SHOWN - 25..=SHOWN {
            let body = format!("{}correct-horse-battery staple", "x".repeat(before));
            let shown = body_text("< ", body.as_bytes(), body.len() as u64, &secrets);
            assert!(!shown.contains("corr"), "{before}: {}", &shown[shown.len() - 60..]);
            let shown = captured("token", None, &Value::from(body), &secrets);
            assert!(!shown.contains("corr"), "{before}: {}", &shown[shown.len() - 60..]);
        }
    }

    #[test]
    fn a_captured_token_is_hidden_whatever_the_profile_calls_it() {
        let json = |path: &str| CaptureFrom::Json(path.to_owned());
        let all = |path: &str| CaptureFrom::JsonAll(path.to_owned());
        let hidden = [
            json("$.access_token"),
            json("$['user']['apiKey']"),
            json("$.tokens[0].token"),
            json("$.token.value"),
            all("$..refresh_token"),
            CaptureFrom::Header("Set-Cookie".to_owned()),
        ];
        let shown = [
            json("$.id"),
            json("$.next_page_token"),
            all("$.rooms[*].name"),
            CaptureFrom::Header("location".to_owned()),
        ];
        let rows = hidden.map(|from| (from, "***")).into_iter().chain(shown.map(|from| (from, "\"a-7\"")));
        for (from, told) in rows {
            assert_eq!(
                captured("t", Some(&from), &Value::from("a-7"), &[]),
                format!("= t: {told}"),
                "{from:?}"
            );
        }
    }
}
