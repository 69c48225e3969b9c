//! summary.md: what the terminal says, in the same order, for a pull request or a wiki.
//!
//! Owns Markdown's forms and its escaping.

use super::words;
use super::words::visible;
use crate::units::grouped;
use crate::verdict::{Judgement, Word};

/// The summary as GitHub's Markdown.
pub fn markdown(judgement: &Judgement) -> String {
    let mut out = format!(
        "# {} {} {}\n\n",
        words::mark(judgement.verdict),
        judgement.verdict.text(),
        text(&words::title(judgement))
    );
    out.push_str(&format!("**{}**", text(&judgement.summary.verdict)));
    if let Some(recovery) = &judgement.summary.recovery {
        out.push_str(&format!(" {}", text(recovery)));
    }
    out.push_str(&format!("\n\n{}\n", text(&words::facts(judgement).join(" · "))));
    for caveat in words::caveats(judgement) {
        out.push_str(&format!("\n> {}\n", text(&caveat)));
    }
    objectives(&mut out, judgement);
    operations(&mut out, judgement);
    errors(&mut out, judgement);
    addresses(&mut out, judgement);
    faults(&mut out, judgement);
    for left in &judgement.left {
        out.push_str(&format!("\nLeft behind: {}\n", text(left)));
    }
    out.push_str(&format!("\nExit {}: {}. Run it again:\n\n", judgement.exit.code, judgement.exit.reason));
    out.push_str(&format!("    {}\n", visible(&judgement.run.command)));
    out
}

/// Text that Markdown and the HTML behind it must not read as markup.
fn text(raw: &str) -> String {
    let mut out = String::new();
    for c in visible(raw).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn section(out: &mut String, title: &str, head: &[&str], right_from: usize) {
    out.push_str(&format!("\n## {title}\n\n| {} |\n|", head.join(" | ")));
    for i in 0..head.len() {
        out.push_str(if i >= right_from { " ---: |" } else { " --- |" });
    }
    out.push('\n');
}

fn row<T: AsRef<str>>(out: &mut String, cells: &[T]) {
    let cells: Vec<String> = cells.iter().map(|c| text(c.as_ref())).collect();
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}

fn objectives(out: &mut String, judgement: &Judgement) {
    let title = format!("Objectives ({})", words::passed(judgement));
    section(out, &title, &["", "objective", "phase", "measured", "limit", "n"], 3);
    for o in words::worst_first(judgement) {
        let word = format!("{} {}", words::mark(o.word), o.word.text());
        let (phase, n) = (words::where_decided(o), grouped(o.n));
        row(out, &[&word, &o.text, &phase, &o.measured_text, &o.limit_text, &n]);
    }
    reasons(out, judgement);
    for note in words::beside_objectives(judgement) {
        out.push_str(&format!("\n{}\n", text(&note)));
    }
}

/// Why each objective that did not pass has its word, also what the head says already: in a list none may be missing.
fn reasons(out: &mut String, judgement: &Judgement) {
    let mut before = "\n";
    for o in words::worst_first(judgement).into_iter().filter(|o| o.word != Word::Pass) {
        out.push_str(&format!("{before}- {} {}: {}\n", words::mark(o.word), text(&o.text), text(&o.reason)));
        before = "";
    }
}

fn operations(out: &mut String, judgement: &Judgement) {
    let head = [&["operation", "phase", "n", "good /s", "bad %"][..], &words::QUANTILES].concat();
    section(out, "Operations by phase (response time from intended start, ms)", &head, 2);
    for op in words::operations(judgement) {
        for p in &op.phases {
            let mut cells = vec![op.name.clone(), p.phase.to_string(), grouped(p.n)];
            cells.extend([words::plain(p.rate), words::percent(p.bad)]);
            cells.extend(words::quantiles(p));
            row(out, &cells);
        }
    }
    if let Some(guesses) = words::guesses(judgement) {
        out.push_str(&format!("\n{}\n", text(&guesses)));
    }
}

fn errors(out: &mut String, judgement: &Judgement) {
    if judgement.errors.is_empty() {
        return;
    }
    section(out, "Errors", &["operation", "what", "when", "phases", "sample", "count"], 5);
    for e in words::errors(judgement) {
        let sample = e.samples.first().map_or(String::new(), |s| format!("{} -> {}", s.request, s.detail));
        let (what, when) = (words::outcome(e.kind, e.status), words::from_to(e.first, e.last));
        row(out, &[&e.operation, &what, &when, &words::by_phase(e), &sample, &grouped(e.count)]);
    }
}

fn addresses(out: &mut String, judgement: &Judgement) {
    let rows = words::addresses(judgement);
    if !rows.is_empty() {
        section(out, "Addresses of the target", &words::ADDRESSES, 1);
    }
    rows.iter().for_each(|cells| row(out, cells));
}

fn faults(out: &mut String, judgement: &Judgement) {
    if !judgement.faults.is_empty() {
        section(out, "Faults", &["fault", "what", "effective", "cleared", "touched", "added"], 2);
    }
    for f in &judgement.faults {
        let (effective, cleared) = (words::proven(f, f.effective), words::proven(f, f.verified));
        row(out, &[&f.name, &f.what, &effective, &cleared, &words::touched(f), &words::added(f)]);
    }
    for problem in judgement.faults.iter().filter_map(|f| f.problem.as_ref()) {
        out.push_str(&format!("\n{}\n", text(problem)));
    }
    for sentence in words::returns(judgement) {
        out.push_str(&format!("\n{}\n", text(sentence)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn of_each_objective_that_did_not_pass_it_is_told_why() {
        let mut judgement = fixture::judgement(&fixture::timeline());
        let hostile = "1 in 2 | <b> took\nlong.";
        judgement.objectives[1].reason = hostile.to_owned();
        let summary = markdown(&judgement);
        let told: Vec<&str> = summary.lines().filter(|line| line.starts_with("- ")).collect();
        let not_passed: Vec<_> = judgement.objectives.iter().filter(|o| o.word != Word::Pass).collect();
        assert!(not_passed.len() > 2 && told.len() == not_passed.len(), "{summary}");
        for o in not_passed {
            let why = format!(" {}: {}", text(&o.text), text(&o.reason));
            assert!(told.iter().any(|line| line.ends_with(&why)), "{why} in {told:#?}");
        }
        assert!(summary.contains("1 in 2 \\| &lt;b&gt; took\\\\nlong."), "{summary}");
    }
}
