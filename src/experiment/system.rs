//! The system under test: the target, what its requests carry, links and services.

use std::collections::BTreeSet;

use crate::chaos_plan::{self, ChaosPlan};
use crate::diagnose::{Span, suggest};
use crate::experiment::notes::Notes;
use crate::experiment::place::{Guard, Refusal, Url};
use crate::experiment::request::{headers, json_templates, one_line};
use crate::experiment::{
    Auth, Canary, Command, Flaw, HttpReady, HttpTarget, Link, Place, PlainOptions, Ready, SandboxOptions,
    Service, Target, Upstream,
};
use crate::profile::{self, Profile};
use crate::template::{self, Scope};
use crate::units::Micros;
use crate::yaml::At;

/// Flaws of the sandbox, by the words for them.
const FLAWS: [(&str, Flaw); 1] = [("unbounded_list", Flaw::UnboundedList)];

/// What a JWT's key must have at least for HS256 (RFC 7518, 3.2).
const SHORTEST_KEY: usize = 32;

/// A target, and how it is named in public.
pub(super) struct Resolved {
    pub place: Place,
    pub shown: String,
    pub secrets: Vec<String>,
}

/// The place that the profile names, or the flag instead; `None` after a refusal.
pub(super) fn place(
    notes: &mut Notes,
    guard: &Guard<'_>,
    written: Option<&At<profile::Target>>,
    flag: &[String],
    flaws: &[String],
) -> Option<Resolved> {
    let (target, span) = match flag {
        [] => (written?.value.clone(), written.map(|w| w.span)),
        [one] if one == "sandbox" => match written.map(|w| &w.value) {
            Some(profile::Target::Sandbox(options)) => (profile::Target::Sandbox(options.clone()), None),
            _ => (profile::Target::default(), None),
        },
        urls => (profile::Target::Urls(urls.to_vec()), None),
    };
    match target {
        profile::Target::Sandbox(options) => Some(Resolved {
            place: Place::Sandbox(sandbox_options(notes, &options, flaws)),
            shown: "sandbox".to_owned(),
            secrets: Vec::new(),
        }),
        profile::Target::Urls(urls) => {
            if !flaws.is_empty() {
                notes.flag("flaws are the sandbox's, this target is none", "use `--target sandbox`");
            }
            match http(guard, &urls) {
                Ok(resolved) => Some(resolved),
                Err(refusal) => {
                    refuse(notes, span, refusal);
                    None
                }
            }
        }
    }
}

fn refuse(notes: &mut Notes, span: Option<Span>, refusal: Refusal) {
    match span {
        Some(span) => notes.add(span, refusal.message, refusal.help),
        None => notes.flag(format!("--target: {}", refusal.message), refusal.help),
    }
}

fn sandbox_options(notes: &mut Notes, written: &profile::Sandbox, flags: &[String]) -> SandboxOptions {
    let nodes = written.nodes.as_ref().map_or(2, |n| n.value);
    if let Some(at) = written.nodes.as_ref().filter(|n| !(2..=16).contains(&n.value)) {
        notes.add(at.span, "the sandbox has 2 to 16 API nodes", "write it like `nodes: 2`");
    }
    if let Some(at) = written.workers.as_ref().filter(|n| n.value == 0) {
        notes.add(at.span, "a store without workers answers nothing", "write 1 or more");
    }
    let words: Vec<&str> = FLAWS.iter().map(|(word, _)| *word).collect();
    let find = |word: &str| FLAWS.iter().find(|(w, _)| *w == word).map(|(_, flaw)| *flaw);
    let mut flaws = Vec::new();
    for at in &written.flaws {
        match find(at) {
            Some(flaw) => flaws.push(flaw),
            None => notes.add(
                at.span,
                format!("the sandbox has no flaw `{}`", at.value),
                suggest(at, words.iter().copied()),
            ),
        }
    }
    for word in flags {
        match find(word) {
            Some(flaw) => flaws.push(flaw),
            None => {
                notes.flag(format!("the sandbox has no flaw `{word}`"), suggest(word, words.iter().copied()))
            }
        }
    }
    flaws.dedup();
    let plain = written.plain.as_ref().map(|plain| PlainOptions {
        service: plain.service.map_or(Micros::MILLISECOND, |d| d.0),
        exponential: plain.exponential,
        seed: plain.seed.unwrap_or(1),
        queue: plain.queue,
    });
    let usual = SandboxOptions::default();
    SandboxOptions {
        plain,
        nodes,
        workers: written.workers.as_ref().map_or(usual.workers, |n| n.value),
        query_cost: written.query_cost.map_or(usual.query_cost, |d| d.0),
        row_cost: written.row_cost.map_or(usual.row_cost, |d| d.0),
        queue: written.queue.unwrap_or(usual.queue),
        create_limit: written.create_limit.map(|r| r.0),
        rooms: written.rooms.unwrap_or(usual.rooms),
        start_time: written.start_time.map_or(usual.start_time, |d| d.0),
        flaws,
    }
}

