//! Healing from the journal alone: idempotent, verified, never waiting for a peer.

use std::path::Path;

use rustix::process::Signal;

use super::exec::succeeds;
use super::journal::{Journal, Undo, read};
use crate::proxy::Links;
use crate::service::family::Family;
use crate::service::process::{ProcessId, State, marked};
use crate::units::Micros;
use crate::world::World;

/// How long a process may take to follow a signal, and a hook's check to see that its undo has worked.
const FOLLOW: Micros = Micros::secs(2);
const PAUSE: Micros = Micros::millis(10);

/// One entry of the journal and what became of it.
#[derive(Debug)]
pub struct Healed {
    pub what: String,
    pub result: Result<(), String>,
}

/// Undoes everything that is open in the journal at `path`, the latest first, and closes it there. `links`
/// are the keeper's own, healed as far as they can be; anybody else has none.
///
/// # Errors
/// The journal cannot be read.
pub async fn heal(world: &World, path: &Path, links: Option<&Links>) -> std::io::Result<Vec<Healed>> {
    let contents = read(path)?;
    // What cannot be closed, because the disk is full, is undone all the same, and merely again later.
    let journal = Journal::reopen(path).unwrap_or_else(|_| Journal::none());
    let mut healed = Vec::new();
    for (id, undo) in contents.open {
        let result = match (&undo, links) {
            (Undo::Link { link, .. }, Some(links)) => links.healed(link),
            (Undo::Link { .. }, None) => without(contents.keeper.as_ref()),
            _ => undo_one(world, &undo).await,
        };
        if result.is_ok() {
            let _ = journal.close(id);
        }
        healed.push(Healed { what: describe(&undo), result });
    }
    Ok(healed)
}

fn describe(undo: &Undo) -> String {
    match undo {
        Undo::Link { link, fault } => format!("fault `{fault}` on link `{link}`"),
        Undo::Continue { service, process, .. } => {
            format!("pause of service `{service}` (pid {})", process.pid)
        }
        Undo::End { service, process } => format!("service `{service}` (pid {})", process.pid),
        Undo::Marked { what, .. } => format!("everything that belongs to {what}"),
        Undo::Exec { fault, .. } => format!("hook `{fault}`"),
    }
}

/// A link as seen from outside of its keeper: the keeper heals it when squall's end of the socket closes,
/// and closes the entry; a link without a keeper carries nothing.
fn without(keeper: Option<&ProcessId>) -> Result<(), String> {
    match keeper.map(|keeper| (keeper.pid, keeper.state())) {
        None | Some((_, State::Gone)) => Ok(()),
        Some((pid, State::Stopped)) => {
            Err(format!("the keeper that carries the link is stopped: continue it (kill -CONT {pid})"))
        }
        Some((pid, State::Running)) => Err(format!(
            "its keeper (pid {pid}) has not healed it so far: keeper.log says why; try again, or end the keeper"
        )),
    }
}

async fn undo_one(world: &World, undo: &Undo) -> Result<(), String> {
    match undo {
        Undo::Link { .. } => Ok(()),
        Undo::Continue { process, mark, .. } => {
            let family = Family { leader: process.clone(), mark: mark.clone() };
            family.signal(&[State::Stopped], Signal::CONT)?;
            reaches(world, || family.census().stopped == 0).await
        }
        Undo::End { process, .. } => {
            let family = Family { leader: process.clone(), mark: None };
            let known: Vec<ProcessId> = family.members().into_iter().map(|(process, _)| process).collect();
            reaches(world, || family.end(&known)).await
        }
        Undo::Marked { mark, .. } => {
            reaches(world, || {
                let left = marked(mark);
                for process in &left {
                    // One that has gone meanwhile needs no signal.
                    let _ = process.signal(Signal::KILL);
                }
                left.is_empty()
            })
            .await
        }
        // Words may be secret, and nobody here knows which: the programs' names must do.
        Undo::Exec { undo, check, folder, .. } => {
            let folder = Some(folder.as_path()).filter(|folder| !folder.as_os_str().is_empty());
            let name = |argv: &[String]| argv.first().cloned().unwrap_or_default();
            if !succeeds(world, undo, folder, None).await? {
                return Err(format!("its undo (`{}`) failed", name(undo)));
            }
            let deadline = world.now() + FOLLOW;
            while succeeds(world, check, folder, None).await? {
                if world.now() > deadline {
                    return Err(format!("its check (`{}`) says that the fault is still there", name(check)));
                }
                world.sleep(PAUSE).await;
            }
            Ok(())
        }
    }
}

async fn reaches(world: &World, done: impl Fn() -> bool) -> Result<(), String> {
    let deadline = world.now() + FOLLOW;
    while !done() {
        if world.now() > deadline {
            return Err("the process did not follow the signal".to_owned());
        }
        world.sleep(PAUSE).await;
    }
    Ok(())
}
