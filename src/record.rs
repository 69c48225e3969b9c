//! Records: what a history consists of, one JSON object a line (SEMANTICS.md, `docs/history.md`).
//!
//! Pure data. Writing and reading files is `history`'s; adding up is `timeline`'s.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::histogram::Hist;
use crate::outline::Outline;
use crate::sample::{Clean, Kind, OpId, Outcome};
use crate::units::Micros;

/// Version of the format; a reader refuses one it does not know.
pub const VERSION: u32 = 2;

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Record {
    Header(Box<Header>),
    /// `n` more operations were due in this cell; fewer when a flow moved on to a later cell.
    Due {
        cell: u32,
        op: OpId,
        n: i64,
    },
    /// `n` more arrivals that were planned for this cell were taken up: sent, sent as patient probes, or
    /// shed by the shape's cap. What is planned and never taken up was not delivered.
    Arrived {
        cell: u32,
        /// Index into the outline's shapes.
        shape: usize,
        n: u64,
        /// Those of them that were taken up later than half a cell after their time, or that squall held up for so
        /// long before their first request left.
        #[serde(default, skip_serializing_if = "is_zero")]
        late: u64,
        /// Those of them that went out as patient probes, which are counted apart.
        #[serde(default, skip_serializing_if = "is_zero")]
        probes: u64,
    },
    Done(Box<Done>),
    Forgone(Forgone),
    Happened(Box<Happened>),
    /// The load is no longer what was planned.
    Load(LoadEvent),
    Fault(FaultEvent),
    Service(ServiceEvent),
    Probe(ProbeEvent),
    Items(ItemsEvent),
    Error(Box<ErrorSample>),
    Slow(SlowOperation),
    Scrape(Scrape),
    /// Told by each shard when its load is over; counts are added up.
    Address(AddressCount),
    Setup(SetupEvent),
    /// What teardown could not remove, or squall could not end.
    Left {
        at: Micros,
        what: String,
    },
    /// squall's own machine refused its keeper `n` connections (files, ports, memory) between two looks.
    Refused {
        from: Micros,
        at: Micros,
        n: u64,
    },
    /// The keeper stood still, or is gone.
    Keeper(KeeperEvent),
    /// A rule of `abort` or `steady` decided.
    Rule(RuleEvent),
    Note {
        at: Micros,
        text: String,
    },
    End(End),
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What wakes the engine at the time of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pacing {
    #[serde(rename = "timerfd")]
    Timerfd,
    /// Rounds up to a millisecond.
    #[serde(rename = "tokio wheel")]
    Wheel,
    #[serde(rename = "virtual")]
    Virtual,
}

impl Pacing {
    pub fn text(self) -> &'static str {
        match self {
            Pacing::Timerfd => "timerfd",
            Pacing::Wheel => "tokio wheel",
            Pacing::Virtual => "virtual",
        }
    }
}

/// The first record: what was run, by whom and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub version: u32,
    pub squall: String,
    /// RFC 3339, UTC: when the load began.
    pub started: String,
    pub pacer: Pacing,
    pub shards: u32,
    /// Host facts (cores, kernel); empty in virtual time.
    pub host: String,
    pub outline: Outline,
    /// The resolved experiment for people, secrets as `***`.
    pub experiment: serde_json::Value,
}

/// Deltas of finished operations: one cell of intended start, operation, kind and status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub cell: u32,
    pub op: OpId,
    pub kind: Kind,
    pub status: u16,
    pub n: u64,
    /// Attempts made by these operations; shed ones made none.
    pub attempts: u64,
    /// First tries among them: attempts / tried is the amplification.
    pub tried: u64,
    pub sent: u64,
    pub received: u64,
    /// Of flows that arrived in an earlier cell than the one they count in: the earliest arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Micros>,
    /// Response times as judged: what is no success enters at max(D, elapsed).
    pub response: Hist,
    /// The same less squall's own part, lag and held; of what is left out there is none.
    pub clean: Hist,
    /// What the clean count makes of them.
    #[serde(default, skip_serializing_if = "Clean::is_as_seen")]
    pub counted: Clean,
    pub service: Hist,
    pub lag: Hist,
    pub wait: Hist,
    /// For how long they could have gone on but waited inside squall, of operations where it did at all.
    #[serde(default, skip_serializing_if = "Hist::is_empty")]
    pub held: Hist,
}

impl Done {
    /// Of no operation yet.
    pub fn none(cell: u32, op: OpId, outcome: Outcome, counted: Clean) -> Done {
        Done {
            cell,
            op,
            kind: outcome.kind,
            status: outcome.status,
            n: 0,
            attempts: 0,
            tried: 0,
            sent: 0,
            received: 0,
            since: None,
            response: Hist::default(),
            clean: Hist::default(),
            counted,
            service: Hist::default(),
            lag: Hist::default(),
            wait: Hist::default(),
            held: Hist::default(),
        }
    }
}

/// Further rounds of an operation that flows did not come to, as they had failed: neither good nor bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgone {
    pub op: OpId,
    /// The cell in which the flows failed.
    pub failed: u32,
    /// The first and the last cell in which they would have been intended, one as often as the other.
    pub from: u32,
    pub to: u32,
    pub n: u64,
}

/// What happened in one cell of the clock on one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    pub cell: u32,
    pub shard: u32,
    /// Answers that came in, late ones included, per shape.
    pub answers: Vec<u64>,
    /// Requests that were put on their way, per shape.
    pub attempts: Vec<u64>,
    /// Connections that were opened for them, per shape.
    #[serde(default)]
    pub connects: Vec<u64>,
    /// Flows in flight per shape, as a mean over the cell.
    pub in_flight: Vec<f64>,
    /// Lateness of the 10 ms heartbeat.
    pub heartbeat: Hist,
    /// Share of one processor that the whole generator used; only on shard 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
}

