//! Healing from the journal alone: idempotent, verified, never waiting for a peer.

use std::io;
use std::path::Path;
use std::rc::Rc;

use rustix::process::Signal;

use super::action::THEN;
use super::exec;
use super::journal::{Journal, Undo, read};
use super::takeover::{HEALING, LOOK};
use crate::proxy::Links;
use crate::service::family::Family;
use crate::service::process::{Group, ProcessId, State, marked};
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

/// Undoes everything that is open in the journal at `path` and closes it there. `links` are the keeper's own,
/// healed as far as they can be, whatever the journal says; anybody else has none, and comes whenever they like. What
/// hangs delays nothing else.
///
/// # Errors
/// The journal cannot be read.
pub async fn heal(world: &World, path: &Path, links: Option<&Rc<Links>>) -> io::Result<Vec<Healed>> {
    let whole = links.cloned().map(|links| world.spawn(async move { links.heal().await }));
    let contents = read(path);
    // What cannot be closed, because the disk is full, is undone all the same, and merely again later.
    let journal = Rc::new(Journal::reopen(path).unwrap_or_else(|_| Journal::none()));
    let open = contents.as_ref().map(|contents| contents.open.clone()).unwrap_or_default();
    let (of_links, others): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|(_, undo)| matches!(undo, Undo::Link { .. }));
    let later = links.is_none();
    let lane = |lane| world.spawn(in_order(world.clone(), journal.clone(), lane, later));
    let undoing: Vec<_> = lanes(others).into_iter().map(lane).collect();
    if let Some(whole) = whole {
        // What could not be healed is told by its link, below.
        let _ = whole.await;
    }
    let keeper = contents?.keeper;
    let mut healed = Vec::new();
    let deadline = world.now() + HEALING;
    for (id, undo) in of_links {
        let Undo::Link { link, .. } = &undo else { continue };
        let is_open =
            || read(path).map_or(true, |contents| contents.open.iter().any(|(other, _)| *other == id));
        let result = match (links, &keeper) {
            (Some(links), _) => links.healed(link),
            (None, Some(keeper)) => without(world, keeper, is_open, deadline).await,
            (None, None) => Ok(()),
        };
        healed.push(closed(&journal, id, &undo, result));
    }
    for lane in undoing {
        healed.extend(lane.await.unwrap_or_default());
    }
    Ok(healed)
}

type Open = Vec<(u64, Undo)>;

