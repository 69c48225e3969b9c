//! The frame that all charts over time share: one time axis, the strip of phases, faults shaded.
//!
//! Owns the layout of phases and fault labels, so that none covers another; what is drawn inside the
//! panels is each chart's own.

use super::callout::{self, Callout, Placed, ROWS};
use super::crowd::{self, Apart};
use super::label;
use super::label::Spot;
use super::scale::{self, Scale};
use super::strip::{self, Segment};
use super::svg::{self, Face, Svg, end, middle, start};
use super::{NARROW, SMALL, WIDE};
use crate::record::ServiceStage;
use crate::report::words::visible;
use crate::timeline::Timeline;
use crate::units::{Micros, short_clock};
use crate::verdict::Judgement;

const LANE: f64 = 24.0;
/// Height of the line of one service's health.
const HEALTH: f64 = 15.0;
/// So many stretches are told one by one.
const TOLD: usize = 20;

/// A stretch in which something was in force; without an end it just happened.
struct Window {
    from: Micros,
    to: Option<Micros>,
    name: String,
    what: String,
    /// Where its label stands, above the panels.
    label: Option<Placed>,
}

/// When what squall's health check saw of one service was bad, or squall itself was unsound.
struct Health {
    service: String,
    /// `unhealthy`, `unsound`.
    how: &'static str,
    bad: Vec<(Micros, Micros)>,
}

/// The frames of one page, wide and narrow: every chart's are the same.
pub(in crate::report) struct Frames([Frame; 2]);

