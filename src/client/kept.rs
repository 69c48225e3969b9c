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

/// A shard's room for answers that are needed whole.
#[derive(Clone)]
pub struct Shelf(Arc<AtomicUsize>);

impl Shelf {
    pub fn of_shard(shards: u32) -> Shelf {
        Shelf::new(ROOM / shards.max(1) as usize)
    }

    pub fn new(bytes: usize) -> Shelf {
        Shelf(Arc::new(AtomicUsize::new(bytes)))
    }
}

/// What one answer takes up; given back when it is dropped.
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
    fn excerpts_need_no_room() {
        let kept = body(&Shelf::new(0), false, 10);
        assert_eq!((kept.short, kept.length, kept.into_bytes().0.len()), (false, 1_000, 512));
    }
}
