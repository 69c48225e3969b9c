//! Callouts: the labels of lines that run down through a chart, each in a row of its own choosing.
//!
//! Owns their places: none over another, and none across the line of a neighbour.

use super::SMALL;
use super::label::{Area, Spot, area};
use super::svg::{end, start};

/// Distance from one row's baseline to the next.
const ROW: f64 = 15.0;
/// How many rows there are at most.
pub(super) const ROWS: u32 = 8;
/// How far above its label's baseline a line begins.
pub(super) const ABOVE: f64 = 9.0;

/// What a line at `x` would like to say; `short` where there is no room for it.
pub(super) struct Callout {
    pub(super) x: f64,
    pub(super) full: String,
    pub(super) short: String,
}

/// Where it says it, and whether in full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) spot: Spot,
    pub(super) full: bool,
}

/// A place for each, in their order by x; none where there is no room even for the short form. `left` and `right`
/// are the ends of the picture; it has so many rows.
pub(super) fn place(callouts: &[Callout], (left, right): (f64, f64), rows: u32) -> Vec<Option<Placed>> {
    let forwards: Vec<usize> = (0..callouts.len()).collect();
    let backwards: Vec<usize> = forwards.iter().rev().copied().collect();
    let tries = [forwards, backwards].map(|order| in_order(callouts, &order, (left, right), rows));
    let score = |places: &Vec<Option<Placed>>| {
        let placed = places.iter().flatten();
        let depth = placed.clone().map(|p| p.spot.y as u32).max().unwrap_or(0);
        (placed.clone().count(), placed.filter(|p| p.full).count(), u32::MAX - depth)
    };
    tries.into_iter().reduce(|a, b| if score(&b) > score(&a) { b } else { a }).unwrap_or_default()
}

fn in_order(
    callouts: &[Callout],
    order: &[usize],
    (left, right): (f64, f64),
    rows: u32,
) -> Vec<Option<Placed>> {
    let mut places: Vec<Option<Placed>> = vec![None; callouts.len()];
    let mut taken: Vec<(f64, Spot, Area)> = Vec::new();
    for &i in order {
        let callout = &callouts[i];
        let rows = (0..rows).map(|row| 11.0 + f64::from(row) * ROW);
        let spots: Vec<Spot> =
            rows.flat_map(|y| [start(callout.x + 4.0, y), end(callout.x - 4.0, y)]).collect();
        let candidates = [true, false].into_iter().flat_map(|full| spots.iter().map(move |&s| (full, s)));
        let found = candidates.map(|(full, spot)| {
            let text = if full { &callout.full } else { &callout.short };
            (Placed { spot, full }, area(text, spot, SMALL, true))
        });
        let fits = |(placed, label): &(Placed, Area)| {
            label.left >= left
                && label.right <= right
                && taken.iter().all(|(x, spot, other)| {
                    !label.overlaps(other)
                        && !crosses(*x, *spot, label)
                        && !crosses(callout.x, placed.spot, other)
                })
        };
        let mut found = found;
        if let Some((placed, label)) = found.find(fits) {
            taken.push((callout.x, placed.spot, label));
            places[i] = Some(placed);
        }
    }
    places
}

/// Whether the line at `x` that begins at its own label runs through another one.
fn crosses(x: f64, spot: Spot, label: &Area) -> bool {
    (label.left - 2.0..=label.right + 2.0).contains(&x) && label.bottom > spot.y - ABOVE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callout(x: f64, name: &str) -> Callout {
        Callout { x, full: format!("{name}  latency +250 ms on api-store"), short: name.to_owned() }
    }

    fn none_touches(callouts: &[Callout], places: &[Option<Placed>]) {
        let placed: Vec<(f64, Placed, Area)> = callouts
            .iter()
            .zip(places)
            .filter_map(|(c, p)| {
                let p = (*p)?;
                let text = if p.full { &c.full } else { &c.short };
                Some((c.x, p, area(text, p.spot, SMALL, true)))
            })
            .collect();
        for (i, (x, p, label)) in placed.iter().enumerate() {
            for (_, _, other) in placed.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, o)| o) {
                assert!(!label.overlaps(other), "{label:?} {other:?}");
                assert!(!crosses(*x, p.spot, other), "the line at {x} runs through {other:?}");
            }
        }
    }

    #[test]
    fn late_faults_say_what_they_are_and_cross_no_neighbours_line() {
        for (width, xs) in [
            (1040.0, vec![200.0, 900.0, 960.0, 1000.0]),
            (1040.0, vec![62.0, 70.0, 80.0, 1020.0, 1024.0]),
            (348.0, vec![250.0, 300.0, 330.0]),
        ] {
            let callouts: Vec<Callout> =
                xs.iter().enumerate().map(|(i, &x)| callout(x, &format!("fault-{i}"))).collect();
            let places = place(&callouts, (10.0, width), ROWS);
            assert!(places.iter().all(Option::is_some), "{xs:?}: {places:?}");
            none_touches(&callouts, &places);
        }
    }

    #[test]
    fn where_there_is_no_room_a_line_has_no_label_rather_than_a_crossed_one() {
        let callouts: Vec<Callout> =
            (0..40).map(|i| callout(60.0 + 7.0 * f64::from(i), &format!("store_failover#{i}"))).collect();
        let places = place(&callouts, (10.0, 348.0), ROWS);
        assert!(places.iter().flatten().count() >= 5, "{places:?}");
        none_touches(&callouts, &places);
    }
}
