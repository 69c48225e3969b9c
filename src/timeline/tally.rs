//! Counts and histograms of operations: at rest in a cell, and added up over any set of cells.
//!
//! Owns the arithmetic of denominators (what is unfinished is bad); what a number means for a verdict
//! is not decided here.

use std::collections::BTreeMap;

use crate::histogram::Hist;
use crate::record::Done;
use crate::sample::{Kind, Outcome};
use crate::units::Micros;

/// A histogram at rest: its values ascending with their counts. A thousand cells of full histograms
/// would take gigabytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sparse(Vec<(Micros, u64)>);

impl Sparse {
    pub(super) fn add(&mut self, hist: &Hist) {
        let old = std::mem::take(&mut self.0);
        let (mut old, mut new) = (old.into_iter().peekable(), hist.values().peekable());
        loop {
            let next = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(a), Some(b)) if a.0 > b.0 => new.next(),
                (None, Some(_)) => new.next(),
                _ => old.next(),
            };
            let (value, n) = next.expect("peeked");
            match self.0.last_mut() {
                Some(last) if last.0 == value => last.1 += n,
                _ => self.0.push((value, n)),
            }
        }
    }

    pub(super) fn pour_into(&self, hist: &mut Hist) {
        self.0.iter().for_each(|&(value, n)| hist.record_n(value, n));
    }

    pub(super) fn max(&self) -> Option<Micros> {
        self.0.last().map(|&(value, _)| value)
    }
}

/// One operation in one cell of intended start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) due: u64,
    outcomes: BTreeMap<Outcome, u64>,
    attempts: u64,
    tried: u64,
    sent: u64,
    received: u64,
    /// Of flows: the earliest arrival, if that lies in an earlier cell.
    pub(super) since: Option<Micros>,
    response: Sparse,
    successes: Sparse,
    service: Sparse,
    pub(super) lag: Sparse,
    wait: Sparse,
    held: Sparse,
}

impl Cell {
    pub(super) fn add(&mut self, done: &Done) {
        *self.outcomes.entry(Outcome::new(done.kind, done.status)).or_default() += done.n;
        self.attempts += done.attempts;
        self.tried += done.tried;
        self.sent += done.sent;
        self.received += done.received;
        self.since = [self.since, done.since].into_iter().flatten().min();
        self.response.add(&done.response);
        if done.kind.is_success() {
            self.successes.add(&done.response);
        }
        self.service.add(&done.service);
        self.lag.add(&done.lag);
        self.wait.add(&done.wait);
        self.held.add(&done.held);
    }

    fn finished(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Operations intended. An engine that counts an operation only when it ends never has fewer due
    /// than finished.
    pub(super) fn intended(&self) -> u64 {
        self.due.max(self.finished())
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
    /// The denominator: all operations intended, unfinished ones included.
    pub intended: u64,
    /// Every operation by how it ended; those still open under `Unfinished`.
    pub outcomes: BTreeMap<Outcome, u64>,
    pub attempts: u64,
    /// Operations of which at least one attempt was made.
    pub tried: u64,
    pub sent: u64,
    pub received: u64,
    /// Response times as judged: what is no success counts at max(D, elapsed).
    pub response: Hist,
    /// Response times of successes, late ones included.
    pub successes: Hist,
    pub service: Hist,
    pub lag: Hist,
    pub wait: Hist,
    /// Of operations that squall held up at all.
    pub held: Hist,
}

impl Tally {
    /// Adds a cell; what is open in it counts as unfinished at `open_at`, or is left out if none.
    pub(super) fn add(&mut self, cell: &Cell, open_at: Option<Micros>) {
        for (&outcome, n) in &cell.outcomes {
            *self.outcomes.entry(outcome).or_default() += n;
        }
        self.intended += cell.finished();
        self.attempts += cell.attempts;
        self.tried += cell.tried;
        self.sent += cell.sent;
        self.received += cell.received;
        cell.response.pour_into(&mut self.response);
        cell.successes.pour_into(&mut self.successes);
        cell.service.pour_into(&mut self.service);
        cell.lag.pour_into(&mut self.lag);
        cell.wait.pour_into(&mut self.wait);
        cell.held.pour_into(&mut self.held);
        if let (Some(at), open @ 1..) = (open_at, cell.open()) {
            *self.outcomes.entry(Outcome::new(Kind::Unfinished, 0)).or_default() += open;
            self.intended += open;
            self.response.record_n(at, open);
        }
    }

    fn count(&self, which: impl Fn(Kind) -> bool) -> u64 {
        self.outcomes.iter().filter(|(o, _)| which(o.kind)).map(|(_, n)| n).sum()
    }

    /// Operations that succeeded within their deadline.
    pub fn good(&self) -> u64 {
        self.count(Kind::is_good)
    }

    /// Operations that the target answered in any way.
    pub fn answered(&self) -> u64 {
        self.count(Kind::is_answer)
    }

    /// Operations without a time of their own in `response`.
    pub fn censored(&self) -> u64 {
        self.intended - self.count(Kind::is_success)
    }

    /// bad / intended; none without operations.
    pub fn bad_share(&self) -> Option<f64> {
        (self.intended > 0).then(|| (self.intended - self.good()) as f64 / self.intended as f64)
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
