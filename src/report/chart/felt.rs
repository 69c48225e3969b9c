//! What users felt: phases, latency quantiles on a log axis, goodput below, on one time axis.
//!
//! Owns this one chart.

use std::collections::{BTreeMap, BTreeSet};

use super::SMALL;
use super::crowd::{self, Apart};
use super::frame::{Frame, Frames};
use super::label::{self, Area, Placer, Spot};
use super::scale::{self, Scale};
use super::svg::{self, Face, Ink, Svg, end, start};
use crate::objective::{Comparison, Metric, PhaseName};
use crate::quantity::Quantity;
use crate::report::markup::Markup;
use crate::report::series::{Point, over, upper};
use crate::report::words::{percent, visible};
use crate::sample::OpId;
use crate::stats::n_min;
use crate::timeline::Timeline;
use crate::units::{Micros, grouped, or_dash, short_clock};
use crate::verdict::{JudgedTrigger, Judgement, ShapeBand, Span, Tail, Word};

const GOOD_HEIGHT: f64 = 66.0;
const GAP: f64 = 30.0;

/// A limit that an objective sets to this operation, and when it applies.
struct Limit {
    metric: Metric,
    value: f64,
    text: String,
    broken: bool,
    /// What is normal, not what was asked for.
    band: bool,
    spans: Vec<Span>,
}

/// A moment that the verdict rests on: a trigger is over, or the service is back.
struct Moment {
    at: Micros,
    text: &'static str,
    ink: Ink,
}

/// All that stands in the chart beside the operation's own numbers.
struct Beside {
    limits: Vec<Limit>,
    moments: Vec<Moment>,
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
    value: fn(&Point) -> Option<Quantity>,
}

/// The chart of one operation, for wide and for narrow pages.
pub(in crate::report) fn felt(
    page: &mut Markup,
    frames: &Frames,
    (timeline, judgement): (&Timeline, &Judgement),
    op: OpId,
    points: &[Point],
) {
    let beside = beside(timeline, judgement, op);
    for frame in frames.each() {
        let name = &timeline.outline().operations[usize::from(op.0)].name;
        draw(page, frame, points, &beside, &in_words(name, points, frame));
    }
}

