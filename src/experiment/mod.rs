//! The experiment: profile + chaos plan + flags, resolved and checked. What will happen, never edited afterwards.
//!
//! Owns the resolved form and, in `resolve`, the way there with everything that is checked on it.

mod check;
mod data;
pub(crate) mod fault;
mod flow;
mod foresee;
mod judge;
mod notes;
mod place;
mod rehearsal;
mod request;
mod resolve;
mod shape;
mod smoke;
mod system;
#[cfg(test)]
mod tests;
mod users;
mod walk;
mod watch;

pub use crate::template::Text;
pub use foresee::{BandAhead, Expectation, Foresight, PhaseAhead};
pub use resolve::{Flags, Lookup, resolve};
pub use walk::{each_request, each_step, expected, least_thinking, of_operation, requests};

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;
pub use crate::experiment::flow::NO_TIMEOUT;
use crate::outline::Outline;
use crate::sample::OpId;
pub use crate::toxic::Direction;
use crate::units::Micros;

#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    pub outline: Outline,
    pub target: Target,
    /// Shapes in the order of `outline.shapes`.
    pub shapes: Vec<Shape>,
    pub data: Vec<(String, Data)>,
    pub setup: Setup,
    pub teardown: Teardown,
    pub links: Vec<Link>,
    pub services: Vec<Service>,
    /// In the order of `outline.faults`.
    pub faults: Vec<Fault>,
    /// What is done about each of them, in their order.
    pub actions: Vec<Vec<Action>>,
    /// What the plan alone tells of the judgement.
    pub foresight: Foresight,
    /// Everything that must never be printed, in all its forms: values from the environment used in requests and
    /// URL user info, tokens, keys. At least four characters each.
    #[serde(skip)]
    pub secrets: Vec<String>,
}

impl Experiment {
    /// The experiment for people and files, secrets as `***`.
    pub fn redacted(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        unmark(&mut value);
        crate::redact::redact_json(&value, &self.secrets)
    }
}

/// Templates as they were filled in.
fn unmark(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if crate::template::has_given(text) => {
            *text = crate::template::plain(text)
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(unmark),
        serde_json::Value::Object(map) => map.values_mut().for_each(unmark),
        _ => {}
    }
}

/// Where requests go, and what every one of them carries.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    pub place: Place,
    pub headers: Vec<(String, Text)>,
    pub auth: Option<Auth>,
    /// `metrics:` of the profile: scraped on squall's clock.
    pub metrics: Option<Metrics>,
}

#[derive(Clone, Debug, Serialize)]
pub enum Place {
    /// `target: sandbox`: squall starts the rooms service itself.
    Sandbox(SandboxOptions),
    Http(HttpTarget),
}

/// `http://host[:port][/base]`; more than one address is loaded in turn, request by request.
#[derive(Clone, Debug, Serialize)]
pub struct HttpTarget {
    /// The authority for the Host header.
    pub authority: String,
    pub addresses: Vec<SocketAddr>,
    /// Without a trailing slash; empty for none.
    pub base_path: String,
    /// From the URL's user info.
    #[serde(skip)]
    pub authorization: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxOptions {
    /// One FIFO server (VERDICTS.md 4) instead of the rooms service.
    pub plain: Option<PlainOptions>,
    /// API nodes, two or more.
    pub nodes: u32,
    /// Queries that the store works on at once.
    pub workers: u32,
    /// Cost of one query.
    pub query_cost: Micros,
    /// Cost of each row a query reads, on top.
    pub row_cost: Micros,
    /// Queries that may wait; beyond it the store answers 503.
    pub queue: u32,
    /// Creations per second a node accepts before 429; none for no limit.
    pub create_limit: Option<f64>,
    /// Rooms that exist from the start.
    pub rooms: u64,
    /// Time a process takes to get ready.
    pub start_time: Micros,
    pub flaws: Vec<Flaw>,
}

/// `--plain`: jobs are done one at a time, in order, and outlive whoever asked for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlainOptions {
    /// Service time of a job, or its mean.
    pub service: Micros,
    /// Exponential service times, drawn from `seed`; otherwise all are the same.
    pub exponential: bool,
    pub seed: u64,
    /// Jobs that may wait; beyond it 503.
    pub queue: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// `GET /rooms` ignores its limit and reads every room.
    UnboundedList,
}

