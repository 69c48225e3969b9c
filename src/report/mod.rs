//! The report: one judgement and its history, told to people and machines.
//!
//! Owns how a run is shown, as page, terminal summary, Markdown and JSON, always in the same order. Pure
//! text from (timeline, judgement): no clock, no network, no file, and no opinion on the verdict.

mod chart;
mod html;
mod hurt;
mod json;
mod markdown;
mod markup;
pub mod plan;
mod series;
mod terminal;
mod words;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use terminal::{Look, one_line, terminal};
pub use words::visible;
