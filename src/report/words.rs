//! Words and numbers that page, terminal and Markdown share.
//!
//! Owns how a single value is written, and in which order things are told; layout is each format's own.

use std::cmp::Reverse;

use crate::quantity::Quantity;
pub(super) use crate::quantity::plain;
use crate::record::{AddressCount, Touched};
use crate::sample::Kind;
use crate::stats::n_min;
use crate::timeline::Timeline;
use crate::units::{Micros, bytes, clock, grouped, or_dash, short_clock};
use crate::verdict::{
    ErrorGroup, JudgedFault, JudgedObjective, JudgedTrigger, Judgement, OperationPhase, OperationTable, Word,
};

/// The sign beside a verdict's word, so that colour is never alone.
pub(super) fn mark(word: Word) -> &'static str {
    match word {
        Word::Pass => "✓",
        Word::Fail => "✗",
        Word::Invalid => "!",
        Word::Inconclusive => "?",
    }
}

/// `room-creation-burst × store-storm`.
pub(super) fn title(judgement: &Judgement) -> String {
    let run = &judgement.run;
    let chaos = run.chaos.as_ref().map_or(String::new(), |chaos| format!(" × {}", visible(chaos)));
    let smoke = if run.smoke.is_some() { ", a smoke run" } else { "" };
    visible(&run.profile) + &chaos + smoke
}

/// The facts of a run, in the order in which they are told.
pub(super) fn facts(judgement: &Judgement) -> Vec<String> {
    let (run, generator) = (&judgement.run, &judgement.generator);
    let rate = run.intended as f64 / run.lasted.as_secs_f64().max(1e-6);
    let planned = match run.lasted < run.duration {
        true => format!(", of {} planned", run.duration),
        false => String::new(),
    };
    let world = if run.virtual_time { " in virtual time" } else { "" };
    let lag = generator.lag_p99.map_or(String::new(), |lag| format!(" (lag p99 {lag})"));
    let sound = if generator.sound { "generator sound" } else { "generator NOT sound" };
    // Virtual time always begins in the year 2000.
    let when = (!run.virtual_time).then(|| started(&run.started));
    let before = [
        format!("target {}", visible(&run.target)),
        format!("{} operations/s for {}{planned}{world}", plain(rate), run.lasted),
        format!("seed {}", run.seed),
    ];
    let after =
        [format!("squall {}", run.squall), format!("exit {}", judgement.exit.code), format!("{sound}{lag}")];
    before.into_iter().chain(when).chain(after).collect()
}

/// RFC 3339 to the minute: `2026-11-21 08:12 UTC`. Anything else stays as it is.
fn started(text: &str) -> String {
    match (text.get(..10), text.get(10..11), text.get(11..16)) {
        (Some(day), Some("T"), Some(minute)) => format!("{day} {minute} UTC"),
        _ => visible(text),
    }
}

/// What a reader must know beside the verdict: the rule that decided, an early end, the judge's notes.
pub(super) fn caveats(judgement: &Judgement) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(rule) = &judgement.rule {
        let (at, text) = (clock(rule.at), visible(&rule.text));
        all.push(format!(
            "The {} rule `{text}` decided at {at}: {}.",
            rule.rule.word(),
            visible(&rule.measured)
        ));
    }
    if judgement.ended.how.is_none() {
        all.push(format!("The history breaks off at {}.", clock(judgement.ended.at)));
    } else if !judgement.ended.detail.is_empty() {
        all.push(format!(
            "The run ended at {}: {}",
            clock(judgement.ended.at),
            visible(&judgement.ended.detail)
        ));
    }
    if !judgement.generator.sound {
        all.push(visible(&judgement.generator.sentence));
    }
    let beside = judgement.rulings.iter().filter(|r| r.sentence != judgement.summary.verdict);
    all.extend(beside.map(|r| format!("{}: {}", r.word.text(), visible(&r.sentence))));
    all.extend(
        judgement.rulings.iter().filter_map(|r| r.advice.as_ref()).map(|a| format!("To do: {}.", visible(a))),
    );
    all.extend(judgement.notes.iter().map(|note| visible(note)));
    all
}

/// Objectives, the worst word first, otherwise as in the profile.
pub(super) fn worst_first(judgement: &Judgement) -> Vec<&JudgedObjective> {
    let mut all: Vec<_> = judgement.objectives.iter().collect();
    all.sort_by_key(|o| Reverse(o.word));
    all
}

/// What weakens or limits objectives, each said once: what was left out of them, users who wait.
pub(super) fn beside_objectives(judgement: &Judgement) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for note in judgement.objectives.iter().flat_map(|o| &o.notes).map(|note| visible(note)) {
        if !all.contains(&note) {
            all.push(note);
        }
    }
    all
}

