//! How many files may be open at once: by squall as many as the system lets it, by the user's programs as many as ever.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::Command;

use super::programs::Programs;

/// Files that squall needs beside its connections, with up to two threads that send and no service.
pub const OWN_FILES: u64 = 64;
/// What any further thread that sends needs.
const FILES_OF_SHARD: u64 = 8;
/// What a service needs: a handle of its process, two pipes to one of the sandbox, a look at its health.
const FILES_OF_SERVICE: u64 = 4;

/// What this process was started with.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// What a hook that runs needs: a handle of its process, what it writes, and a pipe as it starts.
const FILES_OF_HOOK: u64 = 3;

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

/// Files that squall needs beside its connections, among them those with which it looks at processes.
pub fn own_files(shards: u32, beside: Programs) -> u64 {
    let threads = FILES_OF_SHARD * u64::from(shards.saturating_sub(2));
    OWN_FILES + threads + FILES_OF_SERVICE * beside.services as u64 + FILES_OF_HOOK * beside.hooks as u64
}

/// What to say where this process may not open the files that it needs for itself, so many threads and programs.
///
/// # Errors
/// It may not.
pub fn has_files_for(shards: u32, beside: Programs) -> Result<(), String> {
    let needed = own_files(shards, beside);
    let Some(files) = open_files().filter(|files| *files < needed) else { return Ok(()) };
    Err(format!("squall may open {files} files here and needs {needed} for itself: raise `ulimit -Hn`"))
}

/// How many files this process may have open; none if there is no limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_services_and_hooks_add_to_squalls_own_files() {
        let cases = [
            ((1, 0, 0), 64),
            ((2, 0, 0), 64),
            ((8, 0, 0), 112),
            ((1, 32, 0), 192),
            ((8, 2, 0), 120),
            ((2, 16, 0), 128),
            ((1, 0, 20), 124),
        ];
        for ((shards, services, hooks), files) in cases {
            let own = own_files(shards, Programs { services, hooks });
            assert_eq!(own, files, "{shards} shards, {services} services, {hooks} hooks");
        }
    }
}
