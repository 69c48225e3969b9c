//! squall: load, faults and judgement on one clock. `docs/design.md` has a line per module.

pub mod arrival;
pub mod exit;
pub mod experiment;
pub mod histogram;
pub mod history;
pub mod objective;
pub mod outline;
pub mod random;
pub mod record;
pub mod sample;
pub mod stats;
pub mod timeline;
pub mod units;
pub mod verdict;
