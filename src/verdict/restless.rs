//! A baseline that is out of its own bands again and again, as of a service that pauses every ten seconds: by the rules
//! of a return it would not be well itself.
//!
//! Owns what such a baseline brings by itself; what that excuses is for `returns`.

use super::baseline::Window;
use super::chance::{Shares, Usual, part, total, usual};
use super::series::{Measures, Series};
use super::stretch::{Seen, Stretch};
use super::view::View;
use crate::stats;

/// What the windows of a baseline bring by themselves, but for the longest time out of band: what happened once is not
/// usual.
#[derive(Clone, Debug)]
pub(super) struct Restless {
    pub(super) usual: Usual,
    pub(super) stretch: Stretch,
    pub(super) why: String,
}

impl Restless {
    /// None of a baseline that would count as well, or was out of its band only once. So many windows of it, if any, would be
    /// fewer and wider ones.
    pub(super) fn of(
        view: &View,
        shape: usize,
        series: &Series,
        within: impl Fn(&&Window) -> bool,
        wider: Option<u64>,
    ) -> Option<Restless> {
        let inside: Vec<Seen> =
            series.windows.iter().filter(within).map(|w| (w, series.out(w, Measures::All))).collect();
        let rest = without_the_longest(&inside, |run| is_planned(view, shape, (run, &inside)));
        let need = series.stretch.windows.min(rest.len()).max(1);
        let is_well = |some: &[Seen]| {
            series.stretch.is_calm(some) && series.stray_together(some, Measures::All) == [false; 2]
        };
        if !rest.iter().any(|(_, out)| *out) || rest.windows(need).all(is_well) {
            return None;
        }
        let out = |some: &[Seen]| some.iter().filter(|(_, out)| *out).count();
        // As many as its own share brings by chance.
        let usual_out = out(&rest) as f64 / rest.len() as f64;
        let most = (0..=need).rfind(|&n| !stats::exceeds(n as u64, need as u64, usual_out)).unwrap_or(0);
        let row = rest.chunk_by(|a, b| a.1 && b.1).map(out).max().unwrap_or(0);
        let mut stretch = series.stretch;
        let (may, of) = stretch.out;
        if most * of > need * may {
            stretch.out = (most, need);
        }
        stretch.row = (row + 1).max(stretch.row);
        let lost = |some: &[Seen]| total(some.iter().map(|(w, _)| (w.bad(), w.intended)));
        let most = |a, b| if part(b) > part(a) { b } else { a };
        let bad = rest.windows(need).map(lost).reduce(most).unwrap_or_default();
        let windows: Vec<Window> = rest.iter().map(|(w, _)| (*w).clone()).collect();
        let all = |of: &Shares, _: &Shares, _: f64| total(of.iter().copied());
        let mut usual = usual(view, shape, &windows, &series.band, all);
        usual.bad = bad;
        let help = match wider {
            Some(windows) => {
                format!("fewer and wider windows (`judge: {{ windows: {windows} }}`) often make a calm one")
            }
            None => "a limit of its own, such as `p99 < 300ms`, would tell".to_owned(),
        };
        let why = format!(
            "before the first trigger too, {} of {} windows of {} were out of their own band, again and again; {help}",
            out(&inside),
            inside.len(),
            series.band.shape
        );
        Some(Restless { usual, stretch, why })
    }
}

/// Without the longest run of windows that were out, unless it will come again.
fn without_the_longest<'a>(windows: &[Seen<'a>], comes_again: impl Fn(&[Seen]) -> bool) -> Vec<Seen<'a>> {
    let mut runs: Vec<&[Seen]> = windows.chunk_by(|a, b| a.1 == b.1).collect();
    let longest = (0..runs.len()).filter(|&i| runs[i][0].1).max_by_key(|&i| runs[i].len());
    if let Some(longest) = longest.filter(|&i| !comes_again(runs[i])) {
        runs.remove(longest);
    }
    runs.concat()
}

/// In it, or in the window before, bursts of another shape came, as they do by the plan; and beside most windows in band none did.
fn is_planned(view: &View, shape: usize, (run, all): (&[Seen], &[Seen])) -> bool {
    let shapes = view.timeline.outline().shapes.iter().enumerate();
    let bursts: Vec<usize> =
        shapes.filter(|(i, other)| *i != shape && other.period.is_some()).map(|(i, _)| i).collect();
    let beside = |first: &Window, last: &Window| {
        let mut cells = first.from.saturating_sub(first.to - first.from)..last.to;
        cells.any(|cell| bursts.iter().any(|i| view.timeline.planned(*i, cell) > 0))
    };
    let well = || all.iter().filter(|(_, out)| !out);
    beside(run[0].0, run[run.len() - 1].0)
        && well().filter(|(w, _)| beside(w, w)).count() * 2 <= well().count()
}
