//! Taking a link's address over from the keeper of a run that has ended.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::journal::read;
use crate::experiment::fault::HOOK_TIMEOUT;
use crate::service::listener::{Holder, listens_on};
use crate::service::process::{ProcessId, State};
use crate::units::Micros;
use crate::world::World;

/// How long a keeper whose run was killed may take to heal: a hook's undo, and its check.
pub(super) const HEALING: Micros = Micros(HOOK_TIMEOUT.0 + 2_000_000);
/// How long a keeper that nobody uses may take to leave, and one that was ended to be gone.
const LEAVING: Micros = Micros::SECOND;
pub(super) const LOOK: Micros = Micros::millis(20);

/// Sees to it that `listen` is free, one of `all` the addresses that this run needs. A keeper whose run has ended
/// heals first and then has to go, with the connections through its links: the faults to come must reach all.
///
/// # Errors
/// In words, with the next step: who has it.
pub async fn take_over(world: &World, listen: SocketAddr, all: &[SocketAddr]) -> Result<(), String> {
    let Some(holder) = holder(world, listen).await else { return Ok(()) };
    let port = listen.port();
    let keeper = &holder.process;
    let Some(journal) = journal_of(keeper) else {
        return Err(format!(
            "port {port} is in use ({holder}): end the program that listens on {listen}, or give the link another \
             `listen`"
        ));
    };
    let run = journal.parent().unwrap_or(&journal).display();
    if !healed(world, &journal).await? {
        return Err(format!(
            "port {port} is held by the keeper (pid {}) of {run}, which could not be healed: run `squall heal {run}` \
             first",
            keeper.pid
        ));
    }
    // One that has gone meanwhile needs no signal.
    let _ = keeper.signal(Signal::TERM);
    if gone(world, keeper, listen).await {
        return Ok(());
    }
    if listens_on(keeper).iter().any(|address| !all.contains(address)) {
        return Err(format!(
            "port {port} is held by the keeper (pid {}) of {run}, and other links of its are in use: end what uses \
             them, or the keeper",
            keeper.pid
        ));
    }
    let _ = keeper.signal(Signal::KILL);
    match gone(world, keeper, listen).await {
        true => Ok(()),
        false => Err(format!("port {port} is in use: the keeper of {run} (pid {}) does not end", keeper.pid)),
    }
}

/// The journal of a process that is a keeper, and the one that its journal names.
fn journal_of(process: &ProcessId) -> Option<PathBuf> {
    let said = fs::read(format!("/proc/{}/cmdline", process.pid)).ok()?;
    let words: Vec<&str> =
        said.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok()).collect();
    let [_, "keeper", journal, ..] = words[..] else { return None };
    let journal = fs::read_link(format!("/proc/{}/cwd", process.pid)).ok()?.join(journal);
    (read(&journal).ok()?.keeper.as_ref() == Some(process)).then_some(journal)
}

/// Whether everything in the journal is undone, or soon is.
async fn healed(world: &World, journal: &Path) -> Result<bool, String> {
    let deadline = world.now() + HEALING;
    loop {
        let contents = read(journal).map_err(|e| format!("{} cannot be read: {e}", journal.display()))?;
        if let Some(squall) = contents.squall.filter(|squall| squall.state() != State::Gone) {
            let run = journal.parent().unwrap_or(journal).display();
            return Err(format!(
                "its port is in use by {run}, which is still going on (pid {}): wait for its end, or give the link \
                 another `listen`",
                squall.pid
            ));
        }
        if contents.open.is_empty() || world.now() > deadline {
            return Ok(contents.open.is_empty());
        }
        world.sleep(LOOK).await;
    }
}

/// Who has an address; none if it can be had, or for as long as nobody can be seen. The system's table may lack a
/// row while it changes, so that it is looked at again.
async fn holder(world: &World, listen: SocketAddr) -> Option<Holder> {
    let deadline = world.now() + LEAVING;
    while !is_free(world, listen).await && world.now() < deadline {
        if let Some(holder) = Holder::of(listen) {
            return Some(holder);
        }
        world.sleep(LOOK).await;
    }
    None
}

/// The process is gone, and with the last of its threads its sockets.
async fn gone(world: &World, process: &ProcessId, listen: SocketAddr) -> bool {
    let deadline = world.now() + LEAVING;
    loop {
        let gone = process.state() == State::Gone && is_free(world, listen).await;
        if gone || world.now() >= deadline {
            return gone;
        }
        world.sleep(LOOK).await;
    }
}

async fn is_free(world: &World, listen: SocketAddr) -> bool {
    world.listen(listen).await.is_ok()
}
