//! The V2-deflate form of a histogram, read without a place for every value that it could hold: a day's history has
//! millions of them, each with a few values.
//!
//! Owns this one form with squall's own settings; whatever else there is, HdrHistogram reads.

use std::cell::RefCell;

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
    thread_local!(static INFLATER: RefCell<(Decompress, Vec<u8>)> = RefCell::new((Decompress::new(true), Vec::new())));
    INFLATER.with_borrow_mut(|(inflater, inflated)| {
        inflate(inflater, deflated.get(..length as usize)?, inflated)?;
        let (header, counts) = inflated.split_at_checked(HEADER)?;
        has_own_settings(header).then(|| values(counts))?
    })
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