fn http(guard: &Guard<'_>, urls: &[String]) -> Result<Resolved, Refusal> {
    let urls = urls.iter().map(|u| Url::parse(u)).collect::<Result<Vec<Url>, Refusal>>()?;
    let Some(first) = urls.first() else {
        return Err(Refusal {
            message: "no target".to_owned(),
            help: "write `sandbox`, or a URL".to_owned(),
        });
    };
    let mut addresses = Vec::new();
    for url in &urls {
        if url.path != first.path || url.user_info != first.user_info {
            let message = "the URLs of one service differ only in host and port".to_owned();
            return Err(Refusal { message, help: "make another profile for another service".to_owned() });
        }
        addresses.extend(guard.addresses(&url.host, url.port)?);
    }
    let secrets = first.secrets();
    let shown = urls.iter().map(Url::shown).collect::<Vec<_>>().join(", ");
    let (authority, base_path) = (first.authority.clone(), first.path.clone());
    let target = HttpTarget { authority, addresses, base_path, authorization: first.authorization() };
    Ok(Resolved { place: Place::Http(target), shown, secrets })
}

/// What every request carries. `keep`: metrics that expressions use.
pub(super) fn target(
    notes: &mut Notes,
    profile: &Profile,
    resolved: Resolved,
    scope: &Scope,
    keep: Vec<String>,
) -> Target {
    let mut all = headers(notes, &profile.headers, scope);
    let authorization = match &resolved.place {
        Place::Http(target) => target.authorization.clone(),
        Place::Sandbox(_) => None,
    };
    if let Some(value) = authorization {
        if profile.auth.is_some() {
            notes.add(
                profile.target.as_ref().map_or(Span::default(), |t| t.span),
                "user info in the URL beside `auth`",
                "keep one of them",
            );
        }
        all.push(("authorization".to_owned(), crate::experiment::Text::Fixed(value)));
    }
    let auth = profile.auth.as_ref().map(|a| self::auth(notes, a, scope));
    let metrics = metrics(notes, profile, &resolved.place, keep);
    Target { place: resolved.place, headers: all, auth, metrics }
}

fn auth(notes: &mut Notes, written: &profile::Auth, scope: &Scope) -> Auth {
    match written {
        profile::Auth::Bearer(token) => {
            if token.trim().is_empty() {
                notes.add(token.span, "the token is empty", "give one: `bearer: \"${TOKEN}\"`");
            }
            one_line(notes, token.span, &template::plain(token));
            notes.template(token.span, token, scope);
            Auth::Bearer { token: template::text(token) }
        }
        profile::Auth::Jwt(jwt) => {
            if jwt.key.len() < SHORTEST_KEY {
                let message = format!(
                    "HS256 needs a key of {SHORTEST_KEY} characters or more, this one has {}",
                    jwt.key.len()
                );
                notes.add(jwt.key.span, message, "make one: `openssl rand -hex 32` (RFC 7518, 3.2)");
            }
            let claims = jwt.claims.as_ref().map_or_else(|| serde_json::json!({}), |c| c.value.clone());
            if let Some(at) = &jwt.claims {
                if !claims.is_object() {
                    notes.add(at.span, "claims are names with values", "write it like `{iss: devkey}`");
                }
                json_templates(notes, at.span, &claims, scope);
            }
            let header =
                jwt.header.as_ref().map_or("authorization", |h| h.value.as_str()).to_ascii_lowercase();
            let lifetime = jwt.lifetime.as_ref().map_or(Micros::secs(3600), |l| notes.positive(l, "a token"));
            Auth::Jwt { key: jwt.key.value.clone(), header, claims, lifetime }
        }
    }
}

fn metrics(
    notes: &mut Notes,
    profile: &Profile,
    place: &Place,
    keep: Vec<String>,
) -> Option<crate::experiment::Metrics> {
    let every = Micros::secs(2);
    match &profile.metrics {
        Some(m) => {
            if !m.path.starts_with('/') {
                notes.add(m.path.span, "a path begins with `/`", format!("write `/{}`", m.path.value));
            }
            let every =
                m.every.as_ref().map_or(every, |e| notes.positive(e, "the time between two readings"));
            Some(crate::experiment::Metrics { path: m.path.value.clone(), every, keep })
        }
        None if matches!(place, Place::Sandbox(_)) && !keep.is_empty() => {
            Some(crate::experiment::Metrics { path: "/metrics".to_owned(), every, keep })
        }
        None => None,
    }
}

