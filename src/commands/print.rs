//! Writing to the terminal: one helper, which does not panic when the reader has gone.

use std::io::{IsTerminal as _, Write as _};

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

/// Whether what goes to standard output may be coloured.
pub fn colour_out() -> bool {
    std::io::stdout().is_terminal() && wanted()
}

fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
