//! Scrapes of the target's own metrics on squall's clock (OpenMetrics or Prometheus text).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::diagnose::nearest;
use crate::experiment::{HttpTarget, Metrics};
use crate::http::{CallError, Caller};
use crate::record::{Record, Scrape};
use crate::recorder::Recorder;
use crate::redact::redact;
use crate::units::Micros;
use crate::world::World;

/// Bytes of one scrape that are read.
const MOST: usize = 4 << 20;
/// Label sets of a counter of which it is kept where they stood: some 4 MB.
const MOST_SETS: usize = 100_000;

/// Scrapes until dropped. A scrape that fails leaves a gap; one that is too long is told, and that the target refuses
/// them from the first on, without `secrets`.
pub async fn scrape(
    world: World,
    recorder: Recorder,
    target: HttpTarget,
    metrics: Metrics,
    secrets: Vec<String>,
) {
    let Some(caller) = caller(&world, &target) else { return };
    let (mut counters, mut was_read, mut told) = (Counters::default(), false, false);
    let mut at = Micros::ZERO;
    loop {
        world.sleep_until(at).await;
        let why = match page(&caller, &metrics).await {
            Ok(text) => {
                was_read = true;
                let (now, known) = (world.now(), counters.beyond.len());
                let scrapes = counters.read(now, &text, &metrics.keep).into_iter().map(Record::Scrape);
                let beyond = counters.beyond[known..].iter().map(|name| {
                    let text = format!(
                        "the target's `{name}` was read no further: it had more than {MOST_SETS} label sets"
                    );
                    Record::Note { at: now, text }
                });
                recorder.write(scrapes.chain(beyond).collect());
                None
            }
            // Later it may be a fault's doing.
            Err(Unread::Status(..)) if was_read => None,
            Err(Unread::Call(_)) => None,
            Err(why) => Some(why),
        };
        if let Some(why) = why.filter(|_| !told) {
            told = true;
            let text = redact(&format!("the target's metrics were not read: {why}"), &secrets);
            recorder.write(vec![Record::Note { at: world.now(), text }]);
        }
        at = (at + metrics.every).max(world.now());
    }
}

/// Reads them once, before any run, and tells line by line what there is of each that objectives use.
pub async fn look(world: &World, target: &HttpTarget, metrics: &Metrics) -> Vec<String> {
    let Some(caller) = caller(world, target) else { return Vec::new() };
    let text = match page(&caller, metrics).await {
        Ok(text) => text,
        Err(why) => return vec![format!("! they were not read: {why}")],
    };
    let (read, reading) = (Counters::default().read(world.now(), &text, &metrics.keep), parse(&text));
    let line = |name: &String| match read.iter().find(|scrape| scrape.name == *name) {
        Some(scrape) => format!("= {name}: {}", scrape.value),
        None if reading.series.contains_key(name) => format!("! `{name}` has no number as yet"),
        None => {
            let near = nearest(name, reading.series.keys().chain(&reading.counters));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("! `{name}` is not there, unless something is to be counted first{near}")
        }
    };
    metrics.keep.iter().map(line).collect()
}

fn caller(world: &World, target: &HttpTarget) -> Option<Caller> {
    let caller = Caller::new(world.clone(), *target.addresses.first()?, 1).at_most(MOST);
    Some(caller.named(&target.authority, target.authorization.as_deref()))
}

/// Why they were not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("`{0}` gave status {1}")]
    Status(String, u16),
    #[error("more than {} MiB of them came at once", MOST >> 20)]
    TooLong,
    #[error("{0}")]
    Call(CallError),
}

async fn page(caller: &Caller, metrics: &Metrics) -> Result<String, Unread> {
    match caller.get(&metrics.path, metrics.every.min(Micros::secs(5))).await {
        Ok(answer) if (200..300).contains(&answer.status) => {
            Ok(String::from_utf8_lossy(&answer.body).into_owned())
        }
        Ok(answer) => Err(Unread::Status(metrics.path.clone(), answer.status)),
        Err(CallError::TooLong(_)) => Err(Unread::TooLong),
        Err(other) => Err(Unread::Call(other)),
    }
}

