//! The judgement: everything that was concluded from a history, in numbers and in plain words.
//!
//! Owns the types only, which are also `verdict.json` (`docs/verdict.md`); how they come about is for
//! the judges beside it, how they look is the report's. Times are microseconds from the start of the
//! load, shares are fractions.

use serde::{Deserialize, Serialize};

pub use crate::exit::Word;
use crate::objective::{Comparison, PhaseName};
use crate::quantity::Quantity;
use crate::record::{AddressCount, ErrorSample, How, RuleEvent, Touched};
use crate::sample::{Kind, OpId};
use crate::units::Micros;

/// Version of `verdict.json`; it grows when a field is renamed, removed or means something else.
pub const VERSION: u32 = 2;

/// The whole judgement of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub version: u32,
    pub verdict: Word,
    pub exit: Exit,
    pub summary: Summary,
    pub run: Run,
    /// In the order of the profile.
    pub objectives: Vec<JudgedObjective>,
    /// Warm-up, baseline, `during` and `after` of each trigger, run; in that order.
    pub phases: Vec<Phase>,
    /// One for each shape that is a trigger and each fault, repeats by themselves.
    pub triggers: Vec<JudgedTrigger>,
    pub faults: Vec<JudgedFault>,
    pub operations: Vec<OperationTable>,
    pub errors: Vec<ErrorGroup>,
    /// What became of each address of the target.
    #[serde(default)]
    pub addresses: Vec<AddressCount>,
    pub generator: Generator,
    /// One per shape.
    pub baseline: Vec<ShapeBand>,
    /// The abort or steady-state rule that decided, if one did.
    pub rule: Option<RuleEvent>,
    pub ended: Ended,
    /// What teardown could not remove, or squall could not end.
    pub left: Vec<String>,
    /// What was ruled beside the objectives: how the run went, and every fault that something is the matter with.
    pub rulings: Vec<Told>,
    /// Sentences that a reader must know to weigh the verdict.
    pub notes: Vec<String>,
}

/// The process's exit code (DESIGN.md) and why it is that one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    pub code: u8,
    /// `the verdict is FAIL`.
    pub reason: String,
}

/// Whole sentences for the top of every report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What decided the verdict, the worst objective first.
    pub verdict: String,
    /// Whether the service came back; none without a trigger.
    pub recovery: Option<String>,
    /// Whether the measurement can be trusted.
    pub generator: String,
}

/// What was run, from the history's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub profile: String,
    pub chaos: Option<String>,
    pub target: String,
    pub command: String,
    pub seed: u64,
    pub virtual_time: bool,
    /// A smoke run, so many times shorter than its plan: it proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<f64>,
    /// RFC 3339, UTC.
    pub started: String,
    /// Planned length of the load.
    pub duration: Micros,
    /// How long there was load: less than planned where it was stopped.
    #[serde(default)]
    pub lasted: Micros,
    /// squall's version.
    pub squall: String,
    pub host: String,
    /// Operations intended, flows left out.
    pub intended: u64,
}

/// A ruling as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub word: Word,
    /// The fault or service that it speaks of.
    pub subject: Option<String>,
    /// When that was.
    pub span: Option<Span>,
    pub sentence: String,
    /// What would help.
    pub advice: Option<String>,
}

/// How the run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The last time that the history knows of.
    pub at: Micros,
    /// None: the history breaks off, squall was killed or crashed.
    pub how: Option<How>,
    pub detail: String,
}

/// One objective and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedObjective {
    /// As the user wrote it.
    pub text: String,
    pub word: Word,
    pub phase: PhaseName,
    /// The operation, shape or trigger whose value decided: the selector, or the worst of all.
    pub decided: Option<String>,
    /// None if there was nothing to measure.
    pub measured: Option<Quantity>,
    /// `412 ms`, `>= 2 s (3.1 % bad)`, `never`, `nothing`.
    pub measured_text: String,
    /// The same quantile, mean or maximum over successes alone.
    pub successes: Option<Quantity>,
    /// Two-sided 95 % interval of the measured value.
    pub interval: Option<Interval>,
    pub comparison: Comparison,
    pub limit: Quantity,
    /// `300 ms`.
    pub limit_text: String,
    /// measured / limit, for a bar: above 1 is more than the limit; none if either is missing or 0.
    pub ratio: Option<f64>,
    /// Operations that the value rests on; triggers for `outage` and `recovery`.
    pub n: u64,
    /// Operations without which it cannot be told to hold, where that is more than one.
    pub needed: Option<u64>,
    /// Share of them that was bad.
    pub bad: f64,
    /// One sentence for somebody who was not there.
    pub reason: String,
    /// What weakens the evidence: closed loops, local caps.
    pub notes: Vec<String>,
}

/// A confidence interval of 95 %, in the unit of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// A stretch [from, to) of the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: Micros,
    pub to: Micros,
}

/// A phase in whole cells; `during X` of a repeated fault has a span for each repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: PhaseName,
    /// Start of the first span.
    pub from: Micros,
    /// End of the last span.
    pub to: Micros,
    /// Empty for a phase that never came.
    pub spans: Vec<Span>,
}

