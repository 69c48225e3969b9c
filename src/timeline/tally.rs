//! Counts and histograms of operations: at rest in a cell, and added up over any set of cells.
//!
//! Owns the arithmetic of denominators (what is unfinished is bad, what was cut is not counted) and of
//! quantiles (what did not succeed lies above everything that did); what a number means for a verdict is not
//! decided here.

use std::collections::BTreeMap;

use super::packed::Packed;
use crate::histogram::Hist;
use crate::quantity::Quantity;
use crate::record::Done;
use crate::sample::{Clean, Kind, Outcome};
use crate::units::Micros;

/// Which of the two counts of a history (VERDICTS.md 2, "Whose fault was it?").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// As seen.
    #[default]
    Seen,
    /// Without squall's own part: its lag, what it held up, and the operations that it spoilt.
    Clean,
}

/// Response times of successes, and of all others at max(D, elapsed).
#[derive(Clone, Debug, Default, PartialEq)]
struct Times {
    successes: Packed,
    others: Packed,
}

impl Times {
    fn add(&mut self, kind: Kind, hist: &Hist) {
        if kind.is_success() { self.successes.add(hist) } else { self.others.add(hist) }
    }
}

/// One operation in one cell of intended start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) due: u64,
    outcomes: BTreeMap<Outcome, u64>,
    /// Those of them that the clean count leaves out.
    left_out: BTreeMap<Outcome, u64>,
    /// Those that are in time for it.
    excused: BTreeMap<Outcome, u64>,
    attempts: u64,
    tried: u64,
    sent: u64,
    received: u64,
    /// Of flows: the earliest arrival, if that lies in an earlier cell.
    pub(super) since: Option<Micros>,
    seen: Times,
    clean: Times,
    service: Packed,
    pub(super) lag: Packed,
    wait: Packed,
    held: Packed,
}

impl Cell {
    pub(super) fn add(&mut self, done: &Done) {
        let outcome = Outcome::new(done.kind, done.status);
        *self.outcomes.entry(outcome).or_default() += done.n;
        match done.counted {
            Clean::AsSeen => {}
            Clean::InTime => *self.excused.entry(outcome).or_default() += done.n,
            Clean::LeftOut => *self.left_out.entry(outcome).or_default() += done.n,
        }
        self.attempts += done.attempts;
        self.tried += done.tried;
        self.sent += done.sent;
        self.received += done.received;
        self.since = [self.since, done.since].into_iter().flatten().min();
        self.seen.add(done.kind, &done.response);
        self.clean.add(done.kind, &done.clean);
        self.service.add(&done.service);
        self.lag.add(&done.lag);
        self.wait.add(&done.wait);
        self.held.add(&done.held);
    }

    fn finished(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Operations intended, without those that were cut. An engine that counts an operation only when it
    /// ends never has fewer due than finished.
    pub(super) fn intended(&self) -> u64 {
        self.due.max(self.finished()) - self.count(Kind::Cut)
    }

    pub(super) fn open(&self) -> u64 {
        self.due.saturating_sub(self.finished())
    }

    pub(super) fn has(&self, outcome: Outcome) -> bool {
        let open = outcome == Outcome::new(Kind::Unfinished, 0) && self.open() > 0;
        open || self.outcomes.contains_key(&outcome)
    }

    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.outcomes.iter().filter(|(o, _)| o.kind == kind).map(|(_, n)| n).sum()
    }
}

/// What is known of operations over a set of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// The denominator: all operations intended, unfinished ones included, cut ones not.
    pub intended: u64,
    /// Every operation by how it ended; those still open under `Unfinished`.
    pub outcomes: BTreeMap<Outcome, u64>,
    pub attempts: u64,
    /// Operations of which at least one attempt was made.
    pub tried: u64,
    pub sent: u64,
    pub received: u64,
    /// Response times of successes, late ones included.
    pub successes: Hist,
    /// Where everything else stands: at max(D, elapsed), a lower bound.
    pub others: Hist,
    pub service: Hist,
    pub lag: Hist,
    pub wait: Hist,
    /// Of operations that squall held up at all.
    pub held: Hist,
    /// Operations that the clean count leaves out, whichever count this is.
    pub left_out: u64,
}

