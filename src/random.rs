//! Random draws that depend on what they are for, never on the order of execution.
//!
//! Every draw comes from a stream keyed by (seed, shape, operation index, attempt, purpose), so
//! plans and keys are the same with one shard and with eight, in real and in virtual time.

/// What a stream of draws is for; part of its key, so that two purposes never share draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Arrival = 1,
    Data = 2,
    Think = 3,
    Choice = 4,
    Template = 5,
    Service = 6,
    Jitter = 7,
    Phase = 8,
    Probe = 9,
    Address = 10,
}

/// The key of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub seed: u64,
    pub shape: u32,
    pub index: u64,
    pub attempt: u32,
    pub purpose: Purpose,
}

impl Key {
    /// The stream's first draws; every call starts the stream anew.
    pub fn stream(self) -> Stream {
        let mut state = mix(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        for word in [u64::from(self.shape), self.index, u64::from(self.attempt), self.purpose as u64] {
            state = mix(state.rotate_left(23) ^ word.wrapping_mul(0xd6e8_feb8_6659_fd93));
        }
        Stream { state }
    }
}

/// A stream of draws: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) from a keyed start.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// Uniform over all 64-bit words.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n; 0 when n is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// Exponential with mean 1: -ln(1 - U).
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Uniform in [-spread, +spread).
    pub fn symmetric(&mut self, spread: f64) -> f64 {
        (self.unit() * 2.0 - 1.0) * spread
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u64, purpose: Purpose) -> Key {
        Key { seed: 7, shape: 0, index, attempt: 0, purpose }
    }

    #[test]
    fn the_same_key_gives_the_same_draws_and_another_key_others() {
        let draws =
            |k: Key| (0..4).map(|_| 0).scan(k.stream(), |s, _: u64| Some(s.word())).collect::<Vec<_>>();
        assert_eq!(draws(key(3, Purpose::Data)), draws(key(3, Purpose::Data)));
        assert_ne!(draws(key(3, Purpose::Data)), draws(key(4, Purpose::Data)));
        assert_ne!(draws(key(3, Purpose::Data)), draws(key(3, Purpose::Think)));
    }

    #[test]
    fn first_draws_of_neighbouring_keys_are_uniform_and_exponential() {
        let n = 200_000;
        let mean = (0..n).map(|i| key(i, Purpose::Arrival).stream().exponential()).sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        let mut buckets = [0u32; 16];
        for i in 0..n {
            buckets[key(i, Purpose::Choice).stream().below(16) as usize] += 1;
        }
        let expected = n as f64 / 16.0;
        let chi2: f64 = buckets.iter().map(|&b| (f64::from(b) - expected).powi(2) / expected).sum();
        assert!(chi2 < 37.7, "chi-square with 15 degrees of freedom, 0.1 % point 37.7: {chi2}");
    }
}
