//! A shape as written: when flows start, how clients behave, and the flow itself.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Step;
use crate::written::{Duration, Rate};
use crate::yaml::At;

/// One kind of traffic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a shape: `arrival`, `flow` and more")]
pub struct Shape {
    /// When flows start.
    #[schemars(required)]
    pub arrival: Option<At<Arrival>>,
    /// When this shape begins; with the load if not given.
    pub start: Option<At<Duration>>,
    /// How long it lasts; to the end of the load if not given.
    #[serde(rename = "for")]
    pub length: Option<At<Duration>>,
    /// Simulated users; each arrival is a new one if not given.
    pub users: Option<At<u64>>,
    /// Flows in flight at most; what exceeds it is shed, and counts as bad.
    pub in_flight: Option<At<u64>>,
    /// Connections at most to each address of the target, shared by the whole shape; as many as needed if not given.
    pub connections: Option<At<u32>>,
    /// How long one request may take, from when it is taken up; steps may set their own.
    pub timeout: Option<At<Duration>>,
    /// Phases are named after this shape, as if it were a fault.
    #[serde(default)]
    pub trigger: bool,
    /// Send a few operations without timeout, which show the queue that impatient clients hide; on for
    /// open arrivals of shapes that are no trigger if not given.
    pub probes: Option<bool>,
    /// What one user does.
    #[schemars(required)]
    pub flow: Option<At<Vec<At<Step>>>>,
}

/// When flows start. All but `closed` are open loops: answers never hold them up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Evenly spaced.
    Constant(Constant),
    /// At random, independent of each other.
    Poisson(Poisson),
    /// A rate that goes up and down in straight lines.
    Stages(Stages),
    /// Many at once, again and again.
    Bursts(Bursts),
    /// N users, each starting again when done: hides waiting, so say so when you show its numbers.
    Closed(Closed),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a rate: `{rate: 50/s}`")]
pub struct Constant {
    pub rate: At<Rate>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mean rate: `{rate: 50/s}`")]
pub struct Poisson {
    pub rate: At<Rate>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "steps: `{from: 0/s, steps: [{to: 50/s, over: 30s}]}`")]
pub struct Stages {
    /// The rate at the start; 0/s if not given.
    pub from: Option<Rate>,
    /// Arrivals at random instead of evenly spaced.
    #[serde(default)]
    pub poisson: bool,
    /// After the last one its rate is held.
    pub steps: Vec<Stage>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a step: `{to: 50/s, over: 30s}`")]
pub struct Stage {
    pub to: At<Rate>,
    /// How long it takes to get there, in a straight line; `0s` jumps.
    pub over: Duration,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a burst: `{size: 50, every: 5s, over: 500ms}`")]
pub struct Bursts {
    /// Arrivals in one burst.
    pub size: At<u64>,
    /// From the start of one to the start of the next.
    pub every: At<Duration>,
    /// Spread evenly over this time; all at once if not given.
    pub over: Option<At<Duration>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "users: `{users: 20}`")]
pub struct Closed {
    pub users: At<u64>,
}
