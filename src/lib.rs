//! squall: load, faults and judgement on one clock. `docs/design.md` has a line per module.

pub mod arrival;
pub mod chaos_plan;
pub mod diagnose;
pub mod experiment;
pub mod histogram;
pub mod objective;
pub mod outline;
pub mod profile;
pub mod random;
pub mod record;
pub mod redact;
pub mod report;
pub mod sample;
pub mod template;
pub mod units;
pub mod written;
pub mod yaml;
