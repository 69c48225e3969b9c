//! How many files may be open at once: by squall as many as the system lets it, by the user's programs as many as ever.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::Command;

/// Files that squall needs beside its connections.
pub const OWN_FILES: u64 = 64;
/// Those of them that one thread which sends needs.
const FILES_OF_SHARD: u64 = 8;

/// What this process was started with.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// From here on this process may open as many files as the system lets it.
pub fn open_many_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    BEFORE.get_or_init(|| current);
    // Where it is refused, what was allowed before must do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// A program of the user's may open no more files than it might without squall: one that keeps what it should close comes to
/// its end here as it does there.
#[allow(unsafe_code)]
pub fn opens_as_many_as_before(program: &mut Command) {
    let Some(&current) = BEFORE.get() else { return };
    let as_before = move || {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // Where it is refused, what squall has must do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
        Ok(())
    };
    // SAFETY: between fork and exec nothing but getrlimit and setrlimit is called.
    unsafe { program.pre_exec(as_before) };
}

/// What to say where this process may not open the files that it needs for itself and so many threads.
///
/// # Errors
/// It may not.
pub fn has_files_for(shards: u32) -> Result<(), String> {
    let needed = OWN_FILES + FILES_OF_SHARD * u64::from(shards.saturating_sub(2));
    let Some(files) = open_files().filter(|files| *files < needed) else { return Ok(()) };
    Err(format!("squall may open {files} files here and needs {needed} for itself: raise `ulimit -Hn`"))
}

/// How many files this process may have open; none if there is no limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
