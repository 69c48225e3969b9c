//! What users felt: phases, latency quantiles on a log axis, goodput below, on one time axis.
//!
//! Owns this one chart.

use super::SMALL;
use super::frame::Frame;
use super::label::{Area, Placer};
use super::scale::{self, Scale};
use super::svg::{self, Face, Ink, Svg, end, start};
use crate::objective::{Comparison, Metric};
use crate::report::markup::Markup;
use crate::report::series::Point;
use crate::report::words::{percent, short_clock, visible};
use crate::sample::OpId;
use crate::timeline::Timeline;
use crate::units::{Micros, grouped, or_dash};
use crate::verdict::{Judgement, Span, Word};

const GOOD_HEIGHT: f64 = 66.0;
const GAP: f64 = 30.0;

/// A limit that an objective sets to this operation, and when it applies.
struct Limit {
    metric: Metric,
    value: f64,
    text: String,
    held: bool,
    spans: Vec<Span>,
}

impl Limit {
    fn is_latency(&self) -> bool {
        self.metric != Metric::Errors
    }
}

/// One quantile over time.
struct Line {
    name: &'static str,
    ink: Ink,
    value: fn(&Point) -> Option<Micros>,
}

/// The chart of one operation, for wide and for narrow pages.
pub(in crate::report) fn felt(
    page: &mut Markup,
    timeline: &Timeline,
    judgement: &Judgement,
    op: OpId,
    points: &[Point],
) {
    let limits = limits(timeline, judgement, op);
    for narrow in [false, true] {
        let frame = Frame::new(timeline, judgement, narrow);
        let name = &timeline.outline().operations[usize::from(op.0)].name;
        draw(page, &frame, points, &limits, &in_words(name, points, &frame));
    }
}

fn draw(page: &mut Markup, frame: &Frame, points: &[Point], limits: &[Limit], title: &str) {
    let top = frame.strip_height() + frame.rows_height() + 8.0;
    let latency = (top, top + if frame.narrow { 170.0 } else { 200.0 });
    let good = (latency.1 + GAP, latency.1 + GAP + GOOD_HEIGHT);
    Svg::picture(page, (frame.width, good.1 + 23.0), frame.narrow, title, |svg| {
        frame.draw_strip(svg, 0.0);
        frame.panel(svg, latency, false);
        frame.panel(svg, good, true);
        let axis = latency_axis(svg, frame, points, limits, latency);
        draw_good(svg, frame, points, limits, good);
        frame.draw_windows(svg, frame.strip_height(), good.1);
        draw_latency(svg, frame, points, limits, &axis, latency);
        if !frame.narrow {
            let columns = points.iter().filter(|p| p.intended > 0);
            svg.columns(columns.map(|p| (frame.at(p.from), frame.at(p.to), told(p))), latency.0, good.1);
        }
    });
}

fn latency_axis(
    svg: &mut Svg,
    frame: &Frame,
    points: &[Point],
    limits: &[Limit],
    (top, bottom): (f64, f64),
) -> Scale {
    let measured = points.iter().flat_map(|p| [p.p50, p.p99]).flatten().map(|v| v.0 as f64);
    let (low, high) =
        scale::log_range(measured.chain(limits.iter().filter(|l| l.is_latency()).map(|l| l.value)));
    let axis = Scale::log(low, high, bottom, top);
    for tick in scale::log_ticks(low, high) {
        frame.value_tick(svg, axis.at(tick), &Micros(tick.round() as i64).to_string());
    }
    axis
}

fn draw_latency(
    svg: &mut Svg,
    frame: &Frame,
    points: &[Point],
    limits: &[Limit],
    axis: &Scale,
    (top, bottom): (f64, f64),
) {
    let mut placer = Placer::new(Area { left: frame.left, top, right: frame.right, bottom });
    let mut shown = vec![Line { name: "p99", ink: svg::VERMILLION, value: |p| p.p99 }];
    if limits.iter().any(|limit| limit.metric == Metric::Quantile(0.95)) {
        shown.push(Line { name: "p95", ink: svg::PURPLE, value: |p| p.p95 });
    }
    shown.push(Line { name: "p50", ink: svg::BLUE, value: |p| p.p50 });
    let lines: Vec<_> = shown
        .iter()
        .map(|l| (l.name, l.ink, runs(frame, points, |p| (l.value)(p).map(|v| axis.at(v.0 as f64)))))
        .collect();
    for (_, _, runs) in &lines {
        runs.iter().for_each(|run| placer.avoid(run));
    }
    for limit in limits.iter().filter(|limit| limit.is_latency()) {
        draw_limit(svg, frame, axis, limit, &mut placer);
    }
    for (_, ink, runs) in &lines {
        runs.iter().for_each(|run| svg.polyline(run, *ink, 1.8, ""));
    }
    for p in points.iter().filter(|p| p.bounded) {
        let (x, y) = (frame.at(p.middle()), p.p99.map_or(bottom, |v| axis.at(v.0 as f64)));
        svg.fill(&[(x - 3.0, y), (x, y - 5.5), (x + 3.0, y)], svg::VERMILLION, 1.0);
    }
    for (name, ink, runs) in &lines {
        name_line(svg, &mut placer, name, *ink, runs);
    }
}