impl Frames {
    pub(in crate::report) fn new(timeline: &Timeline, judgement: &Judgement) -> Frames {
        Frames([false, true].map(|narrow| Frame::new(timeline, judgement, narrow)))
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Frame> {
        self.0.iter()
    }
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
    health: Vec<Health>,
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
            length,
            segments: strip::segments(judgement, length, &x),
            strip: 0.0,
            windows: windows(judgement, length),
            rows: 0.0,
            x,
            health: health(timeline, length).into_iter().chain(unsound(timeline, judgement)).collect(),
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

    /// A name that does not fit into its box stands right beside it, in the same lane.
    fn lay_out_strip(&mut self) {
        let mut named: Vec<String> = Vec::new();
        let mut lanes: Vec<Vec<(f64, f64)>> = Vec::new();
        for i in 0..self.segments.len() {
            let (from, to) = (self.at(self.segments[i].from), self.at(self.segments[i].to));
            let (width, left) = (self.width, self.left);
            let s = &mut self.segments[i];
            let first = !named.contains(&s.name);
            named.push(s.name.clone());
            let long = label::width(&s.name, SMALL, false);
            let (mut taken, mut spot) = ((from, to), None);
            if long <= to - from - 8.0 {
                spot = Some(start(from + 5.0, 14.0));
            } else if first && to + 5.0 + long <= width {
                (taken.1, spot) = (to + 8.0 + long, Some(start(to + 4.0, 14.0)));
            } else if first && from - 5.0 - long >= left - 40.0 {
                (taken.0, spot) = (from - 8.0 - long, Some(end(from - 4.0, 14.0)));
            }
            s.label = spot.map(|spot| (spot, s.name.clone()));
            let free = |lane: &Vec<(f64, f64)>| lane.iter().all(|(a, b)| taken.1 <= *a || *b <= taken.0);
            s.lane = lanes.iter().position(free).unwrap_or(lanes.len());
            if s.lane == lanes.len() {
                lanes.push(Vec::new());
            }
            lanes[s.lane].push(taken);
        }
        self.strip = lanes.len() as f64 * LANE;
    }

    fn is_crowd(&self) -> bool {
        crowd::is_crowd(self.windows.len(), self.right - self.left)
    }

    fn lay_out_windows(&mut self) {
        let callout = |w: &Window| Callout {
            x: self.at(w.from),
            full: label_text(&w.name, &w.what),
            short: w.name.clone(),
        };
        let callouts: Vec<Callout> = self.windows.iter().map(callout).collect();
        let places =
            callout::place(&callouts, (self.left - 40.0, self.width), if self.is_crowd() { 2 } else { ROWS });
        for (window, label) in self.windows.iter_mut().zip(places) {
            window.label = label;
            self.rows = self.rows.max(label.map_or(0.0, |placed| placed.spot.y + 7.0));
        }
    }

    /// The strip of phases.
    pub(super) fn draw_strip(&self, svg: &mut Svg, top: f64) {
        let thin = |s: &&Segment| self.at(s.to) - self.at(s.from) < crowd::LEAST + 1.0;
        // The thin ones on top, as they are drawn wider than they are.
        let (thin, wide): (Vec<&Segment>, Vec<&Segment>) = self.segments.iter().partition(thin);
        for s in wide.into_iter().chain(thin) {
            let (from, to, y) = (self.at(s.from), self.at(s.to), top + s.lane as f64 * LANE);
            let title = format!("{}: {} to {}", s.name, short_clock(s.from), short_clock(s.to));
            let width = (to - from - 1.0).max(crowd::LEAST);
            svg.rect_titled((from + 0.5, y), (width, LANE - 4.0), s.ink, s.opacity, &title);
            if let Some((spot, text)) = &s.label {
                let inside = spot.x > from && spot.x < to;
                let face = Face { ink: if inside { svg::TEXT } else { svg::MUTED }, ..FACE };
                svg.caption(Spot { y: y + spot.y, ..*spot }, face, text);
            }
        }
    }

    /// Those with a line at their start; in a crowd those without a label have none.
    fn lined(&self) -> impl Iterator<Item = &Window> {
        let (mut apart, is_crowd) = (Apart::default(), self.is_crowd());
        let labelled = self.windows.iter().filter(move |w| w.label.is_some() || !is_crowd);
        labelled.filter(move |w| apart.takes(self.at(w.from), w.label.is_some()))
    }

    /// Where lines run down through all panels.
    pub(super) fn lines(&self) -> impl Iterator<Item = f64> {
        self.lined().map(|w| self.at(w.from))
    }

    /// Labels of the faults, each with a line at its start that runs down through all panels.
    pub(super) fn draw_windows(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let lines = self.lined().map(|w| {
            let upper = w.label.map_or(top + self.rows, |placed| top + placed.spot.y - callout::ABOVE);
            (self.at(w.from), upper)
        });
        svg.downs(&lines.collect::<Vec<_>>(), bottom, svg::ORANGE, 1.2, "");
        for w in &self.windows {
            let Some(Placed { spot, full: with_what }) = w.label else { continue };
            let face = Face { ink: svg::AMBER_TEXT, ..FACE };
            svg.named(Spot { y: top + spot.y, ..spot }, face, &w.name, if with_what { &w.what } else { "" });
        }
    }

    /// Shades the stretches in which faults were in force.
    pub(super) fn shade(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let all = self.windows.iter().filter_map(|w| Some((self.at(w.from), self.at(w.to?))));
        let all = crowd::gathered(all);
        for (from, to) in all.wide {
            svg.rect((from, top), (to - from, bottom - top), svg::ORANGE, 0.16);
        }
        let thin: Vec<((f64, f64), f64)> = all.thin.into_iter().map(|span| (span, top)).collect();
        svg.bars(&thin, bottom, svg::ORANGE, 0.16);
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
        let faults = match self.windows.is_empty() {
            true => "no faults".to_owned(),
            false => format!("faults: {}", listed(each, ", ")),
        };
        let unwell = self.health.iter().map(|h| {
            let each = h.bad.iter().map(|(from, to)| {
                format!("{} {} from {} to {}", h.service, h.how, short_clock(*from), short_clock(*to))
            });
            format!("; {}", listed(each, "; "))
        });
        faults + &unwell.collect::<String>()
    }

    /// Height of the lines of services' and squall's health; 0 where all were well all the time.
    pub(super) fn health_height(&self) -> f64 {
        self.health.len() as f64 * HEALTH
    }

    /// A line for each service that was unwell, and for squall if it was unsound, on the time axis.
    pub(super) fn draw_health(&self, svg: &mut Svg, top: f64) {
        for (i, health) in self.health.iter().enumerate() {
            let y = top + i as f64 * HEALTH;
            let name = label::fitted(&health.service, self.left - 5.0, SMALL, false);
            svg.caption(end(self.left - 4.0, y + 11.0), FACE, name.as_deref().unwrap_or("…"));
            svg.line((self.left, y + 7.0), (self.right, y + 7.0), svg::GREEN, 2.0, "");
            if health.bad.len() > TOLD {
                let bad = health.bad.iter().map(|(from, to)| (self.at(*from), self.at(*to)));
                let all = crowd::gathered(bad);
                let all = all.wide.into_iter().chain(all.thin).map(|span| (span, y + 3.0));
                svg.bars(&all.collect::<Vec<_>>(), y + 11.0, svg::RED, 1.0);
                continue;
            }
            for (from, to) in &health.bad {
                let (service, how) = (&health.service, health.how);
                let title = format!("{service} {how}: {} to {}", short_clock(*from), short_clock(*to));
                let (a, b) = (self.at(*from), self.at(*to));
                svg.rect_titled((a, y + 3.0), ((b - a).max(2.0), 8.0), svg::RED, 1.0, &title);
            }
        }
    }
}

/// The first of them, and how many more there are.
fn listed(all: impl Iterator<Item = String>, between: &str) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(TOLD);
    if more > 0 {
        all.truncate(TOLD);
        all.push(format!("and {more} more"));
    }
    all.join(between)
}

fn label_text(name: &str, what: &str) -> String {
    format!("{name}  {what}")
}

