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

/// So much of what a service said at last is told.
const LAST_WORDS: u64 = 400;

/// The end of a log, however long that is, and nothing of its first `said` bytes.
///
/// # Errors
/// The disk's.
pub(super) fn last_words_of(log: &Path, said: u64) -> io::Result<String> {
    let mut log = File::open(log)?;
    let length = log.metadata()?.len();
    // A log that is shorter than it was has only its end left.
    let said = if said <= length { said } else { 0 };
    let from = length.saturating_sub(LAST_WORDS).max(said);
    log.seek(SeekFrom::Start(from))?;
    let mut last = Vec::new();
    log.take(LAST_WORDS).read_to_end(&mut last)?;
    Ok(last_words(&last, from > said))
}

/// The end of what a program wrote, in one line; of one that was cut off before it whole words only, as half a secret is none
/// that could be found.
pub fn last_words(end: &[u8], is_cut: bool) -> String {
    let text = String::from_utf8_lossy(end);
    let whole = match is_cut {
        true => text.split_once(char::is_whitespace).map_or("", |(_, whole)| whole),
        false => &text,
    };
    whole.trim().replace('\n', " | ")
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

    #[test]
    fn the_last_words_of_a_log_that_no_memory_holds_are_its_last_whole_words() {
        let path = std::env::temp_dir().join(format!("squall-long-{}.log", std::process::id()));
        let mut log = File::create(&path).unwrap();
        log.set_len(1 << 40).unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        log.write_all(b"out\nof memory\n").unwrap();
        assert_eq!(last_words_of(&path, 0).unwrap(), "of memory", "where the first word began is not known");
        assert_eq!(last_words_of(&path, (1 << 40) + 4).unwrap(), "of memory", "not what was said before");
        assert_eq!(last_words_of(&path, 1 << 41).unwrap(), "of memory", "it was cut short meanwhile");
        log.write_all(b"a\nb c").unwrap();
        assert_eq!(last_words_of(&path, (1 << 40) + 14).unwrap(), "a | b c");
        std::fs::remove_file(path).unwrap();
    }
}
