//! Counts and histograms of operations: at rest in a cell, and added up over any set of cells.
//!
//! Owns the arithmetic of denominators (what is unfinished is bad, what was cut is not counted) and of
//! quantiles (what did not succeed lies above everything that did); what a number means for a verdict is not
//! decided here.

use std::collections::BTreeMap;

use super::packed::Packed;
use crate::histogram::{Hist, MAX_MICROS};
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

/// The places of a cell's histograms. Response times are those of successes, and of all others at max(D, elapsed).
#[derive(Clone, Copy)]
enum Place {
    Successes,
    Others,
    CleanSuccesses,
    CleanOthers,
    Service,
    Lag,
    Wait,
    Held,
}

/// Operations that ended in one way.
#[derive(Clone, Debug, PartialEq)]
struct Ended {
    outcome: Outcome,
    n: u64,
    /// Those of them that the clean count leaves out.
    left_out: u64,
    /// Those that are in time for it.
    excused: u64,
}

/// How often operations were tried, and how many of them were at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tries {
    attempts: u64,
    tried: u64,
}

/// One operation in one cell of intended start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) due: u64,
    /// By outcome.
    ended: Box<[Ended]>,
    tries: Tries,
    /// Those of them that the clean count leaves out.
    left_out: Tries,
    sent: u64,
    received: u64,
    /// Of flows: the earliest arrival, if that lies in an earlier cell.
    pub(super) since: Option<Micros>,
    /// By `Place`.
    times: Packed<8>,
}

impl Cell {
    pub(super) fn add(&mut self, done: &Done) {
        let ended = self.ended_as(Outcome::new(done.kind, done.status));
        ended.n += done.n;
        match done.counted {
            Clean::AsSeen => {}
            Clean::InTime => ended.excused += done.n,
            Clean::LeftOut => ended.left_out += done.n,
        }
        let left_out = if done.counted == Clean::LeftOut { Some(&mut self.left_out) } else { None };
        for tries in [Some(&mut self.tries), left_out].into_iter().flatten() {
            tries.attempts += done.attempts;
            tries.tried += done.tried;
        }
        self.sent += done.sent;
        self.received += done.received;
        self.since = [self.since, done.since].into_iter().flatten().min();
        let none = Hist::default();
        let split = |hist| if done.kind.is_success() { (hist, &none) } else { (&none, hist) };
        let (seen, clean) = (split(&done.response), split(&done.clean));
        self.times.add([seen.0, seen.1, clean.0, clean.1, &done.service, &done.lag, &done.wait, &done.held]);
    }

    fn ended_as(&mut self, outcome: Outcome) -> &mut Ended {
        let at = match self.ended.binary_search_by_key(&outcome, |ended| ended.outcome) {
            Ok(at) => at,
            Err(at) => {
                let mut all = std::mem::take(&mut self.ended).into_vec();
                all.insert(at, Ended { outcome, n: 0, left_out: 0, excused: 0 });
                self.ended = all.into_boxed_slice();
                at
            }
        };
        &mut self.ended[at]
    }

    fn finished(&self) -> u64 {
        self.ended.iter().map(|ended| ended.n).sum()
    }

    pub(super) fn worst_lag(&self) -> Option<Micros> {
        self.times.max(Place::Lag as usize)
    }

    /// Operations intended, without those that were cut. An engine that counts an operation only when it
    /// ends never has fewer due than finished.
    pub(super) fn intended(&self) -> u64 {
        self.due.max(self.finished()) - self.count(Kind::Cut)
    }

    /// Some did not succeed, or are not known to have.
    pub(super) fn has_failed(&self) -> bool {
        self.open() > 0 || self.ended.iter().any(|ended| ended.n > 0 && !ended.outcome.kind.is_good())
    }

    pub(super) fn open(&self) -> u64 {
        self.due.saturating_sub(self.finished())
    }

    pub(super) fn has(&self, outcome: Outcome) -> bool {
        let open = outcome == Outcome::new(Kind::Unfinished, 0) && self.open() > 0;
        open || self.ended.iter().any(|ended| ended.outcome == outcome)
    }

    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.ended.iter().filter(|ended| ended.outcome.kind == kind).map(|ended| ended.n).sum()
    }
}

/// Operations due, finished and good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub due: u64,
    pub done: u64,
    pub good: u64,
}

