//! What progress tells: the run and its phase, a line per shape, a line per fault in force.
//!
//! Owns the live numbers and their words; they are estimates of a run that still goes on, never verdicts.

use crate::outline::{FaultOutline, Outline};
use crate::quantity::Quantity;
use crate::record::{FaultEvent, FaultStage};
use crate::stats::n_min;
use crate::timeline::{Cells, Tally, Timeline};
use crate::units::{Micros, grouped, or_dash, short_clock};
use crate::verdict::{self, Broken, Standing};

/// Latencies are those of operations intended within this time before now.
const RECENT: Micros = Micros::secs(5);

/// The state of a run at one time.
pub(super) struct View {
    now: Micros,
    length: Micros,
    phase: String,
    shapes: Vec<ShapeLine>,
    faults: Vec<String>,
    broken: Vec<String>,
}

struct ShapeLine {
    name: String,
    due: u64,
    done: u64,
    bad: u64,
    p50: Option<Quantity>,
    p99: Option<Quantity>,
    /// Of so few that p99 is a guess.
    few: bool,
}

impl View {
    pub(super) fn of(timeline: &Timeline, now: Micros) -> View {
        let outline = timeline.outline();
        View {
            now,
            length: outline.duration,
            phase: phase(timeline, now),
            shapes: (0..outline.shapes.len()).map(|shape| shape_line(timeline, shape, now)).collect(),
            faults: in_force(timeline, now).map(|(fault, since)| fault_line(fault, since, now)).collect(),
            broken: Vec::new(),
        }
    }

    /// With the objectives that are broken.
    pub(super) fn with_broken(mut self, broken: &Latch) -> View {
        self.broken = broken.lines();
        self
    }