impl Tally {
    /// Adds a cell; what is open in it counts as unfinished at `open_at`, or is left out if none.
    pub(super) fn add(&mut self, cell: &Cell, open_at: Option<Micros>, count: Count) {
        let none = BTreeMap::new();
        let (times, less) = match count {
            Count::Seen => (&cell.seen, &none),
            Count::Clean => (&cell.clean, &cell.left_out),
        };
        for (&outcome, &n) in &cell.outcomes {
            let n = n - less.get(&outcome).copied().unwrap_or(0);
            if n > 0 {
                *self.outcomes.entry(outcome).or_default() += n;
                self.intended += if outcome.kind.counts() { n } else { 0 };
            }
        }
        for (&outcome, &n) in cell.excused.iter().filter(|_| count == Count::Clean) {
            // It was counted above as what it was seen to be.
            self.outcomes.entry(outcome).and_modify(|seen| *seen -= n);
            *self.outcomes.entry(Outcome { kind: Kind::Ok, ..outcome }).or_default() += n;
        }
        self.left_out += cell.left_out.values().sum::<u64>();
        self.attempts += cell.attempts;
        self.tried += cell.tried;
        self.sent += cell.sent;
        self.received += cell.received;
        times.successes.pour_into(&mut self.successes);
        times.others.pour_into(&mut self.others);
        cell.service.pour_into(&mut self.service);
        cell.lag.pour_into(&mut self.lag);
        cell.wait.pour_into(&mut self.wait);
        cell.held.pour_into(&mut self.held);
        if let (Some(at), open @ 1..) = (open_at, cell.open()) {
            *self.outcomes.entry(Outcome::new(Kind::Unfinished, 0)).or_default() += open;
            self.intended += open;
            self.others.record_n(at, open);
        }
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Tally) {
        for (&outcome, n) in &other.outcomes {
            *self.outcomes.entry(outcome).or_default() += n;
        }
        self.intended += other.intended;
        self.attempts += other.attempts;
        self.tried += other.tried;
        self.sent += other.sent;
        self.received += other.received;
        self.left_out += other.left_out;
        self.successes.merge(&other.successes);
        self.others.merge(&other.others);
        self.service.merge(&other.service);
        self.lag.merge(&other.lag);
        self.wait.merge(&other.wait);
        self.held.merge(&other.held);
    }

    fn count(&self, which: impl Fn(Kind) -> bool) -> u64 {
        self.outcomes.iter().filter(|(o, _)| which(o.kind)).map(|(_, n)| n).sum()
    }

    /// Operations that succeeded within their deadline.
    pub fn good(&self) -> u64 {
        self.count(Kind::is_good)
    }

    pub fn bad(&self) -> u64 {
        self.intended - self.good()
    }

    /// Operations that the target answered in any way.
    pub fn answered(&self) -> u64 {
        self.count(Kind::is_answer)
    }

    /// Operations that ended in one way.
    pub fn of_kind(&self, kind: Kind) -> u64 {
        self.count(|k| k == kind)
    }

    /// Operations without a time of their own.
    pub fn censored(&self) -> u64 {
        self.others.len()
    }

    /// bad / intended; none without operations.
    pub fn bad_share(&self) -> Option<f64> {
        (self.intended > 0).then(|| self.bad() as f64 / self.intended as f64)
    }

    /// good / intended; none without operations. Not 1 - bad / intended, which is rounded twice: 1 - 0.07 lies below
    /// 0.93.
    pub fn good_share(&self) -> Option<f64> {
        (self.intended > 0).then(|| self.good() as f64 / self.intended as f64)
    }

    /// The response time that the share `q` of all operations does not exceed (nearest rank); what did not
    /// succeed lies above all that did, where only a lower bound is known of it.
    pub fn quantile(&self, q: f64) -> Option<Quantity> {
        let (good, n) = (self.successes.len(), self.successes.len() + self.others.len());
        if n == 0 || !(q > 0.0 && q <= 1.0) {
            return None;
        }
        let rank = ((q * n as f64 - 1e-9).ceil() as u64).clamp(1, n);
        let at = |hist: &Hist, rank: u64| hist.quantile((rank as f64 - 0.5) / hist.len() as f64);
        if rank <= good {
            at(&self.successes, rank).map(Quantity::time)
        } else {
            at(&self.others, rank - good).map(|bound| Quantity::time(bound).at_least())
        }
    }

    /// All response times, what did not succeed at max(D, elapsed).
    pub fn responses(&self) -> Hist {
        let mut all = self.successes.clone();
        all.merge(&self.others);
        all
    }

    /// The mean response time; a lower bound where not all succeeded.
    pub fn mean(&self) -> Option<Quantity> {
        let mean = Quantity::time(self.responses().mean()?);
        Some(if self.others.is_empty() { mean } else { mean.at_least() })
    }

    /// Operations that took longer than `limit`, or never succeeded.
    pub fn above(&self, limit: Micros) -> u64 {
        self.others.len() + self.successes.len() - self.successes.count_at_most(limit)
    }

    /// How long squall held operations up, those that it did not included.
    pub fn holds(&self) -> Hist {
        let mut holds = self.held.clone();
        holds.record_n(Micros::ZERO, self.intended.saturating_sub(self.held.len()));
        holds
    }

    /// A: attempts per first try; none where nothing was sent.
    pub fn amplification(&self) -> Option<f64> {
        (self.tried > 0).then(|| self.attempts as f64 / self.tried as f64)
    }
}
