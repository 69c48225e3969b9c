//! The summary that ends a run on the terminal: verdict first, then objectives, operations, errors, faults.
//!
//! Owns its layout and its colours. How wide a line may be, whether colours are wanted, and writing it out, is the
//! caller's.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::words;
use super::words::visible;
use crate::exit;
use crate::units::{clock, grouped};
use crate::verdict::{Judgement, Word};

/// In fewer columns operations are told without p90 and p99.9; the page has them.
const WIDE: u16 = 100;

/// No word of a table is broken into less, however narrow the terminal.
const SHORTEST: usize = 12;

/// How the summary is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// How long a line of text or of a table may be, where words allow it.
    pub columns: u16,
    /// With ANSI colours.
    pub colour: bool,
}

/// The summary, a newline at its end. `page` is the path of the report.
pub fn terminal(judgement: &Judgement, page: &str, look: Look) -> String {
    let mut out = Summary { text: String::new(), look };
    out.head(judgement);
    out.objectives(judgement);
    out.operations(judgement);
    out.errors(judgement);
    out.addresses(judgement);
    out.faults(judgement);
    out.tail(judgement, page);
    out.text
}

/// `-q`: nothing of a PASS that left nothing behind, and one line of anything else: the word, the headline, what is left
/// behind, the report.
pub fn one_line(judgement: &Judgement, page: &str) -> String {
    let left = match judgement.left.as_slice() {
        [] if judgement.verdict == Word::Pass && judgement.exit.code == 0 => return String::new(),
        [] => String::new(),
        [one] => format!("Left behind: {}. ", visible(one)),
        [one, more @ ..] => {
            format!("Left behind: {}, and {} more. ", visible(one), grouped(more.len() as u64))
        }
    };
    let word = judgement.verdict.text();
    format!("{word} (exit {}): {} {left}{page}\n", judgement.exit.code, visible(&judgement.summary.verdict))
}

struct Summary {
    text: String,
    look: Look,
}