    /// What stands beside the bar, and the lines below it, none longer than so many columns where its words allow it:
    /// what the terminal breaks by itself is broken anywhere.
    pub(super) fn below_the_bar(&self, columns: usize) -> String {
        let rows = self.rows().into_iter().map(|row| row.within(columns));
        [self.head()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// The same as lines of text.
    pub(super) fn lines(&self) -> String {
        let mut text = self.head() + "\n";
        for line in self.rows() {
            text.push_str(&format!("  {}\n", line.within(usize::MAX)));
        }
        text
    }

    fn head(&self) -> String {
        format!("{} of {}  {}", short_clock(self.now), short_clock(self.length), self.phase)
    }

    fn rows(&self) -> Vec<Row> {
        let width = self.shapes.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
        let shapes = self.shapes.iter().map(|s| s.row(width));
        let sentences = self.faults.iter().chain(&self.broken);
        shapes.chain(sentences.map(|text| Row::of_words(text))).collect()
    }
}

impl ShapeLine {
    fn row(&self, width: usize) -> Row {
        let guess = if self.few { "~" } else { "" };
        let fields = vec![
            format!("{:width$}", self.name),
            format!("due {:>7}", grouped(self.due)),
            format!("done {:>7}", grouped(self.done)),
            format!("in flight {:>5}", grouped(self.due.saturating_sub(self.done))),
            format!("errors {:>6}", grouped(self.bad)),
            format!("p50 {:>8}", or_dash(self.p50)),
            format!("p99 {:>8}", or_dash(self.p99.map(|p99| format!("{guess}{p99}")))),
        ];
        Row { pieces: fields, between: "  " }
    }
}

/// A line in pieces that are not broken.
struct Row {
    pieces: Vec<String>,
    between: &'static str,
}

impl Row {
    fn of_words(text: &str) -> Row {
        Row { pieces: text.split(' ').map(str::to_owned).collect(), between: " " }
    }

    /// As one line, or as several of at most so many columns, all but the first set in.
    fn within(&self, columns: usize) -> String {
        let (mut text, mut length) = (String::new(), 0);
        for (at, piece) in self.pieces.iter().enumerate() {
            let long = piece.chars().count();
            let fits = length + self.between.len() + long <= columns;
            let lead = if at == 0 {
                ""
            } else if fits {
                self.between
            } else {
                "\n  "
            };
            length = if fits || at == 0 { length + lead.len() + long } else { 2 + long };
            text.push_str(lead);
            text.push_str(piece);
        }
        text
    }
}

/// So many broken objectives are told: more would be taller than a terminal, which a live view cannot be, and a CI's log
/// has them every ten seconds.
const SHOWN: usize = 5;

/// What was said last of each objective: one whose phase is over, and let go, stays broken.
#[derive(Debug, Default)]
pub(super) struct Latch(Vec<Option<Broken>>);

impl Latch {
    pub(super) fn new(outline: &Outline) -> Latch {
        Latch(vec![None; outline.objectives.len()])
    }

    /// Looks again: what comes in late may win an objective back.
    pub(super) fn look(&mut self, timeline: &Timeline, now: Micros) {
        for (last, stands) in self.0.iter_mut().zip(verdict::standings(timeline, now)) {
            match stands {
                Standing::Broken(broken) => *last = Some(broken),
                Standing::Open => *last = None,
                Standing::Past => {}
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let all: Vec<&Broken> = self.0.iter().flatten().collect();
        let shown = all.iter().take(SHOWN);
        let line = |broken: &&Broken| {
            let how = if broken.of_late { "broken of late" } else { "broken so far" };
            format!("{how}: {}: {}", broken.text, broken.measured)
        };
        let mut lines: Vec<String> = shown.map(line).collect();
        if all.len() > SHOWN {
            lines.push(format!("so are {} more", all.len() - SHOWN));
        }
        lines
    }
}

fn shape_line(timeline: &Timeline, shape: usize, now: Micros) -> ShapeLine {
    let width = timeline.outline().cell.0.max(1);
    let cell = |at: Micros| u32::try_from(at.0.max(0) / width).unwrap_or(u32::MAX);
    let recent: Cells = (cell(now - RECENT)..=cell(now)).collect();
    let mut line = ShapeLine {
        name: timeline.outline().shapes[shape].name.clone(),
        due: 0,
        done: 0,
        bad: 0,
        p50: None,
        p99: None,
        few: false,
    };
    let mut sum = Tally::default();
    for (op, _) in timeline.operations().filter(|(_, o)| o.shape == shape && !o.flow) {
        let totals = timeline.totals(op);
        line.due += totals.due;
        line.done += totals.done;
        line.bad += totals.done - totals.good;
        let decided = recent.iter().copied().filter(|&cell| timeline.decided(op, cell, now)).collect();
        sum.merge(&timeline.tally(op, &decided));
    }
    (line.p50, line.p99) = (sum.quantile(0.5), sum.quantile(0.99));
    line.few = sum.intended < n_min(0.99);
    line
}

/// Planned faults that are in force, and since when. One-shots count until they have settled.
fn in_force(timeline: &Timeline, now: Micros) -> impl Iterator<Item = (&FaultOutline, Micros)> {
    timeline.outline().faults.iter().filter_map(move |fault| {
        let events = timeline.faults.iter().filter(|e| e.fault == fault.name);
        let (mut since, mut last) = (None, None);
        for event in events {
            since = since.or(Some(event.at));
            last = Some(event.stage);
        }
        let (since, last) = (since?, last?);
        let open = matches!(last, FaultStage::Asked | FaultStage::Effective | FaultStage::Clearing);
        let settling = fault.length.is_none() && last == FaultStage::Verified && now < since + fault.settle;
        let settled = fault.length.is_none() && last == FaultStage::Effective && now >= since + fault.settle;
        ((open && !settled) || settling).then_some((fault, since))
    })
}

fn fault_line(fault: &FaultOutline, since: Micros, now: Micros) -> String {
    let length = fault.length.map_or(String::new(), |length| format!(" of {length}"));
    format!("{}: {}, for {}{length}", fault.name, fault.what, whole(now - since))
}

/// The phase as far as it can be told while the run goes on.
fn phase(timeline: &Timeline, now: Micros) -> String {
    let outline = timeline.outline();
    let shapes = outline.shapes.iter().filter(|s| s.trigger);
    let mut during: Vec<&str> =
        shapes.clone().filter(|s| (s.start..s.end).contains(&now)).map(|s| s.name.as_str()).collect();
    during.extend(in_force(timeline, now).map(|(fault, _)| fault.trigger.as_str()));
    if now < outline.judge.warmup {
        return "warmup".to_owned();
    }
    if !during.is_empty() {
        return format!("during {}", during.join(" and "));
    }
    let ended = shapes.filter(|s| s.end <= now).map(|s| (s.end, s.name.as_str()));
    let faults = outline.faults.iter().filter_map(|f| {
        let came = |e: &&FaultEvent| e.fault == f.name && e.stage != FaultStage::Skipped;
        Some((timeline.faults.iter().filter(came).map(|e| e.at).max()?, f.trigger.as_str()))
    });
    match ended.chain(faults).max() {
        Some((_, name)) => format!("after {name}"),
        None if outline.faults.is_empty() && !outline.shapes.iter().any(|s| s.trigger) => "run".to_owned(),
        None => "baseline".to_owned(),
    }
}

/// Whole seconds: a line that changes once a second needs no more.
fn whole(time: Micros) -> Micros {
    Micros::secs((time.0 + 500_000) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::{Comparison, Metric, PhaseName};
    use crate::report::fixture;
    use crate::sample::Kind;
    use crate::timeline::Timeline;
    use crate::timeline::fake::{Plan, evenly, expect, s};

    /// The made-up run as it was known at `now`.
    fn at(now: i64) -> String {
        let mut timeline: Timeline = fixture::timeline();
        timeline.faults.retain(|e| e.at <= Micros::secs(now));
        View::of(&timeline, Micros::secs(now)).lines()
    }

    #[test]
    fn progress_names_the_phase_and_the_faults_in_force() {
        for (now, phase) in [
            (2, "0:02 of 1:30  warmup"),
            (10, "0:10 of 1:30  baseline"),
            (30, "0:30 of 1:30  during store_slow"),
            (50, "0:50 of 1:30  after store_slow"),
            (61, "1:01 of 1:30  during store_failover"),
            (80, "1:20 of 1:30  after store_failover"),
        ] {
            assert_eq!(at(now).lines().next(), Some(phase));
        }
    }

    #[test]
    fn a_fault_that_never_came_has_no_time_after_it() {
        let mut timeline: Timeline = fixture::timeline();
        timeline.faults.retain(|e| e.at <= Micros::secs(50));
        let detail = "the load was stopped".to_owned();
        let fault = "store_failover".to_owned();
        let (at, stage) = (Micros::secs(51), FaultStage::Skipped);
        timeline.faults.push(FaultEvent { at, fault, stage, detail, touched: None });
        let lines = View::of(&timeline, Micros::secs(52)).lines();
        assert!(lines.contains("after store_slow"), "{lines}");
    }

    #[test]
    fn progress_has_a_line_per_shape_and_per_fault_in_force() {
        insta::assert_snapshot!(at(30));
    }

    #[test]
    fn an_objective_that_is_broken_is_told_and_stays_broken_when_its_phase_is_let_go() {
        let mut timeline: Timeline = fixture::timeline();
        timeline.faults.retain(|e| e.at <= Micros::secs(50));
        let mut latch = Latch::new(timeline.outline());
        latch.look(&timeline, Micros::secs(50));
        let told = |latch: &Latch| View::of(&timeline, Micros::secs(50)).with_broken(latch).lines();
        let line = "broken so far: p95 < 300ms during store_slow: 1 in 20 ";
        assert!(told(&latch).contains(line), "{}", told(&latch));
        let mut later = timeline.clone();
        later.keep(0);
        latch.look(&later, Micros::secs(90));
        assert!(told(&latch).contains(line), "{}", told(&latch));
    }

    #[test]
    fn of_many_broken_objectives_a_few_are_told_and_the_rest_counted() {
        let text = |n: usize| format!("p95(list_{n}) < 1s");
        let broken = |n: usize| Broken { text: text(n), measured: "2 s".to_owned(), of_late: n == 1 };
        let told = |n: usize| Latch((0..n).map(|n| Some(broken(n))).collect()).lines();
        assert_eq!(told(5).len(), 5);
        let many = told(23);
        assert_eq!((many.len(), many[5].as_str()), (6, "so are 18 more"));
        let begins = [&many[0][..13], &many[1][..14]];
        assert_eq!(begins, ["broken so far", "broken of late"]);
    }

    #[test]
    fn on_a_narrow_terminal_lines_are_broken_between_fields_and_words() {
        let view = |now| View::of(&fixture::timeline(), Micros::secs(now));
        for columns in [60, 80, 100] {
            for now in [30, 61] {
                let text = view(now).below_the_bar(columns);
                let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
                assert!(longest <= columns, "{columns}: {text}");
                let all = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(all(&text), all(&view(now).lines()));
            }
        }
        let rows = |columns| view(30).below_the_bar(columns).lines().count();
        assert!(rows(80) > rows(200), "nothing was too long for 80 columns");
    }

    #[test]
    fn an_objective_that_what_comes_in_wins_back_is_told_no_more() {
        let during = PhaseName::During("x".to_owned());
        let errors = expect(Metric::Errors, Comparison::Below, 0.4, during);
        let plan =
            Plan::new(60).shape("rooms", "create", s(2.0)).fault("x", 30.0, Some(10.0)).objective(errors);
        let answer = |at: Micros| match (s(30.0)..s(32.0)).contains(&at) {
            true => (s(1.0), Kind::Status),
            false => (s(0.1), Kind::Ok),
        };
        let samples = evenly(50, 0, 60, answer);
        let known = |now: f64| {
            let known: Vec<_> = samples.iter().filter(|sample| sample.intended < s(now)).cloned().collect();
            plan.clone().timeline(&known)
        };
        let mut latch = Latch::new(&plan.outline);
        let mut told = |now: f64| {
            latch.look(&known(now), s(now));
            latch.lines()
        };
        assert_eq!(told(33.0).len(), 1, "half of what is known failed");
        assert_eq!(told(45.0), Vec::<String>::new(), "a fifth of all did");
    }
}
