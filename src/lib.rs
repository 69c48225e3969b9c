//! squall: load, faults and judgement on one clock. `docs/design.md` has a line per module.
//!
//! What others may build on is the way from a history to its report: [`history`] reads the records of a run into a
//! [`timeline`], [`verdict::judge`] judges it, [`report`] tells it. Everything else is the program's own and may
//! change at any time; it is public for the program and its tests, and hidden here.

#![deny(unsafe_code)]

pub mod exit;
pub mod histogram;
pub mod history;
pub mod objective;
pub mod outline;
pub mod quantity;
pub mod record;
pub mod report;
pub mod sample;
pub mod timeline;
pub mod units;
pub mod verdict;

#[doc(hidden)]
pub mod arrival;
#[doc(hidden)]
pub mod chaos;
#[doc(hidden)]
pub mod chaos_plan;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod client;
#[doc(hidden)]
pub mod commands;
#[doc(hidden)]
pub mod conductor;
#[doc(hidden)]
pub mod diagnose;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod experiment;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod progress;
#[doc(hidden)]
pub mod proxy;
#[doc(hidden)]
pub mod random;
#[doc(hidden)]
pub mod recorder;
#[doc(hidden)]
pub mod redact;
#[doc(hidden)]
pub mod sampling;
#[doc(hidden)]
pub mod sandbox;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod template;
#[doc(hidden)]
pub mod toxic;
#[doc(hidden)]
pub mod world;
#[doc(hidden)]
pub mod written;
#[doc(hidden)]
pub mod yaml;
