//! Scrapes of the target's own metrics on squall's clock (OpenMetrics or Prometheus text).

use std::collections::{BTreeMap, BTreeSet};

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
    let (mut counters, mut was_read, mut told) = (Counters::default(), false, false);
    let mut at = Micros::ZERO;
    loop {
        world.sleep_until(at).await;
        let why = match caller.get(&metrics.path, metrics.every.min(Micros::secs(5))).await {
            Ok(answer) if (200..300).contains(&answer.status) => {
                was_read = true;
                let text = String::from_utf8_lossy(&answer.body);
                let scrapes = counters.read(world.now(), &text, &metrics.keep);
                recorder.write(scrapes.into_iter().map(Record::Scrape).collect());
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

/// What is known of the target's counters. Those with labels are there only once they have counted something: before
/// that they were at 0. Who exports them for a database has none while that is away: one that a reading lacks stands
/// where it stood, and has begun anew at 0 if it then comes back below that, or what it began with would be no rise.
#[derive(Default)]
struct Counters {
    known: BTreeMap<String, Counter>,
    /// When the target was read: a day of it takes some 300 kB.
    readings: Vec<Micros>,
}

#[derive(Default)]
struct Counter {
    value: f64,
    /// The latest reading since that lacked it, which is told once it is known how it went on.
    lacked: Option<Micros>,
}

impl Counters {
    /// What is kept of a text read at `now`.
    fn read(&mut self, now: Micros, text: &str, keep: &[String]) -> Vec<Scrape> {
        let Reading { values, named, counters } = parse(text);
        let mut scrapes = Vec::new();
        // Who says nothing says nothing of counters either: a page that is not ready yet.
        if values.is_empty() {
            return scrapes;
        }
        for name in keep {
            let scrape = |at, value| Scrape { at, name: name.clone(), value };
            // There is such a family, and it has counted nothing.
            let none_yet = counters.contains(name) && !named.contains(name);
            let value = values.get(name).copied().or(none_yet.then_some(0.0));
            if counters.contains(name) && !self.known.contains_key(name) {
                self.known.insert(name.clone(), Counter::default());
                scrapes.extend(self.readings.iter().map(|&at| scrape(at, 0.0)));
            }
            if let Some(counter) = self.known.get_mut(name) {
                let told = match value {
                    Some(value) => counter.goes_on(value),
                    None if named.contains(name) => None,
                    None => counter.lacks(now),
                };
                scrapes.extend(told.map(|(at, value)| scrape(at, value)));
            }
            scrapes.extend(value.map(|value| scrape(now, value)));
        }
        self.readings.push(now);
        scrapes
    }
}

impl Counter {
    /// It is there: what it was at when it was lacking.
    fn goes_on(&mut self, value: f64) -> Option<(Micros, f64)> {
        let before = std::mem::replace(&mut self.value, value);
        let at = self.lacked.take()?;
        Some((at, if value < before { 0.0 } else { before }))
    }

    /// It is not: what it was at when it was lacking before.
    fn lacks(&mut self, now: Micros) -> Option<(Micros, f64)> {
        self.lacked.replace(now).map(|at| (at, self.value))
    }
}

/// What a text says.
#[derive(Default)]
struct Reading {
    /// By name, label sets of one name added up.
    values: BTreeMap<String, f64>,
    /// Who has a line, whatever stands in it.
    named: BTreeSet<String>,
    /// Of which it says that they are counters.
    counters: BTreeSet<String>,
}

fn parse(text: &str) -> Reading {
    let (mut reading, mut families) = (Reading::default(), Vec::new());
    for line in text.lines().map(str::trim_start) {
        if line.starts_with('#') {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["#", "TYPE", name, "counter"] = words[..] {
                families.push(name);
            }
            continue;
        }
        let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        if name.is_empty() {
            continue;
        }
        reading.named.insert(name.to_owned());
        // A timestamp may follow, and an exemplar with labels and a value of its own.
        let value =
            without_labels(rest).split_whitespace().next().and_then(|value| value.parse::<f64>().ok());
        // An idle summary is `NaN`: no number, and no JSON either.
        if let Some(value) = value.filter(|value| value.is_finite()) {
            *reading.values.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    // So is what adds up to more than a number can be.
    reading.values.retain(|_, value| value.is_finite());
    reading.counters = families.into_iter().filter_map(|name| counter(name, &reading.named)).collect();
    reading
}

/// Whom `# TYPE a_total counter` is about. OpenMetrics writes the family's name there, without `_total`.
fn counter(name: &str, named: &BTreeSet<String>) -> Option<String> {
    let total = format!("{name}_total");
    if named.contains(&total) {
        return Some(total);
    }
    (name.ends_with("_total") || named.contains(name)).then(|| name.to_owned())
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
        let values = parse(text).values;
        assert_eq!(values.get("a_total"), Some(&5.0));
        assert_eq!(values.get("b"), Some(&0.5));
        assert_eq!(values.len(), 2);
    }

    /// A counter with labels is not there before it has counted something, and not after a restart.
    #[test]
    fn what_a_counter_counts_before_it_is_first_seen_is_a_rise() {
        let keep = ["a_total", "b_total", "c", "c_total", "gauge", "none_total"].map(str::to_owned);
        let texts = [
            "up 1\n",
            "# TYPE a_total counter\na_total{op=\"x\"} 60\n# TYPE gauge gauge\ngauge 4\n",
            "up 1\n# TYPE c counter\n",
            "# TYPE b counter\nb_total{op=\"x\"} 7\na_total NaN\n",
            "# TYPE none_total counter\n# TYPE c counter\nc 5\n",
            "starting up\n",
        ];
        let mut counters = Counters::default();
        let read = |(n, text): (usize, &&str)| counters.read(Micros(n as i64), text, &keep);
        let scrapes: Vec<Scrape> = texts.iter().enumerate().flat_map(read).collect();
        let of = |name: &str| {
            let of_it = scrapes.iter().filter(|s| s.name == name);
            of_it.map(|s| (s.at.0, s.value)).collect::<Vec<_>>()
        };
        assert_eq!(of("a_total"), [(0, 0.0), (1, 60.0), (2, 60.0)]);
        assert_eq!(of("b_total"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 7.0)]);
        assert_eq!(of("c"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 5.0)]);
        // There is such a family, and it has counted nothing.
        assert_eq!(of("none_total"), [0, 1, 2, 3, 4].map(|n| (n, 0.0)));
        assert_eq!((of("gauge"), of("c_total")), (vec![(1, 4.0)], vec![]));
    }

    /// Who exports a database's counters has none of them while that is away, and what they had counted before is no rise.
    #[test]
    fn a_counter_that_was_lacking_for_a_while_has_risen_by_the_difference() {
        let there = |value: u32| format!("up 1\n# TYPE a_total counter\na_total{{op=\"x\"}} {value}\n");
        let (gone, empty) = ("up 0\n".to_owned(), "up 1\n# TYPE a_total counter\n".to_owned());
        let rows = [
            ("away", [there(900), gone.clone(), gone.clone(), there(905)], [900.0, 900.0, 900.0, 905.0]),
            ("begun anew", [there(900), gone.clone(), gone.clone(), there(7)], [900.0, 900.0, 0.0, 7.0]),
            ("emptied", [there(900), gone, empty, there(950)], [900.0, 0.0, 0.0, 950.0]),
        ];
        for (name, texts, expected) in rows {
            let mut counters = Counters::default();
            let read = |(n, text): (i64, &String)| counters.read(Micros(n), text, &["a_total".to_owned()]);
            let scrapes =
                (0..).zip(&texts).flat_map(read).map(|s: Scrape| (s.at.0, s.value)).collect::<Vec<_>>();
            assert_eq!(scrapes, (0..).zip(expected).collect::<Vec<_>>(), "{name}");
        }
    }

    /// The largest number is how some say "no limit"; that of two of them is no JSON, and ended the run.
    #[test]
    fn what_adds_up_to_no_number_is_none() {
        let values = parse("limit{pool=\"a\"} 1.7e308\nlimit{pool=\"b\"} 1.7e308\none 1.7e308\n").values;
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [("one".to_owned(), 1.7e308)]);
    }

    #[test]
    fn an_exemplar_is_no_value_and_labels_may_have_any_character() {
        let exemplar = "# {trace_id=\"a}b\"} 0.67 1700000000.1";
        let text = format!(
            "a_total{{m=\"GET\"}} 7 {exemplar}\na_total{{m=\"PUT\"}} 3 1700000000 {exemplar}\nb_total 4 {exemplar}\nc{{p=\"}} # {{\", q=\"a\\\\\",r=\"\\\"}} 9\"}}5\nd\t6\n  e {{ m = \"x\" , }} 1e1\n"
        );
        let values = parse(&text).values;
        let named = ["a_total", "b_total", "c", "d", "e"].map(|name| values.get(name).copied());
        assert_eq!((named, values.len()), ([10.0, 4.0, 5.0, 6.0, 10.0].map(Some), 5));
    }
}