/// A trigger with its times, and what it did to each shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedTrigger {
    /// The fault or shape: `X`, `X#2`.
    pub name: String,
    /// What phases are named after: `X`.
    pub trigger: String,
    /// A shape, not a fault.
    pub shape: bool,
    pub one_shot: bool,
    pub t_inject: Micros,
    pub t_effective: Option<Micros>,
    pub t_clear: Option<Micros>,
    /// r of the worst shape; none if it did not recover, or nothing had a band.
    pub recovered: Option<Micros>,
    /// The worst over the shapes.
    pub outage: Option<Micros>,
    /// The worst over the shapes.
    pub recovery: Option<Micros>,
    /// Recovery times are right to within one window: this many microseconds.
    pub margin: Micros,
    /// How long the load would have had to last, undisturbed, to tell whether it recovered; none if it is known, and
    /// where no such load would tell, as a trigger that lasted longer may have put the service out of its band.
    pub needed: Option<Micros>,
    /// Shapes with a band.
    pub shapes: Vec<ShapeTrigger>,
    /// Why nothing is known of what it did, where it had no effect to be seen or all shapes were seen in their bands
    /// afterwards: it was not proven, or there was no normal to come back to; or where nothing but what moved within the
    /// baseline stayed out of its band.
    #[serde(default)]
    pub doubt: Option<String>,
    pub sentence: String,
}

impl JudgedTrigger {
    /// It is over in the moment in which it comes: a kill, say, after which the service may be gone for good.
    pub fn just_happens(&self) -> bool {
        self.one_shot && self.t_clear == self.t_effective
    }

    /// The shape of which latency left its band by the longest time.
    pub fn slowest(&self) -> Option<&ShapeTrigger> {
        self.shapes.iter().filter(|s| s.slowest.is_some()).max_by_key(|s| s.slowest)
    }
}

/// What one trigger did to one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeTrigger {
    pub shape: String,
    /// None: not recovered before the next trigger or the end of the load.
    pub recovered: Option<Micros>,
    /// None if not recovered.
    pub outage: Option<Micros>,
    /// None if not recovered.
    pub recovery: Option<Micros>,
    /// What is known of the outage so far, recovered or not: a lower bound if not.
    pub outage_so_far: Micros,
    /// The same of the recovery.
    pub recovery_so_far: Micros,
    /// Of what did not recover: the longest time after it in which several windows in a row were in band. What breaks
    /// later need not be the trigger's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub well_for: Option<Micros>,
    /// Between what was last seen, out of band, and what was in band first: users of a closed loop asked nothing, for
    /// longer than they ever did before, and it may have been out for as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<(Micros, Micros)>,
    /// As in the trigger.
    pub needed: Option<Micros>,
    pub window: Micros,
    /// The worst latency of a window of which that left its band: at `quantile` of all operations, or the mean of the one
    /// that was slowest by what is usual of it; of what succeeded, and none where only what failed was slow.
    pub slowest: Option<Micros>,
    /// `slowest` is within the limit: what left the band are windows in a row, together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_a_row: bool,
    /// Windows were out while it was in force, but each alone: no outage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub briefly: bool,
    /// What left its band where neither goodput nor latency did: `the number of flows in flight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quietly: Option<String>,
    /// What was out of its band where what was watched ended, of what did not recover: `latency`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_out: Vec<String>,
    /// None where it is a mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Of which operation that is the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Its mean in the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usually: Option<Micros>,
    /// Goodput left its band, and not only the latency beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy: bool,
    /// The operation that lost most of its own, where the shape as a whole lost little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit: Option<Hit>,
    /// 1 - min of g / g_base while the trigger was in force.
    pub depth_during: f64,
    /// The same after it.
    pub depth_after: f64,
    /// The most that one window lost, which a median of three may not see.
    #[serde(default)]
    pub deepest: f64,
    /// Good operations lost while it was in force.
    pub area_during: f64,
    /// The same after it.
    pub area_after: f64,
    /// From t_effective to the first two windows in a row out of band; none if there were none.
    pub time_to_detect: Option<Micros>,
    /// Starts of relapses after recovery: three windows in a row out of band.
    pub flapping: Vec<Micros>,
}

/// One operation that lost most of what was asked of it, from the first to the last window of its shape whose goodput was out of
/// its band before the shape was back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    pub operation: String,
    pub bad: u64,
    pub n: u64,
    pub from: Micros,
    pub to: Micros,
}

/// A fault's times as proven, and what it touched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedFault {
    pub name: String,
    pub trigger: String,
    /// `latency +250 ms ± 20 ms on api-store`.
    pub what: String,
    pub on: Option<String>,
    pub planned: Micros,
    pub injected: Option<Micros>,
    pub effective: Option<Micros>,
    /// When its end was asked for.
    pub cleared: Option<Micros>,
    /// When its removal was proven.
    pub verified: Option<Micros>,
    pub touched: Option<Touched>,
    /// Proof in words.
    pub detail: String,
    /// Why what was measured in its phases is INVALID; none if it was proven and removed.
    pub problem: Option<String>,
    /// The last words of a service that it hit and that did not come back.
    pub not_back: Option<String>,
}

