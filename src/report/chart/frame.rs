//! The frame that all charts over time share: one time axis, the strip of phases, faults shaded.
//!
//! Owns the layout of phases and fault labels, so that none covers another; what is drawn inside the
//! panels is each chart's own.

use super::label::{self, Area, Placer, Spot};
use super::scale::{self, Scale};
use super::svg::{self, Face, Ink, Svg, end, middle, start};
use super::{NARROW, SMALL, WIDE};
use crate::objective::PhaseName;
use crate::report::words::{short_clock, visible};
use crate::timeline::Timeline;
use crate::units::Micros;
use crate::verdict::{Judgement, Phase};

const LANE: f64 = 24.0;
const ROW: f64 = 15.0;

/// A stretch in which something was in force; without an end it just happened.
struct Window {
    from: Micros,
    to: Option<Micros>,
    name: String,
    what: String,
    /// Where its label stands, above the panels.
    spot: Option<(Spot, bool)>,
}

/// One box of the strip.
struct Segment {
    from: Micros,
    to: Micros,
    lane: usize,
    name: String,
    ink: Ink,
    opacity: f64,
    /// The label inside the box, or below the strip.
    inside: Option<String>,
    below: Option<Spot>,
}

/// The shared axis, and what stands above the panels.
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) narrow: bool,
    pub(super) x: Scale,
    length: Micros,
    segments: Vec<Segment>,
    strip: f64,
    windows: Vec<Window>,
    rows: f64,
}

const FACE: Face = Face { size: SMALL, bold: false, ink: svg::MUTED };

impl Frame {
    pub(super) fn new(timeline: &Timeline, judgement: &Judgement, narrow: bool) -> Frame {
        let length = timeline.load_end().max(Micros::SECOND);
        let width = if narrow { NARROW } else { WIDE };
        let (left, right) = (if narrow { 50.0 } else { 62.0 }, width - 14.0);
        let x = Scale::linear(0.0, length.0 as f64, left, right);
        let mut frame = Frame {
            width,
            left,
            right,
            narrow,
            x,
            length,
            segments: segments(judgement, length),
            strip: 0.0,
            windows: windows(judgement, length),
            rows: 0.0,
        };
        frame.lay_out_strip();
        frame.lay_out_windows();
        frame
    }

    pub(super) fn at(&self, time: Micros) -> f64 {
        self.x.at(time.0 as f64)
    }

    /// Height of the strip with the labels below it.
    pub(super) fn strip_height(&self) -> f64 {
        self.strip
    }

    /// Height of the rows of fault labels.
    pub(super) fn rows_height(&self) -> f64 {
        self.rows
    }

    fn lay_out_strip(&mut self) {
        let lanes = self.segments.iter().map(|s| s.lane + 1).max().unwrap_or(0) as f64;
        let bounds = Area { left: 0.0, top: 0.0, right: self.width, bottom: 1e4 };
        let mut placer = Placer::new(bounds);
        let (mut named, mut bottom): (Vec<String>, f64) = (Vec::new(), lanes * LANE);
        for i in 0..self.segments.len() {
            let (from, to) = (self.at(self.segments[i].from), self.at(self.segments[i].to));
            let s = &mut self.segments[i];
            s.inside = label::fitted(&s.name, to - from - 8.0, SMALL, false);
            let first = !named.contains(&s.name);
            named.push(s.name.clone());
            if s.inside.as_deref() == Some(s.name.as_str()) || !first {
                continue;
            }
            let rows = (0..4).map(|row| lanes * LANE + 10.0 + f64::from(row) * ROW);
            let spots: Vec<Spot> = rows.flat_map(|y| [start(from, y), end(to, y)]).collect();
            s.below = placer.place(&s.name, SMALL, false, &spots);
            if let Some(spot) = s.below {
                s.inside = None;
                bottom = bottom.max(spot.y + 6.0);
            }
        }
        self.strip = bottom;
    }

