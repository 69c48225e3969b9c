//! What flows saw of the ways and loops of their steps: those that fail before them go as the others did.

use std::cell::Cell;

use crate::units::Micros;

/// How often what answers said led flows to the steps of an `if` or a list, and how often past them.
#[derive(Default)]
pub struct Odds {
    led: Cell<u64>,
    past: Cell<u64>,
    /// Of flows that failed before their way was known.
    unknown: Cell<u64>,
    guessed: Cell<u64>,
}

impl Odds {
    pub fn saw(&self, led: bool) {
        let way = if led { &self.led } else { &self.past };
        way.set(way.get() + 1);
    }

    /// Whether one more flow whose way is not known is taken to be led to the steps: of all such as many as of those
    /// who knew theirs, to the last that would be one too many; each before anybody knew, apart from the others.
    pub fn guess(&self) -> bool {
        let (led, known) = (self.led.get(), self.led.get() + self.past.get());
        if known == 0 {
            return true;
        }
        let share = led as f64 / known as f64;
        self.unknown.set(self.unknown.get() + 1);
        let led = (self.guessed.get() + 1) as f64 <= share * self.unknown.get() as f64;
        self.guessed.set(self.guessed.get() + u64::from(led));
        led
    }
}

/// The mean of what flows saw: how long something took that went well, how many elements a list had.
#[derive(Default)]
pub struct Usual {
    n: Cell<u64>,
    sum: Cell<i64>,
}

impl Usual {
    pub fn saw(&self, value: i64) {
        self.n.set(self.n.get() + 1);
        self.sum.set(self.sum.get().saturating_add(value));
    }

    /// None before anybody knew.
    pub fn mean(&self) -> Option<i64> {
        let n = self.n.get();
        (n > 0).then(|| (self.sum.get() as f64 / n as f64).round() as i64)
    }

    /// The same of times.
    pub fn time(&self) -> Option<Micros> {
        self.mean().map(Micros)
    }
}
