//! `squall keeper`, hidden: the process that carries links and outlives squall.

use std::path::PathBuf;

use super::print::error;
use crate::chaos::keeper;
use crate::exit;
use crate::world::{Origin, run_real};

pub fn run(journal: PathBuf) -> u8 {
    match run_real(Origin::now(), |world| keeper::serve(world, journal)) {
        Ok(()) => 0,
        Err(cause) => {
            error(&format!("error: {cause}"));
            exit::RUNTIME_ERROR
        }
    }
}
