//! Live progress: a bar with lines on a terminal, plain lines elsewhere, nothing with `-q`.
//!
//! Owns drawing on standard error. It owns no clock: whoever runs the experiment lets it look once a
//! second. What is told lies in `view`; it is drawn by a `pen` of its own, so that nobody waits for a terminal.

mod pen;
mod view;

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::conductor::Watch;
use crate::outline::Outline;
use crate::timeline::Timeline;
use crate::units::Micros;
use pen::Pen;
use view::{Latch, View};

/// Plain lines come this far apart on the run's clock; in virtual time, in which hours are seconds, in a twentieth of
/// the run where that is longer.
const PLAIN_EVERY: Micros = Micros::secs(10);

/// Where progress goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bar that redraws itself.
    Terminal,
    /// Lines now and then.
    Plain,
    /// Nowhere.
    Quiet,
}

/// What is shown while a run goes on.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
    pen: Pen,
    broken: Latch,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { due: Micros, every: Micros },
    Nothing,
}

impl Progress {
    pub fn new(kind: Kind, outline: &Outline) -> Progress {
        let shown = match kind {
            Kind::Terminal => Shown::Bar(bar(outline.duration)),
            Kind::Plain => {
                let part = if outline.virtual_time { outline.duration.0 / 20 } else { 0 };
                let every = PLAIN_EVERY.max(Micros(part));
                Shown::Lines { due: every, every }
            }
            Kind::Quiet => Shown::Nothing,
        };
        Progress { shown, pen: Pen::new(), broken: Latch::new(outline) }
    }

    /// The kind that suits this process: a bar only if both outputs are terminals.
    pub fn for_terminal(outline: &Outline, quiet: bool) -> Progress {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let kind = match (quiet, terminal) {
            (true, _) => Kind::Quiet,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Plain,
        };
        Progress::new(kind, outline)
    }

    /// Writes to standard error; a closed pipe means that nobody reads any more.
    fn say(&self, text: String) {
        self.pen.show(move || drop(std::io::stderr().write_all(text.as_bytes())));
    }

    /// Says lines that stay: above the bar, which would be drawn over them. Never waits for the terminal.
    pub fn voice(&self) -> impl Fn(&str) + 'static {
        let pen = self.pen.clone();
        let bar = if let Shown::Bar(bar) = &self.shown { Some(bar.clone()) } else { None };
        let quiet = matches!(self.shown, Shown::Nothing);
        move |line| {
            let (bar, line) = (bar.clone(), line.to_owned());
            if !quiet {
                pen.show(move || match bar {
                    Some(bar) => bar.println(line),
                    None => drop(writeln!(std::io::stderr(), "{line}")),
                });
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        let bar = if let Shown::Bar(bar) = &self.shown { Some(bar.clone()) } else { None };
        self.pen.last(move || bar.iter().for_each(ProgressBar::finish_and_clear));
    }
}

impl Watch for Progress {
    fn stage(&mut self, what: &str) {
        match &self.shown {
            Shown::Bar(bar) => {
                let (bar, what) = (bar.clone(), what.to_owned());
                self.pen.show(move || {
                    bar.set_message(what);
                    bar.tick();
                });
            }
            Shown::Lines { .. } => self.say(format!("{what}\n")),
            Shown::Nothing => {}
        }
    }

    fn remark(&mut self, what: &str) {
        self.voice()(what);
    }

    fn look(&mut self, timeline: &Timeline, now: Micros) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                self.broken.look(timeline, now);
                let text = View::of(timeline, now).with_broken(&self.broken).below_the_bar(columns());
                let bar = bar.clone();
                self.pen.show(move || {
                    bar.set_position(now.0.max(0) as u64);
                    bar.set_message(text);
                    bar.tick();
                });
            }
            Shown::Lines { due, every } if now >= *due => {
                *due = *every * (now.0 / every.0 + 1);
                self.broken.look(timeline, now);
                let text = View::of(timeline, now).with_broken(&self.broken).lines();
                self.say(text);
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }
}

/// How long a line may be, looked at each time: a terminal's size changes.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(80)
}

fn bar(duration: Micros) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32.cyan/dim} {msg}").expect("the template is valid");
    let bar = ProgressBar::with_draw_target(Some(duration.0.max(1) as u64), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("━╸─"));
    bar
}
