//! `squall heal`: undoes what an ended run left behind, from its journal alone.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::print::{error, out};
use crate::chaos::heal::heal;
use crate::chaos::journal;
use crate::conductor::journal_of;
use crate::exit;
use crate::service::process::{ProcessId, State};
use crate::units::Micros;
use crate::world::{Origin, World, run_real};

/// How long a keeper that nobody uses may take to leave.
const LEAVING: Micros = Micros::SECOND;

/// Heals the named runs, or all under `reports`. 0 if nothing is left to undo.
pub fn run(runs: &[PathBuf], reports: &Path) -> u8 {
    if let Some(missing) = runs.iter().find(|run| !journal_of(run).exists()) {
        let missing = missing.display();
        error(&format!(
            "error: {missing} has no journal: name a run's folder, such as reports/20261121-081200-steady-mix"
        ));
        return exit::BAD_CONFIGURATION;
    }
    let folders = if runs.is_empty() { all_under(reports) } else { runs.to_vec() };
    let journals: Vec<PathBuf> =
        folders.iter().map(|folder| journal_of(folder)).filter(|path| path.exists()).collect();
    if journals.is_empty() {
        out(&format!("nothing to heal: no run in {} has a journal\n", reports.display()));
        return 0;
    }
    let healed = run_real(Origin::now(), |world| async move {
        let mut all = true;
        for path in &journals {
            all &= heal_one(&world, path).await;
        }
        all
    });
    if healed { 0 } else { exit::NOT_UNDONE }
}

fn all_under(reports: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(reports) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders
}

async fn heal_one(world: &World, path: &Path) -> bool {
    let shown = path.parent().unwrap_or(path).display().to_string();
    let contents = match journal::read(path) {
        Ok(contents) => contents,
        Err(cause) => {
            error(&format!("error: {}: {cause}", path.display()));
            return false;
        }
    };
    if contents.squall.as_ref().is_some_and(|squall| squall.state() != State::Gone) {
        out(&format!("{shown}: the run is still going on; it heals itself when it ends (Ctrl-C)\n"));
        return true;
    }
    let healed = match heal(world, path, None).await {
        Ok(healed) => healed,
        Err(cause) => {
            error(&format!("error: {}: {cause}", path.display()));
            return false;
        }
    };
    let mut all = true;
    for one in &healed {
        match &one.result {
            Ok(()) => out(&format!("{shown}: {} is undone\n", one.what)),
            Err(why) => {
                all = false;
                error(&format!("{shown}: {} could not be undone: {why}", one.what));
            }
        }
    }
    if healed.is_empty() {
        out(&format!("{shown}: nothing was left to undo\n"));
    }
    if let Some(keeper) = contents.keeper.filter(|keeper| all && keeper.state() != State::Gone) {
        out(&format!("{shown}: its keeper (pid {}) {}\n", keeper.pid, let_go(world, &keeper).await));
    }
    all
}

/// An idle keeper would hold its ports for a while; healed, it is not needed any more. One that others use
/// carries on for them.
async fn let_go(world: &World, keeper: &ProcessId) -> &'static str {
    let deadline = world.now() + LEAVING;
    // One that has gone meanwhile needs no signal.
    let _ = keeper.signal(Signal::TERM);
    while world.now() < deadline {
        if keeper.state() == State::Gone {
            return "was let go";
        }
        world.sleep(Micros::millis(20)).await;
    }
    "leaves when the last connection through its links has ended"
}
