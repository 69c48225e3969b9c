//! How long a service's log may be: what a service writes without end must not fill the disk of who tests it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::units::Micros;

/// How often it is looked at.
pub(super) const EVERY: Micros = Micros::SECOND;
/// Bytes that it may have then.
const MOST: u64 = 64 << 20;
/// Bytes of its end that are kept of a longer one.
const KEPT: u64 = 16 << 20;

/// Whether it has become too long.
pub(super) fn is_long(log: &Path) -> bool {
    std::fs::metadata(log).is_ok_and(|log| log.len() > MOST)
}

/// Keeps the end, and says so in the first line. The service goes on writing: its file is opened to append, so that
/// only what it writes in this very moment may be lost or come before.
///
/// # Errors
/// The disk's.
pub(super) fn keep_the_end(log: &Path) -> io::Result<()> {
    let mut log = File::options().read(true).append(true).open(log)?;
    let gone = log.metadata()?.len().saturating_sub(KEPT);
    log.seek(SeekFrom::Start(gone))?;
    let mut end = format!("[squall: {gone} bytes before this are not kept]\n").into_bytes();
    (&log).take(KEPT).read_to_end(&mut end)?;
    log.set_len(0)?;
    log.write_all(&end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_that_is_too_long_the_end_is_kept_and_what_comes_follows_it() {
        let path = std::env::temp_dir().join(format!("squall-flood-{}.log", std::process::id()));
        let mut service = File::options().create(true).append(true).open(&path).unwrap();
        service.set_len(MOST).unwrap();
        assert!(!is_long(&path));
        service.write_all(b"before\n").unwrap();
        assert!(is_long(&path));
        keep_the_end(&path).unwrap();
        service.write_all(b"after\n").unwrap();
        let kept = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let first = format!("[squall: {} bytes before this are not kept]\n", MOST + 7 - KEPT);
        assert!(kept.starts_with(first.as_bytes()) && kept.ends_with(b"before\nafter\n"));
        assert_eq!(kept.len() as u64, first.len() as u64 + KEPT + 6);
    }
}
