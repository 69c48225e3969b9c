//! Tests on real processes: they wait for something, and not for ever.

use std::time::Duration;

const LOOK: Duration = Duration::from_millis(5);
/// At least ten seconds.
const LOOKS: u32 = 2_000;

/// Looks until it is so; panics when it never comes.
#[track_caller]
pub(super) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if done() {
            return;
        }
        std::thread::park_timeout(LOOK);
    }
    panic!("waited ten seconds and more: {what}");
}
