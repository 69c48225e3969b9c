//! Writing to the terminal: one helper, which does not panic when the reader has gone.

use std::io::{IsTerminal as _, Write as _};

use crate::report::Look;

/// Writes to standard output; colour only where it is shown (`NO_COLOR` and pipes are respected).
pub fn out(text: &str) {
    // A closed pipe means that nobody reads any more.
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// Writes one line to standard error.
pub fn error(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Whether what goes to standard error may be coloured.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && wanted()
}

/// Lines of a summary: as long as the terminal's, but neither too long to read nor too short for a table.
const COLUMNS: (u16, u16) = (80, 100);

/// The columns of the terminal that standard output is, if it is one.
pub fn columns() -> Option<u16> {
    let terminal = std::io::stdout().is_terminal();
    let size = terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok()).flatten();
    size.map(|size| size.ws_col).filter(|&columns| columns > 0)
}

/// How a summary on standard output is to look.
pub fn look() -> Look {
    let terminal = std::io::stdout().is_terminal();
    let columns = columns().unwrap_or(COLUMNS.1);
    Look { columns: columns.clamp(COLUMNS.0, COLUMNS.1), colour: terminal && wanted() }
}

fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
