//! Commands that users bring: bounded in time, no shell, output kept for the message.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::service::process::{Group, MARK};
use crate::units::Micros;
use crate::world::World;

/// How long a hook's command may take.
pub const HOOK_TIMEOUT: Micros = Micros::secs(10);

/// Runs a command to its end, in squall's own folder or in `folder`; whether it ended with 0. If that does not come in time, or nobody waits for
/// it any more, the command is ended with its whole process group.
///
/// # Errors
/// In words: not found, or not done in time.
pub async fn succeeds(
    world: &World,
    argv: &[String],
    folder: Option<&Path>,
    mark: Option<&str>,
) -> Result<bool, String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(mark.map(|mark| (MARK, mark)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let cannot = |error| format!("`{program}` cannot be run: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    let group = Group::led_by(child.id().unwrap_or_default() as i32);
    match world.timeout(HOOK_TIMEOUT, child.wait()).await {
        Err(_) => Err(format!("`{program}` was not done within {HOOK_TIMEOUT}")),
        Ok(Err(error)) => Err(cannot(error)),
        Ok(Ok(status)) => {
            // What a good hook leaves running is its own affair.
            group.let_go();
            Ok(status.success())
        }
    }
}
