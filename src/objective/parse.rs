//! The parser of expressions: by hand, so that every mistake has its place and its next step.

use std::ops::Range;

use super::{Aggregate, Comparison, Metric, Objective, PhaseName, instead};
use crate::diagnose::{nearest, suggest};
use crate::quantity::Unit;
use crate::units::{Micros, parse_duration};

/// The words that may begin an expression, quantiles by their usual ones.
pub const METRICS: [&str; 16] = [
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "p99.99",
    "mean",
    "max",
    "errors",
    "goodput",
    "rate",
    "count",
    "amplification",
    "outage",
    "recovery",
    "target.NAME",
];

/// What the ledger measures; it comes with a later version.
const LEDGER: [&str; 3] = ["lost", "duplicate", "phantom"];

const PHASES: [&str; 3] = ["warmup", "baseline", "run"];

/// The names that an expression may use; none = not known, so that nothing can be said against any.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Operations and shapes.
    pub operations: Option<Vec<String>>,
    pub triggers: Option<Vec<String>>,
}

/// What to do where there is no trigger at all.
const NO_TRIGGERS: &str = "there are no triggers: faults come from a chaos plan, add `--chaos PLAN` (`squall check` takes it as one more file)";

/// What is wrong with an expression, at which of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub range: Range<usize>,
    pub message: String,
    pub help: String,
}