#[derive(Clone, Debug, Serialize)]
pub enum Auth {
    Bearer {
        token: Text,
    },
    /// HS256, minted per user; `iat`, `nbf` and `exp` are added.
    Jwt {
        key: String,
        header: String,
        claims: serde_json::Value,
        lifetime: Micros,
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct Metrics {
    pub path: String,
    pub every: Micros,
    /// Names that objectives use; nothing else is kept.
    pub keep: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    pub name: String,
    pub start: Micros,
    pub arrival: Start,
    /// Simulated users; none = each arrival is a new user.
    pub users: Option<u64>,
    /// Flows in flight at most; the excess is shed.
    pub in_flight_cap: Option<u64>,
    /// Connections at most to each address of the target, shared by the whole shape; none = one for each flow in flight.
    pub connections: Option<u32>,
    /// One attempt, from dequeue, pool wait and connect included.
    pub timeout: Option<Micros>,
    /// Carry patient probes.
    pub probes: bool,
    pub flow: Vec<Step>,
    /// The flow as a whole.
    pub op: OpId,
}

#[derive(Clone, Debug, Serialize)]
pub enum Start {
    /// Open loop. The arrival's times count from the shape's start.
    Open(Arrival),
    /// N users, each starting again when done, until the shape's end.
    Closed { users: u64, until: Micros },
}

#[derive(Clone, Debug, Serialize)]
pub enum Step {
    Request(Box<Request>),
    Think(Think),
    Repeat {
        times: u64,
        parallel: u32,
        steps: Vec<Step>,
    },
    /// One branch, drawn by weight.
    Choice(Vec<(f64, Vec<Step>)>),
    /// Once for each element of a captured list.
    ForEach {
        list: String,
        name: String,
        steps: Vec<Step>,
    },
    /// A named group: one operation.
    Group {
        op: OpId,
        steps: Vec<Step>,
    },
    If(Box<If>),
}

/// One of two ways, by what is known when it is reached.
#[derive(Clone, Debug, Serialize)]
pub struct If {
    /// Where it was written: `profile.yaml:12`.
    pub place: String,
    /// An expression, without its braces.
    pub condition: String,
    pub then: Vec<Step>,
    pub otherwise: Vec<Step>,
}

/// Uniform between the two.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Think {
    pub least: Micros,
    pub most: Micros,
}

#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Where it was written: `profile.yaml:12`.
    pub place: String,
    /// None inside a group, in setup and in teardown.
    pub op: Option<OpId>,
    /// `create_room`, or `POST /rooms` where the step has no name.
    pub name: String,
    pub method: String,
    /// Path below the target's base path.
    pub path: Text,
    pub query: Vec<(String, Text)>,
    pub headers: Vec<(String, Text)>,
    pub body: Body,
    pub expect: Expect,
    pub captures: Vec<Capture>,
    /// JSONPath of the list whose length is recorded, once a second at most.
    pub items: Option<String>,
    pub timeout: Option<Micros>,
}