/// `5 of 6 held`.
pub(super) fn passed(judgement: &Judgement) -> String {
    let passed = judgement.objectives.iter().filter(|o| o.word == Word::Pass).count();
    format!("{passed} of {} held", judgement.objectives.len())
}

/// Phase, and what decided where the objective itself does not say: `during store_slow, list_rooms`.
pub(super) fn where_decided(objective: &JudgedObjective) -> String {
    let phase = visible(&objective.phase.to_string());
    match &objective.decided {
        Some(who) if !objective.text.contains(who.as_str()) && !phase.contains(who.as_str()) => {
            format!("{phase}, {}", visible(who))
        }
        _ => phase,
    }
}

/// Milliseconds with three digits, for a column that says so.
pub(super) fn millis(value: Micros) -> String {
    Quantity::time(value).in_millis()
}

/// A quantile of `n` operations for a column of milliseconds; `~` before it where so few cannot bound it.
pub(super) fn quantile(n: u64, q: f64, value: Quantity) -> String {
    let guess = if n < n_min(q) { "~" } else { "" };
    format!("{guess}{}", value.in_millis())
}

/// The columns of `quantiles`, by the names that objectives give them.
pub(super) const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// The quantiles of one operation in one phase, the maximum last.
pub(super) fn quantiles(p: &OperationPhase) -> [String; 5] {
    let each = [(0.5, p.p50), (0.9, p.p90), (0.99, p.p99), (0.999, p.p999)];
    let [p50, p90, p99, p999] = each.map(|(q, value)| quantile(p.n, q, value));
    [p50, p90, p99, p999, p.max.in_millis()]
}

/// What `~` means, where it stands anywhere.
pub(super) fn guesses(judgement: &Judgement) -> Option<String> {
    let needed = [0.5, 0.9, 0.99, 0.999].map(n_min);
    let phases = operations(judgement).into_iter().flat_map(|o| &o.phases);
    let few = phases.map(|p| p.n).any(|n| n < needed[3]);
    let [p50, p90, p99, p999] = needed.map(grouped);
    few.then(|| {
        format!("~ a guess: to bound it takes {p50} operations for p50, {p90} for p90, {p99} for p99, {p999} for p99.9")
    })
}

/// The head of the table of addresses; all but the first are numbers.
pub(super) const ADDRESSES: [&str; 6] =
    ["address", "requests", "share %", "connections refused", "connect time-outs", "time-outs"];

/// What became of each address of a target that has several; nothing of one that has one.
pub(super) fn addresses(judgement: &Judgement) -> Vec<[String; 6]> {
    let all = Some(&judgement.addresses).filter(|all| all.len() > 1).into_iter().flatten();
    let requests: u64 = all.clone().map(|a| a.requests).sum();
    let row = |a: &AddressCount| {
        let share = percent(a.requests as f64 / requests.max(1) as f64);
        let [refused, connect, timeouts] = [a.refused, a.connect_timeouts, a.timeouts].map(grouped);
        [a.address.to_string(), grouped(a.requests), share, refused, connect, timeouts]
    };
    all.map(row).collect()
}

/// A share for a column of percentages: `0`, `< 0.01`, `0.40`, `38.2`.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 0.005 => "< 0.01".to_owned(),
        p if p < 9.995 => format!("{p:.2}"),
        p => format!("{p:.1}"),
    }
}

/// `status 503`, `timeout`.
pub(super) fn outcome(kind: Kind, status: u16) -> String {
    match (kind, status) {
        (Kind::Status, 0) => "further statuses".to_owned(),
        (kind, 0) => kind.word().to_owned(),
        (Kind::Status, status) => format!("status {status}"),
        (kind, status) => format!("{}, status {status}", kind.word()),
    }
}

/// What is said of the service's return from each trigger, unless the head says it already.
pub(super) fn returns(judgement: &Judgement) -> impl Iterator<Item = &str> {
    let said = judgement.summary.recovery.as_deref();
    let all = judgement.triggers.iter().map(|t| t.sentence.as_str());
    all.filter(move |sentence| !sentence.is_empty() && Some(*sentence) != said)
}

/// Operations as they are told: a flow of one operation says nothing that the operation does not.
pub(super) fn operations(judgement: &Judgement) -> Vec<&OperationTable> {
    let all = &judgement.operations;
    let steps = |shape: &str| all.iter().filter(|o| o.shape == shape && !o.flow).count();
    all.iter().filter(|o| !o.flow || steps(&o.shape) > 1).collect()
}

