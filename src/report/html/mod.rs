//! report.html: one page, complete without network, script or style sheet.
//!
//! Owns the page's order and its head; sections are its pieces', pictures `chart`'s.

mod evidence;
mod faults;
mod objectives;
mod operations;
mod table;

use super::chart;
use super::markup::{Markup, typeset};
use super::series::{self, Point};
use super::words;
use crate::objective::PhaseName;
use crate::outline::OperationOutline;
use crate::sample::OpId;
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{Judgement, Word};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("point.js");

/// One operation with its series, for the sections that show each.
struct Shown<'a> {
    op: OpId,
    name: &'a str,
    /// How it did over the run, for where it is folded.
    remark: String,
    points: Vec<Point>,
}

/// The whole page.
pub fn html(timeline: &Timeline, judgement: &Judgement) -> String {
    let mut page = Markup::default();
    page.raw("<!doctype html>\n");
    page.el("html", &[("lang", "en")], |page| {
        page.el("head", &[], |head| {
            head.void("meta", &[("charset", "utf-8")]);
            head.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            let title = format!("{}: {}", judgement.verdict.text(), words::title(judgement));
            head.leaf("title", &[], &title);
            head.el("style", &[], |style| style.raw(STYLE));
        });
        page.el("body", &[], |body| {
            body.el("main", &[], |main| content(main, timeline, judgement));
            body.el("script", &[], |script| script.raw(SCRIPT));
        });
    });
    page.raw("\n");
    page.into_string()
}

fn content(page: &mut Markup, timeline: &Timeline, judgement: &Judgement) {
    let outline = timeline.outline();
    let order = series::worst_first(timeline, judgement).into_iter();
    let shown: Vec<Shown> = order
        .map(|op| Shown {
            op,
            name: &outline.operations[usize::from(op.0)].name,
            remark: remark(judgement, &outline.operations[usize::from(op.0)]),
            points: series::points(timeline, op),
        })
        .filter(|shown| shown.points.iter().any(|p| p.intended > 0))
        .collect();
    let frames = chart::Frames::new(timeline, judgement);
    head(page, judgement);
    objectives::section(page, judgement);
    felt(page, &frames, timeline, judgement, &shown);
    page.el("div", &[("class", "pair")], |page| {
        page.el("div", &[], |page| {
            operations::percentiles(page, timeline, judgement, &shown);
            faults::errors(page, judgement);
        });
        page.el("div", &[], |page| faults::section(page, judgement));
    });
    rates(page, &frames, &shown);
    operations::section(page, judgement);
    evidence::sections(page, timeline, judgement);
    again(page, judgement);
}

/// `3.65 % bad, p99 >= 2,000 ms over the run`.
fn remark(judgement: &Judgement, op: &OperationOutline) -> String {
    let table = judgement.operations.iter().find(|t| t.name == op.name && t.flow == op.flow);
    let run = table.and_then(|t| t.phases.iter().find(|p| p.phase == PhaseName::Run));
    let flow = if op.flow { "the flow as a whole, " } else { "" };
    run.map_or(String::new(), |p| {
        let p99 = typeset(&words::quantile(p.n, 0.99, p.p99));
        format!("{flow}{} % bad, p99 {p99} ms over the run", words::percent(p.bad))
    })
}

/// `pass`, `fail`, ...: the class that colours a word.
fn class_of(word: Word) -> &'static str {
    match word {
        Word::Pass => "pass",
        Word::Fail => "fail",
        Word::Invalid => "invalid",
        Word::Inconclusive => "inconclusive",
    }
}

