//! squall: load, faults and judgement on one clock. `docs/design.md` has a line per module.

pub mod arrival;
pub mod client;
pub mod engine;
pub mod exit;
pub mod experiment;
pub mod histogram;
pub mod http;
pub mod objective;
pub mod outline;
pub mod proxy;
pub mod random;
pub mod record;
pub mod redact;
pub mod sample;
pub mod sandbox;
pub mod stats;
pub mod timeline;
pub mod toxic;
pub mod units;
pub mod verdict;
pub mod world;
