//! Taking secrets out of texts and values before anyone sees them.
//!
//! Owns the replacement only; what is a secret is found where it is read.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::Regex;
use serde_json::Value;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// What stands behind a text that was cut (see [`crate::units::cut`]).
const CUT_OFF: &str = "... (";

/// Shorter values are left alone: they would blank half of every message.
pub const SHORTEST: usize = 4;

/// `text` with every secret replaced by `***`, also one whose end was cut off with the text's, and with
/// it everything that looks like a JSON Web Token or is called a token or a password: those are minted as the run goes
/// on, and no list has them. `secrets` are all their [`forms`].
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut places: Vec<Range<usize>> = Vec::new();
    // Where squall itself cut a value it says so.
    let ends: Vec<usize> = text.match_indices(CUT_OFF).map(|(at, _)| at).chain([text.len()]).collect();
    for secret in secrets.iter().filter(|s| s.len() >= SHORTEST) {
        // To look for a long one takes long, also in a short text.
        if secret.len() <= text.len() {
            places.extend(text.match_indices(secret.as_str()).map(|(at, found)| at..at + found.len()));
        }
        let cut = |&end: &usize| beginning_at_end(&text[..end], secret).map(|from| from..end);
        places.extend(ends.iter().filter_map(cut));
    }
    let out = masked_at(text, places);
    CALLED_SECRET.replace_all(&without_tokens(&out), format!("${{1}}${{2}}${{3}}{MASK}")).into_owned()
}

/// Where the beginning of a secret stands at the end of a text, the longest that does.
fn beginning_at_end(text: &str, secret: &str) -> Option<usize> {
    let (text, secret) = (text.as_bytes(), secret.as_bytes());
    let last = &text[text.len().saturating_sub(SHORTEST)..];
    let cut = |&end: &usize| secret[..end].ends_with(last) && text.ends_with(&secret[..end]);
    (SHORTEST..secret.len().min(text.len() + 1)).rev().find(cut).map(|end| text.len() - end)
}

/// Places that overlap become one.
fn masked_at(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| (place.start, place.end));
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for place in places {
        if place.start >= from {
            out.push_str(&text[from..place.start]);
            out.push_str(MASK);
        }
        from = from.max(place.end);
    }
    out + &text[from..]
}

/// What JSON (also JSON within JSON), a query or a form calls a token, a password or a key, and its value, of which the
/// end may be cut off. A `next_page_token` is none.
static CALLED_SECRET: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&called_secret()).expect("a pattern of squall's own"));
static CALLED_SECRET_BYTES: LazyLock<regex::bytes::Regex> =
    LazyLock::new(|| regex::bytes::Regex::new(&called_secret()).expect("a pattern of squall's own"));