/// One operation over the phases it was intended in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationTable {
    pub name: String,
    pub shape: String,
    /// The flow as a whole.
    pub flow: bool,
    /// D: within which a success is good.
    pub deadline: Micros,
    pub phases: Vec<OperationPhase>,
}

/// One operation in one phase; phases in which none was intended are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationPhase {
    pub phase: PhaseName,
    /// Intended.
    pub n: u64,
    /// Good ones per second.
    pub rate: f64,
    /// Share that was bad.
    pub bad: f64,
    /// Of these: never begun, as a step before them failed.
    pub unreached: u64,
    /// Not among these: further rounds that flows did not take, as they had failed.
    pub forgone: u64,
    /// Not among these: cut off by the end of the load.
    pub cut: u64,
    /// Attempts per first try; none where nothing was sent.
    pub amplification: Option<f64>,
    pub p50: Quantity,
    pub p90: Quantity,
    pub p99: Quantity,
    pub p999: Quantity,
    pub max: Quantity,
    pub successes_p99: Option<Quantity>,
}

/// What failed in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorGroup {
    pub operation: String,
    pub kind: Kind,
    /// 0 where there was no answer.
    pub status: u16,
    pub count: u64,
    /// How many of them in each phase, where there are any; in two that overlap they count twice, and `run` is left
    /// out where there are others.
    #[serde(default)]
    pub phases: Vec<InPhase>,
    /// Start of the first cell of intended start.
    pub first: Micros,
    /// Start of the last one.
    pub last: Micros,
    /// Up to six, one of each distinct text first.
    pub samples: Vec<ErrorSample>,
}

/// So many in this phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InPhase {
    pub phase: PhaseName,
    pub count: u64,
}

/// The generator's own health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// In no cell of the run squall was in trouble.
    pub sound: bool,
    pub sentence: String,
    /// Share of the planned arrivals that were issued, or shed by the declared cap, within half a cell of their
    /// time; none if nothing was planned.
    pub delivered: Option<f64>,
    /// Operations that squall spoilt: no part of the clean count.
    pub left_out: u64,
    pub lag_p50: Option<Micros>,
    pub lag_p99: Option<Micros>,
    pub lag_max: Option<Micros>,
    /// Lateness of the 10 ms heartbeat.
    pub heartbeat_p99: Option<Micros>,
    pub heartbeat_max: Option<Micros>,
    /// How long squall waited for a processor when it could have gone on with an operation.
    #[serde(default)]
    pub held_p99: Option<Micros>,
    #[serde(default)]
    pub held_max: Option<Micros>,
    /// Mean share of one processor; none in virtual time.
    pub cpu: Option<f64>,
    /// Of how many cells with planned operations `unsound` is the list.
    pub cells: u64,
    pub unsound: Vec<UnsoundCell>,
    pub pacer: String,
    pub shards: u32,
}

/// A cell in which squall was in trouble, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnsoundCell {
    /// Start of the cell.
    pub at: Micros,
    /// `sent up to 480 ms late`.
    pub why: String,
}

/// What is normal for one shape: the band of its baseline (VERDICTS.md 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeBand {
    pub shape: String,
    /// Why there is no band; recovery then leaves this shape out.
    pub none: Option<String>,
    /// Width of a window; 0 without a band.
    pub window: Micros,
    /// Windows in the baseline.
    pub windows: u64,
    /// Goodput ratio g.
    pub goodput: Option<Band>,
    /// Average response time, microseconds: the geometric mean of `each`, as many times as each takes beyond its leeway.
    pub latency: Option<Band>,
    /// What is usual of each operation.
    pub each: Vec<UsualTime>,
    /// Response time of all operations together at a quantile, where a window has enough of them for one.
    pub tail: Option<Tail>,
    /// Flows in flight.
    pub in_flight: Option<Band>,
    pub amplification: Option<Band>,
    /// What moved within the baseline, in words; none if it was stationary.
    pub unsteady: Option<String>,
    /// Why the baseline is no normal to come back to, in words.
    pub broken: Option<String>,
}

/// The band of a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// 0.99 or 0.95, or a lower one that does not lie between fast and slow operations.
    pub quantile: f64,
    /// Microseconds.
    #[serde(flatten)]
    pub band: Band,
}

/// The usual response time of one operation of a shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsualTime {
    /// Index into the operations.
    pub op: OpId,
    pub operation: String,
    /// Of the shape's operations in the baseline.
    pub share: f64,
    /// Response time of those that succeeded, their geometric mean; microseconds.
    pub usual: f64,
    /// Their mean.
    pub mean: Micros,
    /// So much more or less is no change, microseconds.
    pub leeway: f64,
}

/// The median of the baseline's windows and the value beyond which a window is out of band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub median: f64,
    pub limit: f64,
    /// It moved within the baseline: what is held against it alone proves nothing.
    pub moved: bool,
}