/// The target's counters, as if they had gone on since squall first read them. One with labels is there only once it has
/// counted something: what it began with has been counted since the reading that lacked it. One that is lower than it was
/// has begun anew, as its process has, and what it lacks in between is not known.
#[derive(Default)]
struct Counters {
    /// Where each series stood when it was last seen, by name and what its labels come to.
    series: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Names that had too many of them.
    beyond: Vec<String>,
    /// What all of a name have counted.
    totals: BTreeMap<String, f64>,
    /// When the target was read: a day of it takes some 300 kB.
    readings: Vec<Micros>,
}

impl Counters {
    /// What is kept of a text read at `now`.
    fn read(&mut self, now: Micros, text: &str, keep: &[String]) -> Vec<Scrape> {
        let reading = parse(text);
        let mut scrapes = Vec::new();
        // Who says nothing says nothing of counters either: a page that is not ready yet.
        if reading.series.values().all(BTreeMap::is_empty) {
            return scrapes;
        }
        for name in keep {
            if self.beyond.contains(name) {
                continue;
            }
            let scrape = |at, value| Scrape { at, name: name.clone(), value };
            let declared = reading.counters.contains(name);
            if declared && !self.totals.contains_key(name) {
                self.totals.insert(name.clone(), 0.0);
                scrapes.extend(self.readings.iter().map(|&at| scrape(at, 0.0)));
            }
            let seen = reading.series.get(name);
            let value = match (self.totals.contains_key(name), seen) {
                (true, Some(seen)) => self.goes_on(name, seen),
                // There is such a family, and it has counted nothing.
                (true, None) => self.totals.get(name).copied().filter(|_| declared),
                (false, seen) => seen.filter(|seen| !seen.is_empty()).map(|seen| seen.values().sum()),
            };
            // What adds up to more than a number can be is none.
            scrapes.extend(value.filter(|value| value.is_finite()).map(|value| scrape(now, value)));
        }
        self.readings.push(now);
        scrapes
    }

    /// What a counter has counted by now.
    fn goes_on(&mut self, name: &str, seen: &BTreeMap<String, f64>) -> Option<f64> {
        let series = self.series.entry(name.to_owned()).or_default();
        let total = self.totals.get_mut(name)?;
        for (labels, &value) in seen {
            let before = series.insert(known_by(labels), value).unwrap_or(0.0);
            *total += if value < before { value } else { value - before };
        }
        if series.len() > MOST_SETS {
            self.series.remove(name);
            self.beyond.push(name.to_owned());
            return None;
        }
        (!seen.is_empty()).then_some(*total)
    }
}

/// What a text says.
#[derive(Default)]
struct Reading {
    /// By name and labels; who has a line, whatever stands in it, is there.
    series: BTreeMap<String, BTreeMap<String, f64>>,
    /// Of which it says that they are counters.
    counters: BTreeSet<String>,
}

fn parse(text: &str) -> Reading {
    let (mut reading, mut families) = (Reading::default(), Vec::new());
    for line in text.lines().map(str::trim_start) {
        if line.starts_with('#') {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["#", "TYPE", name, kind] = words[..] {
                families.push((name, kind));
            }
            continue;
        }
        let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        if name.is_empty() {
            continue;
        }
        let series = reading.series.entry(name.to_owned()).or_default();
        // A timestamp may follow, and an exemplar with labels and a value of its own.
        let after = without_labels(rest);
        let labels = rest[..rest.len() - after.len()].trim();
        let value = after.split_whitespace().next().and_then(|value| value.parse::<f64>().ok());
        // An idle summary is `NaN`: no number, and no JSON either.
        if let Some(value) = value.filter(|value| value.is_finite()) {
            *series.entry(labels.to_owned()).or_insert(0.0) += value;
        }
    }
    let named = &reading.series;
    reading.counters = families.into_iter().flat_map(|(name, kind)| counters(name, kind, named)).collect();
    reading
}

/// What of a family only counts: what a histogram or a summary has seen comes into being and begins anew as counters do.
fn counters(name: &str, kind: &str, named: &BTreeMap<String, BTreeMap<String, f64>>) -> Vec<String> {
    let parts = |parts: &[&str]| parts.iter().map(|part| format!("{name}_{part}")).collect();
    match kind {
        "counter" => counter(name, named).into_iter().collect(),
        "histogram" => parts(&["count", "sum", "bucket"]),
        "summary" => parts(&["count", "sum"]),
        _ => Vec::new(),
    }
}

/// Whom `# TYPE a_total counter` is about. OpenMetrics writes the family's name there, without `_total`.
fn counter(name: &str, named: &BTreeMap<String, BTreeMap<String, f64>>) -> Option<String> {
    let total = format!("{name}_total");
    if named.contains_key(&total) {
        return Some(total);
    }
    (name.ends_with("_total") || named.contains_key(name)).then(|| name.to_owned())
}

