//! SVG: shapes and texts with presentation attributes, readable where style sheets are forbidden.
//!
//! Owns the drawing's elements and the palette. Every shape also has a class, through which the page's
//! style sheet gives it the colour for a dark background.

use super::SMALL;
use super::label::{Anchor, Spot};
use crate::report::markup::Markup;

/// A colour: the class that themes it, and the colour on white (Okabe and Ito's, but for the greys).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    pub(super) class: &'static str,
    pub(super) colour: &'static str,
}

const fn ink(class: &'static str, colour: &'static str) -> Ink {
    Ink { class, colour }
}

pub(super) const BLUE: Ink = ink("blue", "#0072b2");
pub(super) const VERMILLION: Ink = ink("verm", "#d55e00");
pub(super) const GREEN: Ink = ink("green", "#009e73");
pub(super) const ORANGE: Ink = ink("orange", "#e69f00");
pub(super) const SKY: Ink = ink("sky", "#56b4e9");
pub(super) const PURPLE: Ink = ink("purple", "#cc79a7");
pub(super) const TEXT: Ink = ink("ink", "#1b1f24");
pub(super) const MUTED: Ink = ink("muted", "#57606a");
pub(super) const GRID: Ink = ink("grid", "#e4e7eb");
pub(super) const REST: Ink = ink("rest", "#dfe3e8");
/// Orange and vermillion dark enough to be read as text on white.
pub(super) const AMBER_TEXT: Ink = ink("ambertext", "#7a5200");
pub(super) const RED: Ink = ink("red", "#c4271b");

/// A number with one decimal; what is not finite cannot be drawn, and stands at 0.
pub(super) fn n(value: f64) -> String {
    debug_assert!(value.is_finite(), "a chart was given {value}");
    let text = format!("{:.1}", if value.is_finite() { value } else { 0.0 });
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Around a text, in the colour of the page.
const RIM: &[(&str, &str)] =
    &[("stroke", "#ffffff"), ("stroke-width", "3"), ("stroke-linejoin", "round"), ("paint-order", "stroke")];

/// A drawing of a fixed size.
pub(super) struct Svg {
    body: Markup,
}

/// How a text is set.
#[derive(Clone, Copy)]
pub(super) struct Face {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) ink: Ink,
}