/// The load was changed while it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadEvent {
    pub at: Micros,
    pub change: LoadChange,
}

/// How the load departs from its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadChange {
    /// No flow begins a further step: what was planned from here on does not come.
    Stopped,
}

/// How far a fault has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultStage {
    /// t_inject: asked for.
    Asked,
    /// t_effective: proven in force.
    Effective,
    /// Its end was asked for.
    Clearing,
    /// t_clear: removal proven.
    Verified,
    /// Could not be injected or not proven; `detail` says why. Makes what is measured INVALID.
    NotEffective,
    /// Could not be removed, or removal not proven.
    NotCleared,
    /// A service that squall killed or restarted did not come back; `detail` has its own last words.
    NotBack,
    /// Never injected: the run ended before its time.
    Skipped,
}

/// A fault came to a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultEvent {
    pub at: Micros,
    /// `X` or `X#2`, as in the outline.
    pub fault: String,
    pub stage: FaultStage,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// With `Verified` and `NotCleared`: what it touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<Touched>,
}

/// What a fault did to traffic that was not squall's own canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    pub connections: u64,
    pub chunks: u64,
    pub bytes: u64,
    pub dropped_bytes: u64,
    /// Refused or closed.
    pub closed_connections: u64,
    /// Mean delay added to real chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Micros>,
}

/// Something happened to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub at: Micros,
    pub service: String,
    pub what: ServiceStage,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What may happen to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStage {
    Started,
    Ready,
    Paused,
    Continued,
    Killed,
    Stopped,
    /// By itself.
    Ended,
    /// What the health check sees has changed.
    Healthy,
    Unhealthy,
}

impl ServiceStage {
    /// The word used in reports and files.
    pub fn word(self) -> &'static str {
        match self {
            ServiceStage::Started => "started",
            ServiceStage::Ready => "ready",
            ServiceStage::Paused => "paused",
            ServiceStage::Continued => "continued",
            ServiceStage::Killed => "killed",
            ServiceStage::Stopped => "stopped",
            ServiceStage::Ended => "ended",
            ServiceStage::Healthy => "healthy",
            ServiceStage::Unhealthy => "unhealthy",
        }
    }
}

/// A patient probe began, or ended if `done` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeEvent {
    pub op: OpId,
    pub index: u64,
    pub intended: Micros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Micros>,
}

/// The size of one list answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemsEvent {
    pub at: Micros,
    pub op: OpId,
    pub items: u64,
    pub bytes: u64,
    pub service: Micros,
}

/// One of a few samples of each kind, planned phase and text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorSample {
    pub at: Micros,
    pub op: OpId,
    pub kind: Kind,
    pub status: u16,
    /// `POST /rooms HTTP/1.1`.
    pub request: String,
    /// What went wrong in words: `connection refused`, `no answer within 2 s`.
    pub detail: String,
    /// First 512 bytes of the answer, secrets as `***`.
    pub body: String,
}

/// What became of one address of the target, as one shard counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCount {
    pub address: SocketAddr,
    pub connections: u64,
    /// Requests that were given a connection to it.
    pub requests: u64,
    /// Connections that did not come about: refused or unreachable.
    pub refused: u64,
    /// Connections that did not come about in time.
    pub connect_timeouts: u64,
    /// Requests that had no answer in time.
    pub timeouts: u64,
}

impl AddressCount {
    /// Adds what became of the same address elsewhere.
    pub fn add(&mut self, more: &AddressCount) {
        self.connections += more.connections;
        self.requests += more.requests;
        self.refused += more.refused;
        self.connect_timeouts += more.connect_timeouts;
        self.timeouts += more.timeouts;
    }
}

/// One of the slowest operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowOperation {
    pub op: OpId,
    pub index: u64,
    pub kind: Kind,
    pub status: u16,
    pub intended: Micros,
    pub lag: Micros,
    pub wait: Micros,
    pub service: Micros,
    pub response: Micros,
}

/// One value of the target's own metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scrape {
    pub at: Micros,
    pub name: String,
    pub value: f64,
}

/// Setup is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetupEvent {
    pub at: Micros,
    pub took: Micros,
    pub requests: u64,
    pub retried: u64,
}

/// What was wrong with the keeper, which is part of squall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum KeeperEvent {
    /// The latest of its beats in a second, if it was more than 50 ms late: due at `from`, come at `at`.
    Beats { from: Micros, at: Micros, late: Micros },
    /// In between it had more to do than it could: what came queued in it.
    Saturated { from: Micros, to: Micros },
    /// It did not answer for more than a second: from its last answer before to the next one. Told twice, first
    /// without an end, which is all if it never answered again.
    Silent { from: Micros, to: Option<Micros> },
    /// Its process has ended.
    Gone { at: Micros },
}

/// A live rule decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleEvent {
    pub at: Micros,
    /// The expression.
    pub text: String,
    pub rule: RuleKind,
    /// What was measured.
    pub measured: String,
    /// Why it proves nothing: without squall's own part it would not have come true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excuse: Option<String>,
}

/// What a live rule is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    Abort,
    Steady,
}

impl RuleKind {
    /// As in a chaos plan.
    pub fn word(self) -> &'static str {
        match self {
            RuleKind::Abort => "abort",
            RuleKind::Steady => "steady",
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Complete,
    /// An abort rule fired.
    Aborted,
    /// Steady state was absent before the first fault.
    Unsteady,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// A runtime error; the text says which.
    Failed,
}

/// The last record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub at: Micros,
    pub how: How,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The exit code, where squall knows of something that no other record tells: 104, no load was sent; 110, a
    /// fault could not be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}
