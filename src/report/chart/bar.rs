//! The bar of an objective: measured against its limit.
//!
//! Owns one small picture; it never decides whether the objective held.

use super::svg::{self, Svg};
use crate::report::markup::Markup;
use crate::verdict::{JudgedObjective, Word};

const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 16.0;
/// Beyond this multiple of the limit a bar stops growing and ends in a point.
const MOST: f64 = 3.0;

/// The measured value as a bar, the limit as a mark across it; nothing where there is no ratio.
pub(in crate::report) fn bar(page: &mut Markup, objective: &JudgedObjective) {
    let Some(ratio) = objective.ratio.filter(|r| r.is_finite()) else { return };
    let title = format!("{} against a limit of {}", objective.measured_text, objective.limit_text);
    let full = ratio.clamp(1.0, MOST) * 1.15;
    let at = |share: f64| (share / full).clamp(0.0, 1.0) * WIDTH;
    let ink = match objective.word {
        Word::Pass => svg::GREEN,
        Word::Fail => svg::RED,
        Word::Invalid | Word::Inconclusive => svg::MUTED,
    };
    Svg::picture(page, (WIDTH, HEIGHT), false, &title, |svg| {
        svg.rect((0.0, 5.0), (WIDTH, 6.0), svg::REST, 1.0);
        svg.rect((0.0, 5.0), (at(ratio.min(MOST)), 6.0), ink, 1.0);
        if ratio > MOST {
            let tip = at(MOST);
            svg.fill(&[(tip, 2.0), (tip + 9.0, 8.0), (tip, 14.0)], ink, 1.0);
        }
        svg.line((at(1.0), 1.0), (at(1.0), 15.0), svg::TEXT, 2.0, "");
    });
}