impl Svg {
    /// Draws into a new picture with a `<title>` in words. `class` says for which page width it is made;
    /// narrow ones are hidden until the style sheet shows them.
    pub(super) fn picture(
        page: &mut Markup,
        (width, height): (f64, f64),
        narrow: bool,
        title: &str,
        draw: impl FnOnce(&mut Svg),
    ) {
        let (w, h) = (n(width), n(height));
        let (view, size) = (format!("0 0 {w} {h}"), n(SMALL));
        let attrs = [
            ("class", if narrow { "chart narrow" } else { "chart wide" }),
            ("width", w.as_str()),
            ("height", h.as_str()),
            ("viewBox", view.as_str()),
            ("role", "img"),
            ("font-family", "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"),
            ("font-size", &size),
            ("display", if narrow { "none" } else { "" }),
        ];
        page.el("svg", &attrs, |page| {
            page.leaf("title", &[], title);
            let mut svg = Svg { body: std::mem::take(page) };
            draw(&mut svg);
            *page = svg.body;
        });
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), ink: Ink, opacity: f64) {
        self.rect_titled((x, y), (w, h), ink, opacity, "");
    }

    /// A rectangle that says in words what it is when pointed at.
    pub(super) fn rect_titled(
        &mut self,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        ink: Ink,
        opacity: f64,
        title: &str,
    ) {
        let (x, y, w, h) = (n(x), n(y), n(w.max(0.0)), n(h.max(0.0)));
        let class = format!("f-{}", ink.class);
        let opacity = if opacity < 1.0 { format!("{opacity:.2}") } else { String::new() };
        let attrs = [
            ("class", class.as_str()),
            ("x", &x),
            ("y", &y),
            ("width", &w),
            ("height", &h),
            ("fill", ink.colour),
            ("fill-opacity", &opacity),
        ];
        match title {
            "" => self.body.void("rect", &attrs),
            title => self.body.el("rect", &attrs, |m| m.leaf("title", &[], title)),
        }
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64, dash: &str) {
        let d = format!("M{} {}L{} {}", n(from.0), n(from.1), n(to.0), n(to.1));
        self.stroke(&d, ink, width, dash);
    }

    /// Grid lines from `top` to `bottom` at each x, as one shape.
    pub(super) fn verticals(&mut self, at: &[f64], top: f64, bottom: f64) {
        let down = n(bottom - top);
        let d: String = at.iter().map(|x| format!("M{} {}v{down}", n(*x), n(top))).collect();
        self.stroke(&d, GRID, 1.0, "");
    }

    /// Lines from each (x, y) down to `bottom`, as one shape.
    pub(super) fn downs(&mut self, from: &[(f64, f64)], bottom: f64, ink: Ink, width: f64, dash: &str) {
        let d: String = from.iter().map(|(x, y)| format!("M{} {}V{}", n(*x), n(*y), n(bottom))).collect();
        if !d.is_empty() {
            self.stroke(&d, ink, width, dash);
        }
    }

    /// Lines from one x to the other at the same height, as one shape.
    pub(super) fn levels(&mut self, spans: &[(f64, f64)], y: f64, ink: Ink, width: f64, dash: &str) {
        let d: String = spans.iter().map(|(from, to)| format!("M{} {}H{}", n(*from), n(y), n(*to))).collect();
        if !d.is_empty() {
            self.stroke(&d, ink, width, dash);
        }
    }

    /// A line through points; lists of one point become a dot.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        match points {
            [] => {}
            [(x, y)] => {
                let class = format!("f-{}", ink.class);
                let (x, y) = (n(*x), n(*y));
                let attrs =
                    [("class", class.as_str()), ("cx", &x), ("cy", &y), ("r", "2"), ("fill", ink.colour)];
                self.body.void("circle", &attrs);
            }
            points => self.stroke(&path(points), ink, width, dash),
        }
    }

    fn stroke(&mut self, d: &str, ink: Ink, width: f64, dash: &str) {
        let (class, width) = (format!("s-{}", ink.class), n(width));
        let attrs = [
            ("class", class.as_str()),
            ("d", d),
            ("fill", "none"),
            ("stroke", ink.colour),
            ("stroke-width", &width),
            ("stroke-dasharray", dash),
            ("stroke-linejoin", "round"),
        ];
        self.body.void("path", &attrs);
    }

    /// A filled shape through points.
    pub(super) fn fill(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        self.fill_all(&(path(points) + "Z"), ink, opacity);
    }

    /// Small triangles on their bases, each around a point, as one shape.
    pub(super) fn triangles(&mut self, bases: &[(f64, f64)], ink: Ink) {
        let d: String =
            bases.iter().map(|(x, y)| format!("M{} {}l3 -5.5l3 5.5Z", n(x - 3.0), n(*y))).collect();
        self.fill_all(&d, ink, 1.0);
    }

    /// Filled bars from one x to the other and from y down to `bottom`, as one shape.
    pub(super) fn bars(&mut self, all: &[((f64, f64), f64)], bottom: f64, ink: Ink, opacity: f64) {
        let bar = |((from, to), y): &((f64, f64), f64)| {
            format!("M{} {}V{}H{}V{}Z", n(*from), n(*y), n(bottom), n(*to), n(*y))
        };
        self.fill_all(&all.iter().map(bar).collect::<String>(), ink, opacity);
    }

    fn fill_all(&mut self, d: &str, ink: Ink, opacity: f64) {
        if d.is_empty() {
            return;
        }
        let (class, opacity) = (format!("f-{}", ink.class), format!("{opacity:.2}"));
        let attrs = [("class", class.as_str()), ("d", d), ("fill", ink.colour), ("fill-opacity", &opacity)];
        self.body.void("path", &attrs);
    }

    /// Unseen columns [from, to) that say what they stand for when pointed at.
    pub(super) fn columns(
        &mut self,
        columns: impl Iterator<Item = (f64, f64, String)>,
        top: f64,
        bottom: f64,
    ) {
        let (y, foot) = (n(top), n(bottom));
        self.body.el("g", &[("class", "columns"), ("fill-opacity", "0")], |g| {
            for (from, to, text) in columns {
                let (from, to) = (n(from), n(to));
                let d = format!("M{from} {y}V{foot}H{to}V{y}Z");
                g.el("path", &[("d", &d)], |column| column.leaf("title", &[], &text));
            }
        });
    }

    /// A text with a rim in the colour of the page, so that it reads over lines.
    pub(super) fn text(&mut self, spot: Spot, face: Face, text: &str) {
        self.set(spot, face, "t ", RIM, |body| body.text(text));
    }

    /// The same with a bold name before it, as one text: how far apart they stand is the browser's letters' to say.
    pub(super) fn named(&mut self, spot: Spot, face: Face, name: &str, text: &str) {
        self.set(spot, Face { bold: true, ..face }, "t ", RIM, |body| {
            body.text(name);
            if !text.is_empty() {
                body.leaf("tspan", &[("dx", "6"), ("font-weight", "normal")], text);
            }
        });
    }

    /// A text without a rim, on a coloured ground.
    pub(super) fn caption(&mut self, spot: Spot, face: Face, text: &str) {
        self.set(spot, face, "", &[], |body| body.text(text));
    }

    fn set(
        &mut self,
        spot: Spot,
        face: Face,
        class: &str,
        rim: &[(&str, &str)],
        inside: impl FnOnce(&mut Markup),
    ) {
        let (x, y, size) = (n(spot.x), n(spot.y), n(face.size));
        let class = format!("{class}f-{}", face.ink.class);
        let attrs = [
            ("class", class.as_str()),
            ("x", &x),
            ("y", &y),
            ("text-anchor", spot.anchor.word()),
            ("font-size", if face.size == SMALL { "" } else { &size }),
            ("font-weight", if face.bold { "bold" } else { "" }),
            ("fill", face.ink.colour),
        ];
        self.body.el("text", &[&attrs, rim].concat(), inside);
    }
}

/// A path through points; those that lie on the straight line between their neighbours are left out.
fn path(points: &[(f64, f64)]) -> String {
    let mut kept: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    for (i, &point) in points.iter().enumerate() {
        let between = kept.last().zip(points.get(i + 1)).is_some_and(|(&from, &to)| {
            let along = (to.0 - from.0) * (point.1 - from.1) - (to.1 - from.1) * (point.0 - from.0);
            from.0 <= point.0 && point.0 <= to.0 && along.abs() < 0.05 * (to.0 - from.0).abs()
        });
        if !between {
            kept.push(point);
        }
    }
    let mut d = String::new();
    for (i, (x, y)) in kept.iter().enumerate() {
        d.push_str(&format!("{}{} {}", if i == 0 { "M" } else { "L" }, n(*x), n(*y)));
    }
    d
}

/// A spot that starts at x.
pub(super) fn start(x: f64, y: f64) -> Spot {
    Spot { x, y, anchor: Anchor::Start }
}

/// A spot that ends at x.
pub(super) fn end(x: f64, y: f64) -> Spot {
    Spot { x, y, anchor: Anchor::End }
}

/// A spot around x.
pub(super) fn middle(x: f64, y: f64) -> Spot {
    Spot { x, y, anchor: Anchor::Middle }
}
