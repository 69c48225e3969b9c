//! Labels: how wide a text is, and where it can stand without touching another.
//!
//! Owns estimates and placing; a browser's own fonts are a little narrower than assumed here.

use std::collections::BTreeMap;

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Area {
    pub(in crate::report) left: f64,
    pub(in crate::report) top: f64,
    pub(in crate::report) right: f64,
    pub(in crate::report) bottom: f64,
}

impl Area {
    pub(in crate::report) fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Area) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }

    fn contains(&self, (x, y): (f64, f64)) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}

/// Which end of a text stands at its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    /// SVG's word; empty for its default.
    pub(in crate::report) fn word(self) -> &'static str {
        match self {
            Anchor::Start => "",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A place for a text: x, baseline y, anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Spot {
    pub(in crate::report) x: f64,
    pub(in crate::report) y: f64,
    pub(in crate::report) anchor: Anchor,
}

/// Width of a text in pixels: DejaVu Sans, the widest of the fonts that the page may get.
pub(in crate::report) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let ems = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '/' | '-' | '!' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        'A'..='Z' | '<' | '>' | '=' | '+' | '~' | '±' | '×' | '→' | '≥' => 0.8,
        c if c.is_ascii() => 0.64,
        c if (c as u32) < 0x2e80 => 0.8,
        _ => 1.05,
    });
    ems.sum::<f64>() * size * if bold { 1.1 } else { 1.0 }
}

/// The text, or as much of it as fits with `…` at its end; none if not even three characters do.
pub(super) fn fitted(text: &str, room: f64, size: f64, bold: bool) -> Option<String> {
    if width(text, size, bold) <= room {
        return Some(text.to_owned());
    }
    let mut short: String = text.to_owned();
    while short.pop().is_some() && short.chars().count() >= 3 {
        let candidate = format!("{}…", short.trim_end_matches([' ', '_', ',']));
        if width(&candidate, size, bold) <= room {
            return Some(candidate);
        }
    }
    None
}

/// The box that a text fills.
pub(in crate::report) fn area(text: &str, spot: Spot, size: f64, bold: bool) -> Area {
    let w = width(text, size, bold);
    let left = match spot.anchor {
        Anchor::Start => spot.x,
        Anchor::Middle => spot.x - w / 2.0,
        Anchor::End => spot.x - w,
    };
    Area { left, top: spot.y - size * 0.82, right: left + w, bottom: spot.y + size * 0.24 }
}

/// Places texts one after the other, none over another, and over as little of the drawing as can be.
#[derive(Debug)]
pub(super) struct Placer {
    bounds: Area,
    taken: Vec<Area>,
    /// By columns of the picture.
    drawing: BTreeMap<i64, Vec<(f64, f64)>>,
}

/// Width of such a column, in pixels.
const COLUMN: f64 = 16.0;

fn column(x: f64) -> i64 {
    (x / COLUMN).floor() as i64
}

impl Placer {
    pub(super) fn new(bounds: Area) -> Placer {
        Placer { bounds, taken: Vec::new(), drawing: BTreeMap::new() }
    }

    /// A line that labels would rather not cover.
    pub(super) fn avoid(&mut self, line: &[(f64, f64)]) {
        for pair in line.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let steps = ((x1 - x0).abs().max((y1 - y0).abs()) / 4.0).ceil().max(1.0) as usize;
            for i in 0..steps {
                let t = i as f64 / steps as f64;
                let (x, y) = (x0 + t * (x1 - x0), y0 + t * (y1 - y0));
                self.drawing.entry(column(x)).or_default().push((x, y));
            }
        }
    }

    /// The spot that covers least of the drawing, the earlier one if equal; none if every spot would
    /// leave the bounds or touch a label that is already placed.
    pub(super) fn place(&mut self, text: &str, size: f64, bold: bool, spots: &[Spot]) -> Option<Spot> {
        let free = spots.iter().map(|&spot| (spot, area(text, spot, size, bold)));
        let free = free.filter(|(_, a)| self.bounds.holds(a) && !self.taken.iter().any(|t| t.overlaps(a)));
        let near = |a: &Area| self.drawing.range(column(a.left)..=column(a.right)).flat_map(|(_, all)| all);
        let covered = |a: &Area| near(a).filter(|&&p| a.contains(p)).count();
        let (spot, taken) = free.min_by_key(|(_, a)| covered(a))?;
        self.taken.push(taken);
        Some(spot)
    }
}

/// Baselines as near as can be to those wanted, in the same order, at least `gap` apart, within
/// [top, bottom] as far as there is room.
pub(super) fn spread(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = vec![0.0; wanted.len()];
    let mut floor = top;
    for &i in &order {
        placed[i] = wanted[i].max(floor);
        floor = placed[i] + gap;
    }
    let mut ceiling = bottom;
    for &i in order.iter().rev() {
        placed[i] = placed[i].min(ceiling);
        ceiling = placed[i] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Area = Area { left: 0.0, top: 0.0, right: 200.0, bottom: 100.0 };

    fn spot(x: f64, y: f64) -> Spot {
        Spot { x, y, anchor: Anchor::Start }
    }

    #[test]
    fn labels_take_the_next_spot_where_the_first_is_taken_and_none_where_all_are() {
        let mut placer = Placer::new(BOUNDS);
        let spots = [spot(10.0, 50.0), spot(10.0, 80.0)];
        assert_eq!(placer.place("one", 10.0, false, &spots), Some(spots[0]));
        assert_eq!(placer.place("two", 10.0, false, &spots), Some(spots[1]));
        assert_eq!(placer.place("three", 10.0, false, &spots), None);
        assert_eq!(placer.place("far out", 10.0, false, &[spot(190.0, 20.0)]), None);
    }

    #[test]
    fn labels_stay_off_lines_where_they_can() {
        let mut placer = Placer::new(BOUNDS);
        placer.avoid(&[(0.0, 48.0), (200.0, 48.0)]);
        let spots = [spot(10.0, 50.0), spot(10.0, 80.0)];
        assert_eq!(placer.place("p99", 10.0, false, &spots), Some(spots[1]));
    }

    #[test]
    fn a_text_is_cut_to_its_room_or_left_out() {
        assert_eq!(fitted("during", 100.0, 10.0, false).as_deref(), Some("during"));
        let cut = fitted("during store_failover", 80.0, 10.0, false).unwrap();
        assert!(cut.ends_with('…') && width(&cut, 10.0, false) <= 80.0, "{cut}");
        assert_eq!(fitted("during", 12.0, 10.0, false), None);
    }

    #[test]
    fn spread_keeps_order_gap_and_bounds() {
        let placed = spread(&[50.0, 51.0, 10.0, 99.0, 98.0], 12.0, 0.0, 100.0);
        let mut sorted = placed.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 12.0 - 1e-9), "{placed:?}");
        assert!(sorted[0] >= 0.0 && sorted[4] <= 100.0 && placed[0] < placed[1], "{placed:?}");
    }
}
