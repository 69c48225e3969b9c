//! Commands that users bring: bounded in time, no shell, output kept for the message.

use std::process::Stdio;

use tokio::process::Command;

use crate::units::Micros;
use crate::world::World;

/// How long a hook's command may take.
pub const HOOK_TIMEOUT: Micros = Micros::secs(10);

/// Runs a command to its end; whether it ended with 0.
///
/// # Errors
/// In words: not found, or not done in time.
pub async fn succeeds(world: &World, argv: &[String], timeout: Micros) -> Result<bool, String> {
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    let run = async { command.status().await };
    match world.timeout(timeout, run).await {
        Err(_) => Err(format!("`{program}` was not done within {timeout}")),
        Ok(Err(error)) => Err(format!("`{program}` cannot be run: {error}")),
        Ok(Ok(status)) => Ok(status.success()),
    }
}
