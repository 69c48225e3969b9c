//! Rate and errors over time: what was due, what was good, and what was bad per second.
//!
//! Owns this one chart.

use super::SMALL;
use super::felt::runs;
use super::frame::{Frame, Frames};
use super::label::{Area, Placer};
use super::scale::{self, Scale};
use super::svg::{self, Face, Ink, Svg, middle, start};
use crate::report::markup::Markup;
use crate::report::series::Point;
use crate::report::words::plain;
use crate::units::{grouped, short_clock};

const HEIGHT: f64 = 96.0;
const BAD_HEIGHT: f64 = 60.0;
const GAP: f64 = 30.0;

/// The chart of one operation, for wide and for narrow pages.
pub(in crate::report) fn rate(page: &mut Markup, frames: &Frames, name: &str, points: &[Point]) {
    let title = in_words(name, points);
    for frame in frames.each() {
        let top = frame.rows_height() + 22.0;
        let good = (top, top + HEIGHT);
        let bad = (good.1 + GAP, good.1 + GAP + BAD_HEIGHT);
        Svg::picture(page, (frame.width, bad.1 + 23.0), frame.narrow, &title, |svg| {
            frame.panel(svg, good, false);
            frame.panel(svg, bad, true);
            draw_bad(svg, frame, points, bad);
            let axis = axis(svg, frame, points.iter().map(|p| p.per_second(p.intended)), good, 4);
            frame.draw_windows(svg, 0.0, bad.1);
            frame.panel_name(svg, good.0, "operations per second");
            draw_rates(svg, frame, points, &axis, good);
        });
    }
}

/// A linear axis from 0 that holds all values, with its ticks.
fn axis(
    svg: &mut Svg,
    frame: &Frame,
    values: impl Iterator<Item = f64>,
    (top, bottom): (f64, f64),
    most: usize,
) -> Scale {
    let high = values.fold(0.0, f64::max);
    let step = scale::linear_step(high, most);
    let high = (high / step).ceil().max(1.0) * step;
    let axis = Scale::linear(0.0, high, bottom, top);
    for i in 0..=(high / step).round() as usize {
        let value = step * i as f64;
        frame.value_tick(svg, axis.at(value), &plain(value));
    }
    axis
}

fn draw_rates(svg: &mut Svg, frame: &Frame, points: &[Point], axis: &Scale, (top, bottom): (f64, f64)) {
    let mut placer = Placer::new(Area { left: frame.left, top, right: frame.right, bottom });
    let due = runs(frame, points, |p| Some(axis.at(p.per_second(p.intended))));
    let good = runs(frame, points, |p| Some(axis.at(p.per_second(p.good))));
    let lines: [(&str, Ink, f64, Vec<_>); 2] =
        [("due", svg::MUTED, 3.0, due), ("good", svg::GREEN, 1.6, good)];
    for (_, ink, width, runs) in &lines {
        runs.iter().for_each(|run| svg.polyline(run, *ink, *width, ""));
        runs.iter().for_each(|run| placer.avoid(run));
    }
    for (name, ink, _, runs) in &lines {
        let points: Vec<(f64, f64)> = runs.iter().flatten().copied().collect();
        let stride = (points.len() / 24).max(1);
        let near = points.iter().step_by(stride);
        let spots: Vec<_> = near.flat_map(|&(x, y)| [start(x, y - 6.0), start(x, y + 15.0)]).collect();
        let face = Face { size: SMALL, bold: true, ink: *ink };
        if let Some(spot) = placer.place(name, SMALL, true, &spots) {
            svg.text(spot, face, name);
        }
    }
}

fn draw_bad(svg: &mut Svg, frame: &Frame, points: &[Point], (top, bottom): (f64, f64)) {
    frame.panel_name(svg, top, "bad per second: failed, too late or not sent");
    let bad = |p: &Point| p.per_second(p.intended - p.good);
    if points.iter().all(|p| p.intended == p.good) {
        let centre = middle((frame.left + frame.right) / 2.0, (top + bottom) / 2.0 + 4.0);
        svg.text(centre, Face { size: SMALL, bold: false, ink: svg::MUTED }, "none");
        return;
    }
    let axis = axis(svg, frame, points.iter().map(bad), (top, bottom), 3);
    let bars = points.iter().filter(|p| p.intended > p.good);
    let bars = bars.map(|p| ((frame.at(p.from), frame.at(p.to)), axis.at(bad(p)).min(bottom - 1.0)));
    svg.bars(&bars.collect::<Vec<_>>(), bottom, svg::VERMILLION, 0.85);
}

fn in_words(name: &str, points: &[Point]) -> String {
    let (n, good) = points.iter().fold((0, 0), |(n, g), p| (n + p.intended, g + p.good));
    let worst = points.iter().max_by_key(|p| p.intended - p.good).filter(|p| p.intended > p.good);
    let worst = worst.map_or("none was bad".to_owned(), |p| {
        format!("{} bad, most of them at {}", grouped(n - good), short_clock(p.from))
    });
    format!("{name} per second: {} were due over the run, {worst}", grouped(n))
}
