//! What squall asks of the proxy and what it answers: one JSON object a line between processes.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::experiment::Canary;
use crate::record::Touched;
use crate::toxic::Toxic;
use crate::units::Micros;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Listen and forward. Port 0 finds a free one.
    Open {
        link: String,
        listen: SocketAddr,
        upstream: SocketAddr,
        canary: Option<Canary>,
    },
    Inject {
        link: String,
        fault: String,
        toxic: Toxic,
    },
    Clear {
        link: String,
        fault: String,
    },
    /// New connections go to another upstream; existing ones are closed. The link goes back when it is
    /// healed, unless it shall stay.
    Redirect {
        link: String,
        upstream: SocketAddr,
        stay: bool,
    },
    /// The link goes back to the upstream from which it was redirected.
    GoBack {
        link: String,
    },
    /// What is in force on a link.
    State {
        link: String,
    },
    /// Send the link's canary through it.
    Canary {
        link: String,
        timeout: Micros,
    },
    /// What a fault in force, or the last one of that name, has touched.
    Touched {
        link: String,
        fault: String,
    },
    /// How the proxy is.
    Look,
    /// The run is over and healed: nobody will ask again.
    Dismiss,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Opened {
        listen: SocketAddr,
    },
    Canary(Sighting),
    State(LinkState),
    /// How often its own machine has refused it a connection so far.
    Look {
        refused: u64,
        vitals: Vitals,
    },
    /// None where it cannot be told.
    Touched {
        counts: Option<Touched>,
    },
    Failed {
        error: String,
    },
}

/// How a proxy's process was since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// How late the latest of its beats was, and how long ago that came.
    pub late: Micros,
    pub ago: Micros,
    /// It had more to do than it could: hardly any time was left in which it neither ran nor waited for a processor.
    pub saturated: bool,
}

/// What is in force on a link: the proof by state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkState {
    /// Faults, in order of injection.
    pub faults: Vec<String>,
    /// It accepts connections.
    pub listening: bool,
    pub upstream: SocketAddr,
}

/// What came of one canary, and what the proxy did to its chunks: one clock, and no comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    pub saw: CanaryResult,
    /// How long its chunks were kept back, the longest of each direction.
    pub delay: Micros,
    /// Bytes of it that were dropped.
    pub dropped: u64,
}

/// What one canary saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryResult {
    /// Answered as expected.
    Answered,
    /// The link refused the connection.
    Refused,
    /// Connected, but closed or reset before the answer.
    Closed,
    /// No answer in time.
    Silent,
    /// Answered, but not as expected: the upstream is at fault.
    Wrong { answer: String },
    /// The link accepts connections, and has no canary to send.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_crosses_the_line_between_processes() {
        let counts = Touched { chunks: 3, bytes: 40, ..Touched::default() };
        for counts in [Some(counts), None] {
            let reply = Reply::Touched { counts };
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply, "{line}");
        }
    }
}
