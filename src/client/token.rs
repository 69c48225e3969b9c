//! Authorization: a bearer token, or a JSON Web Token minted per user (RFC 7519, HS256).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::compile::{Common, Program, Step};
use super::vars::Vars;
use crate::experiment::{Auth, Body, Expect, Request, Step as Written, Text};
use crate::units::Micros;

/// A token is made anew when less than this share of its life is left.
const RENEW_BELOW: f64 = 0.2;

/// Makes Authorization headers for one shape on one shard.
pub struct Tokens {
    auth: Option<Auth>,
    /// The claims or the bearer token as the body of a request that is never sent: one way to render.
    program: Option<Program>,
    /// Tokens of users who come back, with the wall seconds from and until which they are good. A clock that is set
    /// back makes them tokens of the future, which nobody takes.
    kept: RefCell<BTreeMap<u64, (HeaderValue, Range<i64>)>>,
    keep: bool,
}

impl Tokens {
    /// `keep`: users come back, so their tokens are kept.
    pub fn new(auth: Option<&Auth>, keep: bool) -> Result<Tokens, String> {
        let body = auth.map(|auth| match auth {
            Auth::Bearer { token } => Body::Raw(token.clone()),
            Auth::Jwt { claims, .. } => Body::Json(claims.clone()),
        });
        let program = body.map(|body| {
            let common = Common { authority: "token", base_path: "", headers: &[] };
            Program::compile(&common, &[Written::Request(Box::new(never_sent(body)))])
        });
        Ok(Tokens { auth: auth.cloned(), program: program.transpose()?, kept: RefCell::default(), keep })
    }

    /// The header for this flow's user at wall time `wall` (microseconds since 1970).
    pub fn header(&self, vars: &Arc<Vars>, wall: i64) -> Result<Option<(HeaderName, HeaderValue)>, String> {
        let (Some(auth), Some(program)) = (&self.auth, &self.program) else { return Ok(None) };
        let name = match auth {
            Auth::Jwt { header, .. } => {
                HeaderName::from_bytes(header.as_bytes()).map_err(|_| format!("`{header}` is no header"))?
            }
            Auth::Bearer { .. } => AUTHORIZATION,
        };
        let now = wall / 1_000_000;
        if let Some((value, good)) = self.kept.borrow().get(&vars.user)
            && good.contains(&now)
        {
            return Ok(Some((name, value.clone())));
        }
        let text = match program.steps.first() {
            Some(Step::Request(request)) => program.render_body(request, vars)?,
            _ => return Err("no token to render".to_owned()),
        };
        let (token, good) = match auth {
            Auth::Bearer { .. } => (text, i64::MIN..i64::MAX),
            Auth::Jwt { key, lifetime, .. } => {
                let renew = now + (lifetime.as_secs_f64() * (1.0 - RENEW_BELOW)) as i64;
                (sign(key, &text, wall, *lifetime)?, now..renew)
            }
        };
        let bearer = format!("Bearer {token}");
        let mut value =
            HeaderValue::from_bytes(bearer.as_bytes()).map_err(|_| match token.contains(['\r', '\n']) {
                true => "the token has a line break, and a header has one line",
                false => "the token has control characters, and a header has none",
            })?;
        value.set_sensitive(true);
        if self.keep {
            self.kept.borrow_mut().insert(vars.user, (value.clone(), good));
        }
        Ok(Some((name, value)))
    }
}

fn never_sent(body: Body) -> Request {
    Request {
        place: String::new(),
        op: None,
        name: String::new(),
        method: "POST".to_owned(),
        path: Text::Fixed("/".to_owned()),
        query: Vec::new(),
        headers: Vec::new(),
        body,
        expect: Expect::default(),
        captures: Vec::new(),
        items: None,
        timeout: None,
    }
}

/// Signs claims (JSON) with `iat`, `nbf` and `exp` added where they are not given. They count whole seconds: the
/// end is the next one, so that no token is shorter than it was asked to be.
fn sign(key: &str, claims: &str, wall: i64, lifetime: Micros) -> Result<String, String> {
    let now = wall / 1_000_000;
    let end = (wall + lifetime.0 + 999_999) / 1_000_000;
    let mut claims: Value = serde_json::from_str(claims).map_err(|e| format!("claims: {e}"))?;
    let fields = claims.as_object_mut().ok_or("claims must be a map")?;
    for (name, at) in [("iat", now), ("nbf", now), ("exp", end)] {
        fields.entry(name).or_insert(json!(at));
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{RunFacts, Shelf};

    fn facts() -> Arc<RunFacts> {
        Arc::new(RunFacts {
            seed: 1,
            run: "r".into(),
            data: Vec::new(),
            setup: BTreeMap::new(),
            room: Shelf::new(0),
        })
    }

    #[test]
    fn a_token_lives_for_no_less_than_it_was_asked_to() {
        for (wall, lifetime, end) in
            [(1_999_999, 500, 3), (1_000_000, 500, 2), (1_000_000, 1_000, 2), (1_000_001, 1_000, 3)]
        {
            let token = sign(&"k".repeat(32), "{}", wall, Micros::millis(lifetime)).unwrap();
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!((payload["iat"].as_i64(), payload["exp"].as_i64()), (Some(1), Some(end)));
        }
    }

    #[test]
    fn a_token_carries_the_users_claims_and_verifies_with_the_key() {
        let claims = json!({"iss": "devkey", "sub": "user-{{ user }}", "video": {"roomCreate": true}});
        let key = "k".repeat(32);
        let auth = Auth::Jwt {
            key: key.clone(),
            header: "authorization".into(),
            claims,
            lifetime: Micros::secs(60),
        };
        let tokens = Tokens::new(Some(&auth), true).unwrap();
        let vars = Arc::new(Vars::new(facts(), 0, 5, 42));
        let (_, header) = tokens.header(&vars, 1_000_000_000).unwrap().unwrap();
        let token = header.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        ring::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["sub"], "user-42");
        assert_eq!(payload["video"]["roomCreate"], true);
        assert_eq!((payload["nbf"].as_i64(), payload["exp"].as_i64()), (Some(1_000), Some(1_060)));
        let (_, again) = tokens.header(&vars, 1_040_000_000).unwrap().unwrap();
        assert_eq!(again, header, "kept while fresh");
        let (_, renewed) = tokens.header(&vars, 1_050_000_000).unwrap().unwrap();
        assert_ne!(renewed, header, "renewed before it expires");
        let (_, back) = tokens.header(&vars, 1_020_000_000).unwrap().unwrap();
        assert!(back != renewed && back != header, "minted anew where the clock was set back");
    }
}
