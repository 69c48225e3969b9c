//! Charts: pictures in SVG that read without a script and without a style sheet.
//!
//! Owns what is drawn where. Each chart comes twice, for a wide and for a narrow page. Numbers come from
//! `series`; colours for dark pages from the page's style sheet.

mod bar;
mod callout;
mod crowd;
mod felt;
mod frame;
pub(super) mod label;
pub(super) mod percentile;
mod rate;
mod scale;
mod strip;
mod svg;

pub(super) use bar::bar;
pub(super) use felt::felt;
pub(super) use frame::Frames;
pub(super) use percentile::percentile;
pub(super) use rate::rate;

/// Width of a chart on a wide page, in pixels.
const WIDE: f64 = 1040.0;
/// Width of one of two charts side by side.
const HALF: f64 = 506.0;
/// Width of a chart on a telephone.
const NARROW: f64 = 348.0;

/// Size of most texts in a chart.
const SMALL: f64 = 11.0;
