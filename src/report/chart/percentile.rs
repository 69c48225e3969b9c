//! Latency by percentile: one line per phase, nines on the axis.
//!
//! Owns this one chart.

use super::label::{self, Anchor, Spot};
use super::scale::{self, Scale, nines};
use super::svg::{self, Face, Ink, Svg, end, middle};
use super::{HALF, NARROW, SMALL};
use crate::objective::PhaseName;
use crate::report::markup::Markup;
use crate::report::words::visible;
use crate::stats::n_min;
use crate::timeline::Tally;
use crate::units::{Micros, grouped};

/// One phase of the operation, with what is known of it.
pub(in crate::report) struct Line<'a> {
    pub(in crate::report) phase: &'a PhaseName,
    pub(in crate::report) tally: Tally,
}

const FACE: Face = Face { size: SMALL, bold: false, ink: svg::MUTED };
const GAP: f64 = 15.0;
const TOP: f64 = 8.0;

/// A phase's curve in pixels: measured, of operations too few to bound it, and where it is only a lower bound.
struct Curve {
    ink: Ink,
    dash: &'static str,
    measured: Vec<(f64, f64)>,
    guessed: Vec<(f64, f64)>,
    bounded: Vec<(f64, f64)>,
}

/// The chart of one operation, for wide and for narrow pages.
pub(in crate::report) fn percentile(page: &mut Markup, name: &str, lines: &[Line]) {
    for narrow in [false, true] {
        draw(page, name, lines, narrow);
    }
}

fn draw(page: &mut Markup, name: &str, lines: &[Line], narrow: bool) {
    let width = if narrow { NARROW } else { HALF };
    let names: Vec<String> = lines.iter().map(|l| visible(&l.phase.to_string())).collect();
    let room = names.iter().map(|n| label::width(n, SMALL, false)).fold(0.0, f64::max).min(width * 0.36);
    let (left, right) = (if narrow { 50.0 } else { 62.0 }, width - room - 22.0);
    let bottom = TOP + f64::max(200.0, GAP * lines.len() as f64 + 10.0);
    let most = lines.iter().map(|l| l.tally.intended).max().unwrap_or(1);
    let last = (most.max(10) as f64).log10().clamp(1.0, 5.0);
    let x = Scale::linear(0.0, last, left, right);
    let values = lines.iter().flat_map(|l| [1e-9, 0.5, 1.0].map(|q| l.tally.quantile(q)));
    let (low, high) = scale::log_range(values.flatten().map(|v| v.value));
    let y = Scale::log(low, high, bottom, TOP);
    Svg::picture(page, (width, bottom + 23.0), narrow, &in_words(name, lines), |svg| {
        for tick in scale::log_ticks(low, high) {
            svg.line((left, y.at(tick)), (right, y.at(tick)), svg::GRID, 1.0, "");
            let text = Micros(tick.round() as i64).to_string();
            svg.caption(end(left - 6.0, y.at(tick) + 4.0), FACE, &text);
        }
        for (nine, text) in (0..=last as usize).zip(["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]) {
            let at = x.at(nine as f64);
            svg.verticals(&[at], TOP, bottom);
            svg.caption(middle(at, bottom + 16.5), FACE, text);
        }
        let curves: Vec<Curve> =
            lines.iter().enumerate().map(|(i, l)| curve(lines, i, l, (&x, &y))).collect();
        for c in &curves {
            svg.polyline(&c.measured, c.ink, 1.8, c.dash);
            svg.polyline(&c.guessed, c.ink, 0.8, c.dash);
            svg.polyline(&c.bounded, c.ink, 1.8, "1.5 3");
        }
        draw_names(svg, &names, &curves, (right + 14.0, width), bottom);
    });
}

fn draw_names(svg: &mut Svg, names: &[String], curves: &[Curve], (left, right): (f64, f64), bottom: f64) {
    let tips: Vec<(f64, f64)> = curves
        .iter()
        .filter_map(|c| c.bounded.last().or(c.guessed.last()).or(c.measured.last()))
        .copied()
        .collect();
    let wanted: Vec<f64> = tips.iter().map(|(_, y)| *y).collect();
    let placed = label::spread(&wanted, GAP, TOP + 4.0, bottom - 2.0);
    for (((name, curve), tip), y) in names.iter().zip(curves).zip(&tips).zip(&placed) {
        svg.line(*tip, (left - 3.0, *y), curve.ink, 0.8, "");
        let spot = Spot { x: left, y: y + 4.0, anchor: Anchor::Start };
        if let Some(text) = label::fitted(name, right - left, SMALL, false) {
            svg.text(spot, Face { ink: svg::TEXT, ..FACE }, &text);
        }
    }
}

/// Samples a phase's distribution evenly along the axis of nines, as far as its count reaches.
fn curve(lines: &[Line], i: usize, line: &Line, (x, y): (&Scale, &Scale)) -> Curve {
    let (ink, dash) = look(lines, i);
    let n = line.tally.intended.max(1) as f64;
    let reach = n.log10().clamp(0.3, 5.0);
    let mut curve = Curve { ink, dash, measured: Vec::new(), guessed: Vec::new(), bounded: Vec::new() };
    for step in 0..=60 {
        let nine = reach * f64::from(step) / 60.0;
        let q = 1.0 - 10f64.powf(-nine);
        let Some(value) = line.tally.quantile(q.max(1e-9)) else { continue };
        let at = (x.at(nines(q)), y.at(value.value));
        if value.is_bound() {
            if curve.bounded.is_empty() {
                curve.bounded.extend(curve.guessed.last().or(curve.measured.last()));
            }
            curve.bounded.push(at);
        } else if line.tally.intended < n_min(q) {
            if curve.guessed.is_empty() {
                curve.guessed.extend(curve.measured.last());
            }
            curve.guessed.push(at);
        } else {
            curve.measured.push(at);
        }
    }
    curve
}

/// Colour and dash of a phase: its kind gives the family, its place among its kind the member.
fn look(lines: &[Line], i: usize) -> (Ink, &'static str) {
    let kind = |p: &PhaseName| match p {
        PhaseName::During(_) => 1,
        PhaseName::After(_) => 2,
        _ => 0,
    };
    let mine = kind(lines[i].phase);
    let nth = lines[..i].iter().filter(|l| kind(l.phase) == mine).count();
    let family: &[Ink] = match mine {
        1 => &[svg::VERMILLION, svg::ORANGE],
        2 => &[svg::GREEN, svg::PURPLE],
        _ => &[svg::BLUE, svg::SKY],
    };
    (family[nth % family.len()], ["", "7 3", "3 2"][(nth / family.len()) % 3])
}

fn in_words(name: &str, lines: &[Line]) -> String {
    let each = lines.iter().filter_map(|l| {
        let at = |q: f64| {
            let value = l.tally.quantile(q)?;
            let bound = if value.is_bound() { "at least " } else { "" };
            Some(format!("{bound}{}", value.micros()))
        };
        let n = l.tally.intended;
        let usual = [(0.99, "p99"), (0.95, "p95"), (0.9, "p90")];
        let (q, high) = usual.into_iter().find(|(q, _)| n >= n_min(*q)).unwrap_or((1.0, "at most"));
        Some(format!("{}: p50 {}, {high} {} of {}", l.phase, at(0.5)?, at(q)?, grouped(n)))
    });
    format!("{name}, latency by percentile. {}", each.collect::<Vec<_>>().join("; "))
}