/// What must be undone in order, each with its own: a hook's `run` ends before its `undo` begins, and of all that was
/// done about faults besides the last is undone first.
fn lanes(open: Open) -> Vec<Open> {
    let lane_of = |undo: &Undo| {
        let hook = match undo {
            Undo::Exec { fault, .. } => Some(fault),
            Undo::Marked { hook, .. } => hook.as_ref(),
            _ => None,
        };
        hook.map(|hook| if hook.contains(THEN) { THEN.to_owned() } else { hook.clone() })
    };
    let mut lanes: Vec<(Option<String>, Open)> = Vec::new();
    for (id, undo) in open {
        let of = lane_of(&undo);
        match lanes.iter_mut().find(|(other, _)| of.is_some() && *other == of) {
            Some((_, lane)) => lane.push((id, undo)),
            None => lanes.push((of, vec![(id, undo)])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

async fn in_order(world: World, journal: Rc<Journal>, lane: Open, later: bool) -> Vec<Healed> {
    let mut healed = Vec::new();
    for (id, undo) in lane {
        let result = undo_one(&world, &undo, later).await;
        healed.push(closed(&journal, id, &undo, result));
    }
    healed
}

fn closed(journal: &Journal, id: u64, undo: &Undo, result: Result<(), String>) -> Healed {
    if result.is_ok() {
        // An entry that stays open is merely undone again.
        let _ = journal.close(id);
    }
    Healed { what: describe(undo), result }
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
/// and closes the entry, soon after a kill -9; a link without a keeper carries nothing.
async fn without(
    world: &World,
    keeper: &ProcessId,
    is_open: impl Fn() -> bool,
    deadline: Micros,
) -> Result<(), String> {
    let pid = keeper.pid;
    loop {
        let why = match keeper.state() {
            State::Gone => return Ok(()),
            _ if !is_open() => return Ok(()),
            State::Stopped => {
                return Err(format!(
                    "the keeper that carries the link is stopped: continue it (kill -CONT {pid})"
                ));
            }
            State::Unseen => format!("its keeper (pid {pid}) cannot be seen in /proc: try again"),
            State::Running => format!(
                "its keeper (pid {pid}) has not healed it so far: keeper.log says why; try again, or end the keeper"
            ),
        };
        if world.now() > deadline {
            return Err(why);
        }
        world.sleep(LOOK).await;
    }
}

async fn undo_one(world: &World, undo: &Undo, later: bool) -> Result<(), String> {
    // By then others may have the number of a group that is left: of a leader that is gone, only what it marked is sure.
    let is_gone = |process: &ProcessId| later && process.state() == State::Gone;
    match undo {
        Undo::Link { .. } => Ok(()),
        Undo::End { process, .. } | Undo::Continue { process, mark: None, .. } if is_gone(process) => Ok(()),
        Undo::Continue { process, mark, .. } => {
            let family = Family { leader: process.clone(), mark: mark.clone() };
            reaches(world, || {
                family.signal(&[State::Stopped], Signal::CONT)?;
                Ok(family.census()?.stopped == 0)
            })
            .await
        }
        Undo::End { process, .. } => {
            let family = Family { leader: process.clone(), mark: None };
            // Who cannot be seen now is looked for again.
            let known = family.members().into_iter().flatten().map(|(process, _)| process);
            let known: Vec<ProcessId> = known.collect();
            reaches(world, || {
                if !later && process.state() == State::Unseen {
                    // It is hidden, and its number cannot be another's so soon.
                    drop(Group::led_by(process.pid));
                }
                // Who cannot be seen may be there: why, is told.
                if family.end(&known) { Ok(true) } else { family.members().map(|_| false) }
            })
            .await
        }
        Undo::Marked { mark, .. } => {
            reaches(world, || {
                let left = marked(mark).map_err(|e| format!("who is left cannot be seen in /proc: {e}"))?;
                for process in &left {
                    // One that has gone meanwhile needs no signal.
                    let _ = process.signal(Signal::KILL);
                }
                Ok(left.is_empty())
            })
            .await
        }
        // Words may be secret, and nobody here knows which: the programs' names must do.
        Undo::Exec { undo, check, folder, .. } => {
            let folder = Some(folder.as_path()).filter(|folder| !folder.as_os_str().is_empty());
            let name = |argv: &[String]| argv.first().cloned().unwrap_or_default();
            let ended = exec::run(world, undo, folder, None).await?;
            if !ended.well() {
                return Err(format!("its undo (`{}`) failed ({})", name(undo), ended.how()));
            }
            if check.is_empty() {
                return Ok(());
            }
            let deadline = world.now() + FOLLOW;
            while exec::run(world, check, folder, None).await?.well() {
                if world.now() > deadline {
                    return Err(format!("its check (`{}`) says that the fault is still there", name(check)));
                }
                world.sleep(PAUSE).await;
            }
            Ok(())
        }
    }
}

/// Tries until it is done, or for long enough: what failed once may work when it is tried again.
async fn reaches(world: &World, done: impl Fn() -> Result<bool, String>) -> Result<(), String> {
    let deadline = world.now() + FOLLOW;
    loop {
        match done() {
            Ok(true) => return Ok(()),
            Ok(false) if world.now() > deadline => {
                return Err("the process did not follow the signal".to_owned());
            }
            Err(why) if world.now() > deadline => return Err(why),
            _ => world.sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::world::{Origin, run_real};

    #[test]
    fn a_hook_waits_for_its_own_run_and_what_was_done_then_for_all_of_that_which_came_later() {
        let marked = |hook: Option<&str>| Undo::Marked {
            what: "it".into(),
            mark: "1-2-3".into(),
            hook: hook.map(str::to_owned),
        };
        let exec = |fault: &str| Undo::Exec {
            fault: fault.into(),
            undo: Vec::new(),
            check: Vec::new(),
            folder: Default::default(),
        };
        let lanes = |open: Vec<Undo>| {
            let lanes = lanes(open.into_iter().zip(0..).map(|(undo, id)| (id, undo)).collect());
            let ids = lanes.iter().map(|lane| lane.iter().map(|(id, _)| *id).collect());
            ids.collect::<Vec<Vec<u64>>>()
        };
        let hooks = vec![marked(Some("b")), marked(None), exec("b"), exec("a"), marked(None)];
        assert_eq!(lanes(hooks), [vec![0, 2], vec![1], vec![3], vec![4]]);
        let then =
            vec![marked(Some("b, then touch")), exec("b, then touch"), exec("a"), exec("a, then mkdir")];
        assert_eq!(lanes(then), [vec![0, 1, 3], vec![2]]);
    }

    /// A process in a group whose leader is gone, and the end of that leader as it is undone.
    fn left(later: bool) -> State {
        let mut leader = Command::new("sh");
        leader.args(["-c", "sleep 20 & echo $!; wait"]).process_group(0);
        let mut leader = leader.stdout(Stdio::piped()).spawn().unwrap();
        let process = ProcessId::of(leader.id() as i32).unwrap().unwrap();
        let mut pid = String::new();
        std::io::BufRead::read_line(&mut io::BufReader::new(leader.stdout.take().unwrap()), &mut pid)
            .unwrap();
        let other = ProcessId::of(pid.trim().parse().unwrap()).unwrap().unwrap();
        leader.kill().unwrap();
        leader.wait().unwrap();
        let undo = Undo::End { service: "app".to_owned(), process };
        run_real(Origin::now(), |world| async move { undo_one(&world, &undo, later).await }).unwrap();
        let state = other.state();
        let _ = other.signal(Signal::KILL);
        state
    }

    #[test]
    fn who_heals_whenever_they_like_ends_no_group_that_may_be_anothers_by_then() {
        assert_eq!(left(false), State::Gone, "the keeper comes at once");
        assert_eq!(left(true), State::Running);
    }
}
