//! What goes wrong with squall itself in a random scene, and what the history tells of it.

use proptest::prelude::*;

use super::*;
use crate::record::KeeperEvent;
use crate::sample::Clean;

/// What goes wrong with squall.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// It stands still: from when on, for how long.
    pub(super) frozen: Vec<(f64, f64)>,
    /// It sends so late, and holds up for so long, in milliseconds, from this time on.
    pub(super) late: (f64, i64, i64),
    /// Its keeper stands still: from when on, for how long.
    pub(super) keeper: Option<(f64, f64)>,
    pub(super) gone: Option<f64>,
    /// Its machine refuses one in so many: from when on, for how long.
    pub(super) refused: Option<(f64, f64, usize)>,
}

/// From this time on.
pub(super) fn own(from: f64) -> impl Strategy<Value = Own> {
    let long = prop_oneof![0.05f64..0.3, 0.3f64..8.0];
    let late = prop_oneof![Just(0i64), 0i64..900];
    let held = prop_oneof![Just(0i64), 0i64..95];
    (
        prop::collection::vec((from..76.0, long), 0..3),
        (from..80.0, late, held),
        prop::option::weighted(0.3, (from..76.0, 0.2f64..5.0)),
        prop::option::weighted(0.2, from..79.0),
        prop::option::weighted(0.3, (from..76.0, 0.2f64..20.0, 1usize..4)),
    )
        .prop_map(|(frozen, late, keeper, gone, refused)| Own { frozen, late, keeper, gone, refused })
}

impl Own {
    /// What happens to an open loop's operations, which never know of each other.
    pub(super) fn delay(&self, answered: Vec<Sample>) -> Vec<Sample> {
        let (from, lag, held) = self.late;
        let late = |sample: Sample| match sample.intended >= s(from) {
            true => properties::delayed(&sample, Micros::millis(lag), Micros::millis(held)),
            false => sample,
        };
        let late: Vec<Sample> = answered.into_iter().map(late).collect();
        self.frozen.iter().fold(late, |all, (from, long)| generator::frozen(&all, *from, from + long))
    }

    /// What its keeper and its machine do to all of them.
    pub(super) fn spoil(&self, all: &mut [Sample]) {
        let within =
            |sample: &Sample, from: f64, to: f64| sample.intended >= s(from) && sample.intended < s(to);
        if let Some((from, long)) = self.keeper {
            let held =
                |sample: &&mut Sample| within(sample, from, from + long) && sample.outcome.kind.is_success();
            for sample in all.iter_mut().filter(held) {
                sample.done = sample.done.max(s(from + long));
                if sample.response() > s(scenes::DEADLINE) {
                    sample.outcome.kind = Kind::Timeout;
                }
            }
        }
        let cut_off = |sample: &&mut Sample| self.gone.is_some_and(|at| sample.intended >= s(at));
        for sample in all.iter_mut().filter(cut_off) {
            (sample.outcome.kind, sample.clean) = (Kind::Connect, Clean::AsSeen);
        }
        let Some((from, long, every)) = self.refused else { return };
        for sample in all.iter_mut().step_by(every).filter(|sample| within(sample, from, from + long)) {
            (sample.outcome.kind, sample.clean) = (Kind::Local, Clean::LeftOut);
            sample.done = sample.dequeued + Micros::MILLISECOND;
        }
    }

    pub(super) fn records(&self) -> Vec<Record> {
        let beats =
            self.frozen.iter().map(|(from, long)| generator::heartbeat((from + long) as u32, s(*long)));
        let keeper = self.keeper.map(|(from, long)| KeeperEvent::Beats {
            from: s(from),
            at: s(from + long),
            late: s(long),
        });
        let gone = self.gone.map(|at| KeeperEvent::Gone { at: s(at) });
        beats.chain(keeper.into_iter().chain(gone).map(Record::Keeper)).collect()
    }

    /// Without what is squall's, as wholes: what is left is judged by itself (VERDICTS.md 2).
    pub(super) fn leave(&self, all: &[Sample]) -> Vec<Sample> {
        let (refused, cut_off) = (self.refused, self.gone.map_or(f64::INFINITY, f64::floor));
        let hit = |(nth, sample): &(usize, &Sample)| {
            let at = sample.intended.as_secs_f64();
            let still = self.frozen.iter().any(|(from, long)| *from <= at && at < from + 3.0 * long);
            let keeper =
                self.keeper.is_some_and(|(from, long)| from.floor() <= at && at < (from + long).ceil());
            let refused = refused.is_some_and(|(from, long, every)| {
                from <= at && at < from + long && nth.is_multiple_of(every)
            });
            still || keeper || refused || at >= cut_off
        };
        all.iter().enumerate().filter(|of| !hit(of)).map(|(_, sample)| sample.clone()).collect()
    }
}