/// The sandbox's own links and services; the plain server has no link.
pub(super) fn sandbox_system(options: &SandboxOptions) -> (Vec<Link>, Vec<Service>) {
    let service = |name: String| Service {
        name,
        command: None,
        ready: Ready::Sandbox,
        within: options.start_time + Micros::secs(15),
    };
    if options.plain.is_some() {
        return (Vec::new(), vec![service("plain".to_owned())]);
    }
    let link = Link {
        name: "api-store".to_owned(),
        listen: None,
        upstream: Upstream::Service("store-a".to_owned()),
        canary: Some(Canary::Http { path: "/livez".to_owned() }),
    };
    let nodes = (1..=options.nodes.min(16)).map(|n| format!("api-{n}"));
    let names = nodes.chain(["store-a".to_owned(), "store-b".to_owned()]);
    (vec![link], names.map(service).collect())
}

/// Adds the links that the plan declares.
pub(super) fn links(notes: &mut Notes, guard: &Guard<'_>, plan: &ChaosPlan, links: &mut Vec<Link>) {
    let mut listening = BTreeSet::new();
    for (name, written) in plan.links.iter() {
        notes.name(name.span, name, "a link");
        if links.iter().any(|l| l.name == name.value) {
            let message = format!("the sandbox has a link `{}` already", name.value);
            notes.add(name.span, message, "leave it out to use that, or choose another name");
            continue;
        }
        let own = Guard { lookup: guard.lookup, allowed: &[] };
        let listen = own.address(&written.listen).map_err(|mut refusal| {
            refusal.help = "a link listens on loopback, such as `127.0.0.1:7380`".to_owned();
            refuse(notes, Some(written.listen.span), refusal);
        });
        let upstream =
            guard.address(&written.upstream).map_err(|r| refuse(notes, Some(written.upstream.span), r));
        let (Ok(listen), Ok(upstream)) = (listen, upstream) else { continue };
        if listen == upstream {
            notes.add(
                written.upstream.span,
                "a link to itself",
                "let `upstream` be where the service listens",
            );
        }
        if !listening.insert(listen) {
            notes.add(
                written.listen.span,
                format!("two links listen on {listen}"),
                "give each a port of its own",
            );
        }
        let canary = written.canary.as_ref().map(|c| match &c.value {
            chaos_plan::Canary::Redis => Canary::Redis,
            chaos_plan::Canary::Http(path) => Canary::Http { path: path.clone() },
            chaos_plan::Canary::Bytes(b) => Canary::Bytes { send: b.send.clone(), expect: b.expect.clone() },
        });
        let upstream = Upstream::Address(upstream);
        links.push(Link { name: name.value.clone(), listen: Some(listen), upstream, canary });
    }
}

/// Adds the services that the plan declares.
pub(super) fn services(notes: &mut Notes, guard: &Guard<'_>, plan: &ChaosPlan, services: &mut Vec<Service>) {
    for (name, written) in plan.services.iter() {
        notes.name(name.span, name, "a service");
        if services.iter().any(|s| s.name == name.value) {
            let message = format!("the sandbox has a service `{}` already", name.value);
            notes.add(name.span, message, "choose another name");
            continue;
        }
        if written.start.is_empty() {
            notes.add(
                written.start.span,
                "a service without a program",
                "write `start: [program, argument]`",
            );
        }
        let within =
            written.within.as_ref().map_or(Micros::secs(20), |w| notes.positive(w, "the time to get ready"));
        let Some(ready) = ready(notes, guard, &written.ready) else { continue };
        let command = Command {
            argv: written.start.value.clone(),
            env: written.env.iter().map(|(k, v)| (k.value.clone(), v.clone())).collect(),
            directory: written.directory.as_ref().map(Into::into),
        };
        services.push(Service { name: name.value.clone(), command: Some(command), ready, within });
    }
}

fn ready(notes: &mut Notes, guard: &Guard<'_>, written: &chaos_plan::Ready) -> Option<Ready> {
    let (result, span) = match written {
        chaos_plan::Ready::Tcp(at) => (guard.address(at).map(|address| Ready::Tcp { address }), at.span),
        chaos_plan::Ready::Http(at) => (http_ready(guard, at), at.span),
    };
    result.map_err(|refusal| refuse(notes, Some(span), refusal)).ok()
}

/// What is asked is asked as written, with its query and a slash at its end.
fn http_ready(guard: &Guard<'_>, written: &str) -> Result<Ready, Refusal> {
    let Some((_, rest)) = written.split_once("://") else {
        return Err(Refusal {
            message: format!("`{written}` is no URL"),
            help: "write all of it: `http://127.0.0.1:8080/readyz`".to_owned(),
        });
    };
    let base = written.split(['?', '#']).next().unwrap_or(written);
    let url = Url::parse(base)?;
    let address = guard.addresses(&url.host, url.port)?[0];
    let asked = rest.split('#').next().unwrap_or(rest);
    let path = asked.find('/').map_or("/", |at| &asked[at..]).to_owned();
    let authorization = url.authorization();
    Ok(Ready::Http(Box::new(HttpReady { address, authority: url.authority, path, authorization })))
}
