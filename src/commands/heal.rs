//! `squall heal`: undoes what an ended run left behind, from its journal alone.

use std::fs;
use std::io;
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
        let reports = reports.display();
        out(&format!(
            "nothing to heal: no run in {reports} has a journal; name a run's folder if it lies elsewhere\n"
        ));
        return 0;
    }
    let healed = run_real(Origin::now(), |world| async move {
        let heal = |path: PathBuf| world.spawn(heal_one(world.clone(), path));
        let healing: Vec<_> = journals.into_iter().map(heal).collect();
        let mut all = true;
        for healed in healing {
            // One that panicked has said so.
            let said = healed.await.unwrap_or_default();
            all &= said.tell();
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

/// What became of one run, told when its turn comes: no run waits for another to be healed.
#[derive(Default)]
struct Said {
    whole: bool,
    good: Vec<String>,
    bad: Vec<String>,
}

impl Said {
    fn good(line: String) -> Said {
        Said { whole: true, good: vec![line], bad: Vec::new() }
    }

    fn bad(line: String) -> Said {
        Said { whole: false, good: Vec::new(), bad: vec![line] }
    }

    /// Whether nothing is left to undo.
    fn tell(self) -> bool {
        self.good.iter().for_each(|line| out(&format!("{line}\n")));
        self.bad.iter().for_each(|line| error(line));
        self.whole
    }
}

async fn heal_one(world: World, path: PathBuf) -> Said {
    let shown = path.parent().unwrap_or(&path).display().to_string();
    let unreadable = |cause: io::Error| Said::bad(format!("error: {}: {cause}", path.display()));
    let contents = match journal::read(&path) {
        Ok(contents) => contents,
        Err(cause) => return unreadable(cause),
    };
    if journal::goes_on(&path, &contents) {
        let text = "the run is still going on; it heals itself when it ends (Ctrl-C)";
        return Said::good(format!("{shown}: {text}"));
    }
    let healed = match heal(&world, &path, None).await {
        Ok(healed) => healed,
        Err(cause) => return unreadable(cause),
    };
    let mut said = Said { whole: true, ..Said::default() };
    for one in &healed {
        match &one.result {
            Ok(()) => said.good.push(format!("{shown}: {} is undone", one.what)),
            Err(why) => said.bad.push(format!("{shown}: {} could not be undone: {why}", one.what)),
        }
    }
    said.whole = said.bad.is_empty();
    if healed.is_empty() {
        said.good.push(format!("{shown}: nothing was left to undo"));
    }
    if let Some(keeper) = contents.keeper.filter(|keeper| said.whole && keeper.state() != State::Gone) {
        let left = let_go(&world, &keeper).await;
        said.good.push(format!("{shown}: its keeper (pid {}) {left}", keeper.pid));
    }
    said
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
