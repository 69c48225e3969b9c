//! Operations: latency by percentile, and the table by phase.
//!
//! Owns those two sections of the page.

use super::table::{named, plain, words as words_in};
use super::{Shown, first_name, heading, rest_folded};
use crate::objective::PhaseName;
use crate::report::markup::{Markup, typeset};
use crate::report::{chart, series, words};
use crate::timeline::{Cells, Timeline};
use crate::units::{grouped, or_dash};
use crate::verdict::{Judgement, OperationPhase, OperationTable};

pub(super) fn percentiles(page: &mut Markup, timeline: &Timeline, judgement: &Judgement, shown: &[Shown]) {
    if shown.is_empty() {
        return;
    }
    page.el("section", &[], |page| {
        heading(page, "Latency by percentile", first_name(shown));
        let phases = phases(timeline, judgement);
        rest_folded(page, shown, |page, s| {
            let tallies = phases.iter().map(|(phase, cells)| (*phase, timeline.tally(s.op, cells)));
            let lines = tallies.map(|(phase, tally)| chart::percentile::Line { phase, tally });
            let lines: Vec<_> = lines.filter(|l| l.tally.intended > 0).collect();
            chart::percentile(page, s.name, &lines);
        });
        let text =
            "Response time from intended start. Thin: of too few operations to bound it. Dotted: a lower bound, as some did not succeed.";
        page.leaf("p", &[("class", "note")], text);
    });
}

/// Phases and their cells; `run` and the warm-up only where there is nothing else.
fn phases<'a>(timeline: &Timeline, judgement: &'a Judgement) -> Vec<(&'a PhaseName, Cells)> {
    let told = |p: &PhaseName| !matches!(p, PhaseName::Warmup | PhaseName::Run);
    let triggered = judgement.phases.iter().any(|p| told(&p.name));
    let shown = |p: &PhaseName| if triggered { told(p) } else { *p == PhaseName::Run };
    let shown = judgement.phases.iter().filter(|p| shown(&p.name));
    shown.map(|p| (&p.name, series::cells(timeline, p))).collect()
}

pub(super) fn section(page: &mut Markup, judgement: &Judgement) {
    page.el("section", &[], |page| {
        heading(page, "Operations by phase", "response time from intended start, ms");
        let before = ["operation", "phase", "n", "good /s", "bad %", "attempts"];
        let all = before.into_iter().chain(words::QUANTILES).chain(["p99 of successes"]);
        let columns: Vec<(&str, bool)> = all.enumerate().map(|(at, name)| (name, at >= 2)).collect();
        let mut rows: Vec<(bool, &OperationTable, &OperationPhase)> = Vec::new();
        for op in words::operations(judgement) {
            rows.extend(op.phases.iter().enumerate().map(|(i, p)| (i == 0, op, p)));
        }
        plain(page, &columns, &rows, |row, (first, op, p)| {
            row.cell("", |cell| {
                if !first {
                    return;
                }
                named(cell, &op.name);
                if op.flow {
                    cell.text(" (flow)");
                }
            });
            row.cell("", |cell| words_in(cell, "span", &p.phase.to_string()));
            row.text(&grouped(p.n));
            row.text(&words::plain(p.rate));
            row.text(&words::percent(p.bad));
            let attempts = p.amplification.filter(|_| !op.flow);
            row.text(&or_dash(attempts.map(|a| format!("{a:.2}"))));
            for quantile in words::quantiles(p) {
                row.text(&typeset(&quantile));
            }
            let succeeded = (p.n as f64 * (1.0 - p.bad)).round() as u64;
            row.text(&or_dash(p.successes_p99.map(|p99| words::quantile(succeeded, 0.99, p99))));
        });
        if let Some(guesses) = words::guesses(judgement) {
            page.leaf("p", &[("class", "note")], &guesses);
        }
        page.leaf("p", &[("class", "note")], &deadlines(judgement));
    });
}

/// `attempts: per first try. Good means answered within: create_room 2 s, ...`.
fn deadlines(judgement: &Judgement) -> String {
    let each = judgement.operations.iter().filter(|o| !o.flow);
    let each: Vec<String> = each.map(|o| format!("{} {}", o.name, o.deadline)).collect();
    format!(
        "Attempts are per first try. Good means: as expected, and within the deadline ({}).",
        each.join(", ")
    )
}
