//! A bounded worker pool as arithmetic: each job is told when it will be done.
//!
//! Work is first come, first served, and jobs outlive whoever asked for them: an abandoned request
//! still takes its worker's time. Nothing spins; whoever asked waits until the time given.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::units::Micros;

/// `workers` servers behind one queue of at most `limit` waiting jobs.
#[derive(Debug)]
pub struct WorkQueue {
    free_at: BinaryHeap<Reverse<Micros>>,
    /// Start times of jobs that were admitted, ascending: those in the future are waiting.
    starts: VecDeque<Micros>,
    limit: usize,
}

impl WorkQueue {
    pub fn new(workers: u32, limit: usize) -> WorkQueue {
        let free_at = (0..workers.max(1)).map(|_| Reverse(Micros(i64::MIN))).collect();
        WorkQueue { free_at, starts: VecDeque::new(), limit }
    }

    /// Admits a job of `cost` that arrives at `now`: completion = max(arrival, first free worker) +
    /// cost. None if too many are waiting.
    pub fn admit(&mut self, now: Micros, cost: Micros) -> Option<Micros> {
        let Reverse(free) = *self.free_at.peek()?;
        if free > now && self.waiting(now) >= self.limit {
            return None;
        }
        self.free_at.pop();
        let start = now.max(free);
        let done = start + cost;
        self.free_at.push(Reverse(done));
        self.starts.push_back(start);
        Some(done)
    }

    /// Jobs admitted but not begun.
    pub fn waiting(&mut self, now: Micros) -> usize {
        while self.starts.front().is_some_and(|&start| start <= now) {
            self.starts.pop_front();
        }
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_done_in_order_by_the_first_free_worker() {
        let mut queue = WorkQueue::new(2, 10);
        let cost = Micros(100);
        let done: Vec<_> = (0..4).map(|_| queue.admit(Micros(0), cost).unwrap().0).collect();
        assert_eq!(done, [100, 100, 200, 200]);
        assert_eq!(queue.waiting(Micros(0)), 2);
        assert_eq!(queue.waiting(Micros(100)), 0);
        assert_eq!(queue.admit(Micros(500), cost), Some(Micros(600)), "an idle worker starts at once");
    }

    #[test]
    fn a_full_queue_refuses_until_a_job_begins() {
        let mut queue = WorkQueue::new(1, 1);
        assert!(queue.admit(Micros(0), Micros(100)).is_some());
        assert!(queue.admit(Micros(0), Micros(100)).is_some());
        assert_eq!(queue.admit(Micros(50), Micros(100)), None);
        assert_eq!(queue.admit(Micros(100), Micros(100)), Some(Micros(300)));
    }
}
