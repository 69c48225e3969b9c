//! The history file: records as JSON lines, appended batch by batch (`docs/history.md`).
//!
//! Owns the file's form over writers and readers that are handed in; it opens no files and knows no
//! clock. What records mean is `record`'s, adding them up is `timeline`'s.

use std::io::{self, BufRead, Write};

use thiserror::Error;

use crate::record::{Header, Record, VERSION};
use crate::timeline::Timeline;

/// Why a history could not be read.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error("the history cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("the history is empty: the run ended before its header was written")]
    Empty,
    #[error("line 1 is no header of a squall history: {0}")]
    Header(String),
    #[error(
        "the history has version {found}, this squall reads version {VERSION}; use the squall that wrote it"
    )]
    Version { found: u64 },
    #[error("line {line} of the history is damaged or of an unknown kind: {reason}")]
    Line { line: usize, reason: String },
}

/// Appends records; each batch goes out whole, so that a crash tears at most the last line.
pub struct HistoryWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> HistoryWriter<W> {
    /// Writes to `out`, which should be unbuffered: each batch goes out in one piece.
    pub fn new(out: W) -> HistoryWriter<W> {
        HistoryWriter { out, buffer: Vec::new() }
    }

    /// Writes a batch in one piece.
    pub fn append<'a>(&mut self, batch: impl IntoIterator<Item = &'a Record>) -> io::Result<()> {
        self.buffer.clear();
        for record in batch {
            serde_json::to_writer(&mut self.buffer, record)?;
            self.buffer.push(b'\n');
        }
        self.out.write_all(&self.buffer)
    }

    /// Returns when all of it is written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The writer that was handed in.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Folds a whole history. A torn last line is dropped with a note; an unknown version, a record of an
/// unknown kind or a damaged line is an error.
pub fn read(mut reader: impl BufRead) -> Result<Timeline, HistoryError> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let mut timeline = Timeline::new(header(&line)?);
    for number in 2.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => timeline.apply(&record),
            Err(_) if !line.ends_with(b"\n") => {
                timeline
                    .notes
                    .push(format!("The history's last line ({number}) was torn off and is left out."));
            }
            Err(e) => return Err(HistoryError::Line { line: number, reason: e.to_string() }),
        }
    }
    Ok(timeline)
}

/// The version is looked at before anything else: another version's header need not parse.
fn header(line: &[u8]) -> Result<Header, HistoryError> {
    if line.is_empty() {
        return Err(HistoryError::Empty);
    }
    let wrong = |e: serde_json::Error| HistoryError::Header(e.to_string());
    let value: serde_json::Value = serde_json::from_slice(line).map_err(wrong)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(VERSION) => return Err(HistoryError::Version { found }),
        _ => {}
    }
    match serde_json::from_value::<Record>(value).map_err(wrong)? {
        Record::Header(header) => Ok(*header),
        _ => Err(HistoryError::Header("the first record is another one".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::fake::Plan;
    use crate::units::Micros;

    fn written() -> Vec<u8> {
        let mut writer = HistoryWriter::new(Vec::new());
        writer.append([&Record::Header(Box::new(Plan::new(10).header()))]).unwrap();
        let note = |text: &str| Record::Note { at: Micros::ZERO, text: text.to_owned() };
        writer.append([&note("one"), &note("two")]).unwrap();
        writer.into_inner()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let timeline = read(written().as_slice()).unwrap();
        assert_eq!(timeline.notes, ["one", "two"]);
        assert_eq!(timeline.header, Plan::new(10).header());
    }

    #[test]
    fn a_torn_last_line_is_dropped_with_a_note() {
        let mut bytes = written();
        bytes.truncate(bytes.len() - 3);
        let notes = read(bytes.as_slice()).unwrap().notes;
        assert_eq!(notes.len(), 2);
        assert!(notes[1].contains("torn"), "{notes:?}");
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_that_says_where() {
        let text = String::from_utf8(written()).unwrap();
        let rows = [
            (
                "an unknown kind",
                text.replace("{\"t\":\"note\",\"at\":0,\"text\":\"one\"}", "{\"t\":\"gnome\"}"),
                "line 2",
            ),
            ("a damaged line", text.replace("\"text\":\"one\"}", ""), "line 2"),
            ("another version", text.replacen("\"version\":2", "\"version\":9", 1), "version 9"),
            ("no header", text.lines().skip(1).map(|l| format!("{l}\n")).collect(), "line 1"),
            ("an empty file", String::new(), "empty"),
        ];
        for (name, text, expected) in rows {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