    fn lay_out_windows(&mut self) {
        let bounds = Area { left: self.left - 40.0, top: 0.0, right: self.width, bottom: 1e4 };
        let mut placer = Placer::new(bounds);
        for i in 0..self.windows.len() {
            let x = self.at(self.windows[i].from);
            let w = &mut self.windows[i];
            let full = label_text(&w.name, &w.what);
            let rows = (0..3).map(|row| 11.0 + f64::from(row) * ROW);
            let spots: Vec<Spot> = rows.flat_map(|y| [start(x + 4.0, y), end(x - 4.0, y)]).collect();
            let with_what = placer.place(&full, SMALL, true, &spots).map(|spot| (spot, true));
            w.spot =
                with_what.or_else(|| placer.place(&w.name, SMALL, true, &spots).map(|spot| (spot, false)));
            if let Some((spot, _)) = w.spot {
                self.rows = self.rows.max(spot.y + 7.0);
            }
        }
    }

    /// The strip of phases.
    pub(super) fn draw_strip(&self, svg: &mut Svg, top: f64) {
        for s in &self.segments {
            let (from, to, y) = (self.at(s.from), self.at(s.to), top + s.lane as f64 * LANE);
            let title = format!("{}: {} to {}", s.name, short_clock(s.from), short_clock(s.to));
            svg.rect_titled((from + 0.5, y), (to - from - 1.0, LANE - 4.0), s.ink, s.opacity, &title);
            let face = Face { ink: svg::TEXT, ..FACE };
            if let Some(text) = &s.inside {
                svg.caption(start(from + 5.0, y + 14.0), face, text);
            }
            if let Some(spot) = s.below {
                svg.caption(Spot { y: top + spot.y, ..spot }, FACE, &s.name);
            }
        }
    }

    /// Labels of the faults, each with a line at its start that runs down through all panels.
    pub(super) fn draw_windows(&self, svg: &mut Svg, top: f64, bottom: f64) {
        for w in &self.windows {
            let x = self.at(w.from);
            let upper = w.spot.map_or(top + self.rows, |(spot, _)| top + spot.y - 9.0);
            svg.line((x, upper), (x, bottom), svg::ORANGE, 1.2, "");
        }
        for w in &self.windows {
            let Some((spot, with_what)) = w.spot else { continue };
            let text = if with_what { label_text(&w.name, &w.what) } else { w.name.clone() };
            let left = label::area(&text, spot, SMALL, true).left;
            let bold = Face { bold: true, ink: svg::AMBER_TEXT, ..FACE };
            svg.text(start(left, top + spot.y), bold, &w.name);
            if with_what && !w.what.is_empty() {
                let beside = left + label::width(&w.name, SMALL, true) + 6.0;
                svg.text(start(beside, top + spot.y), Face { ink: svg::AMBER_TEXT, ..FACE }, &w.what);
            }
        }
    }

    /// Shades the stretches in which faults were in force.
    pub(super) fn shade(&self, svg: &mut Svg, top: f64, bottom: f64) {
        for w in &self.windows {
            let Some(to) = w.to else { continue };
            let (from, to) = (self.at(w.from), self.at(to));
            svg.rect((from, top), (to - from, bottom - top), svg::ORANGE, 0.16);
        }
    }

    /// Grid lines of the time axis; with `labels` their times below.
    pub(super) fn time_axis(&self, svg: &mut Svg, top: f64, bottom: f64, labels: bool) {
        let most = ((self.right - self.left) / 58.0) as usize;
        let step = scale::time_step(self.length, most);
        let ticks: Vec<Micros> = (0..=self.length.0 / step.0).map(|i| step * i).collect();
        let xs: Vec<f64> = ticks.iter().map(|&tick| self.at(tick)).collect();
        svg.verticals(&xs, top, bottom);
        for (tick, x) in ticks.into_iter().zip(xs).filter(|_| labels) {
            let text = short_clock(tick);
            let over = x + label::width(&text, SMALL, false) / 2.0 > self.width;
            let y = bottom + 16.5;
            svg.caption(if over { end(self.width, y) } else { middle(x, y) }, FACE, &text);
        }
    }

