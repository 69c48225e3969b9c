//! The table of objectives: mark, sentence, phase, measured, bar, limit, n; failing rows first.
//!
//! Owns that section of the page.

use super::table::{Fit, table, words as words_in};
use super::{class_of, heading};
use crate::report::markup::{Markup, typeset};
use crate::report::{chart, words};
use crate::units::grouped;
use crate::verdict::{JudgedObjective, Judgement, Word};

pub(super) fn section(page: &mut Markup, judgement: &Judgement) {
    if judgement.objectives.is_empty() {
        return;
    }
    page.el("section", &[], |page| {
        heading(page, "Objectives", &words::passed(judgement));
        let columns = [
            ("", false),
            ("objective", false),
            ("phase", false),
            ("measured", true),
            ("against the limit", false),
            ("limit", true),
            ("n", true),
        ];
        let rows = words::worst_first(judgement);
        table(page, Fit::Cards, &columns, &rows, |row, o| fill(row, o), |o| row_class(o.word));
    });
}

fn row_class(word: Word) -> &'static str {
    if word == Word::Pass { "" } else { class_of(word) }
}

fn fill(row: &mut super::table::Row, o: &JudgedObjective) {
    row.cell("", |cell| {
        let class = format!("word {}", class_of(o.word));
        cell.leaf("b", &[("class", &class)], &format!("{} {}", words::mark(o.word), o.word.text()));
    });
    row.cell("wide", |cell| {
        words_in(cell, "code", &o.text);
        let told = (o.word != Word::Pass).then_some(&o.reason).into_iter().chain(&o.notes);
        for sentence in told {
            cell.void("br", &[]);
            cell.leaf("small", &[], sentence);
        }
    });
    row.cell("", |cell| words_in(cell, "span", &words::where_decided(o)));
    row.cell("", |cell| measured(cell, o));
    row.cell("bar", |cell| chart::bar(cell, o));
    row.text(&typeset(&o.limit_text));
    row.text(&grouped(o.n));
}

/// The measured value, and beneath it what successes alone took and how sure the value is.
fn measured(cell: &mut Markup, o: &JudgedObjective) {
    cell.text(&typeset(&o.measured_text));
    let mut beneath = Vec::new();
    if let (Some(successes), true) = (o.successes, o.bad > 0.0) {
        beneath.push(format!("successes {successes}"));
    }
    if let Some(interval) = o.interval {
        let [low, high] = [interval.low, interval.high].map(|v| o.limit.unit.show(v));
        if low != high {
            beneath.push(format!("95 %: {low} to {high}"));
        }
    }
    for line in beneath {
        cell.void("br", &[]);
        cell.leaf("small", &[], &line);
    }
}
