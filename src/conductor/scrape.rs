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

/// Scrapes until dropped. A scrape that fails leaves a gap, and one that is too long a note.
pub async fn scrape(world: World, recorder: Recorder, target: HttpTarget, metrics: Metrics) {
    let Some(&address) = target.addresses.first() else { return };
    let caller = Caller::new(world.clone(), address, 1).at_most(MOST);
    let mut told = false;
    let mut at = Micros::ZERO;
    loop {
        world.sleep_until(at).await;
        match caller.get(&metrics.path, metrics.every.min(Micros::secs(5))).await {
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let now = world.now();
                let values = parse(&text).into_iter().filter(|(name, _)| metrics.keep.contains(name));
                let records = values.map(|(name, value)| Record::Scrape(Scrape { at: now, name, value }));
                recorder.write(records.collect());
            }
            Err(CallError::TooLong(most)) if !told => {
                told = true;
                let text = format!(
                    "the target's metrics were not read: more than {} MiB of them came at once",
                    most >> 20
                );
                recorder.write(vec![Record::Note { at: world.now(), text }]);
            }
            Err(_) => {}
        }
        at = (at + metrics.every).max(world.now());
    }
}

/// Values by name, label sets of one name added up.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name_end = line.find(['{', ' ']).unwrap_or(line.len());
        let after_labels = line.rfind('}').map_or(name_end, |end| end + 1);
        let value =
            line.get(after_labels..).and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        // An idle summary is `NaN`: no number, and no JSON either.
        let value = value.filter(|value| value.is_finite());
        if let (Some(value), false) = (value, name_end == 0) {
            *values.entry(line[..name_end].to_owned()).or_insert(0.0) += value;
        }
    }
    values
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
}
