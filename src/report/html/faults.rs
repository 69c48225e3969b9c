//! Faults, what came after them, and errors with samples.
//!
//! Owns those sections of the page.

use super::heading;
use super::table::{Fit, named, plain, table};
use crate::record::ErrorSample;
use crate::report::markup::Markup;
use crate::report::words;
use crate::units::{clock, grouped, or_dash};
use crate::verdict::{ErrorGroup, JudgedFault, Judgement};

pub(super) fn section(page: &mut Markup, judgement: &Judgement) {
    if judgement.faults.is_empty() && judgement.triggers.is_empty() {
        return;
    }
    page.el("section", &[], |page| {
        heading(page, "Faults", "times as proven");
        if !judgement.faults.is_empty() {
            faults(page, judgement);
        }
        recovery(page, judgement);
    });
}

fn faults(page: &mut Markup, judgement: &Judgement) {
    let columns = [("fault", false), ("effective", true), ("cleared", true), ("touched", false)];
    let fill = |row: &mut super::table::Row, f: &JudgedFault| {
        row.cell("", |cell| {
            named(cell, &f.name);
            for line in [Some(&f.what), Some(&f.detail), f.problem.as_ref()].into_iter().flatten() {
                if !line.is_empty() {
                    cell.void("br", &[]);
                    cell.leaf("small", &[], line);
                }
            }
        });
        row.text(&words::proven(f, f.effective));
        row.text(&words::proven(f, f.verified));
        let added = words::added(f);
        let added = if added == "–" { String::new() } else { format!("{added} measured") };
        row.two(&words::touched(f), &added);
    };
    let class = |f: &JudgedFault| if f.problem.is_some() { "invalid" } else { "" };
    table(page, Fit::Cards, &columns, &judgement.faults, fill, class);
}

fn recovery(page: &mut Markup, judgement: &Judgement) {
    let told: Vec<_> = judgement.triggers.iter().filter(|t| !t.shapes.is_empty()).collect();
    if told.is_empty() {
        return;
    }
    let columns = [
        ("after", false),
        ("outage", true),
        ("recovery", true),
        ("at worst", true),
        ("good lost", true),
        ("noticed after", true),
    ];
    table(
        page,
        Fit::Cards,
        &columns,
        &told,
        |row, t| {
            row.cell("", |cell| named(cell, &t.name));
            for text in [words::outage(t), words::recovery(t)] {
                let words = if text.contains(|c: char| c.is_ascii_digit()) { "" } else { "words" };
                row.cell(words, |cell| cell.text(&text));
            }
            let depth = t.shapes.iter().map(|s| s.depth_during.max(s.depth_after)).fold(0.0, f64::max);
            let slowest = t.slowest().and_then(|s| s.slowest).map(|took| format!("took {took}"));
            row.two(&format!("{} %", words::percent(depth)), &slowest.unwrap_or_default());
            let lost: f64 = t.shapes.iter().map(|s| s.area_during + s.area_after).sum();
            row.text(&grouped(lost.max(0.0).round() as u64));
            let noticed = t.shapes.iter().filter_map(|s| s.time_to_detect).min();
            row.text(&or_dash(noticed));
        },
        |_| "",
    );
    for sentence in words::returns(judgement) {
        page.leaf("p", &[("class", "note")], sentence);
    }
}

pub(super) fn errors(page: &mut Markup, judgement: &Judgement) {
    page.el("section", &[], |page| {
        let groups = words::errors(judgement);
        heading(page, "Errors", if groups.is_empty() { "none" } else { "" });
        if groups.is_empty() {
            return;
        }
        plain(page, &[("error", false), ("count", true)], &groups, |row, e| {
            row.cell("", |cell| error(cell, e));
            row.text(&grouped(e.count));
        });
    });
}

fn error(cell: &mut Markup, e: &ErrorGroup) {
    cell.leaf("b", &[], &words::outcome(e.kind, e.status));
    cell.void("br", &[]);
    cell.leaf("small", &[], &format!("{}, {}", e.operation, words::from_to(e.first, e.last)));
    if !e.phases.is_empty() {
        cell.void("br", &[]);
        cell.leaf("small", &[], &words::by_phase(e));
    }
    if e.samples.is_empty() {
        return;
    }
    cell.el("details", &[("class", "samples")], |details| {
        let summary =
            if e.samples.len() == 1 { "1 sample".to_owned() } else { format!("{} samples", e.samples.len()) };
        details.leaf("summary", &[], &summary);
        e.samples.iter().for_each(|s| sample(details, s));
    });
}

fn sample(page: &mut Markup, s: &ErrorSample) {
    page.el("pre", &[], |pre| {
        pre.text(&format!("{}  {}", clock(s.at), s.request));
        for line in [&s.detail, &s.body].into_iter().filter(|line| !line.is_empty()) {
            pre.raw("\n");
            pre.text(line);
        }
    });
}