/// What follows the labels, whose quoted values may have any character in them.
fn without_labels(text: &str) -> &str {
    let text = text.trim_start();
    if !text.starts_with('{') {
        return text;
    }
    let mut unquoted = unquoted();
    let end = text.find(|c| unquoted(c) && c == '}');
    end.map_or("", |end| &text[end + 1..])
}

/// Tells of one character after the other whether it lies outside of quoted values.
fn unquoted() -> impl FnMut(char) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    move |c| {
        let outside = !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        outside
    }
}

/// What a series is known by, however long its labels are. Some write them as they come out of a map, in another order
/// each time.
fn known_by(labels: &str) -> u64 {
    let mut unquoted = unquoted();
    let labels = labels.trim_matches(['{', '}']).split(|c| unquoted(c) && c == ',');
    let mut labels: Vec<&str> = labels.map(str::trim).filter(|label| !label.is_empty()).collect();
    labels.sort_unstable();
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_add_up_and_comments_and_timestamps_are_passed_over() {
        let text = "# TYPE a counter\na_total{m=\"GET\",p=\"/x y\"} 2\na_total{m=\"PUT\"} 3 1700000000\nidle{quantile=\"0.5\"} NaN\nb 0.5\n\n# EOF\n";
        let values = values(text);
        assert_eq!(values.get("a_total"), Some(&5.0));
        assert_eq!(values.get("b"), Some(&0.5));
        assert_eq!(values.len(), 2);
    }

    /// A counter with labels is not there before it has counted something.
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
        assert_eq!(of("a_total"), [(0, 0.0), (1, 60.0)]);
        assert_eq!(of("b_total"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 7.0)]);
        assert_eq!(of("c"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 5.0)]);
        // There is such a family, and it has counted nothing.
        assert_eq!(of("none_total"), [0, 1, 2, 3, 4].map(|n| (n, 0.0)));
        assert_eq!((of("gauge"), of("c_total")), (vec![(1, 4.0)], vec![]));
    }

    /// A process that begins anew counts from 0; who exports a database's counters has none while that is away.
    #[test]
    fn a_counter_goes_on_over_restarts_and_where_it_was_lacking_for_a_while() {
        let there = |x: u32, y: u32| {
            format!("# TYPE a_total counter\na_total{{op=\"x\"}} {x}\na_total{{op=\"y\"}} {y}\n")
        };
        let (gone, only) = ("up 0\n".to_owned(), "# TYPE a_total counter\na_total{op=\"y\"} 31\n".to_owned());
        let rows = [
            ("restarted", vec![there(900, 30), there(7, 2), there(9, 2)], vec![930.0, 939.0, 941.0]),
            ("away", vec![there(900, 30), gone.clone(), there(905, 30)], vec![930.0, 935.0]),
            ("away and restarted", vec![there(900, 30), gone, there(5, 30)], vec![930.0, 935.0]),
            ("one series less", vec![there(900, 30), only, there(901, 31)], vec![930.0, 931.0, 932.0]),
        ];
        for (name, texts, expected) in rows {
            let mut counters = Counters::default();
            let read = |text: &String| counters.read(Micros::ZERO, text, &["a_total".to_owned()]);
            let values: Vec<f64> = texts.iter().flat_map(read).map(|s: Scrape| s.value).collect();
            assert_eq!(values, expected, "{name}");
        }
    }

    /// A series is one whatever order its labels come in, and two whose labels differ are two.
    #[test]
    fn a_counter_whose_labels_change_places_goes_on() {
        let text = |labels: &str| format!("# TYPE a_total counter\na_total{{{labels}}} 500\n");
        let mut counters = Counters::default();
        let read = |text: String| counters.read(Micros::ZERO, &text, &["a_total".to_owned()]);
        let orders = [
            r#"p="/x,b=1",m="GET""#,
            r#"m="GET",p="/x,b=1""#,
            r#"p="/x,b=1" , m="GET","#,
            r#"p="/x",m="GET",b="1""#,
        ];
        let values: Vec<f64> = orders.map(text).into_iter().flat_map(read).map(|s| s.value).collect();
        assert_eq!(values, [500.0, 500.0, 500.0, 1_000.0]);
    }

    /// Some label what they count with whatever comes, and each is a new one.
    #[test]
    fn a_counter_with_ever_new_labels_is_read_up_to_a_limit_and_no_other_suffers_by_it() {
        let text = |first: usize| {
            let sets = (first..first + 40_000).map(|id| format!("a_total{{id=\"{id}\"}} 1\n"));
            format!(
                "# TYPE a_total counter\n# TYPE b_total counter\n{}b_total {first}\n",
                sets.collect::<String>()
            )
        };
        let mut counters = Counters::default();
        let keep = ["a_total", "b_total"].map(str::to_owned);
        let texts = [0, 40_000, 40_000, 80_000, 120_000];
        let read = texts.map(|first| counters.read(Micros::ZERO, &text(first), &keep));
        let values = read.map(|scrapes| scrapes.iter().map(|s| s.value).collect::<Vec<_>>());
        let expected: [&[f64]; 5] =
            [&[40_000.0, 0.0], &[80_000.0, 40_000.0], &[80_000.0, 40_000.0], &[80_000.0], &[120_000.0]];
        assert_eq!((values, counters.beyond), (expected.map(<[f64]>::to_vec), vec!["a_total".to_owned()]));
        assert!(!counters.series.contains_key("a_total"));
    }

    /// Timers of failures are histograms or summaries, one for each of their labels.
    #[test]
    fn what_a_histogram_or_a_summary_counts_rises_as_a_counter_does() {
        let keep = ["h_count", "h_sum", "h_bucket", "s_count", "s_sum", "s"].map(str::to_owned);
        let types = "# TYPE h histogram\n# TYPE s summary\n";
        let of_two = |n: u32| {
            format!(
                "{types}h_bucket{{op=\"x\",le=\"+Inf\"}} {n}\nh_sum{{op=\"x\"}} {n}\nh_count{{op=\"x\"}} {n}\n\
                 s{{op=\"x\",quantile=\"0.5\"}} {n}\ns_sum{{op=\"x\"}} {n}\ns_count{{op=\"x\"}} {n}\n\
                 s_count{{op=\"y\"}} 100\n"
            )
        };
        let mut counters = Counters::default();
        let texts = [types.to_owned() + "up 1\n", of_two(60), of_two(4)];
        let read = |(n, text): (usize, &String)| counters.read(Micros(n as i64), text, &keep);
        let scrapes: Vec<Scrape> = texts.iter().enumerate().flat_map(read).collect();
        let of =
            |name: &str| -> Vec<f64> { scrapes.iter().filter(|s| s.name == name).map(|s| s.value).collect() };
        for name in ["h_count", "h_sum", "h_bucket", "s_sum"] {
            assert_eq!(of(name), [0.0, 60.0, 64.0], "{name}");
        }
        assert_eq!((of("s_count"), of("s")), (vec![0.0, 160.0, 164.0], vec![60.0, 4.0]));
    }

    /// The values of a first reading, by name.
    fn values(text: &str) -> BTreeMap<String, f64> {
        let keep: Vec<String> = parse(text).series.into_keys().collect();
        let scrapes = Counters::default().read(Micros::ZERO, text, &keep);
        scrapes.into_iter().map(|s| (s.name, s.value)).collect()
    }

    /// The largest number is how some say "no limit"; that of two of them is no JSON, and ended the run.
    #[test]
    fn what_adds_up_to_no_number_is_none() {
        let values = values("limit{pool=\"a\"} 1.7e308\nlimit{pool=\"b\"} 1.7e308\none 1.7e308\n");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [("one".to_owned(), 1.7e308)]);
    }

    #[test]
    fn an_exemplar_is_no_value_and_labels_may_have_any_character() {
        let exemplar = "# {trace_id=\"a}b\"} 0.67 1700000000.1";
        let text = format!(
            "a_total{{m=\"GET\"}} 7 {exemplar}\na_total{{m=\"PUT\"}} 3 1700000000 {exemplar}\nb_total 4 {exemplar}\nc{{p=\"}} # {{\", q=\"a\\\\\",r=\"\\\"}} 9\"}}5\nd\t6\n  e {{ m = \"x\" , }} 1e1\n"
        );
        let values = values(&text);
        let named = ["a_total", "b_total", "c", "d", "e"].map(|name| values.get(name).copied());
        assert_eq!((named, values.len()), ([10.0, 4.0, 5.0, 6.0, 10.0].map(Some), 5));
    }
}
