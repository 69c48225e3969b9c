//! Where requests may go: URLs, addresses, and the guard that keeps squall on loopback.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;

/// Addresses of a host name and port, or why there are none.
pub type Lookup<'a> = &'a dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String>;

/// What is wrong with a place, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub message: String,
    pub help: String,
}

fn refuse<T>(message: String, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message, help: help.into() })
}

/// `http://[user:password@]host[:port][/base]`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub user_info: Option<String>,
    pub host: String,
    pub port: u16,
    /// As written, for the Host header.
    pub authority: String,
    /// Without trailing slash.
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Result<Url, Refusal> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", rest)) => {
                let rest = rest.rsplit('@').next().unwrap_or(rest);
                let help = format!("put a proxy that ends TLS before it, and name that: `http://{rest}`");
                return refuse("https is not in this build".to_owned(), help);
            }
            Some((scheme, _)) => {
                return refuse(format!("`{scheme}://` is not in this build"), "it begins with `http://`");
            }
            None => {
                let place = text.rsplit('@').next().unwrap_or(text);
                let help = format!("write `sandbox`, or a URL: `http://{place}`");
                return refuse(format!("`{place}` is no target"), help);
            }
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A password's own `/` ends the authority too early.
        if path.contains('@') && host_and_port(authority, Some(80)).is_err() {
            let help = "write them percent-encoded: `%2F`, `%3F`, `%23`";
            return refuse("the user or the password has a `/`, `?` or `#` of its own".to_owned(), help);
        }
        if path.contains(['?', '#']) {
            return refuse("a target has no query".to_owned(), "put `query:` into the steps");
        }
        let (user_info, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.to_owned()), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority, Some(80))?;
        let path = path.trim_end_matches('/').to_owned();
        Ok(Url { user_info, host, port, authority: authority.to_owned(), path })
    }

    /// The header that the user info stands for (RFC 7617): `p%40ss` in a URL is the password `p@ss`.
    pub fn authorization(&self) -> Option<String> {
        let user_info = decoded(self.user_info.as_ref()?);
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user_info)))
    }

    /// What must never be printed: the header, and the user info and its password as written and as meant.
    pub fn secrets(&self) -> Vec<String> {
        let Some(info) = &self.user_info else { return Vec::new() };
        let password = info.split_once(':').map(|(_, password)| password);
        let meant = |text: &str| String::from_utf8_lossy(&decoded(text)).into_owned();
        let texts = [Some(info.as_str()), password].into_iter().flatten();
        self.authorization()
            .into_iter()
            .chain(texts.flat_map(|text| [text.to_owned(), meant(text)]))
            .collect()
    }

    /// As written, without the user info.
    pub fn shown(&self) -> String {
        let user = if self.user_info.is_some() { "***@" } else { "" };
        format!("http://{user}{}{}", self.authority, self.path)
    }
}

/// What percent-encoded bytes mean; a `%` that begins none stays.
fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// `host:port`, `[::1]:80`; without a port the default, if there is one.
pub(super) fn host_and_port(text: &str, default: Option<u16>) -> Result<(String, u16), Refusal> {
    let wrong = || Refusal {
        message: format!("`{text}` is no address"),
        help: "write it like `127.0.0.1:8080` or `[::1]:8080`".to_owned(),
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?,
        None => default.ok_or_else(wrong)?,
    };
    let good = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".:-_%".contains(c));
    if good { Ok((host.to_owned(), port)) } else { Err(wrong()) }
}

/// Looks names up and refuses what is not loopback and not allowed.
#[derive(Clone, Copy)]
pub(super) struct Guard<'a> {
    pub lookup: Lookup<'a>,
    pub allowed: &'a [String],
}

impl Guard<'_> {
    pub fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refusal> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => match (self.lookup)(host, port) {
                Ok(found) if !found.is_empty() => found,
                Ok(_) => return refuse(format!("`{host}` has no address"), "is the name right?"),
                Err(why) => return refuse(format!("`{host}` has no address: {why}"), "is the name right?"),
            },
        };
        let allowed = self.allowed.iter().any(|a| a.eq_ignore_ascii_case(host));
        match addresses.iter().find(|a| !allowed && !a.ip().is_loopback()) {
            None => Ok(addresses),
            Some(outside) => {
                let shown = if outside.ip().to_string() == host {
                    String::new()
                } else {
                    format!(" ({})", outside.ip())
                };
                let message = format!("`{host}`{shown} is not on this machine");
                refuse(message, format!("if you may load it, say so: `--allow-target {host}`"))
            }
        }
    }

    /// The first address of `host:port`.
    pub fn address(&self, text: &str) -> Result<SocketAddr, Refusal> {
        let (host, port) = host_and_port(text, None)?;
        self.addresses(&host, port).map(|all| all[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("http://bob:pw@[::1]:8080/base/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8080, "/base"));
        assert_eq!(url.authorization().as_deref(), Some("Basic Ym9iOnB3"));
        assert_eq!(url.shown(), "http://***@[::1]:8080/base");
        assert_eq!(Url::parse("http://localhost").unwrap().port, 80);
        for (text, word) in [
            ("https://a/", "https is not in this build"),
            ("ftp://a", "not in this build"),
            ("127.0.0.1:80", "no target"),
            ("http://", "no address"),
            ("http://a:x", "no address"),
            ("http://a:0", "no address"),
            ("http://a/?q=1", "no query"),
            ("http://bob:sec/ret@a", "has a `/`, `?` or `#` of its own"),
            ("http://bob:sec#ret@a:80/x", "has a `/`, `?` or `#` of its own"),
            ("http://bob:sec?r/et@[::1]", "has a `/`, `?` or `#` of its own"),
        ] {
            assert!(Url::parse(text).unwrap_err().message.contains(word), "{text}");
        }
    }

    #[test]
    fn a_password_is_what_its_percent_encoding_means() {
        let url = |info: &str| Url::parse(&format!("http://{info}@a")).unwrap();
        for (written, meant) in
            [("us%40er:p%3Ass%2f", "us@er:p:ss/"), ("bob:50%off%", "bob:50%off%"), ("%c3%a9:x", "\u{e9}:x")]
        {
            let header = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(meant));
            assert_eq!(url(written).authorization().as_deref(), Some(header.as_str()), "{written}");
        }
        let secrets = url("bob:p%40ss").secrets();
        for secret in ["bob:p%40ss", "bob:p@ss", "p%40ss", "p@ss"] {
            assert!(secrets.iter().any(|s| s == secret), "{secret}: {secrets:?}");
        }
    }

    #[test]
    fn only_loopback_and_what_is_allowed_passes() {
        let lookup = |host: &str, port: u16| match host {
            "localhost" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            "staging" => Ok(vec![SocketAddr::from(([10, 0, 0, 7], port))]),
            _ => Err("unknown".to_owned()),
        };
        let guard = Guard { lookup: &lookup, allowed: &["Staging".to_owned()] };
        for host in ["localhost", "127.0.0.9", "::1", "staging"] {
            assert!(guard.addresses(host, 1).is_ok(), "{host}");
        }
        for host in ["10.0.0.7", "nowhere", "0.0.0.0"] {
            assert!(guard.addresses(host, 1).is_err(), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_url_parser_panic(text in "(http://|\\PC|[@:/\\[\\]0-9]){0,20}") {
            let _ = Url::parse(&text);
        }
    }
}
