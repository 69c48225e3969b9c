//! The V2-deflate form of a histogram, read without a place for every value that it could hold: a day's history has
//! millions of them, each with a few values.
//!
//! Owns this one form with squall's own settings; whatever else there is, HdrHistogram reads.

use std::cell::RefCell;
use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};

/// Begins the deflated form, and what is in it.
const DEFLATED: u32 = 0x1c84_9314;
const INFLATED: u32 = 0x1c84_9313;
/// Before the counts: cookie, length, offset, digits, lowest and highest value, ratio.
const HEADER: usize = 40;
/// Three digits need 2,048 places below the first doubling, and half as many for each further one.
const DIGITS: u32 = 3;
const HALF: u64 = 1_024;
/// More than a histogram of a thousand hours has.
const MOST_PLACES: u64 = 48 * HALF;
/// So many small ones are remembered, of so many bytes at most.
const KNOWN: usize = 4_096;
const SMALL: usize = 64;
/// Bytes that most histograms have at most.
const MOSTLY: usize = 4_096;

/// Values, each the highest of its place, ascending, and how often each was recorded; none if it is another form, or
/// damaged.
pub(super) fn listed(bytes: &[u8]) -> Option<Vec<(u64, u64)>> {
    let (cookie, rest) = word(bytes)?;
    let (length, deflated) = word(rest)?;
    if cookie != DEFLATED {
        return None;
    }
    let deflated = deflated.get(..length as usize)?;
    thread_local!(static READER: RefCell<Reader> = RefCell::new(Reader::new()));
    READER.with_borrow_mut(|reader| reader.read(deflated))
}

struct Reader {
    inflater: Decompress,
    inflated: Vec<u8>,
    /// Small ones that were read: lags of nothing, the same few answers. To build its tables costs inflating most.
    known: HashMap<Box<[u8]>, Vec<(u64, u64)>>,
}

impl Reader {
    fn new() -> Reader {
        Reader { inflater: Decompress::new(true), inflated: Vec::new(), known: HashMap::new() }
    }

    fn read(&mut self, deflated: &[u8]) -> Option<Vec<(u64, u64)>> {
        if let Some(listed) = self.known.get(deflated) {
            return Some(listed.clone());
        }
        inflate(&mut self.inflater, deflated, &mut self.inflated)?;
        let (header, counts) = self.inflated.split_at_checked(HEADER)?;
        let listed = has_own_settings(header).then(|| values(counts))??;
        if deflated.len() <= SMALL {
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            self.known.insert(deflated.into(), listed.clone());
        }
        Some(listed)
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

fn inflate(inflater: &mut Decompress, deflated: &[u8], inflated: &mut Vec<u8>) -> Option<()> {
    inflater.reset(true);
    inflated.clear();
    loop {
        inflated.reserve(MOSTLY);
        let (read, had) = (inflater.total_in() as usize, inflated.len());
        match inflater.decompress_vec(deflated.get(read..)?, inflated, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => return Some(()),
            Ok(_) if inflated.len() > had => {}
            _ => return None,
        }
    }
}

/// Not shifted, three digits, from one microsecond on.
fn has_own_settings(header: &[u8]) -> bool {
    let at = |from: usize| header.get(from..).and_then(word).map(|(word, _)| word);
    let words = [at(0), at(8), at(12), at(16), at(20)];
    words == [Some(INFLATED), Some(0), Some(DIGITS), Some(0), Some(1)]
}

/// Counts of places in order; a negative one is so many places without any.
fn values(mut counts: &[u8]) -> Option<Vec<(u64, u64)>> {
    let (mut place, mut values) = (0u64, Vec::new());
    while !counts.is_empty() {
        let n = number(&mut counts)?;
        match u64::try_from(n) {
            Ok(0) => place += 1,
            Ok(n) => {
                values.push((highest(place), n));
                place += 1;
            }
            Err(_) => place += n.unsigned_abs(),
        }
        if place > MOST_PLACES {
            return None;
        }
    }
    Some(values)
}

/// The highest value of a place.
fn highest(place: u64) -> u64 {
    let doublings = (place / HALF).saturating_sub(1);
    let within = place - doublings * HALF;
    ((within + 1) << doublings) - 1
}

/// The highest value of the place that this one falls in.
pub(super) fn highest_beside(value: u64) -> u64 {
    let doublings = (u64::BITS - value.leading_zeros()).saturating_sub(HALF.ilog2() + 1);
    (((value >> doublings) + 1) << doublings) - 1
}

/// A signed number in zigzag LEB128, at most nine bytes, the ninth of them whole.
fn number(bytes: &mut &[u8]) -> Option<i64> {
    let mut n = 0u64;
    for i in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let last = i == 8 || byte < 0x80;
        n |= u64::from(if i == 8 { byte } else { byte & 0x7f }) << (7 * i);
        if last {
            break;
        }
    }
    Some((n >> 1) as i64 ^ -((n & 1) as i64))
}