fn called_secret() -> String {
    let kinds = ["(?:(?:access|refresh|id|auth|session|csrf)[_-]?)?token", "passw(?:or)?d"];
    let keys = ["(?:client[_-]?)?secret", "(?:api|access|private)[_-]?key", "session[_-]?id"];
    let called = [&kinds[..], &keys].concat().join("|");
    let json = format!(r#"("(?:{called})"\s*:\s*")(?:[^"\\]|\\.)+"#);
    let within = format!(r#"(\\"(?:{called})\\"\s*:\s*\\")[^"\\]+"#);
    let form = format!(r#"((?:^|[?&\s])(?:{called})=)[^&\s"']+"#);
    format!("(?i){json}|{within}|{form}")
}

/// Whether a value of this name is masked where JSON has it.
pub fn is_called_secret(name: &str) -> bool {
    CALLED_SECRET.is_match(&format!("\"{name}\":\"value\""))
}

/// Bytes that are looked at together where a file has no lines.
const LINE: u64 = 1 << 20;

/// So long is no token that somebody made.
const LONGEST: usize = 4096;

/// So many bytes may come to a file while it is masked.
const MORE: u64 = 64 << 20;

/// The same in a text file of any length, line by line and in its place, as somebody may have it open to append to.
///
/// # Errors
/// The system's, or that somebody writes to it as fast as it is read. What was there is there still, unless it failed as
/// it was written back.
pub fn redact_file(path: &Path, secrets: &[String]) -> io::Result<()> {
    let file = File::options().read(true).append(true).open(path)?;
    let most = file.metadata()?.len() + MORE;
    let mut file = BufReader::new(file);
    let masked_path = path.with_extension("masked");
    let mut masked = File::options().read(true).write(true).create_new(true).open(&masked_path)?;
    // Nobody sees it by this name, and it goes with the process.
    fs::remove_file(&masked_path)?;
    // One look for the beginnings of all of them: few lines have any.
    let beginnings: BTreeSet<String> = secrets.iter().map(|s| regex::escape(beginning(s))).collect();
    let any = Regex::new(&beginnings.into_iter().collect::<Vec<_>>().join("|")).ok();
    let may_have = |text: &str| {
        let known = !secrets.is_empty() && any.as_ref().is_none_or(|any| any.is_match(text));
        known || text.contains("eyJ") || CALLED_SECRET.is_match(text)
    };
    // Of a line without end so much waits for what follows: a secret may begin in it.
    let longest = secrets.iter().map(String::len).max().unwrap_or_default().max(LONGEST);
    let (mut line, mut is_clean, mut read) = (Vec::new(), true, 0);
    loop {
        let more = (&mut file).take(LINE).read_until(b'\n', &mut line)? as u64;
        read += more;
        if read > most {
            return Err(io::Error::other("somebody writes to it faster than it is masked"));
        }
        let is_part = more == LINE && !line.ends_with(b"\n");
        let rest = match is_part {
            true => line.split_off(cut_outside(&line, line.len().saturating_sub(longest), secrets)),
            false => Vec::new(),
        };
        let text = String::from_utf8_lossy(&line);
        let told = if may_have(&text) { without_cuts(&text, secrets) } else { text.clone().into_owned() };
        is_clean &= told == text;
        masked.write_all(if told == text { &line } else { told.as_bytes() })?;
        line = rest;
        if more == 0 {
            break;
        }
    }
    if is_clean {
        return Ok(());
    }
    let mut file = file.into_inner();
    masked.rewind()?;
    file.set_len(0)?;
    io::copy(&mut masked, &mut file).map(|_| ())
}

/// So much of a secret that few texts have it by chance.
fn beginning(secret: &str) -> &str {
    let end = (0..=16.min(secret.len())).rev().find(|&end| secret.is_char_boundary(end));
    &secret[..end.unwrap_or_default()]
}

/// Where to cut a line near `at`: in front of the secret that lies over it.
fn cut_outside(line: &[u8], at: usize, secrets: &[String]) -> usize {
    let over = |secret: &String| {
        let (secret, from) = (secret.as_bytes(), at.saturating_sub(secret.len()));
        let near = &line[from..line.len().min(at + secret.len())];
        near.windows(secret.len().max(1)).position(|found| found == secret).map(|found| from + found)
    };
    let called =
        CALLED_SECRET_BYTES.find_iter(line).filter(|place| at < place.end()).map(|place| place.start());
    secrets.iter().filter_map(over).chain(called).filter(|start| *start < at).min().unwrap_or(at)
}

/// A text that is whole has no secret whose end was cut off.
fn without_cuts(text: &str, secrets: &[String]) -> String {
    let mut told = redact(&format!("{text}\n"), secrets);
    told.pop();
    told
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
        Value::Number(number) => {
            let text = number.to_string();
            match secrets.iter().any(|secret| text.contains(secret.as_str())) {
                true => Value::String(redact(&text, secrets)),
                false => value.clone(),
            }
        }
        other => other.clone(),
    }
}

/// Every form that a secret may come back in, each once, the longest first: as it is, percent-encoded, escaped as JSON
/// and HTML do it, as a number, in base64 and in hex, and of a secret of several lines each line by itself.
pub fn forms(secrets: Vec<String>) -> Vec<String> {
    let worth = secrets.into_iter().filter(|s| s.len() >= SHORTEST);
    let mut all: Vec<String> =
        worth.flat_map(|secret| [forms_of(&secret), lines_of(&secret)].concat()).collect();
    all.retain(|form| form.len() >= SHORTEST);
    all.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    all.dedup();
    all
}

/// Shorter lines of a key are left alone.
const LINE_OF_KEY: usize = 8;

/// A log has it in lines, and a message may have them one behind the other.
fn lines_of(secret: &str) -> Vec<String> {
    let lines = secret.trim().lines().map(str::trim);
    let several = secret.trim().contains('\n');
    lines.filter(|line| several && line.len() >= LINE_OF_KEY).map(str::to_owned).collect()
}

fn forms_of(secret: &str) -> Vec<String> {
    let json = |text: &str| escape(text, |c| matches!(c, '"' | '\\') || c < ' ');
    let mut forms = vec![secret.to_owned(), secret.trim().to_owned()];
    // What each writer of URLs leaves as it is.
    for kept in ["-._~", "-._~/", "-._~!*'()", "-._~!*'():@&=+$,/;?#[]"] {
        let encoded = percent(secret, kept);
        forms.push(encoded.replace("%20", "+"));
        forms.push(lower_hex(&encoded));
        forms.push(lower_hex(&encoded.replace("%20", "+")));
        // A URL within a URL, as where to go back to.
        forms.push(encoded.replace('%', "%25"));
        forms.push(encoded);
    }
    let ascii = |text: &str| escape(text, |c| matches!(c, '"' | '\\') || c < ' ' || !c.is_ascii());
    let careful = escape(secret, |c| matches!(c, '"' | '\\' | '<' | '>' | '&' | '\'') || c < ' ');
    forms.extend([
        json(secret),
        json(&json(secret)),
        ascii(secret),
        ascii(&ascii(secret)),
        json(&careful),
        careful,
    ]);
    forms.extend([
        secret.replace('\\', "\\\\"),
        secret.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/"),
    ]);
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    forms.extend([html.replace('\'', "&#39;"), html.replace('\'', "&#x27;"), html]);
    forms.extend(as_number(secret));
    forms.extend(as_base64(secret));
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    forms
}

/// Percent-encodes all bytes but letters, digits and `kept` (RFC 3986).
fn percent(text: &str, kept: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `%2F` as `%2f`.
fn lower_hex(encoded: &str) -> String {
    let mut after_percent = 0;
    let lower = |c: char| {
        after_percent = if c == '%' { 2 } else { i32::max(after_percent - 1, -1) };
        if after_percent >= 0 { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// The text inside a JSON string; `escaped` says what is written with a backslash.
fn escape(text: &str, escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if !escaped(c) => out.push(c),
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// What is left of it where it was read as a number.
fn as_number(secret: &str) -> Vec<String> {
    let Ok(number) = secret.parse::<f64>() else { return Vec::new() };
    let whole = secret.trim_start_matches(['+', '0']);
    [whole.to_owned(), number.to_string(), format!("{number:?}"), format!("{number:e}")].into()
}

/// At each of the three places that it can have in a longer text, without what its neighbours have a part in.
fn as_base64(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for lead in 0..3 {
        let text = [&[0; 2][..lead], secret.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&text);
        let (from, to) = ([0, 2, 3][lead], text.len() * 8 / 6);
        let inner = encoded.get(from..to).unwrap_or_default();
        if inner.len() >= 2 * SHORTEST {
            forms.extend([inner.to_owned(), inner.replace('+', "-").replace('/', "_")]);
        }
    }
    forms
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
    fn what_is_called_a_token_or_a_password_is_masked_and_a_page_is_not() {
        let rows = [
            (
                r#"{"ok": true, "access_token": "s3cr\"et", "for": "me"}"#,
                r#"{"ok": true, "access_token": "***", "for": "me"}"#,
            ),
            (r#"cut off: {"refreshToken":"abcdef"#, r#"cut off: {"refreshToken":"***"#),
            (r#""{\"password\":\"abc\",\"n\":1}""#, r#""{\"password\":\"***\",\"n\":1}""#),
            ("POST /login?api_key=abc&page=2 HTTP/1.1", "POST /login?api_key=***&page=2 HTTP/1.1"),
            ("user=me&passwd=a+b%20c", "user=me&passwd=***"),
            (r#"{"next_page_token": "abc", "token": 7}"#, r#"{"next_page_token": "abc", "token": 7}"#),
        ];
        for (text, masked) in rows {
            assert_eq!(redact(text, &[]), masked);
            assert_eq!(redact(masked, &[]), masked, "once more changes nothing");
        }
    }

    #[test]
    fn every_place_of_every_secret_is_masked() {
        let secrets = forms(vec!["hunter2".into(), "ab".into(), "hunter2-long".into(), "hunter2".into()]);
        let plain = secrets.iter().filter(|form| form.starts_with("hunter")).collect::<Vec<_>>();
        assert_eq!(plain, ["hunter2-long", "hunter2"]);
        assert_eq!(redact("a hunter2-long, hunter2 and ab", &secrets), "a ***, *** and ab");
        assert_eq!(redact("it ends in hunter2-lo", &secrets), "it ends in ***");
        assert_eq!(redact("it ends in hunt", &secrets), "it ends in ***");
        let value = redact_json(&json!({"k hunter2": ["x hunter2", 7]}), &secrets);
        assert_eq!(value, json!({"k ***": ["x ***", 7]}));
    }

    #[test]
    fn a_secret_is_masked_in_every_form_that_it_comes_back_in() {
        let secrets = forms(vec!["q\"u\\o té&9 x".into(), "0048291576314029".into()]);
        let rows = [
            "q%22u%5Co%20t%C3%A9%269%20x",
            "q%22u%5co+t%c3%a9%269+x",
            "q%2522u%255Co%2520t%25C3%25A9%25269%2520x",
            "q\\\"u\\\\o té&9 x",
            "q\\\"u\\\\o t\\u00e9&9 x",
            "q\\\\\\\"u\\\\\\\\o té&9 x",
            "q\\\"u\\\\o té\\u00269 x",
            "q&quot;u\\o té&amp;9 x",
            "7122755c6f2074c3a926392078",
            "48291576314029",
            "0048291576314029",
        ];
        for row in rows {
            assert!(redact(&format!("at {row} end"), &secrets).contains(MASK), "{row}");
        }
        for lead in ["", "u:", "me:"] {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{lead}q\"u\\o té&9 x"));
            assert!(redact(&encoded, &secrets).contains(MASK), "{encoded}");
        }
        assert_eq!(redact_json(&json!(48291576314029_u64), &secrets), json!(MASK));
        assert_eq!(redact_json(&json!(4829), &secrets), json!(4829), "a number is not cut off");
    }

    #[test]
    fn a_secret_that_squall_itself_cut_is_masked() {
        let secret = "s3cret-".repeat(30);
        let secrets = forms(vec![secret.clone()]);
        let told = format!("k is `{}`, not `b`", crate::units::cut(&secret, 100));
        assert_eq!(redact(&told, &secrets), "k is `***... (210 characters)`, not `b`");
        assert_eq!(redact("wait... (3 times)", &secrets), "wait... (3 times)");
        assert_eq!(redact("é", &forms(vec!["éé\u{e9}é".into()])), "é");
    }

    /// Such as a private key, which begins and ends with `-----`: a log has it in lines, a message behind one another.
    #[test]
    fn a_secret_of_several_lines_is_masked_whole_and_line_by_line() {
        let key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\nab+/Qx9\n-----END KEY-----\n";
        let secrets = forms(vec![key.into()]);
        for text in [key, key.trim(), &format!("key: {key} and more"), &key.replace('\n', "\\n")] {
            let told = redact(text, &secrets);
            assert!(!told.contains("MC4C") && !told.contains("ab+/") && !told.contains("KEY"), "{told}");
        }
        let told = redact(&key.trim().replace('\n', " | "), &secrets);
        assert_eq!(told, "*** | *** | ab+/Qx9 | ***", "less than eight characters are left");
        let path = std::env::temp_dir().join(format!("squall-redact-key-{}.log", std::process::id()));
        fs::write(&path, format!("begins\n{key}ends\n")).unwrap();
        redact_file(&path, &secrets).unwrap();
        let kept = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(kept, "begins\n***\n***\nab+/Qx9\n***\nends\n");
    }

    #[test]
    fn a_secret_lies_over_the_places_where_a_file_without_lines_is_looked_at_in_pieces() {
        let path = std::env::temp_dir().join(format!("squall-redact-long-{}.log", std::process::id()));
        for (space, secret, masked) in
            [(" ", "hunter22", "***"), ("x", "hunter22", "***"), (" ", "two words", "***")]
        {
            for named in [secret.to_owned(), format!("\"token\":\"{secret}-and-more\"")] {
                let told = if named == secret { masked.to_owned() } else { "\"token\":\"***\"".to_owned() };
                let long = format!("x{space}").repeat(LINE as usize / 2 - 2);
                fs::write(&path, format!("{long}{named} and {long}{named} {long}{long}")).unwrap();
                redact_file(&path, &[secret.to_owned()]).unwrap();
                let kept = fs::read_to_string(&path).unwrap();
                fs::remove_file(&path).unwrap();
                assert!(
                    kept == format!("{long}{told} and {long}{told} {long}{long}"),
                    "{named}: {} bytes",
                    kept.len()
                );
            }
        }
    }

    #[test]
    fn a_log_is_masked_in_its_place_and_goes_on() {
        let path = std::env::temp_dir().join(format!("squall-redact-{}.log", std::process::id()));
        let mut service = File::options().create(true).append(true).open(&path).unwrap();
        service
            .write_all(b"key hunter22\nbytes \xff\nkey hunter22 and hunt\n\"password\": \"x y\"\nhunter22")
            .unwrap();
        redact_file(&path, &["hunter22".to_owned()]).unwrap();
        service.write_all(b" goes on").unwrap();
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let expected = b"key ***\nbytes \xff\nkey *** and hunt\n\"password\": \"***\"\n*** goes on";
        assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(expected));
    }
}
