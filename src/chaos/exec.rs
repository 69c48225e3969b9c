//! Commands that users bring: bounded in time, no shell, output kept for the message.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::process::Command;

use crate::experiment::fault::HOOK_TIMEOUT;
use crate::service::last_words;
use crate::service::process::{Group, MARK};
use crate::world::World;

/// So much a command may write to standard error; what is more is an error of its own.
const KEPT: u64 = 1 << 20;
/// And so much of that, at its end, is told.
const TOLD: usize = 400;

/// How a command ended.
pub struct Ended {
    status: ExitStatus,
    /// The end of what it wrote to standard error.
    said: String,
}

impl Ended {
    /// With 0.
    pub fn well(&self) -> bool {
        self.status.success()
    }

    /// Without what it said, where nobody knows what of that is secret.
    pub fn how(&self) -> ExitStatus {
        self.status
    }
}

/// `exit status: 13; it said: permission denied`.
impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let silent = if self.said.is_empty() { "" } else { "; it said: " };
        write!(f, "{}{silent}{}", self.status, self.said)
    }
}

/// Whether there is such a program: where the name says, or in `PATH` (without one the system knows where to look).
pub fn is_there(program: &str) -> bool {
    let runs =
        |file: &Path| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    match std::env::var_os("PATH") {
        _ if program.contains('/') => runs(Path::new(program)),
        None => true,
        Some(folders) => std::env::split_paths(&folders).any(|folder| runs(&folder.join(program))),
    }
}

/// Runs a command that must end well, in squall's own folder.
///
/// # Errors
/// In words: how it ended instead.
pub async fn done(world: &World, argv: &[String]) -> Result<(), String> {
    told(argv, &run(world, argv, None, None).await?)
}

/// A command that did not end well, in words.
pub fn told(argv: &[String], ended: &Ended) -> Result<(), String> {
    if ended.well() { Ok(()) } else { Err(format!("`{}` failed ({ended})", argv.join(" "))) }
}

/// Runs a command to its end, in squall's own folder or in `folder`. If that does not come in time, or nobody waits
/// for it any more, the command is ended with its whole process group.
///
/// # Errors
/// In words: not found, or not done in time.
pub async fn run(
    world: &World,
    argv: &[String],
    folder: Option<&Path>,
    mark: Option<&str>,
) -> Result<Ended, String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let words = Words::new();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(mark.map(|mark| (MARK, mark)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.as_ref().map_or_else(Stdio::null, Words::output))
        .kill_on_drop(true)
        .process_group(0);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let cannot = |error| format!("`{program}` cannot be run: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    let group = Group::led_by(child.id().unwrap_or_default() as i32);
    let ended = world.timeout(HOOK_TIMEOUT, child.wait()).await;
    let said = words.map_or(String::new(), |words| words.last());
    match ended {
        Err(_) if said.is_empty() => Err(format!("`{program}` was not done within {HOOK_TIMEOUT}")),
        Err(_) => Err(format!("`{program}` was not done within {HOOK_TIMEOUT}; it said: {said}")),
        Ok(Err(error)) => Err(cannot(error)),
        Ok(Ok(status)) => {
            // What a good hook leaves running is its own affair.
            group.let_go();
            Ok(Ended { status, said })
        }
    }
}

/// What a command writes, in a file of no folder. It takes no more than it has room for, so that what a hook leaves
/// running may go on writing for ever, and squall's end breaks no pipe.
struct Words(File);

impl Words {
    /// None where the system has no such files: then nothing is kept.
    fn new() -> Option<Words> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("squall-hook", flags).ok()?);
        file.set_len(KEPT).ok()?;
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK).ok()?;
        Some(Words(file))
    }

    fn output(&self) -> Stdio {
        self.0.try_clone().map_or_else(|_| Stdio::null(), Stdio::from)
    }

    /// The last of them so far.
    fn last(&self) -> String {
        let mut file = &self.0;
        let written = file.stream_position().unwrap_or(0).min(KEPT);
        let from = written.saturating_sub(TOLD as u64);
        let mut bytes = vec![0; (written - from) as usize];
        // Whoever goes on writing does so where it was.
        let read = file.read_exact_at(&mut bytes, from);
        last_words(if read.is_ok() { &bytes } else { &[] }, from > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Origin, run_real};

    fn ended(script: &str) -> Result<Ended, String> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        run_real(Origin::now(), |world| async move { run(&world, &argv, None, None).await })
    }

    #[test]
    fn a_command_is_told_with_its_status_and_the_end_of_what_it_said() {
        let cases = [
            ("exit 0", "exit status: 0"),
            ("echo out; echo no such table >&2; exit 13", "exit status: 13; it said: no such table"),
            ("echo one >&2; echo two >&2; exit 1", "exit status: 1; it said: one | two"),
        ];
        for (script, expected) in cases {
            let ended = ended(script).unwrap();
            assert_eq!((ended.to_string().as_str(), ended.well()), (expected, script == "exit 0"));
        }
        let loud = ended("seq 1 20000 >&2 && echo at last >&2; exit 3").unwrap().to_string();
        assert!(
            loud.len() < 1_000 && loud.contains("exit status: 3") && loud.ends_with("20000 | at last"),
            "{loud}"
        );
    }
}
