//! When a shard stood still: the times in which its heartbeat was overdue, and the bursts that followed.
//!
//! Owns the rule of VERDICTS.md 2 ("Whose fault was it?"); what becomes of an operation that met such a time
//! is the flow's.

use std::collections::VecDeque;

use crate::units::Micros;

/// Spans that are remembered: an operation meets those that lie within its own time.
const REMEMBERED: usize = 2_048;

/// One standstill.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    /// When the beat was due.
    from: Micros,
    /// When it came.
    to: Micros,
    /// The end of the burst that followed: squall made up for what it had missed.
    until: Micros,
}

/// A shard's standstills.
#[derive(Debug)]
pub(super) struct Frozen {
    /// A beat that is later than this was a standstill.
    limit: Micros,
    /// When the next beat is due.
    due: Micros,
    spans: VecDeque<Span>,
}

impl Frozen {
    /// Standstills are beats that come more than a tenth of a cell late: 100 ms, less in a scaled run.
    pub(super) fn new(cell: Micros) -> Frozen {
        Frozen { limit: Micros(cell.0 / 10), due: Micros::ZERO, spans: VecDeque::new() }
    }

    /// The beat that was due has come; the next one is due at `next`.
    pub(super) fn beat(&mut self, now: Micros, next: Micros) {
        self.notice(now);
        self.due = next;
    }

    /// Looks at the clock between two beats: whoever wakes first after a standstill must know of it.
    pub(super) fn notice(&mut self, now: Micros) {
        let late = now - self.due;
        if late <= self.limit {
            return;
        }
        let span = Span { from: self.due, to: now, until: now + late * 2 };
        match self.spans.back_mut() {
            Some(last) if last.from == span.from => *last = span,
            _ => self.spans.push_back(span),
        }
        if self.spans.len() > REMEMBERED {
            self.spans.pop_front();
        }
    }

    /// Whether what was intended then met a standstill, or the burst that followed one.
    pub(super) fn hit(&self, intended: Micros) -> bool {
        self.spans.iter().any(|span| span.from <= intended && intended < span.until)
    }

    /// For how long the shard stood still in [from, to).
    pub(super) fn within(&self, from: Micros, to: Micros) -> Micros {
        let overlap = |span: &Span| (span.to.min(to) - span.from.max(from)).max(Micros::ZERO);
        self.spans.iter().map(overlap).fold(Micros::ZERO, |sum, more| sum + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: i64) -> Micros {
        Micros::millis(n)
    }

    #[test]
    fn a_standstill_lasts_from_the_due_beat_and_its_burst_for_twice_its_lateness() {
        let mut frozen = Frozen::new(Micros::SECOND);
        frozen.beat(ms(0), ms(10));
        frozen.beat(ms(60), ms(70));
        assert!(!frozen.hit(ms(20)), "a beat that is 50 ms late is none");
        frozen.beat(ms(570), ms(580));
        let hits = [69, 70, 569, 1_569, 1_570].map(|at| frozen.hit(ms(at)));
        assert_eq!(hits, [false, true, true, true, false]);
        assert_eq!(frozen.within(ms(0), ms(200)), ms(130));
    }

    #[test]
    fn whoever_wakes_first_knows_of_it_and_it_counts_once() {
        let mut frozen = Frozen::new(Micros::SECOND);
        frozen.beat(ms(0), ms(10));
        frozen.notice(ms(310));
        assert!(frozen.hit(ms(200)));
        frozen.beat(ms(311), ms(321));
        assert_eq!(frozen.within(ms(0), ms(1_000)), ms(301));
    }

    #[test]
    fn a_scaled_run_has_scaled_limits() {
        let mut frozen = Frozen::new(Micros::millis(100));
        frozen.beat(ms(0), ms(10));
        frozen.beat(ms(25), ms(26));
        assert!(frozen.hit(ms(12)));
    }
}