fn draw(page: &mut Markup, frame: &Frame, points: &[Point], beside: &Beside, title: &str) {
    let limits = &beside.limits[..];
    let top = frame.strip_height() + frame.rows_height() + 8.0;
    let latency = (top, top + if frame.narrow { 170.0 } else { 200.0 });
    let good = (latency.1 + GAP, latency.1 + GAP + GOOD_HEIGHT);
    let height = good.1 + 23.0 + frame.health_height();
    Svg::picture(page, (frame.width, height), frame.narrow, title, |svg| {
        frame.draw_strip(svg, 0.0);
        frame.panel(svg, latency, false);
        frame.panel(svg, good, true);
        let axis = latency_axis(svg, frame, points, limits, latency);
        draw_good(svg, frame, points, limits, good);
        frame.draw_windows(svg, frame.strip_height(), good.1);
        frame.draw_health(svg, good.1 + 22.0);
        let moments = apart(frame, &beside.moments);
        for ink in [svg::AMBER_TEXT, svg::GREEN] {
            let lines = moments.iter().filter(|moment| moment.ink == ink);
            let lines: Vec<(f64, f64)> = lines.map(|m| (frame.at(m.at), latency.0)).collect();
            svg.downs(&lines, good.1, ink, 1.2, "2 3");
        }
        draw_latency(svg, frame, points, beside, &axis, latency);
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
    let upper = upper(points).value;
    let measured = points.iter().flat_map(|p| [p.p50, upper(p)]).flatten().map(|v| v.value);
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
    beside: &Beside,
    axis: &Scale,
    (top, bottom): (f64, f64),
) {
    let limits = &beside.limits;
    let mut placer = Placer::new(Area { left: frame.left, top, right: frame.right, bottom });
    let upper = upper(points);
    let mut shown = vec![Line { name: upper.name, ink: svg::VERMILLION, value: upper.value }];
    if upper.name == "p99" && limits.iter().any(|limit| limit.metric == Metric::Quantile(0.95)) {
        shown.push(Line { name: "p95", ink: svg::PURPLE, value: |p| p.p95 });
    }
    shown.push(Line { name: "p50", ink: svg::BLUE, value: |p| p.p50 });
    let lines: Vec<_> = shown
        .iter()
        .map(|l| (l.name, l.ink, runs(frame, points, |p| (l.value)(p).map(|v| axis.at(v.value)))))
        .collect();
    for (_, _, runs) in &lines {
        runs.iter().for_each(|run| placer.avoid(run));
    }
    let moments = apart(frame, &beside.moments);
    for x in moments.iter().map(|moment| frame.at(moment.at)) {
        placer.avoid(&[(x, top), (x, bottom)]);
    }
    for limit in limits.iter().filter(|limit| limit.is_latency()) {
        draw_limit(svg, frame, axis, limit, &mut placer);
    }
    let drawn: Vec<f64> = moments.iter().map(|m| frame.at(m.at)).chain(frame.lines()).collect();
    let mut named = BTreeSet::new();
    for moment in moments {
        let must = named.insert(moment.text);
        name_moment(svg, &mut placer, (frame.at(moment.at), top), moment, (&drawn, must));
    }
    for (_, ink, runs) in &lines {
        runs.iter().for_each(|run| svg.polyline(run, *ink, 1.8, ""));
    }
    let bounds = points.iter().filter_map(|p| Some((p, (upper.value)(p).filter(Quantity::is_bound)?)));
    let bounds = bounds.map(|(p, value)| (frame.at(p.middle()), axis.at(value.value)));
    svg.triangles(&bounds.collect::<Vec<_>>(), svg::VERMILLION);
    for (name, ink, runs) in &lines {
        name_line(svg, &mut placer, name, *ink, runs);
    }
}

fn draw_limit(svg: &mut Svg, frame: &Frame, axis: &Scale, limit: &Limit, placer: &mut Placer) {
    let y = axis.at(limit.value);
    let (ink, dash) = match (limit.band, limit.broken) {
        (true, _) => (svg::BLUE, "1.5 3"),
        (false, false) => (svg::MUTED, "5 4"),
        (false, true) => (svg::RED, "5 4"),
    };
    let mut spots = Vec::new();
    let all = limit.spans.iter().map(|span| (frame.at(span.from), frame.at(span.to).min(frame.right)));
    let all = crowd::gathered(all);
    let all: Vec<(f64, f64)> = all.wide.into_iter().chain(all.thin).collect();
    svg.levels(&all, y, ink, 1.4, dash);
    for (from, to) in all {
        let (above, below) = (y - 5.0, y + 13.0);
        let (from, to) = (from + 4.0, to - 4.0);
        spots.extend([end(to, above), start(from, above), end(to, below), start(from, below)]);
        spots.extend([start(to + 8.0, y + 4.0), end(from - 8.0, y + 4.0)]);
    }
    let face = Face { size: SMALL, bold: false, ink };
    if let Some(spot) = placer.place(&limit.text, SMALL, false, &spots) {
        svg.text(spot, face, &limit.text);
    }
}

/// Those that can be told apart; of a crowd none.
fn apart<'b>(frame: &Frame, moments: &'b [Moment]) -> Vec<&'b Moment> {
    if crowd::is_crowd(moments.len(), frame.right - frame.left) {
        return Vec::new();
    }
    let mut kinds: BTreeMap<&str, Apart> = BTreeMap::new();
    let mut takes = |m: &&Moment| kinds.entry(m.text).or_default().takes(frame.at(m.at), false);
    moments.iter().filter(|moment| takes(moment)).collect()
}

