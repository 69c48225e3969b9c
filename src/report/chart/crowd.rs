//! A crowd: what lies so close together that no eye tells one from another is drawn once.
//!
//! Owns which of many marks are drawn; a day with hundreds of faults has a few pixels for each, or less than one.

/// The least width of what is drawn, and how far apart marks must be to be told apart, in pixels.
pub(super) const LEAST: f64 = 2.0;

/// Marks of which there is more than one for so many pixels are a crowd.
const ROOM: f64 = 4.0;

/// Whether so many marks within so many pixels are a crowd, in which nobody finds the one or the other.
pub(super) fn is_crowd(marks: usize, within: f64) -> bool {
    marks as f64 * ROOM > within
}

/// Stretches as they are drawn.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gathered {
    /// As they are, whatever they overlap.
    pub(super) wide: Vec<(f64, f64)>,
    /// Those narrower than the least width, at least as wide as that; where they touch they are one.
    pub(super) thin: Vec<(f64, f64)>,
}

/// Stretches in the order of their beginnings.
pub(super) fn gathered(stretches: impl Iterator<Item = (f64, f64)>) -> Gathered {
    let mut all = Gathered::default();
    for (from, to) in stretches {
        if to - from >= LEAST {
            all.wide.push((from, to));
            continue;
        }
        let to = from + LEAST;
        match all.thin.last_mut() {
            Some((_, end)) if from <= *end => *end = end.max(to),
            _ => all.thin.push((from, to)),
        }
    }
    all
}

/// Marks one after the other, of which those too near to the last one are left out.
#[derive(Default)]
pub(super) struct Apart {
    last: Option<f64>,
}

impl Apart {
    /// Whether the next one, at x, is drawn; those that `must` be are.
    pub(super) fn takes(&mut self, x: f64, must: bool) -> bool {
        let takes = must || self.last.is_none_or(|last| (x - last).abs() >= LEAST);
        self.last = if takes { Some(x) } else { self.last };
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{assert_no_label_covers_another, boxes, elements};
    use crate::report::{fixture, html};
    use crate::units::Micros;
    use crate::verdict::{JudgedFault, JudgedTrigger, Span};

    fn page(faults: i64) -> String {
        page_with(faults, Micros::millis(100))
    }

    /// The page of a run with so many faults more, one every so often for 10 ms, that the service felt.
    fn page_with(faults: i64, every: Micros) -> String {
        let timeline = fixture::timeline();
        let mut judgement = fixture::judgement(&timeline);
        let (fault, trigger) = (judgement.faults[0].clone(), judgement.triggers[0].clone());
        let times = |i: i64| [10_000, 10_010, 10_090, 10_100].map(|at| Micros::millis(at) + every * i);
        for i in 0..faults {
            let ([from, to, back, _], name) = (times(i), format!("slow#{i}"));
            let fault = JudgedFault {
                name: name.clone(),
                effective: Some(from),
                verified: Some(to),
                ..fault.clone()
            };
            let mut trigger = JudgedTrigger { name, t_clear: Some(to), ..trigger.clone() };
            trigger.shapes.iter_mut().for_each(|shape| shape.recovered = Some(back));
            judgement.faults.push(fault);
            judgement.triggers.push(trigger);
        }
        for phase in &mut judgement.phases {
            let spans = (0..faults).map(times);
            match phase.name.to_string().split(' ').next() {
                Some("during") => phase.spans.extend(spans.map(|[from, to, ..]| Span { from, to })),
                Some("after") => phase.spans.extend(spans.map(|[_, from, _, to]| Span { from, to })),
                _ => {}
            }
        }
        html(&timeline, &judgement)
    }

    #[test]
    fn a_chart_of_a_run_with_hundreds_of_faults_is_hardly_larger_than_that_of_one_with_dozens() {
        let more = |page: &str| Some(page.split(", and ").nth(1)?.split(" more").next()?.to_owned());
        let largest = |page: &str| elements(page, "svg").iter().map(|svg| svg.len()).max().unwrap();
        let (dozens, hundreds) = (page(36), page(700));
        println!("{} and {} bytes", largest(&dozens), largest(&hundreds));
        assert!(largest(&hundreds) < largest(&dozens) * 5 / 2);
        assert_eq!(more(&hundreds).as_deref(), Some("683"), "twenty are told one by one");
        assert!(hundreds.contains(">during 3 triggers, 2,100 times"), "and drawn as one");
        assert_no_label_covers_another(&hundreds);
    }

    #[test]
    fn what_is_called_over_or_well_again_stands_across_no_other_line_but_for_the_first_of_a_kind() {
        let page = page_with(22, Micros::millis(3_000));
        let mut named = 0;
        for svg in elements(&page, "svg") {
            let down = |from: &str| {
                let (x, y) = from.split_once('V')?.0.split_once(' ')?;
                y.parse::<f64>().ok().and(x.parse::<f64>().ok())
            };
            let ours = |path: &&str| {
                ["orange", "ambertext", "green"]
                    .iter()
                    .any(|ink| path.starts_with(&format!(" class=\"s-{ink}\"")))
            };
            let paths = svg.split("<path").filter(ours);
            let downs: Vec<f64> = paths.flat_map(|path| path.split('M')).filter_map(down).collect();
            for kind in ["over", "well again"] {
                let boxes = boxes(svg);
                let labels: Vec<_> = boxes.iter().filter(|(text, _)| text == kind).collect();
                named += labels.len();
                let crossed =
                    labels.iter().filter(|(_, a)| downs.iter().any(|x| a.left < *x && *x < a.right));
                assert!(crossed.count() <= 1, "{kind}: {labels:?} and {downs:?}");
            }
        }
        assert!(named >= 4, "{named}");
    }

    #[test]
    fn what_lasts_for_less_than_a_pixel_can_be_seen() {
        let page = page(3);
        let faults = page.split("<rect").filter(|rect| rect.starts_with(" class=\"f-orange\""));
        let narrow: Vec<&str> = faults.filter(|rect| rect.contains("width=\"0")).collect();
        assert!(narrow.is_empty(), "{narrow:?}");
    }

    #[test]
    fn what_is_too_thin_to_be_seen_is_widened_and_what_touches_then_is_one() {
        let stretches = [(10.0, 30.0), (20.0, 40.0), (50.0, 50.1), (51.5, 51.6), (53.0, 54.9), (60.0, 60.0)];
        let all = gathered(stretches.into_iter());
        assert_eq!(all.wide, [(10.0, 30.0), (20.0, 40.0)], "as they are, one over the other");
        assert_eq!(all.thin, [(50.0, 55.0), (60.0, 62.0)]);
    }

    #[test]
    fn of_marks_that_would_run_into_one_another_the_first_is_drawn_and_those_that_must_be() {
        let mut apart = Apart::default();
        let marks = [(1.0, false), (1.5, false), (2.0, true), (3.5, false), (4.0, false)];
        assert_eq!(marks.map(|(x, must)| apart.takes(x, must)), [true, false, true, false, true]);
    }
}