/// Faults until they were proven to be gone, and shapes that are triggers.
fn windows(judgement: &Judgement, length: Micros) -> Vec<Window> {
    let window = |from: Micros, to: Option<Micros>, name: &str, what: &str| Window {
        from,
        to: to.filter(|to| *to > from).map(|to| to.min(length)),
        name: visible(name),
        what: visible(what),
        label: None,
    };
    let faults = judgement.faults.iter().filter_map(|f| {
        let from = f.effective.or(f.injected)?;
        Some(window(from, f.verified.or(Some(length)), &f.name, &f.what))
    });
    let shapes = judgement.triggers.iter().filter(|t| t.shape);
    let shapes = shapes.map(|t| window(t.t_inject, t.t_clear, &t.name, "load"));
    let mut all: Vec<Window> = faults.chain(shapes).filter(|w| w.from < length).collect();
    all.sort_by_key(|w| w.from);
    all
}

/// Services whose health check failed, or that ended by themselves, and when.
fn health(timeline: &Timeline, length: Micros) -> Vec<Health> {
    let mut all: Vec<Health> = Vec::new();
    let mut open: Vec<(String, Micros)> = Vec::new();
    let close = |all: &mut Vec<Health>, service: &str, from: Micros, to: Micros| {
        if all.iter().all(|h| h.service != service) {
            all.push(Health { service: visible(service), how: "unhealthy", bad: Vec::new() });
        }
        let known = all.iter_mut().find(|h| h.service == visible(service));
        known.into_iter().for_each(|h| h.bad.push((from.max(Micros::ZERO), to.min(length))));
    };
    for event in timeline.services.iter().filter(|e| e.at < length) {
        let at = open.iter().position(|(service, _)| *service == event.service);
        match (event.what, at) {
            (ServiceStage::Unhealthy | ServiceStage::Ended, None) => {
                open.push((event.service.clone(), event.at));
            }
            (ServiceStage::Healthy | ServiceStage::Ready, Some(at)) => {
                let (service, from) = open.swap_remove(at);
                close(&mut all, &service, from, event.at);
            }
            _ => {}
        }
    }
    for (service, from) in open {
        close(&mut all, &service, from, length);
    }
    all.sort_by(|a, b| a.service.cmp(&b.service));
    all
}

/// When squall itself spoilt what it measured: what users seem to have felt then may be its own doing.
fn unsound(timeline: &Timeline, judgement: &Judgement) -> Option<Health> {
    let cell = timeline.outline().cell;
    let mut bad: Vec<(Micros, Micros)> = Vec::new();
    for from in judgement.generator.unsound.iter().map(|cell| cell.at) {
        match bad.last_mut() {
            Some((_, to)) if *to == from => *to = from + cell,
            _ => bad.push((from, from + cell)),
        }
    }
    (!bad.is_empty()).then(|| Health { service: "squall".to_owned(), how: "unsound", bad })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::label::Anchor;
    use crate::report::fixture;

    #[test]
    fn a_fault_that_was_never_proven_to_be_gone_is_shaded_to_the_end() {
        let mut judgement = fixture::judgement(&fixture::timeline());
        let length = Micros::secs(3_600);
        let (name, verified) = (visible(&judgement.faults[0].name), judgement.faults[0].verified);
        let until =
            |judgement: &Judgement| windows(judgement, length).into_iter().find(|w| w.name == name)?.to;
        assert!(verified.is_some() && until(&judgement) == verified);
        judgement.faults[0].verified = None;
        assert_eq!(until(&judgement), Some(length));
    }

    #[test]
    fn the_name_of_a_phase_stands_in_its_bar_or_right_beside_it_in_its_own_lane() {
        let timeline = fixture::timeline();
        let judgement = fixture::judgement(&timeline);
        for narrow in [true, false] {
            let frame = Frame::new(&timeline, &judgement, narrow);
            assert!(frame.segments.iter().any(|s| s.label.is_some()));
            let beside = |a: &Segment, b: &Segment| a.lane == b.lane && !std::ptr::eq(a, b);
            for segment in &frame.segments {
                let Some((spot, name)) = &segment.label else { continue };
                let (from, to) = (frame.at(segment.from), frame.at(segment.to));
                let long = label::width(name, SMALL, false);
                let (left, right) = if spot.anchor == Anchor::End {
                    (spot.x - long, spot.x)
                } else {
                    (spot.x, spot.x + long)
                };
                assert!(left < to + 6.0 && right > from - 6.0, "{name}: {left} to {right} of {from} to {to}");
                let others = frame.segments.iter().filter(|other| beside(segment, other));
                let clear = |s: &Segment| frame.at(s.to) <= left || frame.at(s.from) >= right;
                assert!(others.clone().all(clear), "{name} lies on another's bar");
            }
        }
    }
}