/// Reads one expression and checks its names.
pub fn parse(text: &str, names: &Names) -> Result<Objective, Mistake> {
    let mut parser = Parser { text, at: 0, valued: 0, names };
    let (metric, selector) = parser.metric()?;
    let comparison = parser.comparison()?;
    let value = parser.value(&metric, comparison)?;
    let phase = parser.phase(&metric)?;
    let window = parser.window()?;
    parser.end()?;
    let text = text.trim().to_owned();
    Ok(Objective { text, metric, selector, comparison, value, phase, window })
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    /// Where the value ends.
    valued: usize,
    names: &'t Names,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The bytes up to the first character that is not wanted.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> (&'t str, Range<usize>) {
        self.skip_spaces();
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let range = self.at..self.at + len;
        self.at = range.end;
        (&rest[..len], range)
    }

    fn word(&mut self) -> (&'t str, Range<usize>) {
        self.take_while(|c| !c.is_whitespace() && !"<>=()".contains(c))
    }

    fn mistake<T>(
        &self,
        range: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) -> Result<T, Mistake> {
        Err(Mistake { range, message, help: help.into() })
    }

    fn metric(&mut self) -> Result<(Metric, Option<String>), Mistake> {
        let (word, range) = self.word();
        let bracket = self.bracket()?;
        let scraped = bracket.as_ref().and_then(|(i, range)| Some((i.strip_prefix("target.")?, range)));
        if let (Some((name, range)), Some(aggregate)) = (scraped, aggregate(word)) {
            return Ok((self.target(name, aggregate, range.clone())?, None));
        }
        let metric = self.metric_word(word, range)?;
        let Some((inner, range)) = bracket else { return Ok((metric, None)) };
        match &metric {
            Metric::Target { .. } => self.mistake(
                range,
                "a target's metric takes no selector".to_owned(),
                "leave out the brackets",
            ),
            Metric::Outage | Metric::Recovery => {
                self.known(inner, range, "trigger", &self.names.triggers)?;
                Ok((metric, Some(inner.to_owned())))
            }
            _ => {
                self.known(inner, range, "operation or shape", &self.names.operations)?;
                Ok((metric, Some(inner.to_owned())))
            }
        }
    }

    fn metric_word(&self, word: &str, range: Range<usize>) -> Result<Metric, Mistake> {
        let metric = match word {
            "mean" => Metric::Mean,
            "max" => Metric::Max,
            "errors" => Metric::Errors,
            "goodput" => Metric::Goodput,
            "rate" => Metric::Rate,
            "count" => Metric::Count,
            "amplification" => Metric::Amplification,
            "outage" => Metric::Outage,
            "recovery" => Metric::Recovery,
            "" => {
                let example = "write it like `p99(create_room) < 300ms`";
                return self.mistake(range, "an expression begins with a metric".to_owned(), example);
            }
            _ if LEDGER.contains(&word) => {
                let message = format!("this build does not measure `{word}` yet");
                return self.mistake(range, message, "it needs the ledger, which comes with a later version");
            }
            _ => return self.quantile_or_target(word, range),
        };
        Ok(metric)
    }

    /// What PromQL says of labels and ranges would be looked for as a part of the name, and never be seen.
    fn target(&self, name: &str, aggregate: Aggregate, range: Range<usize>) -> Result<Metric, Mistake> {
        let beside = |c: char| c.is_whitespace() || "{}[]()\"',=".contains(c);
        let alone = name.split(beside).next().unwrap_or_default();
        if !name.is_empty() && alone == name {
            return Ok(Metric::Target { name: name.to_owned(), aggregate });
        }
        let example = if alone.is_empty() { "NAME" } else { alone };
        let help = format!(
            "write `target.{example}`, a name alone: all of its label sets are added up, and `rate` is that of the whole phase"
        );
        self.mistake(range, format!("`target.{name}` is not the name of a metric"), help)
    }

    fn quantile_or_target(&self, word: &str, range: Range<usize>) -> Result<Metric, Mistake> {
        if let Some(name) = word.strip_prefix("target.").filter(|name| !name.is_empty()) {
            return self.target(name, Aggregate::Last, range);
        }
        let Some(Ok(percent)) = word.strip_prefix('p').map(str::parse::<f64>) else {
            return self.mistake(range, format!("`{word}` is no metric"), suggest(word, &METRICS));
        };
        if (50.0..=99.99).contains(&percent) {
            // 99.9 / 100 lies above 0.999: rounded, so that the rank is the nearest one.
            return Ok(Metric::Quantile((percent * 1e4).round() / 1e6));
        }
        self.mistake(range, format!("`{word}` is out of range"), "quantiles go from `p50` to `p99.99`")
    }

    /// `( ... )` right after the metric, its inside trimmed.
    fn bracket(&mut self) -> Result<Option<(&'t str, Range<usize>)>, Mistake> {
        self.skip_spaces();
        if !self.rest().starts_with('(') {
            return Ok(None);
        }
        let open = self.at;
        let Some(len) = self.rest().find(')') else {
            return self.mistake(open..open + 1, "`(` without `)`".to_owned(), "close it after the name");
        };
        let inside = &self.text[open + 1..open + len];
        self.at = open + len + 1;
        let start = open + 1 + (inside.len() - inside.trim_start().len());
        let inner = inside.trim();
        if inner.is_empty() {
            let help = "name an operation, or leave out the brackets";
            return self.mistake(open..self.at, "nothing between the brackets".to_owned(), help);
        }
        Ok(Some((inner, start..start + inner.len())))
    }

    /// A shape by this name has phases only as a trigger.
    fn shape(&self, name: &str) -> Option<String> {
        let known = self.names.operations.iter().flatten().any(|k| k == name);
        known.then(|| format!("if `{name}` is the shape, write `trigger: true` into it"))
    }

    fn known(
        &self,
        name: &str,
        range: Range<usize>,
        what: &str,
        known: &Option<Vec<String>>,
    ) -> Result<(), Mistake> {
        let Some(known) = known.as_ref().filter(|known| !known.iter().any(|k| k == name)) else {
            return Ok(());
        };
        let help = self.shape(name).unwrap_or_else(|| match known.is_empty() {
            true => NO_TRIGGERS.to_owned(),
            false => suggest(name, known),
        });
        self.mistake(range, format!("there is no {what} `{name}`"), help)
    }

    fn comparison(&mut self) -> Result<Comparison, Mistake> {
        let (sign, range) = self.take_while(|c| "<>=!≤≥".contains(c));
        let comparison = match sign {
            "<" => Comparison::Below,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Above,
            ">=" => Comparison::AtLeast,
            "=" | "==" => Comparison::Equal,
            _ => {
                let (word, at) = if sign.is_empty() { self.word() } else { (sign, range) };
                let found = if word.is_empty() { "nothing".to_owned() } else { format!("`{word}`") };
                let message = format!("expected a comparison, found {found}");
                return self.mistake(at, message, "one of `<`, `<=`, `>`, `>=`, `=`");
            }
        };
        Ok(comparison)
    }

    fn value(&mut self, metric: &Metric, comparison: Comparison) -> Result<f64, Mistake> {
        let (word, range) = self.take_while(|c| !c.is_whitespace());
        self.valued = self.at;
        if let Some(value) = instead::read(metric, word) {
            return Ok(value);
        }
        let form = match metric.unit() {
            Unit::Duration => "a duration such as `300ms` or `2s`",
            Unit::Share => "a share such as `1%`",
            Unit::Rate => "a rate such as `50/s`",
            Unit::Number => "a plain number",
        };
        let found = if word.is_empty() { "nothing".to_owned() } else { format!("`{word}`") };
        let help =
            format!("write it like {}", self.valued_right(metric, comparison, word, &range).join(" or "));
        self.mistake(range, format!("expected {form}, found {found}"), help)
    }

    /// The user's own expression with a value that can be read, and with what follows where that can be read too.
    fn valued_right(
        &self,
        metric: &Metric,
        comparison: Comparison,
        word: &str,
        range: &Range<usize>,
    ) -> Vec<String> {
        let (head, tail) = (self.text[..range.start].trim(), self.text[range.end..].trim());
        // `300 ms`
        let (next, behind) = tail.split_once(char::is_whitespace).unwrap_or((tail, ""));
        let whole = format!("{word}{next}");
        let (values, tail) = match instead::read(metric, &whole) {
            Some(_) => (vec![whole], behind.trim()),
            None => (instead::values(metric, comparison, word), tail),
        };
        let told = |value: String| {
            let (short, long) = (format!("{head} {value}"), format!("{head} {value} {tail}"));
            let reads = |text: &String| parse(text, &Names::default()).is_ok();
            format!("`{}`", if reads(&long) { long.trim_end() } else { &short })
        };
        values.into_iter().map(told).collect()
    }

    fn phase(&mut self, metric: &Metric) -> Result<PhaseName, Mistake> {
        let before = self.at;
        let (word, range) = self.word();
        if word != "during" && word != "after" {
            self.at = before;
            return Ok(PhaseName::Run);
        }
        let (name, at) = self.word();
        if matches!(metric, Metric::Outage | Metric::Recovery) {
            let message = format!("`{metric}` has no phase: it belongs to a trigger");
            let head = &self.text[..before];
            let asked = head[head.find(['<', '>', '=']).unwrap_or(head.len())..].trim();
            return self.mistake(range.start..at.end, message, format!("write `{metric}({name}) {asked}`"));
        }
        let phase = match (word, name) {
            (_, "") => {
                return self.mistake(range, format!("`{word}` what?"), "name a trigger, such as a fault");
            }
            ("during", "warmup") => PhaseName::Warmup,
            ("during", "baseline") => PhaseName::Baseline,
            ("during", "run") => PhaseName::Run,
            ("during", name) => {
                self.known_phase(name, at)?;
                PhaseName::During(name.to_owned())
            }
            (_, name) => {
                self.known(name, at, "trigger", &self.names.triggers)?;
                PhaseName::After(name.to_owned())
            }
        };
        Ok(phase)
    }

    fn known_phase(&self, name: &str, range: Range<usize>) -> Result<(), Mistake> {
        let Some(triggers) = &self.names.triggers else { return Ok(()) };
        if triggers.iter().any(|t| t == name) {
            return Ok(());
        }
        let known: Vec<&str> = triggers.iter().map(String::as_str).chain(PHASES).collect();
        let help = self.shape(name).unwrap_or_else(|| {
            match triggers.is_empty() && nearest(name, known.iter().copied()).is_none() {
                true => NO_TRIGGERS.to_owned(),
                false => suggest(name, known.iter().copied()),
            }
        });
        self.mistake(range, format!("there is no phase or trigger `{name}`"), help)
    }

    fn window(&mut self) -> Result<Option<Micros>, Mistake> {
        let before = self.at;
        let (word, _) = self.word();
        if word != "for" {
            self.at = before;
            return Ok(None);
        }
        let (word, range) = self.word();
        match parse_duration(word) {
            Ok(window) if window > Micros::ZERO => Ok(Some(window)),
            _ => {
                let message = format!("`{word}` is no duration");
                let own = word.parse::<f64>().is_ok_and(|n| n.is_finite() && n > 0.0);
                self.mistake(
                    range,
                    message,
                    format!("write it like `for {}s`", if own { word } else { "10" }),
                )
            }
        }
    }

    fn end(&mut self) -> Result<(), Mistake> {
        let (rest, range) = self.take_while(|_| true);
        let rest = rest.trim_end();
        if rest.is_empty() {
            return Ok(());
        }
        let word = rest.split_whitespace().next().unwrap_or(rest);
        let at = range.start..range.start + word.len();
        let help = match word {
            "during" | "after" | "for" => {
                let words: Vec<&str> = self.text[self.valued..].split_whitespace().collect();
                let first = |keys: &[&str]| words.windows(2).find(|pair| keys.contains(&pair[0]));
                let phase = first(&["during", "after"]).map_or("during x".to_owned(), |pair| pair.join(" "));
                let window = first(&["for"]).map_or("for 10s".to_owned(), |pair| pair.join(" "));
                let asked = self.text[..self.valued].trim();
                format!("write one phase, then one `for`: `{asked} {phase} {window}`")
            }
            _ => suggest(word, &["during", "after", "for"]),
        };
        self.mistake(at, format!("`{word}` is not expected here"), help)
    }
}

fn aggregate(word: &str) -> Option<Aggregate> {
    match word {
        "mean" => Some(Aggregate::Mean),
        "max" => Some(Aggregate::Max),
        "rate" => Some(Aggregate::Rate),
        _ => None,
    }
}