/// Error groups as they are told: by operation, the most frequent first.
pub(super) fn errors(judgement: &Judgement) -> Vec<&ErrorGroup> {
    let mut all: Vec<_> = judgement.errors.iter().collect();
    all.sort_by_key(|e| (position(judgement, &e.operation), Reverse(e.count)));
    all
}

fn position(judgement: &Judgement, operation: &str) -> usize {
    let known = judgement.operations.iter().position(|o| o.name == operation);
    known.unwrap_or(usize::MAX)
}

/// `12 during store_slow, 3 after store_slow`: of one error, in the order of the phases.
pub(super) fn by_phase(e: &ErrorGroup) -> String {
    let each = e.phases.iter().map(|p| format!("{} {}", grouped(p.count), visible(&p.phase.to_string())));
    each.collect::<Vec<_>>().join(", ")
}

/// `1:35 to 1:41`: cells in which something first and last began.
pub(super) fn from_to(first: Micros, last: Micros) -> String {
    if first == last {
        short_clock(first)
    } else {
        format!("{} to {}", short_clock(first), short_clock(last))
    }
}

/// One of a fault's times, or why there is none.
pub(super) fn proven(fault: &JudgedFault, at: Option<Micros>) -> String {
    // A run that was cut short owes no fault.
    let due = fault.injected.is_some() || fault.problem.is_some();
    at.map_or(if due { "not proven" } else { "not reached" }.to_owned(), clock)
}

/// `2,004 chunks, 96 connections`.
pub(super) fn touched(fault: &JudgedFault) -> String {
    let Some(touched) = &fault.touched else { return "–".to_owned() };
    let Touched { connections, chunks, bytes: passed, dropped_bytes, closed_connections, .. } = touched;
    let mut parts = Vec::new();
    if *chunks > 0 {
        parts.push(format!("{} chunks ({})", grouped(*chunks), bytes(*passed)));
    }
    if *connections > 0 {
        parts.push(format!("{} connections", grouped(*connections)));
    }
    if *dropped_bytes > 0 {
        parts.push(format!("{} dropped", bytes(*dropped_bytes)));
    }
    if *closed_connections > 0 {
        parts.push(format!("{} closed or refused", grouped(*closed_connections)));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// `+251 ms`, as measured on real chunks.
pub(super) fn added(fault: &JudgedFault) -> String {
    let added = fault.touched.as_ref().and_then(|t| t.added);
    or_dash(added.map(|added| format!("+{added}")))
}

/// How long a trigger's harm lasted: `6 s ± 1 s`, `no outage`, `none seen`, `not over`, `–`.
pub(super) fn outage(trigger: &JudgedTrigger) -> String {
    with_reserve(trigger, lasted(trigger, trigger.outage, ["no outage", "none seen"]), " or longer")
}

/// How long it took to come back: `6 s ± 1 s`, `at once`, `not over`, `–`.
pub(super) fn recovery(trigger: &JudgedTrigger) -> String {
    let unharmed = trigger.outage == Some(Micros::ZERO);
    let zero = if unharmed { "nothing to recover from" } else { "at once" };
    with_reserve(trigger, lasted(trigger, trigger.recovery, [zero, "–"]), " or later")
}

/// Nobody asked for a while before it was seen to be back.
fn with_reserve(trigger: &JudgedTrigger, told: String, reserve: &str) -> String {
    if trigger.shapes.iter().any(|s| s.unseen.is_some()) { told + reserve } else { told }
}

/// With the words for what took no time, and for what was too short to tell but for that no harm was seen in it.
fn lasted(trigger: &JudgedTrigger, time: Option<Micros>, [zero, unseen]: [&str; 2]) -> String {
    match time {
        _ if trigger.doubt.is_some() => "–".to_owned(),
        Some(Micros::ZERO) => zero.to_owned(),
        Some(time) if trigger.margin > Micros::ZERO => format!("{time} ± {}", trigger.margin),
        Some(time) => time.to_string(),
        None if trigger.shapes.is_empty() => "–".to_owned(),
        None if trigger.shapes.iter().all(|s| s.outage_so_far == Micros::ZERO) => unseen.to_owned(),
        None => "not over".to_owned(),
    }
}

/// Everything that could move a cursor, colour a line or turn its direction is written out: `\x1b`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32)) => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                out.push_str(&format!("\\u{{{:x}}}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

/// The name of an operation by its id.
pub(super) fn operation(timeline: &Timeline, op: crate::sample::OpId) -> String {
    timeline.outline().operations.get(usize::from(op.0)).map_or("?".to_owned(), |o| visible(&o.name))
}