fn draw_limit(svg: &mut Svg, frame: &Frame, axis: &Scale, limit: &Limit, placer: &mut Placer) {
    let y = axis.at(limit.value);
    let ink = if limit.held { svg::MUTED } else { svg::RED };
    let mut spots = Vec::new();
    for span in &limit.spans {
        let (from, to) = (frame.at(span.from), frame.at(span.to));
        svg.line((from, y), (to, y), ink, 1.4, "5 4");
        let (above, below) = (y - 5.0, y + 13.0);
        spots.extend([end(to, above), start(from + 4.0, above), end(to, below), start(from + 4.0, below)]);
        spots.extend([start(to + 4.0, y + 4.0), end(from - 4.0, y + 4.0)]);
    }
    let face = Face { size: SMALL, bold: false, ink };
    if let Some(spot) = placer.place(&limit.text, SMALL, false, &spots) {
        svg.text(spot, face, &limit.text);
    }
}

/// The line's name where it hides least: p50 rather below its line, the others above.
fn name_line(svg: &mut Svg, placer: &mut Placer, name: &str, ink: Ink, runs: &[Vec<(f64, f64)>]) {
    let all: Vec<(f64, f64)> = runs.iter().flatten().copied().collect();
    let stride = (all.len() / 24).max(1);
    let beside = |dy: f64| all.iter().step_by(stride).map(move |&(x, y)| start(x, y + dy));
    let (first, then) = if name == "p50" { (17.0, -8.0) } else { (-8.0, 17.0) };
    let spots: Vec<_> = beside(first).chain(beside(then)).collect();
    let face = Face { size: 12.0, bold: true, ink };
    if let Some(spot) = placer.place(name, face.size, true, &spots) {
        svg.text(spot, face, name);
    }
}

fn draw_good(svg: &mut Svg, frame: &Frame, points: &[Point], limits: &[Limit], (top, bottom): (f64, f64)) {
    let axis = Scale::linear(0.0, 1.0, bottom, top);
    for (share, text) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        frame.value_tick(svg, axis.at(share), text);
    }
    frame.panel_name(svg, top, "good: answered as expected and in time");
    let runs = runs(frame, points, |p| p.good_share().map(|g| axis.at(g)));
    let mut placer = Placer::new(Area { left: frame.left, top, right: frame.right, bottom });
    runs.iter().for_each(|run| placer.avoid(run));
    for limit in limits.iter().filter(|limit| !limit.is_latency()) {
        draw_limit(svg, frame, &axis, limit, &mut placer);
    }
    for run in runs {
        let (first, last) = (run[0].0, run[run.len() - 1].0);
        let mut shape = run.clone();
        shape.extend([(last, bottom), (first, bottom)]);
        svg.fill(&shape, svg::GREEN, 0.16);
        svg.polyline(&run, svg::GREEN, 1.6, "");
    }
}

/// Unbroken runs of points that have a value.
pub(super) fn runs(
    frame: &Frame,
    points: &[Point],
    y: impl Fn(&Point) -> Option<f64>,
) -> Vec<Vec<(f64, f64)>> {
    let placed: Vec<Option<(f64, f64)>> =
        points.iter().map(|p| y(p).map(|y| (frame.at(p.middle()), y))).collect();
    let pieces = placed.split(Option::is_none).filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.iter().flatten().copied().collect()).collect()
}

/// Objectives on this operation's latency and errors, those as the share that must be good; a flow of one operation lends it its own.
fn limits(timeline: &Timeline, judgement: &Judgement, op: OpId) -> Vec<Limit> {
    let outline = timeline.outline();
    let this = &outline.operations[usize::from(op.0)];
    let shape = outline.shapes.get(this.shape).map(|s| s.name.as_str());
    let alone = outline.one_operation(this.shape);
    let meant = |selector: &Option<String>| match selector.as_deref() {
        None => !this.flow,
        Some(name) => name == this.name || (alone && Some(name) == shape),
    };
    let mut limits: Vec<Limit> = Vec::new();
    for (objective, judged) in outline.objectives.iter().zip(&judgement.objectives) {
        let upper = matches!(objective.comparison, Comparison::Below | Comparison::AtMost);
        let value = match objective.metric {
            Metric::Quantile(_) | Metric::Max | Metric::Mean => objective.value,
            Metric::Errors => 1.0 - objective.value,
            _ => continue,
        };
        if !(upper && meant(&objective.selector)) {
            continue;
        }
        let spans = judgement.phases.iter().find(|p| p.name == objective.phase);
        limits.push(Limit {
            metric: objective.metric.clone(),
            value,
            text: format!(
                "{} {} {}",
                objective.metric,
                objective.comparison.sign(),
                visible(&judged.limit_text)
            ),
            held: judged.word != Word::Fail,
            spans: spans.map(|p| p.spans.clone()).unwrap_or_default(),
        });
    }
    limits.sort_by_key(|l| l.held);
    limits
}

/// One column in words, for pointing at.
fn told(p: &Point) -> String {
    let bound = if p.bounded { "≥ " } else { "" };
    let good = or_dash(p.good_share().map(|g| percent(g) + " %"));
    let (at, n) = (short_clock(p.from), grouped(p.intended));
    format!(
        "{at} · p50 {} · p95 {} · p99 {bound}{} · good {good} · n {n}",
        or_dash(p.p50),
        or_dash(p.p95),
        or_dash(p.p99)
    )
}

fn in_words(name: &str, points: &[Point], frame: &Frame) -> String {
    let worst = points.iter().filter_map(|p| Some((p.p99?, p.from))).max();
    let least = points.iter().filter_map(|p| Some((p.good_share()?, p.from)));
    let least = least.min_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((p99, at)), Some((good, when))) = (worst, least) else {
        return format!("{name}: nothing was sent");
    };
    format!(
        "{name} over time: p99 is worst at {} with {p99}; least is good at {} with {} %; {}",
        short_clock(at),
        short_clock(when),
        percent(good),
        frame.in_words()
    )
}
