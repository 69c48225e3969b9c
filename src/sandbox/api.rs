//! An API node of the sandbox: the REST face of the rooms service. It keeps nothing itself; every
//! answer comes from the store, over a connection pool and under a timeout.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use super::metrics::Counters;
use crate::experiment::SandboxOptions;
use crate::http::{Answer, CallError, Caller, Reply, Request, reply};
use crate::units::Micros;
use crate::world::World;

/// Connections from one node to the store.
const STORE_CONNECTIONS: usize = 64;
/// How long a node waits for the store before it answers 503.
const STORE_TIMEOUT: Micros = Micros::secs(3);

/// One API process.
pub struct Api {
    world: World,
    store: Caller,
    limiter: Option<RefCell<TokenBucket>>,
    counters: Counters,
}

/// Creations that are let in: `rate` a second, one second's worth at once.
struct TokenBucket {
    rate: f64,
    tokens: f64,
    filled: Micros,
}

impl TokenBucket {
    fn take(&mut self, now: Micros) -> bool {
        let gained = (now - self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(self.rate.max(1.0));
        self.filled = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}

impl Api {
    pub fn new(world: World, options: &SandboxOptions, store: SocketAddr) -> Rc<Api> {
        let filled = world.now();
        let limiter =
            options.create_limit.map(|rate| RefCell::new(TokenBucket { rate, tokens: rate, filled }));
        let store = Caller::new(world.clone(), store, STORE_CONNECTIONS);
        Rc::new(Api { world, store, limiter, counters: Counters::default() })
    }

    pub async fn handle(self: Rc<Api>, request: Request) -> Reply {
        match request.uri().path() {
            "/livez" => return reply(200, &json!({"ok": true})),
            "/readyz" => return self.ready().await,
            "/metrics" => return self.counters.reply("requests", &[]),
            _ => {}
        }
        let answer = self.route(&request).await;
        self.counters.count(request.method().as_str(), answer.status().as_u16());
        answer
    }

    async fn ready(&self) -> Reply {
        match self.store.get("/livez", Micros::SECOND).await {
            Ok(answer) if answer.status == 200 => reply(200, &json!({"ok": true})),
            _ => reply(503, &json!({"error": "store unavailable"})),
        }
    }

    async fn route(&self, request: &Request) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().path());
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["rooms"]) => self.create(request).await,
            ("GET", ["rooms"]) => {
                let query = request.uri().query().unwrap_or("");
                self.ask(Method::GET, &format!("/rooms?{query}")).await
            }
            ("GET" | "DELETE", ["rooms", _])
            | ("GET", ["rooms", _, "participants"])
            | ("PUT" | "DELETE", ["rooms", _, "participants", _]) => self.ask(method, path).await,
            (_, ["rooms", ..]) => reply(405, &json!({"error": "method not allowed"})),
            _ => reply(404, &json!({"error": "not found"})),
        }
    }

    async fn create(&self, request: &Request) -> Reply {
        let name = serde_json::from_slice::<Value>(request.body())
            .ok()
            .and_then(|body| body.get("name")?.as_str().map(str::to_owned));
        let valid = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let Some(name) = name.filter(valid) else {
            let error = "a room needs a `name` of letters, digits, `-`, `_` and `.`";
            return reply(400, &json!({"error": error}));
        };
        if self.limiter.as_ref().is_some_and(|limiter| !limiter.borrow_mut().take(self.world.now())) {
            let mut refused = reply(429, &json!({"error": "too many rooms at once"}));
            refused.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
            return refused;
        }
        self.ask(Method::PUT, &format!("/rooms/{name}")).await
    }

    async fn ask(&self, method: Method, path: &str) -> Reply {
        match self.store.call(method, path, Bytes::new(), STORE_TIMEOUT).await {
            Ok(Answer { status: 204, .. }) => {
                http::Response::builder().status(204).body(Full::default()).expect("the status is valid")
            }
            Ok(Answer { status, body }) => http::Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .body(Full::new(body))
                .expect("the store's status is valid"),
            Err(CallError::Timeout(_)) => reply(504, &json!({"error": "the store did not answer in time"})),
            Err(_) => reply(503, &json!({"error": "store unavailable"})),
        }
    }
}
