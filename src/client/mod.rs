//! Clients: what a simulated user sends and how the answer is read.
//!
//! Owns connections, rendering of requests, attempts with their stamps, and checks of answers. When
//! something is sent, and what is counted, is the engine's.

mod answer;
mod attempt;
mod check;
mod compile;
mod json;
mod kept;
mod meter;
mod odds;
mod place;
mod pool;
mod room;
mod spelling;
mod token;
mod vars;
mod waiting;
mod way;

pub use answer::{Answer, Finding, READING, read_answer};
pub use attempt::{Attempt, Ending, attempt};
pub use compile::{Common, If, Program, Request, Step};
pub use kept::Shelf;
pub use odds::Usual;
pub use place::AddressCount;
pub use pool::Pool;
pub use room::Budget;
pub use token::Tokens;
pub use vars::{Captured, RunFacts, Vars};