fn head(page: &mut Markup, judgement: &Judgement) {
    let class = class_of(judgement.verdict);
    page.el("header", &[("class", class)], |page| {
        page.el("h1", &[], |h1| {
            let word = format!("{} {}", words::mark(judgement.verdict), judgement.verdict.text());
            h1.leaf("span", &[("class", &format!("word {class}"))], &word);
            h1.text(" ");
            h1.text(&words::title(judgement));
        });
        page.el("p", &[("class", "lead")], |p| {
            p.leaf("b", &[], &judgement.summary.verdict);
            if let Some(recovery) = &judgement.summary.recovery {
                p.text(" ");
                p.text(recovery);
            }
        });
        page.leaf("p", &[("class", "facts")], &words::facts(judgement).join(" · "));
        let caveats = words::caveats(judgement);
        if !caveats.is_empty() {
            page.el("ul", &[("class", "caveats")], |ul| caveats.iter().for_each(|c| ul.leaf("li", &[], c)));
        }
    });
}

/// A section's title with a remark in smaller type beside it.
fn heading(page: &mut Markup, title: &str, beside: &str) {
    page.el("h2", &[], |h2| {
        h2.text(title);
        if !beside.is_empty() {
            h2.text(" ");
            h2.leaf("small", &[], beside);
        }
    });
}

/// The first as it is, the others folded, each by itself.
fn first_open(page: &mut Markup, shown: &[Shown], mut each: impl FnMut(&mut Markup, &Shown)) {
    shown.iter().take(1).for_each(|first| each(page, first));
    for shown in shown.iter().skip(1) {
        page.el("details", &[], |details| {
            details.el("summary", &[], |summary| named(summary, shown));
            each(details, shown);
        });
    }
}

/// The first as it is, the others folded together.
fn rest_folded(page: &mut Markup, shown: &[Shown], mut each: impl FnMut(&mut Markup, &Shown)) {
    shown.iter().take(1).for_each(|first| each(page, first));
    if shown.len() > 1 {
        page.el("details", &[], |details| {
            let names: Vec<&str> = shown[1..].iter().map(|s| s.name).collect();
            details.el("summary", &[], |summary| {
                summary.text("The other operations ");
                summary.leaf("small", &[], &names.join(", "));
            });
            for shown in &shown[1..] {
                details.el("h3", &[], |h3| named(h3, shown));
                each(details, shown);
            }
        });
    }
}

fn named(page: &mut Markup, shown: &Shown) {
    page.text(shown.name);
    page.text(" ");
    page.leaf("small", &[], &shown.remark);
}

fn first_name<'a>(shown: &'a [Shown]) -> &'a str {
    shown.first().map_or("", |s| s.name)
}

fn felt(
    page: &mut Markup,
    frames: &chart::Frames,
    timeline: &Timeline,
    judgement: &Judgement,
    shown: &[Shown],
) {
    page.el("section", &[], |page| {
        let cell = timeline.outline().cell;
        let first = shown.first().and_then(|s| s.points.first());
        let each = first.map_or(cell, |p| p.to - p.from);
        let each = if each == Micros::SECOND { "second".to_owned() } else { each.to_string() };
        let beside = format!("{}, one point per {each}, faults shaded", first_name(shown));
        heading(page, "What users felt", if shown.is_empty() { "nothing was sent" } else { &beside });
        first_open(page, shown, |page, s| {
            chart::felt(page, frames, (timeline, judgement), s.op, &s.points);
            let upper = series::upper(&s.points);
            if s.points.iter().filter_map(upper.value).any(|value| value.is_bound()) {
                let text = format!(
                    "▲ {} is at least this: some operations did not succeed, and count at their deadline or the time that they had waited.",
                    upper.name
                );
                page.leaf("p", &[("class", "note")], &text);
            }
        });
    });
}

fn rates(page: &mut Markup, frames: &chart::Frames, shown: &[Shown]) {
    if shown.is_empty() {
        return;
    }
    page.el("section", &[], |page| {
        heading(page, "Rate and errors", first_name(shown));
        rest_folded(page, shown, |page, s| chart::rate(page, frames, s.name, &s.points));
    });
}

fn again(page: &mut Markup, judgement: &Judgement) {
    page.el("section", &[], |page| {
        heading(page, "Run it again", "");
        page.el("pre", &[], |pre| pre.leaf("code", &[], &judgement.run.command));
    });
}
