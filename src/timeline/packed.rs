//! Histograms at rest: their values and counts in a few bytes. A day of cells of full histograms would take
//! gigabytes.

use crate::histogram::Hist;
use crate::units::Micros;

/// `N` histograms in one piece of memory, each behind its length in bytes: of a cell that has few values each
/// piece by itself would cost more than what is in it. Values ascend, each as the distance from the one before and a
/// count, in LEB128.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed<const N: usize>(Box<[u8]>);

impl<const N: usize> Packed<N> {
    /// Adds each histogram to the one in its place.
    pub(super) fn add(&mut self, more: [&Hist; N]) {
        let mut bytes = Vec::new();
        for (place, hist) in more.into_iter().enumerate() {
            let packed = with(self.at(place), hist);
            write(&mut bytes, packed.len() as u64);
            bytes.extend(packed);
        }
        self.0 = bytes.into_boxed_slice();
    }

    pub(super) fn pour_into(&self, place: usize, hist: &mut Hist) {
        values(self.at(place)).for_each(|(value, n)| hist.record_n(value, n));
    }

    pub(super) fn max(&self, place: usize) -> Option<Micros> {
        values(self.at(place)).last().map(|(value, _)| value)
    }

    fn at(&self, place: usize) -> &[u8] {
        let mut rest = &self.0[..];
        for _ in 0..place {
            let length = read(&mut rest).unwrap_or(0) as usize;
            rest = rest.get(length..).unwrap_or_default();
        }
        let length = read(&mut rest).unwrap_or(0) as usize;
        rest.get(..length).unwrap_or_default()
    }
}

/// What is packed, and a histogram on top.
fn with(packed: &[u8], hist: &Hist) -> Vec<u8> {
    let mut packer = Packer::default();
    let (mut old, mut new) = (values(packed).peekable(), hist.values().peekable());
    loop {
        let next = match (old.peek(), new.peek()) {
            (None, None) => return packer.done(),
            (Some(a), Some(b)) if a.0 > b.0 => new.next(),
            (None, Some(_)) => new.next(),
            _ => old.next(),
        };
        if let Some((value, n)) = next {
            packer.push(value, n);
        }
    }
}

fn values(packed: &[u8]) -> impl Iterator<Item = (Micros, u64)> + '_ {
    let (mut rest, mut value) = (packed, 0);
    std::iter::from_fn(move || {
        value += read(&mut rest)?;
        Some((Micros(value as i64), read(&mut rest)?))
    })
}

#[derive(Default)]
struct Packer {
    bytes: Vec<u8>,
    /// The value before the pending one, and the pending one with its count.
    before: u64,
    pending: Option<(u64, u64)>,
}

impl Packer {
    /// Values come in ascending order; equal ones become one.
    fn push(&mut self, value: Micros, n: u64) {
        let value = value.0.max(0) as u64;
        match &mut self.pending {
            Some((last, count)) if *last == value => *count += n,
            _ => {
                self.write_pending();
                self.pending = Some((value, n));
            }
        }
    }

    fn write_pending(&mut self) {
        if let Some((value, n)) = self.pending.take() {
            write(&mut self.bytes, value - self.before);
            write(&mut self.bytes, n);
            self.before = value;
        }
    }

    fn done(mut self) -> Vec<u8> {
        self.write_pending();
        self.bytes
    }
}

fn write(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[i64]) -> Hist {
        let mut hist = Hist::default();
        values.iter().for_each(|&v| hist.record(Micros(v)));
        hist
    }

    proptest! {
        #[test]
        fn what_was_packed_in_pieces_is_poured_out_whole(
            a in prop::collection::vec(0i64..5_000_000_000, 0..40),
            b in prop::collection::vec(0i64..5_000_000, 0..40),
        ) {
            let mut packed = Packed::<3>::default();
            packed.add([&of(&a), &Hist::default(), &of(&b)]);
            packed.add([&of(&b), &Hist::default(), &of(&a)]);
            let mut whole = of(&a);
            whole.merge(&of(&b));
            for (place, expected) in [&whole, &Hist::default(), &whole].into_iter().enumerate() {
                let mut poured = Hist::default();
                packed.pour_into(place, &mut poured);
                prop_assert_eq!(packed.max(place), expected.values().last().map(|(v, _)| v));
                prop_assert_eq!(&poured, expected);
            }
        }
    }
}