impl Totals {
    pub(super) fn add(&mut self, cell: &Cell) {
        self.due += cell.intended();
        self.done += cell.intended() - cell.open();
        self.good += cell.count(Kind::Ok);
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
    /// Operations that the clean count leaves out, whichever count this is; in it also those that had not had their
    /// time when squall was killed.
    pub left_out: u64,
}

impl Tally {
    /// How long whoever asked waited, at most. What failed at once stands at its deadline, and nobody waited for that.
    pub fn waited(&self) -> Micros {
        let max = |times: &Hist| times.max().unwrap_or_default();
        let is_open = self.outcomes.keys().any(|outcome| outcome.kind == Kind::Unfinished);
        let ended = if is_open { Micros(i64::MAX) } else { max(&self.wait) + max(&self.service) };
        max(&self.successes).max(ended.min(max(&self.others)))
    }

    /// How many waited for longer, as far as that is known of those that failed.
    pub fn waited_longer(&self, than: Micros) -> u64 {
        let beyond = |times: &Hist| times.len() - times.count_at_most(than);
        let answered = beyond(&self.successes);
        let failed = (beyond(&self.wait) + beyond(&self.service)).saturating_sub(answered);
        answered + failed.min(beyond(&self.others)) + self.of_kind(Kind::Unfinished)
    }

    /// Adds a cell; what is open in it counts as unfinished at `open_at`, or is left out if none.
    pub(super) fn add(&mut self, cell: &Cell, open_at: Option<Micros>, count: Count) {
        let clean = count == Count::Clean;
        for ended in &cell.ended {
            let (left_out, excused) = if clean { (ended.left_out, ended.excused) } else { (0, 0) };
            let counted = ended.n - left_out;
            for (outcome, n) in
                [(ended.outcome, counted - excused), (Outcome { kind: Kind::Ok, ..ended.outcome }, excused)]
            {
                if n > 0 {
                    *self.outcomes.entry(outcome).or_default() += n;
                }
            }
            self.intended += if ended.outcome.kind.counts() { counted } else { 0 };
            self.left_out += ended.left_out;
        }
        // What squall kept from its answer was tried again for squall's sake.
        let spoilt = if clean { cell.left_out } else { Tries::default() };
        self.attempts += cell.tries.attempts - spoilt.attempts;
        self.tried += cell.tries.tried - spoilt.tried;
        self.sent += cell.sent;
        self.received += cell.received;
        let (successes, others) = match count {
            Count::Seen => (Place::Successes, Place::Others),
            Count::Clean => (Place::CleanSuccesses, Place::CleanOthers),
        };
        let pour = |place: Place, hist: &mut Hist| cell.times.pour_into(place as usize, hist);
        pour(successes, &mut self.successes);
        pour(others, &mut self.others);
        pour(Place::Service, &mut self.service);
        pour(Place::Lag, &mut self.lag);
        pour(Place::Wait, &mut self.wait);
        pour(Place::Held, &mut self.held);
        match (open_at, cell.open()) {
            (Some(at), open @ 1..) => {
                *self.outcomes.entry(Outcome::new(Kind::Unfinished, 0)).or_default() += open;
                self.intended += open;
                self.others.record_n(at, open);
            }
            (Some(_), 0) => {}
            (None, open) => self.left_out += open,
        }
    }

    /// Adds operations that are told nothing of, as if they had been bad.
    pub fn miss(&mut self, n: u64, deadline: Micros) {
        if n > 0 {
            *self.outcomes.entry(Outcome::new(Kind::Unreached, 0)).or_default() += n;
            self.intended += n;
            self.others.record_n(deadline, n);
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

    /// Operations that were due and are not good: failed, late, shed, unfinished or never reached.
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
            let beyond = |value: Micros| value.0 as u64 >= MAX_MICROS;
            let told =
                |value| if beyond(value) { Quantity::time(value).at_least() } else { Quantity::time(value) };
            at(&self.successes, rank).map(told)
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

    /// Attempts after the first try of each.
    pub fn retried(&self) -> u64 {
        self.attempts.saturating_sub(self.tried)
    }

    /// A: attempts per first try; none where nothing was sent.
    pub fn amplification(&self) -> Option<f64> {
        (self.tried > 0).then(|| self.attempts as f64 / self.tried as f64)
    }
}
