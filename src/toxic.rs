//! Toxics: what a fault on a link does to a chunk of bytes. They decide; the proxy acts.

use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::units::Micros;

/// Which way bytes travel on a link: requests go upstream, answers downstream.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
/// Which way bytes go on a link.
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Downstream,
    Upstream,
    Both,
}

impl Direction {
    /// Whether a fault declared for `self` acts on bytes that travel `way`.
    pub fn covers(self, way: Direction) -> bool {
        self == Direction::Both || self == way
    }
}

/// A fault on a link, as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toxic {
    /// Each chunk arrives `latency` + U[-jitter, +jitter) later, in order; chunks pipeline.
    Latency { latency: Micros, jitter: Micros, direction: Direction },
    /// Bytes are dropped; connections stay open and new ones are accepted.
    Blackhole,
    /// The listener is closed, connections are closed, new ones are refused.
    Down,
}

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Delivered at this time.
    Deliver(Micros),
    Drop,
}

/// The fate of a chunk read at `now` that travels `way`, under all toxics in force. `previous` is
/// the delivery time of the chunk before it: bytes never overtake.
pub fn fate<'a>(
    toxics: impl Iterator<Item = &'a Toxic>,
    way: Direction,
    now: Micros,
    previous: Micros,
    draws: &mut Stream,
) -> Fate {
    let mut delay = Micros::ZERO;
    for toxic in toxics {
        match toxic {
            Toxic::Blackhole | Toxic::Down => return Fate::Drop,
            Toxic::Latency { latency, jitter, direction } if direction.covers(way) => {
                let spread = draws.symmetric(jitter.0 as f64).round() as i64;
                delay += Micros((latency.0 + spread).max(0));
            }
            Toxic::Latency { .. } => {}
        }
    }
    Fate::Deliver((now + delay).max(previous))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Key, Purpose};
    use proptest::prelude::*;

    fn draws() -> Stream {
        Key { seed: 1, shape: 0, index: 0, attempt: 0, purpose: Purpose::Jitter }.stream()
    }

    fn latency(ms: i64, jitter: i64) -> Toxic {
        let (latency, jitter) = (Micros::millis(ms), Micros::millis(jitter));
        Toxic::Latency { latency, jitter, direction: Direction::Downstream }
    }

    #[test]
    fn each_toxic_decides_by_direction_and_several_add_up() {
        use Direction::{Downstream, Upstream};
        let ms = Micros::millis;
        let rows = [
            ("none delivers at once", vec![], Downstream, Fate::Deliver(ms(5))),
            ("latency delays answers", vec![latency(100, 0)], Downstream, Fate::Deliver(ms(105))),
            ("and not requests", vec![latency(100, 0)], Upstream, Fate::Deliver(ms(5))),
            ("two add up", vec![latency(100, 0), latency(50, 0)], Downstream, Fate::Deliver(ms(155))),
            ("a blackhole drops", vec![latency(100, 0), Toxic::Blackhole], Upstream, Fate::Drop),
        ];
        for (name, toxics, way, expected) in rows {
            assert_eq!(fate(toxics.iter(), way, ms(5), Micros::ZERO, &mut draws()), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn chunks_are_delivered_in_the_order_they_were_read(
            gaps in prop::collection::vec(0i64..50_000, 1..100), jitter in 0i64..200,
        ) {
            let (toxics, mut draws) = ([latency(100, jitter)], draws());
            let (mut now, mut previous) = (Micros::ZERO, Micros::ZERO);
            for gap in gaps {
                now += Micros(gap);
                let Fate::Deliver(at) = fate(toxics.iter(), Direction::Downstream, now, previous, &mut draws)
                else { panic!("latency never drops") };
                prop_assert!(at >= previous && at >= now);
                prop_assert!(at <= previous.max(now + Micros::millis(100 + jitter)));
                previous = at;
            }
        }
    }
}