    /// A grid line of a value axis with its label.
    pub(super) fn value_tick(&self, svg: &mut Svg, y: f64, text: &str) {
        svg.line((self.left, y), (self.right, y), svg::GRID, 1.0, "");
        svg.caption(end(self.left - 6.0, y + 4.0), FACE, text);
    }

    /// A panel's name, above its left end.
    pub(super) fn panel_name(&self, svg: &mut Svg, top: f64, text: &str) {
        svg.caption(start(self.left, top - 6.0), FACE, text);
    }

    /// All that a panel has beneath its lines: shading, grid, and on the last one the times.
    pub(super) fn panel(&self, svg: &mut Svg, (top, bottom): (f64, f64), times: bool) {
        self.shade(svg, top, bottom);
        self.time_axis(svg, top, bottom, times);
    }

    /// Faults and trigger shapes in one sentence: `store_slow from 0:30 to 0:50`.
    pub(super) fn in_words(&self) -> String {
        let each = self.windows.iter().map(|w| match w.to {
            Some(to) => format!("{} from {} to {}", w.name, short_clock(w.from), short_clock(to)),
            None => format!("{} at {}", w.name, short_clock(w.from)),
        });
        let all: Vec<String> = each.collect();
        if all.is_empty() { "no faults".to_owned() } else { format!("faults: {}", all.join(", ")) }
    }
}

fn label_text(name: &str, what: &str) -> String {
    format!("{name}  {what}")
}

/// Phases but for `run`, which is everything; overlapping ones in lanes of their own.
fn segments(judgement: &Judgement, length: Micros) -> Vec<Segment> {
    let mut spans: Vec<(Micros, Micros, &Phase)> = Vec::new();
    let triggered = judgement.phases.iter().any(|p| !matches!(p.name, PhaseName::Warmup | PhaseName::Run));
    for phase in judgement.phases.iter().filter(|p| !triggered || p.name != PhaseName::Run) {
        let inside = phase.spans.iter().map(|s| (s.from.max(Micros::ZERO), s.to.min(length), phase));
        spans.extend(inside.filter(|(from, to, _)| from < to));
    }
    spans.sort_by_key(|(from, _, _)| *from);
    let mut lanes: Vec<Micros> = Vec::new();
    let mut segments = Vec::new();
    for (from, to, phase) in spans {
        let free = lanes.iter().position(|&until| until <= from);
        let lane = free.unwrap_or(lanes.len());
        if lane == lanes.len() {
            lanes.push(to);
        } else {
            lanes[lane] = to;
        }
        let (ink, opacity) = match phase.name {
            PhaseName::Baseline => (svg::SKY, 0.4),
            PhaseName::During(_) => (svg::ORANGE, 0.55),
            PhaseName::Warmup => (svg::REST, 0.6),
            PhaseName::After(_) | PhaseName::Run => (svg::REST, 1.0),
        };
        let name = visible(&phase.name.to_string());
        segments.push(Segment { from, to, lane, name, ink, opacity, inside: None, below: None });
    }
    segments
}

/// Faults as proven, and shapes that are triggers.
fn windows(judgement: &Judgement, length: Micros) -> Vec<Window> {
    let window = |from: Micros, to: Option<Micros>, name: &str, what: &str| Window {
        from,
        to: to.filter(|to| *to > from).map(|to| to.min(length)),
        name: visible(name),
        what: visible(what),
        spot: None,
    };
    let faults = judgement.faults.iter().filter_map(|f| {
        let from = f.effective.or(f.injected)?;
        Some(window(from, f.verified.or(f.cleared).or(Some(length)), &f.name, &f.what))
    });
    let shapes = judgement.triggers.iter().filter(|t| t.shape);
    let shapes = shapes.map(|t| window(t.t_inject, t.t_clear, &t.name, "load"));
    let mut all: Vec<Window> = faults.chain(shapes).filter(|w| w.from < length).collect();
    all.sort_by_key(|w| w.from);
    all
}