#[derive(Clone, Debug, Serialize)]
pub enum Body {
    None,
    /// Sent as `application/json`. Every string in it is a text; `"{{ expr }}"` alone keeps its type.
    Json(serde_json::Value),
    /// Sent as `application/x-www-form-urlencoded`.
    Form(Vec<(String, Text)>),
    Raw(Text),
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Expect {
    /// Accepted statuses, both ends included.
    pub status: Vec<(u16, u16)>,
    /// All of them must hold.
    pub body: Vec<BodyCheck>,
}

#[derive(Clone, Debug, Serialize)]
pub enum BodyCheck {
    Contains(Text),
    /// A regular expression, somewhere in the body.
    Matches(String),
    /// The JSONPath's first match, compared.
    Json {
        path: String,
        comparison: Comparison,
        with: Text,
    },
    /// The JSONPath matches something.
    Exists {
        path: String,
    },
    Not(Box<BodyCheck>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// As text.
    Equals,
    /// A regular expression, somewhere in the text.
    Matches,
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Clone, Debug, Serialize)]
pub struct Capture {
    pub name: String,
    pub from: CaptureFrom,
}

#[derive(Clone, Debug, Serialize)]
pub enum CaptureFrom {
    /// First match; a list if it is one.
    Json(String),
    /// All matches as a list.
    JsonAll(String),
    Header(String),
}

/// Values per arrival, reachable as `data.NAME`: a pure function of seed, shape and arrival index.
#[derive(Clone, Debug, Serialize)]
pub enum Data {
    Sequence {
        start: i64,
        step: i64,
    },
    /// The next one each time, round and round.
    List(Vec<serde_json::Value>),
    /// One of them at random.
    Pick(Vec<serde_json::Value>),
    /// Uniform integer, both ends included.
    Random {
        from: i64,
        to: i64,
    },
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Setup {
    pub steps: Vec<Step>,
    /// How often one request is tried again before setup fails.
    pub retries: u32,
    /// How long setup may take in all.
    pub within: Micros,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Teardown {
    pub steps: Vec<Step>,
    pub within: Micros,
}

/// A connection of the system that squall can disturb: listen address -> upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    pub name: String,
    /// None for the sandbox's own links, which find free ports.
    pub listen: Option<SocketAddr>,
    pub upstream: Upstream,
    pub canary: Option<Canary>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Upstream {
    Address(SocketAddr),
    /// A service that listens on an address of its own (the sandbox's).
    Service(String),
}

/// What squall sends through a link to see a fault with its own eyes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    Http { path: String },
    Redis,
    Bytes { send: String, expect: String },
}

/// A process that squall starts, waits for and stops.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    pub name: String,
    /// None for the sandbox's own processes.
    pub command: Option<Command>,
    pub ready: Ready,
    /// How long it may take to get ready.
    pub within: Micros,
}

#[derive(Clone, Debug, Serialize)]
pub struct Command {
    /// Program and arguments, no shell.
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub directory: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
pub enum Ready {
    /// `GET` answers 2xx.
    Http(Box<HttpReady>),
    /// The address accepts.
    Tcp { address: SocketAddr },
    /// The sandbox tells.
    Sandbox,
}

/// A URL, its path with its query.
#[derive(Clone, Debug, Serialize)]
pub struct HttpReady {
    pub address: SocketAddr,
    pub authority: String,
    pub path: String,
    #[serde(skip)]
    pub authorization: Option<String>,
}

/// A program that is run once, so long after a fault began.
#[derive(Clone, Debug, Serialize)]
pub struct Action {
    pub after: Micros,
    pub run: Vec<String>,
    /// Takes it back when the run ends; empty for none.
    pub undo: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub enum Fault {
    Latency {
        link: String,
        latency: Micros,
        jitter: Micros,
        direction: Direction,
    },
    Blackhole {
        link: String,
    },
    Down {
        link: String,
    },
    Pause {
        service: String,
    },
    /// With `for` it starts again at the end; without, it stays down.
    Kill {
        service: String,
    },
    Restart {
        service: String,
    },
    Failover {
        link: String,
        to: Upstream,
        outage: Micros,
        stay: bool,
    },
    Exec {
        run: Vec<String>,
        undo: Vec<String>,
        check: Vec<String>,
    },
}

impl Default for SandboxOptions {
    fn default() -> SandboxOptions {
        SandboxOptions {
            plain: None,
            nodes: 2,
            workers: 4,
            query_cost: Micros::millis(1),
            row_cost: Micros(20),
            queue: 256,
            create_limit: None,
            rooms: 0,
            start_time: Micros::millis(500),
            flaws: Vec::new(),
        }
    }
}

impl Default for PlainOptions {
    fn default() -> PlainOptions {
        PlainOptions { service: Micros::MILLISECOND, exponential: false, seed: 1, queue: None }
    }
}
