//! What squall tells people, as texts and files.

pub mod plan;
