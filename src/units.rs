//! Durations, rates, sizes and shares as users write them, and how they are printed.
//!
//! Owns the text forms only; what a value means is for the module that uses it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A time or a duration in whole microseconds. As a time it counts from the start of the load
/// (setup lies before it, hence the sign).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    pub const ZERO: Micros = Micros(0);
    pub const MILLISECOND: Micros = Micros(1_000);
    pub const SECOND: Micros = Micros(1_000_000);
    pub const MAX: Micros = Micros(i64::MAX);

    pub const fn millis(n: i64) -> Micros {
        Micros(n * 1_000)
    }

    pub const fn secs(n: i64) -> Micros {
        Micros(n * 1_000_000)
    }

    /// From seconds, rounded to the nearest microsecond.
    pub fn from_secs_f64(s: f64) -> Micros {
        Micros((s * 1e6).round() as i64)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    pub fn saturating_sub(self, other: Micros) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Add for Micros {
    type Output = Micros;
    fn add(self, other: Micros) -> Micros {
        Micros(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Micros {
    type Output = Micros;
    fn sub(self, other: Micros) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

impl std::ops::AddAssign for Micros {
    fn add_assign(&mut self, other: Micros) {
        *self = *self + other;
    }
}

impl std::ops::Mul<i64> for Micros {
    type Output = Micros;
    fn mul(self, n: i64) -> Micros {
        Micros(self.0.saturating_mul(n))
    }
}

/// A dash where there is nothing to show.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}

/// `412 ms`, `6.20 s`, `2 min 30 s`: three significant digits below a minute, whole seconds above.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = match us {
            0 => "0 ms".to_owned(),
            1..=999_499 => format!("{} ms", three_digits(us as f64 / 1e3)),
            999_500..=59_999_999 => format!("{} s", three_digits(us as f64 / 1e6)),
            _ => whole_seconds((us + 500_000) / 1_000_000),
        };
        f.pad(&format!("{sign}{text}"))
    }
}

fn whole_seconds(s: u64) -> String {
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    let mut parts = Vec::new();
    for (n, unit) in [(h, "h"), (m, "min"), (s, "s")] {
        if n > 0 {
            parts.push(format!("{n} {unit}"));
        }
    }
    parts.join(" ")
}

/// Three significant digits without an exponent, trailing zeros of the fraction left out.
pub fn three_digits(x: f64) -> String {
    let digits = if x.abs() >= 99.95 {
        0
    } else if x.abs() >= 9.995 {
        1
    } else if x.abs() >= 0.9995 {
        2
    } else {
        3
    };
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A position on the run's clock as `1:35.02`, or `2:01:35.02` in hours.
pub fn clock(at: Micros) -> String {
    let sign = if at.0 < 0 { "-" } else { "" };
    let cs = (at.0.unsigned_abs() + 5_000) / 10_000;
    format!("{sign}{}.{:02}", on_the_clock(cs / 100), cs % 100)
}

/// The same to the second: `1:35`; nothing lies before zero.
pub fn short_clock(at: Micros) -> String {
    on_the_clock((at.0.max(0) as u64 + 500_000) / 1_000_000)
}

fn on_the_clock(s: u64) -> String {
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// `2,004`: thousands separated by commas.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1.2 MB`: decimal multiples, as network tools print them.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", three_digits(n as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", three_digits(n as f64 / 1e6)),
        _ => format!("{} GB", three_digits(n as f64 / 1e9)),
    }
}

/// Wall time (microseconds since 1970, UTC) as RFC 3339 to the second: `2026-11-21T08:12:00Z`.
pub fn rfc3339(wall: i64) -> String {
    let (days, second) = (wall.div_euclid(86_400_000_000), wall.rem_euclid(86_400_000_000) / 1_000_000);
    let (year, month, day) = civil(days);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// Year, month and day of a day number since 1970-01-01, in the proleptic Gregorian calendar: years are
/// counted from March, so that the leap day comes last (Richards' algorithm in its 400-year form).
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let (era, of_era) = (since_march_0000.div_euclid(146_097), since_march_0000.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Reads `250ms`, `10s`, `1m30s`, `2h`. A bare number is refused with the form to use.
pub fn parse_duration(text: &str) -> Result<Micros, String> {
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return Err(format!("a duration needs a unit: write `{text}s` or `{text}ms`"));
    }
    let wrong = || format!("`{text}` is not a duration: write it like `250ms`, `10s` or `1m30s`");
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let micros = match unit.trim() {
            "us" | "µs" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" | "min" => 60e6,
            "h" => 3600e6,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * micros;
        rest = tail;
    }
    if text.is_empty() || total > 1e15 { Err(wrong()) } else { Ok(Micros(total.round() as i64)) }
}

/// Reads `50/s`, `0.5/s`, `30/m`, `100/h` as operations per second.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a rate: write it like `50/s` or `30/m`");
    let (number, unit) = text.trim().split_once('/').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    if number.is_finite() && number >= 0.0 { Ok(number / seconds) } else { Err(wrong()) }
}

/// Reads `5%` as 0.05.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a share: write it like `1%` or `0.5%`");
    let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
    let value: f64 = number.trim().parse().map_err(|_| wrong())?;
    // Read as hundredths, and not divided: 0.7 / 100 lies below 7 of 1,000.
    let exact = format!("{}e-2", number.trim()).parse().unwrap_or(value / 100.0);
    if value.is_finite() { Ok(exact) } else { Err(wrong()) }
}

/// The text, or so many characters of it and how many there are.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{}... ({} characters)", &text[..end], grouped(text.chars().count() as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let rows = [
            ("250ms", 250_000),
            ("10s", 10_000_000),
            ("1m30s", 90_000_000),
            ("2h", 7_200_000_000),
            ("0.5s", 500_000),
            ("80us", 80),
            ("0s", 0),
        ];
        for (text, micros) in rows {
            assert_eq!(parse_duration(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_the_form_to_use() {
        assert!(parse_duration("10").unwrap_err().contains("`10s`"));
        for text in ["", "s", "10 apples", "1.2.3s", "ms10", "-5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_sizes_and_shares_need_their_unit() {
        assert_eq!(parse_rate("50/s"), Ok(50.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert!(parse_rate("50").is_err() && parse_rate("-1/s").is_err() && parse_rate("nan/s").is_err());
        assert_eq!(parse_share("5%"), Ok(0.05));
        assert!(parse_share("0.05").is_err());
    }

    #[test]
    fn values_print_with_three_digits_and_a_unit() {
        let rows = [
            (0, "0 ms"),
            (41, "0.041 ms"),
            (3_140, "3.14 ms"),
            (412_000, "412 ms"),
            (999_499, "999 ms"),
            (999_500, "1 s"),
            (6_200_000, "6.2 s"),
            (150_000_000, "2 min 30 s"),
        ];
        for (us, text) in rows {
            assert_eq!(Micros(us).to_string(), text);
        }
        for (wall, text) in [
            (946_684_800_000_000, "2000-01-01T00:00:00Z"),
            (1_709_208_000_000_000, "2024-02-29T12:00:00Z"),
            (1_795_248_720_000_000, "2026-11-21T08:12:00Z"),
        ] {
            assert_eq!(rfc3339(wall), text);
        }
        assert_eq!(clock(Micros(95_020_000)), "1:35.02");
        assert_eq!(clock(Micros::secs(3600 + 95)), "1:01:35.00");
        assert_eq!(short_clock(Micros(95_020_000)), "1:35");
        assert_eq!(grouped(9_870_123), "9,870,123");
        assert_eq!(bytes(1_200_000), "1.2 MB");
    }
}
