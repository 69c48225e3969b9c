//! squall, its keeper and its services as processes, on loopback: what they leave, when they end, what goes over the
//! wire. Most of these wait, and do so beside each other.
#![allow(clippy::disallowed_methods, reason = "tests on real processes live in real time")]

mod journal;
mod keeper;
mod leftovers;
mod limits;
mod proofs;
mod pulse;
mod run_ends;
mod run_stops;
mod sandbox;
mod secrets;
mod services;
#[path = "../support/mod.rs"]
mod support;
mod wire;