fn style_of(word: Word) -> Style {
    let colour = match word {
        Word::Pass => AnsiColor::Green,
        Word::Fail => AnsiColor::Red,
        Word::Invalid => AnsiColor::Magenta,
        Word::Inconclusive => AnsiColor::Yellow,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

impl Summary {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.look.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn heading(&mut self, text: &str, beside: &str) {
        let dim = if beside.is_empty() { String::new() } else { self.paint(Style::new().dimmed(), beside) };
        let line = format!("\n{}  {dim}", self.paint(Style::new().bold(), text));
        self.line(&line);
    }

    fn head(&mut self, judgement: &Judgement) {
        let word = format!("{} {}", words::mark(judgement.verdict), judgement.verdict.text());
        let line = format!("{}  {}", self.paint(style_of(judgement.verdict), &word), words::title(judgement));
        self.line(&line);
        let summary = &judgement.summary;
        for sentence in [Some(&summary.verdict), summary.recovery.as_ref()].into_iter().flatten() {
            self.wrapped("  ", &visible(sentence));
        }
        self.wrapped("  ", &words::facts(judgement).join(" · "));
        for caveat in words::caveats(judgement) {
            self.wrapped("  note: ", &caveat);
        }
    }

    /// Words broken into lines of at most so many columns, the first after `lead`.
    fn wrapped(&mut self, lead: &str, text: &str) {
        let mut line = lead.to_owned();
        let mut fresh = true;
        for word in text.split_whitespace() {
            if !fresh && line.chars().count() + 1 + word.chars().count() > usize::from(self.look.columns) {
                self.line(&line);
                line = " ".repeat(lead.chars().count());
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
            fresh = false;
        }
        self.line(&line);
    }

    fn objectives(&mut self, judgement: &Judgement) {
        if judgement.objectives.is_empty() {
            return;
        }
        self.heading("OBJECTIVES", &words::passed(judgement));
        let mut table = self.columns(&["", "objective", "phase", "measured", "limit", "n"], &[3, 4, 5]);
        table.column_mut(0).expect("the words").set_constraint(ColumnConstraint::ContentWidth);
        for o in words::worst_first(judgement) {
            table.add_row([
                format!("{} {}", words::mark(o.word), o.word.text()),
                visible(&o.text),
                words::where_decided(o),
                visible(&o.measured_text),
                visible(&o.limit_text),
                grouped(o.n),
            ]);
        }
        self.table(table);
        for o in words::worst_first(judgement).into_iter().filter(|o| o.word != Word::Pass) {
            if !judgement.summary.verdict.starts_with(&o.reason) {
                self.wrapped("  ", &visible(&o.reason));
            }
        }
        for note in words::beside_objectives(judgement) {
            self.wrapped("  ", &note);
        }
    }

    /// Prints a table, whose words are not broken but where its lines have no room for them; where a line begins with
    /// a verdict's word, that word is coloured.
    fn table(&mut self, mut table: Table) {
        let most = self.longest_word(&table);
        table.row_iter_mut().for_each(|row| {
            let cells: Vec<String> = row.cell_iter().map(|cell| broken(&cell.content(), most)).collect();
            *row = Row::from(cells);
        });
        for (at, longest) in text_columns(&table) {
            let column = table.column_mut(at).expect("a column of the table");
            let width = longest as u16 + column.padding_width();
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        for line in table.lines() {
            let known =
                [Word::Fail, Word::Invalid, Word::Inconclusive, Word::Pass].into_iter().find_map(|word| {
                    let lead = format!(" {} {}", words::mark(word), word.text());
                    line.strip_prefix(&lead).map(|rest| (word, lead, rest.to_owned()))
                });
            match known {
                Some((word, lead, rest)) => {
                    let line = self.paint(style_of(word), &lead) + rest.trim_end();
                    self.line(&line);
                }
                None => self.line(&line),
            }
        }
    }

    fn operations(&mut self, judgement: &Judgement) {
        self.heading("OPERATIONS BY PHASE", "response time from intended start, ms");
        let head = [&["", "n", "good /s", "bad %"][..], &words::QUANTILES].concat();
        let mut table = self.columns(&head, &[1, 2, 3, 4, 5, 6, 7, 8]);
        if self.look.columns < WIDE {
            for at in [5, 7] {
                table.column_mut(at).expect("p90 and p99.9").set_constraint(ColumnConstraint::Hidden);
            }
        }

        for op in words::operations(judgement) {
            let flow = if op.flow { " (flow)" } else { "" };
            table.add_row([visible(&op.name) + flow]);
            for p in &op.phases {
                let mut row = vec![format!("  {}", visible(&p.phase.to_string())), grouped(p.n)];
                row.extend([words::plain(p.rate), words::percent(p.bad)]);
                row.extend(words::quantiles(p));
                table.add_row(row);
            }
        }
        self.table(table);
        words::guesses(judgement).into_iter().for_each(|guesses| self.wrapped(" ", &guesses));
    }

    fn errors(&mut self, judgement: &Judgement) {
        if judgement.errors.is_empty() {
            return;
        }
        self.heading("ERRORS", "by operation, kind and status");
        for e in words::errors(judgement) {
            let (what, when) = (words::outcome(e.kind, e.status), words::from_to(e.first, e.last));
            let (lead, name) = (format!(" {:>8}  ", grouped(e.count)), visible(&e.operation));
            let line = format!("{lead}{name}  {what}  {when}");
            match line.chars().count() > usize::from(self.look.columns) {
                true => self.wrapped(&lead, &format!("{name} {what} {when}")),
                false => self.line(&line),
            }
            if !e.phases.is_empty() {
                self.wrapped("           ", &words::by_phase(e));
            }
            for s in &e.samples {
                let mut text = format!("{} {} -> {}", clock(s.at), visible(&s.request), visible(&s.detail));
                if !s.body.is_empty() {
                    text.push_str(&format!(" | {}", visible(&s.body)));
                }
                self.wrapped("             ", &text);
            }
        }
    }

    fn addresses(&mut self, judgement: &Judgement) {
        let rows = words::addresses(judgement);
        if rows.is_empty() {
            return;
        }
        self.heading("ADDRESSES", "of the target");
        let narrow = self.look.columns < WIDE;
        let heads =
            words::ADDRESSES.map(|head| if narrow { head.replace(' ', "\n") } else { head.to_owned() });
        let mut table = self.columns(&heads.each_ref().map(String::as_str), &[1, 2, 3, 4, 5]);
        table.add_rows(rows);
        self.table(table);
    }

    fn faults(&mut self, judgement: &Judgement) {
        if judgement.faults.is_empty() && judgement.triggers.is_empty() {
            return;
        }
        self.heading("FAULTS", "");
        let mut table =
            self.columns(&["fault", "what", "effective", "cleared", "touched", "added"], &[2, 3, 5]);
        for f in &judgement.faults {
            table.add_row([
                visible(&f.name),
                visible(&f.what),
                words::proven(f, f.effective),
                words::proven(f, f.verified),
                words::touched(f),
                words::added(f),
            ]);
        }
        if !judgement.faults.is_empty() {
            self.table(table);
        }
        for problem in judgement.faults.iter().filter_map(|f| f.problem.as_ref()) {
            self.wrapped("  ", &visible(problem));
        }
        for sentence in words::returns(judgement) {
            self.wrapped("  ", &visible(sentence));
        }
    }

    fn tail(&mut self, judgement: &Judgement, page: &str) {
        for left in &judgement.left {
            self.wrapped("left behind: ", &visible(left));
        }
        let line = format!("\nexit {}: {}", judgement.exit.code, judgement.exit.reason);
        self.line(&line);
        // Whoever asks for `--reports` would look in vain for the run where `squall heal` looks by itself.
        if let Some(folder) = Path::new(page).parent().filter(|_| judgement.exit.code == exit::NOT_UNDONE) {
            self.line(&format!("heal:   squall heal {}", folder.display()));
        }
        let line = format!("again:  {}", visible(&judgement.run.command));
        self.line(&line);
        let line = format!("report: {page}");
        self.line(&line);
    }

    /// How long a word of a text may be for all columns to have room: what is shorter is left to those that need it.
    fn longest_word(&self, table: &Table) -> usize {
        let longest: Vec<usize> = text_columns(table).into_iter().map(|(_, longest)| longest).collect();
        let padded: usize = table.column_iter().map(|column| usize::from(column.padding_width())).sum();
        let numbers = table.column_iter().filter(|c| c.constraint() == Some(&ColumnConstraint::ContentWidth));
        let taken: usize = numbers.map(|column| lines_of(table, column.index).max().unwrap_or(0)).sum();
        let hidden = table.column_iter().filter(|c| c.constraint() == Some(&ColumnConstraint::Hidden));
        let padded = padded - hidden.map(|column| usize::from(column.padding_width())).sum::<usize>();
        let room = usize::from(self.look.columns).saturating_sub(padded + taken);
        let fits = |most: &usize| longest.iter().map(|word| word.min(most)).sum::<usize>() <= room;
        let most = longest.iter().copied().max().unwrap_or(0);
        (SHORTEST..=most).rev().find(fits).unwrap_or(SHORTEST)
    }

    /// A table without rules; the columns in `right` hold numbers, which are never broken.
    fn columns(&self, head: &[&str], right: &[usize]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.look.columns).set_header(head);
        for &at in right {
            let column = table.column_mut(at).expect("the column is in the header");
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        table
    }
}

/// The lengths of the lines in a column, its head among them.
fn lines_of(table: &Table, at: usize) -> impl Iterator<Item = usize> {
    let cells =
        table.header().into_iter().chain(table.row_iter()).filter_map(move |row| row.cell_iter().nth(at));
    cells.flat_map(|cell| cell.content().lines().map(|line| line.chars().count()).collect::<Vec<_>>())
}

/// The columns of text, which give way to those of numbers, and the longest word in each.
fn text_columns(table: &Table) -> Vec<(usize, usize)> {
    let longest = |at: usize| {
        let rows = table.header().into_iter().chain(table.row_iter());
        let cells = rows.filter_map(|row| row.cell_iter().nth(at)).map(|cell| cell.content());
        cells.flat_map(|text| text.split([' ', '\n']).map(|word| word.chars().count()).max()).max()
    };
    let columns = table.column_iter().filter(|column| column.constraint().is_none());
    columns.map(|column| (column.index, longest(column.index).unwrap_or(0))).collect()
}

/// A text without words that are longer: they are broken after what joins the parts of a name, or else anywhere.
fn broken(text: &str, most: usize) -> String {
    let pieces = |word: &str| {
        let (mut lines, mut rest) = (Vec::new(), word.chars().collect::<Vec<char>>());
        while rest.len() > most {
            let joint = rest[..most].iter().rposition(|c| "_-/.(".contains(*c)).map_or(most, |at| at + 1);
            let joint = if joint < most / 2 { most } else { joint };
            lines.push(rest.drain(..joint).collect::<String>());
        }
        lines.push(rest.into_iter().collect());
        lines.join("\n")
    };
    text.split(' ').map(pieces).collect::<Vec<_>>().join(" ")
}
