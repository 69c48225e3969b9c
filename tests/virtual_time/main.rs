//! Whole runs in virtual time, each proven against what must come out of it.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod flows;
mod gone;
mod grown;
mod guards;
mod load;
mod pace;
mod pool;
mod reached;
mod requests;
mod rig;
mod scripted;
mod shipped;
mod waiting;
mod wide;
