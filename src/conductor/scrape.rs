//! Scrapes of the target's own metrics on squall's clock (OpenMetrics or Prometheus text).

use std::collections::BTreeMap;

use crate::experiment::{HttpTarget, Metrics};
use crate::http::{CallError, Caller};
use crate::record::{Record, Scrape};
use crate::recorder::Recorder;
use crate::units::Micros;
use crate::world::World;

/// Bytes of one scrape that are read.
const MOST: usize = 4 << 20;

/// Scrapes until dropped. A scrape that fails leaves a gap; one that is too long is told, and that the target refuses
/// them from the first on.
pub async fn scrape(world: World, recorder: Recorder, target: HttpTarget, metrics: Metrics) {
    let Some(&address) = target.addresses.first() else { return };
    let caller = Caller::new(world.clone(), address, 1).at_most(MOST);
    let caller = caller.named(&target.authority, target.authorization.as_deref());
    let (mut was_read, mut told) = (false, false);
    let mut at = Micros::ZERO;
    loop {
        world.sleep_until(at).await;
        let why = match caller.get(&metrics.path, metrics.every.min(Micros::secs(5))).await {
            Ok(answer) if (200..300).contains(&answer.status) => {
                was_read = true;
                let text = String::from_utf8_lossy(&answer.body);
                let now = world.now();
                let values = parse(&text).into_iter().filter(|(name, _)| metrics.keep.contains(name));
                let records = values.map(|(name, value)| Record::Scrape(Scrape { at: now, name, value }));
                recorder.write(records.collect());
                None
            }
            // Later it may be a fault's doing.
            Ok(answer) => {
                Some(format!("`{}` gave status {}", metrics.path, answer.status)).filter(|_| !was_read)
            }
            Err(CallError::TooLong(most)) => {
                Some(format!("more than {} MiB of them came at once", most >> 20))
            }
            Err(_) => None,
        };
        if let Some(why) = why.filter(|_| !told) {
            told = true;
            let text = format!("the target's metrics were not read: {why}");
            recorder.write(vec![Record::Note { at: world.now(), text }]);
        }
        at = (at + metrics.every).max(world.now());
    }
}

/// Values by name, label sets of one name added up.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        // A timestamp may follow, and an exemplar with labels and a value of its own.
        let value =
            without_labels(rest).split_whitespace().next().and_then(|value| value.parse::<f64>().ok());
        // An idle summary is `NaN`: no number, and no JSON either.
        let value = value.filter(|value| value.is_finite());
        if let (Some(value), false) = (value, name.is_empty()) {
            *values.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    // So is what adds up to more than a number can be.
    values.retain(|_, value| value.is_finite());
    values
}

/// What follows the labels, whose quoted values may have any character in them.
fn without_labels(text: &str) -> &str {
    let text = text.trim_start();
    if !text.starts_with('{') {
        return text;
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c: char| {
        let is_end = c == '}' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    end.map_or("", |end| &text[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_add_up_and_comments_and_timestamps_are_passed_over() {
        let text = "# TYPE a counter\na_total{m=\"GET\",p=\"/x y\"} 2\na_total{m=\"PUT\"} 3 1700000000\nidle{quantile=\"0.5\"} NaN\nb 0.5\n\n# EOF\n";
        let values = parse(text);
        assert_eq!(values.get("a_total"), Some(&5.0));
        assert_eq!(values.get("b"), Some(&0.5));
        assert_eq!(values.len(), 2);
    }

    /// The largest number is how some say "no limit"; that of two of them is no JSON, and ended the run.
    #[test]
    fn what_adds_up_to_no_number_is_none() {
        let values = parse("limit{pool=\"a\"} 1.7e308\nlimit{pool=\"b\"} 1.7e308\none 1.7e308\n");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [("one".to_owned(), 1.7e308)]);
    }

    #[test]
    fn an_exemplar_is_no_value_and_labels_may_have_any_character() {
        let exemplar = "# {trace_id=\"a}b\"} 0.67 1700000000.1";
        let text = format!(
            "a_total{{m=\"GET\"}} 7 {exemplar}\na_total{{m=\"PUT\"}} 3 1700000000 {exemplar}\nb_total 4 {exemplar}\nc{{p=\"}} # {{\", q=\"a\\\\\",r=\"\\\"}} 9\"}}5\nd\t6\n  e {{ m = \"x\" , }} 1e1\n"
        );
        let values = parse(&text);
        let named = ["a_total", "b_total", "c", "d", "e"].map(|name| values.get(name).copied());
        assert_eq!((named, values.len()), ([10.0, 4.0, 5.0, 6.0, 10.0].map(Some), 5));
    }
}
