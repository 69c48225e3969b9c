//! What delays keep back of one direction of a connection, in order; counted for the connection and the machine, too.

use std::cell::Cell;
use std::collections::VecDeque;

use super::machine::Machine;
use crate::units::Micros;

/// Bytes of one backlog before reading stops: the sender then feels back-pressure.
const MOST: usize = 4 << 20;

/// A chunk that waits for its time.
pub(super) struct Delayed {
    pub until: Micros,
    pub since: Micros,
    pub bytes: Vec<u8>,
}

/// What is left in it when it is dropped was never passed on, and counts no more.
pub(super) struct Backlog<'a> {
    chunks: VecDeque<Delayed>,
    bytes: usize,
    /// Bytes of both directions.
    of_connection: &'a Cell<usize>,
    machine: &'a Machine,
}

impl Drop for Backlog<'_> {
    fn drop(&mut self) {
        self.count_off(self.bytes);
    }
}

impl<'a> Backlog<'a> {
    pub fn new(of_connection: &'a Cell<usize>, machine: &'a Machine) -> Backlog<'a> {
        Backlog { chunks: VecDeque::new(), bytes: 0, of_connection, machine }
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether one more may be kept back. What keeps nothing back always may.
    pub fn has_room(&self) -> bool {
        self.is_empty() || self.bytes < MOST && !self.machine.keeps_many()
    }

    /// When the first of it may leave.
    pub fn due(&self) -> Option<Micros> {
        self.chunks.front().map(|chunk| chunk.until)
    }

    pub fn push(&mut self, chunk: Delayed) {
        let length = chunk.bytes.len();
        self.bytes += length;
        self.of_connection.set(self.of_connection.get() + length);
        self.machine.keeps(length);
        self.chunks.push_back(chunk);
    }

    pub fn pop(&mut self) -> Option<Delayed> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.bytes.len();
        self.count_off(chunk.bytes.len());
        Some(chunk)
    }

    fn count_off(&self, bytes: usize) {
        self.of_connection.set(self.of_connection.get() - bytes);
        self.machine.lets_go(bytes);
    }

    /// All of it may leave at `now`.
    pub fn release(&mut self, now: Micros) {
        self.chunks.iter_mut().for_each(|chunk| chunk.until = chunk.until.min(now));
    }
}
