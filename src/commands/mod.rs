//! The commands: each reads its arguments, calls the floors below and prints what came of it.

mod behind;
pub mod bench;
pub mod check;
mod documents;
pub mod heal;
pub mod keeper;
pub mod plan;
mod print;
pub mod report;
pub mod run;
pub mod sandbox;
mod signals;
pub mod trial;

pub use print::{error, out};
