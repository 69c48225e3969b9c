//! squall: load, faults and judgement on one clock. `docs/design.md` has a line per module.

#![deny(unsafe_code)]

pub mod arrival;
pub mod chaos;
pub mod chaos_plan;
pub mod cli;
pub mod client;
pub mod commands;
pub mod conductor;
pub mod diagnose;
pub mod engine;
pub mod exit;
pub mod experiment;
pub mod histogram;
pub mod history;
pub mod http;
pub mod objective;
pub mod outline;
pub mod profile;
pub mod progress;
pub mod proxy;
pub mod quantity;
pub mod random;
pub mod record;
pub mod recorder;
pub mod redact;
pub mod report;
pub mod sample;
pub mod sampling;
pub mod sandbox;
pub mod service;
pub mod stats;
pub mod template;
pub mod timeline;
pub mod toxic;
pub mod units;
pub mod verdict;
pub mod world;
pub mod written;
pub mod yaml;
