//! What is kept of the bodies of answers: of each one, and of all that a shard has at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// Bytes of an answer that are kept when nobody needs the whole.
const EXCERPT: usize = 512;
/// A body that is needed whole may be this long.
pub(super) const LONGEST: usize = 64 << 20;
/// Bytes that all answers may take up, from when they come in until they are read: whatever a target sends, and
/// however many wait to be read.
pub(super) const ROOM: usize = 256 << 20;

/// Bytes that all values may take up which flows have captured and keep, each until its flow ends: however long the
/// lists are and however many flows have one.
pub(super) const CAPTURED: usize = 1 << 30;
/// What takes up less is not counted.
const SMALL: usize = 4 << 10;

/// Room for what answers bring: a shard's for those that are needed whole, a run's for what is captured.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<AtomicUsize>);

impl Shelf {
    pub fn of_shard(shards: u32) -> Shelf {
        Shelf::new(ROOM / shards.max(1) as usize)
    }

    /// For what the flows of a run capture.
    pub fn of_run() -> Shelf {
        Shelf::new(CAPTURED)
    }

    pub fn new(bytes: usize) -> Shelf {
        Shelf(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Room for a value of so many bytes that is captured; none is needed for a small one.
    ///
    /// # Errors
    /// There is none left.
    pub fn room_for(&self, bytes: usize) -> Result<Option<Taken>, NoRoom> {
        if bytes < SMALL {
            return Ok(None);
        }
        let mut taken = Taken { shelf: self.clone(), bytes: 0 };
        if taken.add(bytes) { Ok(Some(taken)) } else { Err(NoRoom) }
    }
}

/// The shelf is full.
#[derive(Debug)]
pub struct NoRoom;

/// What one answer or value takes up; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    shelf: Shelf,
    bytes: usize,
}

impl Taken {
    /// Whether there was room.
    fn add(&mut self, bytes: usize) -> bool {
        let less = |free: usize| free.checked_sub(bytes);
        let taken = self.shelf.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shelf.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// The beginning of a body; one chunk is kept as it came, without a copy.
pub(super) struct Kept {
    first: Bytes,
    more: BytesMut,
    limit: usize,
    /// Bytes that came, kept or not.
    pub length: u64,
    /// There was no room for what was needed.
    pub short: bool,
    /// Of one that is kept whole.
    taken: Option<Taken>,
}

impl Kept {
    pub fn new(shelf: &Shelf, whole: bool) -> Kept {
        Kept {
            first: Bytes::new(),
            more: BytesMut::new(),
            limit: if whole { LONGEST } else { EXCERPT },
            length: 0,
            short: false,
            taken: whole.then(|| Taken { shelf: shelf.clone(), bytes: 0 }),
        }
    }

    pub fn push(&mut self, mut data: Bytes) {
        self.length += data.len() as u64;
        data.truncate(self.limit.saturating_sub(self.first.len().max(self.more.len())));
        if let Some(taken) = &mut self.taken
            && !self.short
            && !taken.add(data.len())
        {
            return self.run_short();
        }
        if self.first.is_empty() && self.more.is_empty() {
            self.first = data;
        } else if !data.is_empty() {
            if self.more.is_empty() {
                self.more.extend_from_slice(&self.first);
            }
            self.more.extend_from_slice(&data);
        }
    }

    /// Makes room for others: nobody can use a part of it, but for people to look at.
    fn run_short(&mut self) {
        let all = if self.more.is_empty() { &self.first[..] } else { &self.more[..] };
        self.first = Bytes::copy_from_slice(&all[..all.len().min(EXCERPT)]);
        self.more = BytesMut::new();
        (self.limit, self.short) = (self.first.len(), true);
        self.taken = None;
    }

    /// The body, and its place for as long as that is needed.
    pub fn into_bytes(self) -> (Bytes, Option<Taken>) {
        (if self.more.is_empty() { self.first } else { self.more.freeze() }, self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(shelf: &Shelf, whole: bool, chunks: usize) -> Kept {
        let mut kept = Kept::new(shelf, whole);
        (0..chunks).for_each(|_| kept.push(Bytes::from(vec![b'x'; 100])));
        kept
    }

    #[test]
    fn a_body_without_room_is_short_and_makes_room_for_others() {
        let shelf = Shelf::new(1_000);
        let first = body(&shelf, true, 6);
        let second = body(&shelf, true, 6);
        assert_eq!((first.short, second.short), (false, true));
        assert_eq!((second.length, second.into_bytes().0.len()), (600, 400), "an excerpt of it");
        let (bytes, taken) = first.into_bytes();
        assert_eq!(bytes.len(), 600);
        assert!(body(&shelf, true, 5).short, "the first is still there");
        drop(taken);
        assert!(!body(&shelf, true, 10).short);
    }

    #[test]
    fn what_is_captured_needs_room_by_its_size_as_long_as_it_is_kept() {
        let shelf = Shelf::new(10_000);
        assert!(shelf.room_for(SMALL - 1).unwrap().is_none(), "too small to be counted");
        let first = shelf.room_for(6_000).unwrap();
        assert!(first.is_some() && shelf.room_for(6_000).is_err());
        drop(first);
        assert!(shelf.room_for(6_000).is_ok());
    }

    #[test]
    fn excerpts_need_no_room() {
        let kept = body(&Shelf::new(0), false, 10);
        assert_eq!((kept.short, kept.length, kept.into_bytes().0.len()), (false, 1_000, 512));
    }
}
