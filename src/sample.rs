//! The sample: what became of one operation. Everything that is measured is a sample first; a shed,
//! failed or unfinished operation is a sample too, so that every ratio has an honest denominator.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::units::Micros;

/// Index of an operation in the experiment's table of operations. The flow as a whole is an
/// operation too, under its shape's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u16);

/// How an operation ended. Only `Ok` is good; `Late` succeeded, but after the deadline D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Ok,
    /// Answered as expected, later than the deadline.
    Late,
    /// Answered with a status that the step does not expect.
    Status,
    /// Answered, but the body check failed or a capture matched nothing.
    Check,
    /// No answer within the timeout.
    Timeout,
    /// No connection: refused, unreachable, or the name did not resolve.
    Connect,
    /// The connection broke after the request was begun.
    Reset,
    /// The answer was no HTTP.
    Protocol,
    /// Not sent: the shape's in-flight cap was reached.
    Shed,
    /// Still open when the run ended.
    Unfinished,
    /// Never begun, as a step before it on the flow's path failed.
    Unreached,
    /// Cut off by the end of the load while it was not the target's turn: neither good nor bad.
    Cut,
    /// The generator's own machine refused: files, ports, buffers or memory ran out.
    Local,
    /// squall itself could not make the request: a template failed.
    Template,
}

impl Kind {
    /// Succeeded within the deadline.
    pub fn is_good(self) -> bool {
        self == Kind::Ok
    }

    /// A success, in time or late: its response time is its own; all others are censored.
    pub fn is_success(self) -> bool {
        matches!(self, Kind::Ok | Kind::Late)
    }

    /// The target sent an answer of any kind.
    pub fn is_answer(self) -> bool {
        matches!(self, Kind::Ok | Kind::Late | Kind::Status | Kind::Check)
    }

    /// In the denominators: planned, and neither good nor bad only where the end of the load cut it off.
    pub fn counts(self) -> bool {
        self != Kind::Cut
    }

    /// squall's own doing, and no answer of the target's.
    pub fn is_own(self) -> bool {
        matches!(self, Kind::Local | Kind::Template)
    }

    /// The word used in tables and files.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ok => "ok",
            Kind::Late => "late",
            Kind::Status => "status",
            Kind::Check => "check",
            Kind::Timeout => "timeout",
            Kind::Connect => "connect",
            Kind::Reset => "reset",
            Kind::Protocol => "protocol",
            Kind::Shed => "shed",
            Kind::Unfinished => "unfinished",
            Kind::Unreached => "unreached",
            Kind::Cut => "cut",
            Kind::Local => "local",
            Kind::Template => "template",
        }
    }
}

/// Kind and HTTP status (0 where there was none): the key under which outcomes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Outcome {
    pub kind: Kind,
    pub status: u16,
}

impl Outcome {
    pub const fn new(kind: Kind, status: u16) -> Outcome {
        Outcome { kind, status }
    }
}

/// One finished operation with every stamp that was taken. Times count from the start of the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub op: OpId,
    pub outcome: Outcome,
    pub intended: Micros,
    /// When the engine took it up; lag = dequeued - intended.
    pub dequeued: Micros,
    /// Waiting for a connection: from dequeued until one was had, connect included.
    pub pool_wait: Micros,
    /// First byte of the last attempt's request on the wire; none where nothing was sent.
    pub first_byte: Option<Micros>,
    pub done: Micros,
    pub work: Work,
    /// What the clean count makes of it (VERDICTS.md 2).
    pub clean: Clean,
}

/// What the count without squall's own part makes of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clean {
    /// What it was seen to be.
    #[default]
    AsSeen,
    /// A success in time: it was late only through squall.
    InTime,
    /// Nothing: squall stood still, or it came about only through squall's own doing.
    LeftOut,
}

impl Clean {
    pub fn is_as_seen(&self) -> bool {
        *self == Clean::AsSeen
    }
}

/// What was done for an operation; a group's or a flow's is the sum of its requests'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub attempts: u32,
    /// Those of them that were the first for their request: a group or a flow has several requests.
    pub tried: u32,
    /// Bytes.
    pub sent: u64,
    pub received: u64,
    /// For how long it could have gone on but waited inside squall: for a processor, or as squall stood still.
    pub held: Micros,
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Work) {
        self.attempts += more.attempts;
        self.tried += more.tried;
        self.sent += more.sent;
        self.received += more.received;
        self.held += more.held;
    }
}

impl Sample {
    /// done - intended: what the user felt, and what verdicts use.
    pub fn response(&self) -> Micros {
        self.done - self.intended
    }

    /// done - first byte sent; zero where nothing was sent.
    pub fn service(&self) -> Micros {
        self.first_byte.map_or(Micros::ZERO, |first| self.done - first)
    }

    /// dequeued - intended: how late the generator was.
    pub fn lag(&self) -> Micros {
        self.dequeued - self.intended
    }

    /// The value that enters the response histogram: a success its response time, everything else
    /// max(deadline, elapsed) (VERDICTS.md 2).
    pub fn judged_response(&self, deadline: Micros) -> Micros {
        self.judged(self.response(), deadline)
    }

    /// The same without squall's own part: neither its lag nor what it held up.
    pub fn clean_response(&self, deadline: Micros) -> Micros {
        self.judged(self.without_own_part(), deadline)
    }

    /// done - intended, less squall's own part of it.
    pub fn without_own_part(&self) -> Micros {
        (self.response() - self.lag() - self.work.held).max(Micros::ZERO)
    }

    fn judged(&self, took: Micros, deadline: Micros) -> Micros {
        if self.outcome.kind.is_success() { took } else { took.max(deadline) }
    }
}