/// Near the top of its line, and across none of the others; the first of a kind must be named, wherever that is.
fn name_moment(
    svg: &mut Svg,
    placer: &mut Placer,
    (x, top): (f64, f64),
    moment: &Moment,
    (drawn, must): (&[f64], bool),
) {
    let is_clear = |spot: &Spot| {
        let own = label::area(moment.text, *spot, SMALL, false);
        !drawn.iter().any(|x| own.left < *x && *x < own.right)
    };
    let rows = (0..4).map(|row| top + 13.0 + f64::from(row) * 14.0);
    let all: Vec<Spot> = rows.flat_map(|y| [start(x + 4.0, y), end(x - 4.0, y)]).collect();
    let clear: Vec<Spot> = all.iter().copied().filter(is_clear).collect();
    let spots = if clear.is_empty() && must { all } else { clear };
    let face = Face { size: SMALL, bold: false, ink: moment.ink };
    if let Some(spot) = placer.place(moment.text, SMALL, false, &spots) {
        svg.text(spot, face, moment.text);
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

/// Limits and bands of this operation, and the moments of its shape.
fn beside(timeline: &Timeline, judgement: &Judgement, op: OpId) -> Beside {
    let outline = timeline.outline();
    let shape = &outline.shapes[outline.operations[usize::from(op.0)].shape].name;
    let rests = outline.objectives.iter().any(|o| matches!(o.metric, Metric::Outage | Metric::Recovery));
    let mut limits = limits(timeline, judgement, op);
    let mut moments = Vec::new();
    if rests {
        let normal = judgement.baseline.iter().filter(|b| b.shape == *shape && b.broken.is_none());
        limits.extend(normal.flat_map(|band| {
            let tail = band.tail.filter(|tail| is_usual(timeline, judgement, op, tail));
            bands(band, &outline.operations[usize::from(op.0)].name, tail, band.latency_limit(op))
        }));
        moments.extend(judgement.triggers.iter().flat_map(|t| of_trigger(t, shape)));
    }
    Beside { limits, moments }
}

/// Whether what was usual for the operation lies within its shape's band of latency, which is one of all its operations
/// together: of a log-in and a report that takes a hundred times as long it says nothing of the report.
fn is_usual(timeline: &Timeline, judgement: &Judgement, op: OpId, tail: &Tail) -> bool {
    let baseline = judgement.phases.iter().find(|p| p.name == PhaseName::Baseline);
    let of_one = baseline.and_then(|phase| over(timeline, op, phase).quantile(tail.quantile));
    of_one.is_some_and(|of_one| of_one.value <= tail.band.limit)
}

/// What is normal for the shape: the ends of its band. An operation's own average stands for a quantile that says nothing
/// of it.
fn bands(
    band: &ShapeBand,
    name: &str,
    tail: Option<Tail>,
    average: Option<f64>,
) -> impl Iterator<Item = Limit> + use<> {
    let spans = || vec![Span { from: Micros::ZERO, to: Micros::MAX }];
    let limit = move |metric: Metric, value: f64, text: String| Limit {
        metric,
        value,
        text,
        broken: false,
        band: true,
        spans: spans(),
    };
    let latency = match (tail, average) {
        (Some(tail), _) => {
            let (quantile, end) = (Metric::Quantile(tail.quantile), tail.band.limit);
            let text = format!("normal for {}: {quantile} to {}", visible(&band.shape), Micros(end as i64));
            Some((quantile, end, text))
        }
        (None, Some(end)) => {
            let text = format!("normal for {}: average to {}", visible(name), Micros(end as i64));
            Some((Metric::Quantile(0.5), end, text))
        }
        (None, None) => None,
    };
    let latency = latency.map(|(metric, end, text)| limit(metric, end, text));
    let goodput = band.goodput.map(|b| {
        let text = format!("normal from {} %", percent(b.limit));
        limit(Metric::Errors, b.limit, text)
    });
    latency.into_iter().chain(goodput)
}

/// When a trigger was over, and from when on this shape was well again.
fn of_trigger<'t>(trigger: &'t JudgedTrigger, shape: &str) -> impl Iterator<Item = Moment> + use<'t> {
    let seen = trigger.shapes.iter().find(|s| s.shape == shape);
    let over = trigger.t_clear.filter(|_| seen.is_some() && !trigger.just_happens());
    let over = over.map(|at| Moment { at, text: "over", ink: svg::AMBER_TEXT });
    let harmed = trigger.outage != Some(Micros::ZERO) && trigger.doubt.is_none();
    let back = seen.and_then(|s| s.recovered).filter(|_| harmed);
    let back = back.map(|at| Moment { at, text: "well again", ink: svg::GREEN });
    over.into_iter().chain(back)
}

/// Objectives on this operation's latency and errors, those as the share that must be good; a flow of one operation lends it its own.
fn limits(timeline: &Timeline, judgement: &Judgement, op: OpId) -> Vec<Limit> {
    let outline = timeline.outline();
    let this = &outline.operations[usize::from(op.0)];
    let shape = outline.shapes.get(this.shape).map(|s| s.name.as_str());
    let alone = outline.one_operation(this.shape);
    let meant = |selector: &Option<String>| match selector.as_deref() {
        None => !this.flow,
        Some(name) => this.is_called(name) || (alone && Some(name) == shape),
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
            broken: judged.word == Word::Fail,
            band: false,
            spans: spans.map(|p| p.spans.clone()).unwrap_or_default(),
        });
    }
    limits.sort_by_key(|l| !l.broken);
    limits
}

/// One column in words, for pointing at: the quantiles that it has operations enough for, and the maximum.
fn told(p: &Point) -> String {
    let good = or_dash(p.good_share().map(|g| percent(g) + " %"));
    let (at, n) = (short_clock(p.from), grouped(p.intended));
    let each = [("p50", 0.5, p.p50), ("p95", 0.95, p.p95), ("p99", 0.99, p.p99)];
    let carried = each.into_iter().filter(|(_, q, _)| p.intended >= n_min(*q));
    let values = carried.map(|(name, _, value)| (name, value)).chain([("max", p.max)]);
    let values: Vec<String> = values
        .map(|(name, value)| {
            let bound = if value.is_some_and(|v| v.is_bound()) { "≥ " } else { "" };
            format!("{name} {bound}{}", or_dash(value.map(|v| v.micros())))
        })
        .collect();
    format!("{at} · {} · good {good} · n {n}", values.join(" · "))
}

fn in_words(name: &str, points: &[Point], frame: &Frame) -> String {
    let upper = upper(points);
    let worst = points.iter().filter_map(|p| Some(((upper.value)(p)?.micros(), p.from))).max();
    let least = points.iter().filter_map(|p| Some((p.good_share()?, p.from)));
    let least = least.min_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((slowest, at)), Some((good, when))) = (worst, least) else {
        return format!("{name}: nothing was sent");
    };
    format!(
        "{name} over time: {} is worst at {} with {slowest}; least is good at {} with {} %; {}",
        upper.name,
        short_clock(at),
        short_clock(when),
        percent(good),
        frame.in_words()
    )
}
