//! `squall keeper`, hidden: the process that carries links and outlives squall.

use std::path::PathBuf;

use crate::chaos::keeper;
use crate::world::{Origin, run_real};

pub fn run(journal: PathBuf) -> u8 {
    run_real(Origin::now(), |world| keeper::serve(world, journal));
    0
}
