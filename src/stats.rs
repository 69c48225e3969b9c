//! Robust statistics and intervals over plain numbers.
//!
//! Owns formulas, each with its source; which number is compared with what is for `verdict`.

/// The middle value, or the mean of the two middle ones; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mid = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[mid]),
        _ => Some((sorted[mid - 1] + sorted[mid]) / 2.0),
    }
}

/// Median absolute deviation from the median. Times 1.4826 it estimates the standard deviation of a
/// normal sample (Rousseeuw and Croux, JASA 1993).
pub fn mad(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>())
}

/// Points of which `theil_sen` takes all pairs: 7,140 of them.
const MOST_POINTS: usize = 120;

/// The median of the slopes between all pairs of points (Theil, Indagationes Mathematicae 12, 1950; Sen,
/// JASA 63, 1968); none if no two points differ in x. Of more than 120 points, 120 that lie evenly among
/// them, the first and the last included: pairs grow with the square, and their median hardly gains.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    median(&slopes_of(&evenly(points)))
}

/// No more points than can be held against one another.
fn evenly(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let kept = points.len().min(MOST_POINTS);
    let last = points.len().saturating_sub(1);
    (0..kept).map(|i| points[i * last / (kept - 1).max(1)]).collect()
}

/// Of all pairs.
fn slopes_of(points: &[(f64, f64)]) -> Vec<f64> {
    let slope = |a: &(f64, f64), b: &(f64, f64)| (b.0 != a.0).then(|| (b.1 - a.1) / (b.0 - a.0));
    let of = |(i, a)| points[i + 1..].iter().filter_map(move |b| slope(a, b));
    points.iter().enumerate().flat_map(of).collect()
}

/// The slope that several series have in common, if they rise or fall by more than chance: the median of the slopes of all
/// pairs within one series, where the seasonal Kendall test is so many deviations from none (Hirsch, Slack and Smith, Water
/// Resources Research 18, 1982).
pub fn common_slope(series: &[&[(f64, f64)]], deviations: f64) -> Option<f64> {
    let (mut slopes, mut rises, mut variance) = (Vec::new(), 0.0, 0.0);
    for points in series.iter().map(|points| evenly(points)) {
        let own = slopes_of(&points);
        rises += own.iter().filter(|slope| **slope != 0.0).map(|slope| slope.signum()).sum::<f64>();
        let n = points.len() as f64;
        variance += n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
        slopes.extend(own);
    }
    let score = (rises.abs() - 1.0) / f64::sqrt(variance);
    median(&slopes).filter(|slope| score > deviations && slope.signum() == rises.signum())
}

/// Of a normal deviate, above which lie 5 %.
pub const UPPER: f64 = 1.645;

/// The mean of a normal deviate around 0 with this standard deviation of which all below `-cut` is `-cut` (the censored normal
/// distribution, Greene, Econometric Analysis, 19.3).
pub fn cut_normal(deviation: f64, cut: f64) -> f64 {
    if deviation <= 0.0 {
        return 0.0;
    }
    let z = cut / deviation;
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    deviation * density - cut * normal_above(z)
}

/// The share of a standard normal deviate above `z` >= 0, to 7.5e-8 (Abramowitz and Stegun, Handbook of Mathematical Functions,
/// 26.2.17).
fn normal_above(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

/// Half of what a two-sided 95 % interval leaves out.
const TAIL: f64 = 0.025;

/// The least sample that has a finite two-sided 95 % bound above its q-quantile: q^n <= 2.5 %, so
/// n = ln 0.025 / ln q: 72 for p95, 368 for p99, 3,688 for p99.9 (David and Nagaraja, Order
/// Statistics, 7.1).
pub fn n_min(q: f64) -> u64 {
    (TAIL.ln() / q.ln()).ceil() as u64
}

/// Ranks (1 = smallest) of the order statistics that enclose the q-quantile with 95 % confidence: the
/// count of values below it is binomial (David and Nagaraja, Order Statistics, 7.1). None where the
/// sample is too small to bound it on both sides.
pub fn quantile_ranks(n: u64, q: f64) -> Option<(u64, u64)> {
    let (mean, sd) = (n as f64 * q, (n as f64 * q * (1.0 - q)).sqrt());
    let mut k = (mean - 12.0 * sd).floor().max(0.0) as u64;
    let (mut below, mut low) = (0.0, 0);
    while k < n {
        let upto = below + binomial(n, k, q);
        if below <= TAIL {
            low = k;
        }
        if upto >= 1.0 - TAIL {
            return (low > 0).then_some((low, k + 1));
        }
        (below, k) = (upto, k + 1);
    }
    None
}

/// Whether `hits` of `n` prove a share above `share`: the lower 97.5 % bound of the share lies above it (Clopper
/// and Pearson, Biometrika 26, 1934), which is to say that so many or more would come of it in less than 2.5 %.
pub fn exceeds(hits: u64, n: u64, share: f64) -> bool {
    if hits == 0 || n == 0 || share >= 1.0 {
        return false;
    }
    if share <= 0.0 {
        return true;
    }
    let fewer: f64 = (0..hits).map(|k| binomial(n, k, share)).sum();
    1.0 - fewer < TAIL
}

/// The same against a share that is known of a sample only, of so many hits in so many: none of eighty does not prove none,
/// and one of sixteen is no news then (the mean of a beta distribution, of which an eighth of a hit was known before).
pub fn exceeds_sample((hits, n): (u64, u64), (usual, of): (u64, u64)) -> bool {
    exceeds(hits, n, (usual as f64 + 0.125) / (of as f64 + 0.25))
}

/// Whether two shares, of so many hits in so many each, differ by more than chance: neither comes of the share of both
/// together, each by the bound of `exceeds`.
pub fn differ(a: (u64, u64), b: (u64, u64)) -> bool {
    let share = |(hits, n): (u64, u64)| hits as f64 / n.max(1) as f64;
    let (less, more) = if share(a) < share(b) { (a, b) } else { (b, a) };
    let both = share((a.0 + b.0, a.1 + b.1));
    exceeds(more.0, more.1, both) && exceeds(less.1 - less.0, less.1, 1.0 - both)
}

/// How many times as much such shares, of so many hits in so many each, vary as by chance: Pearson's statistic over its
/// degrees of freedom (McCullagh and Nelder, Generalized Linear Models, 4.5); 1 of nothing.
pub fn overdispersion(shares: &[(u64, u64)]) -> f64 {
    let (hits, all) = shares.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let share = hits as f64 / all.max(1) as f64;
    let variance = |n: u64| n as f64 * share * (1.0 - share);
    let off = |&(hits, n): &(u64, u64)| (hits as f64 - n as f64 * share).powi(2) / variance(n);
    let some: Vec<f64> = shares.iter().filter(|(_, n)| variance(*n) > 0.0).map(off).collect();
    if some.len() < 2 { 1.0 } else { some.iter().sum::<f64>() / (some.len() - 1) as f64 }
}

/// How much counts vary from each to the next: 1 of those that come by chance (the index of dispersion of a Poisson process), next to
/// nothing of those that come evenly, be it ever more of them (by successive differences: von Neumann, Annals of Mathematical
/// Statistics 12, 1941). No more than 1; 1 of less than two.
pub fn dispersion(counts: &[f64]) -> f64 {
    let mean = counts.iter().sum::<f64>() / counts.len().max(1) as f64;
    let squares: f64 = counts.windows(2).map(|two| (two[1] - two[0]).powi(2)).sum();
    if counts.len() < 2 || mean <= 0.0 {
        return 1.0;
    }
    (squares / (2.0 * (counts.len() - 1) as f64 * mean)).min(1.0)
}

/// The mean and the sample standard deviation of what is known; none of less than two values.
pub fn mean_and_deviation(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let n = values.iter().flatten().count() as f64;
    let mean = values.iter().flatten().sum::<f64>() / n;
    let squares: f64 = values.iter().flatten().map(|v| (v - mean).powi(2)).sum();
    (n >= 2.0).then(|| (mean, (squares / (n - 1.0)).sqrt()))
}

/// The autocorrelation of a series from one value to the next (Box and Jenkins, Time Series Analysis, 2.1.5): -1 to 1; 0 of
/// one that does not vary. What is missing has no neighbours.
pub fn autocorrelation(values: &[Option<f64>]) -> f64 {
    let Some((mean, deviation)) = mean_and_deviation(values) else { return 0.0 };
    let n = values.iter().flatten().count() as f64;
    let pairs = values.windows(2).filter_map(|two| two[0].zip(two[1]));
    let together: f64 = pairs.map(|(a, b)| (a - mean) * (b - mean)).sum();
    if deviation > 0.0 { together / (deviation.powi(2) * (n - 1.0)) } else { 0.0 }
}

/// By how much four median absolute deviations of `n` values must be widened so that a further value of the
/// same normal source lies outside of them in at most 1 % of cases (simulated, 6,000 series each).
pub fn widened(n: usize) -> f64 {
    step(n, &[(4, 2.5), (5, 2.2), (6, 1.6), (8, 1.2), (10, 1.0)])
}

/// The same for the drift of stationary noise: the larger of the difference of its halves' medians and its
/// Theil-Sen line's rise, against four deviations from that line. Fewer than six values cannot tell.
pub fn drifted(n: usize) -> f64 {
    step(n, &[(5, f64::INFINITY), (6, 6.8), (8, 2.9), (10, 1.8), (12, 1.4), (15, 1.1), (20, 1.0)])
}

/// The factor of the largest count that is not above `n`.
fn step(n: usize, table: &[(usize, f64)]) -> f64 {
    let known = table.iter().rev().find(|(count, _)| *count <= n).or(table.first());
    known.map_or(1.0, |(_, factor)| *factor)
}

/// P(B = k) for B binomial with n trials of probability p.
fn binomial(n: u64, k: u64, p: f64) -> f64 {
    let (n, k) = (n as f64, k as f64);
    let ways = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    (ways + k * p.ln() + (n - k) * (1.0 - p).ln()).exp()
}

/// ln x! by Stirling's series (Abramowitz and Stegun 6.1.41), shifted up where it is not yet exact.
fn ln_factorial(x: f64) -> f64 {
    let (mut z, mut shift) = (x + 1.0, 0.0);
    while z < 16.0 {
        shift += z.ln();
        z += 1.0;
    }
    let series = 1.0 / (12.0 * z) - 1.0 / (360.0 * z.powi(3)) + 1.0 / (1260.0 * z.powi(5));
    (z - 0.5) * z.ln() - z + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

/// Two-sided 95 % interval of a share of `hits` in `n` (Wilson, JASA 1927); none of nothing.
pub fn wilson(hits: u64, n: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_964;
    let (n, p) = ((n > 0).then_some(n as f64)?, hits as f64 / n as f64);
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_deviations_ignore_one_wild_value() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(mad(&[1.0, 2.0, 3.0, 4.0, 1e9]), Some(1.0));
    }

    #[test]
    fn what_comes_evenly_is_not_dispersed_however_it_rises() {
        let rising: Vec<f64> = (0..60).map(|i| f64::from(20 + i / 3)).collect();
        assert!(dispersion(&rising) < 0.05, "{}", dispersion(&rising));
        let by_chance: Vec<f64> = (0..400_u32).map(|i| f64::from(10 + i * 7_919 % 401 % 11)).collect();
        assert!(
            (0.4..1.0).contains(&dispersion(&by_chance)),
            "uniform over 10 to 20: {}",
            dispersion(&by_chance)
        );
        assert_eq!(
            (dispersion(&[0.0, 50.0, 0.0]), dispersion(&[]), dispersion(&[0.0, 0.0])),
            (1.0, 1.0, 1.0)
        );
    }

    #[test]
    fn a_normal_deviate_that_is_cut_below_has_a_mean_above_its_own() {
        // The tables of the normal distribution: 0.3989 at 0; 0.2420 - 0.1587 at 1; 0.0540 - 2 x 0.02275 at 2.
        for (deviation, cut, mean) in
            [(1.0, 0.0, 0.3989), (1.0, 1.0, 0.0833), (1.0, 2.0, 0.0085), (0.5, 0.5, 0.0417), (0.0, 1.0, 0.0)]
        {
            let got = cut_normal(deviation, cut);
            assert!((got - mean).abs() < 1e-4, "{deviation}, {cut}: {got}");
        }
    }

    #[test]
    fn theil_sen_finds_the_slope_behind_an_outlier() {
        let mut points: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), 3.0 * f64::from(i) + 1.0)).collect();
        points[4].1 = 500.0;
        assert!((theil_sen(&points).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!((theil_sen(&[]), theil_sen(&[(1.0, 1.0)])), (None, None));
        assert_eq!(theil_sen(&[(1.0, 1.0), (2.0, 4.0)]), Some(3.0));
    }

    #[test]
    fn theil_sen_of_a_long_series_takes_an_even_choice_of_points() {
        // All pairs of these would be twenty thousand million slopes.
        let noisy = |i: u32| (f64::from(i), 0.5 * f64::from(i) + f64::from(i * 7919 % 101));
        let points: Vec<(f64, f64)> = (0..200_000).map(noisy).collect();
        let slope = theil_sen(&points).unwrap();
        assert!((slope - 0.5).abs() < 1e-3, "{slope}");
    }

    #[test]
    fn the_least_samples_are_those_of_the_books() {
        assert_eq!([0.95, 0.99, 0.999].map(n_min), [72, 368, 3_688]);
    }

    #[test]
    fn few_can_prove_a_share_and_none_cannot() {
        let rows = [
            (100, 100, 0.01, true),
            (3, 4, 0.01, true),
            (1, 1, 0.4, false),
            (1, 1, 0.01, true),
            (2, 4, 0.4, false),
            (0, 1_000, 0.0, false),
            (1, 1_000, 0.0, true),
            (5, 5, 1.0, false),
        ];
        for (hits, n, share, proves) in rows {
            assert_eq!(exceeds(hits, n, share), proves, "{hits} of {n} against {share}");
        }
    }

    #[test]
    fn shares_of_what_comes_in_eights_vary_eight_times_as_much() {
        let in_eights: Vec<(u64, u64)> =
            (0..400_u64).map(|i| (8 * (i * 7_919 % 401 * 5 / 401).min(4), 32)).collect();
        let spread = overdispersion(&in_eights);
        assert!(
            (12.0..18.0).contains(&spread),
            "uniform over 0..4 of 4: twice as much as a binomial: {spread}"
        );
        assert_eq!(overdispersion(&[(1, 2)]), 1.0);
        assert_eq!(overdispersion(&[(0, 9), (0, 9)]), 1.0);
    }

    #[test]
    fn a_series_is_as_alike_as_its_neighbours() {
        let saw: Vec<Option<f64>> = (0..100).map(|i| Some(f64::from(i % 2))).collect();
        assert!(autocorrelation(&saw) < -0.98);
        let slow: Vec<Option<f64>> = (0..100).map(|i| Some((f64::from(i) / 20.0).sin())).collect();
        assert!(autocorrelation(&slow) > 0.9);
        let noise: Vec<Option<f64>> = (0..400).map(|i| Some(f64::from(i * 7919 % 401))).collect();
        assert!(autocorrelation(&noise).abs() < 0.3, "{}", autocorrelation(&noise));
        assert_eq!([autocorrelation(&[]), autocorrelation(&[Some(2.0), Some(2.0)])], [0.0; 2]);
        assert_eq!(mean_and_deviation(&[Some(1.0), None, Some(3.0)]), Some((2.0, 2.0_f64.sqrt())));
    }

    #[test]
    fn a_share_that_few_have_shown_is_exceeded_by_more_than_one_that_many_have() {
        let rows = [
            ((1, 20), (0, 80), false),
            ((2, 20), (0, 80), true),
            ((1, 2), (0, 10), true),
            ((1, 3), (0, 10), false),
            ((2, 5), (0, 10), true),
            ((1, 20), (0, 1_000), true),
            ((0, 8), (0, 1_000), false),
            ((20, 100), (2_000, 10_000), false),
            ((40, 100), (2_000, 10_000), true),
            ((5_000, 10_000), (50_000, 100_000), false),
            ((5_500, 10_000), (50_000, 100_000), true),
        ];
        for (of, usual, exceeds) in rows {
            assert_eq!(exceeds_sample(of, usual), exceeds, "{of:?} of {usual:?}");
        }
    }

    #[test]
    fn shares_differ_where_neither_comes_of_both_together() {
        let rows = [
            ((0, 100), (4, 100), false),
            ((0, 100), (12, 100), true),
            ((12, 100), (0, 100), true),
            ((10, 1_000), (20, 1_000), false),
            ((100, 10_000), (200, 10_000), true),
            ((0, 0), (5, 5), false),
            ((7, 7), (7, 7), false),
        ];
        for (a, b, differs) in rows {
            assert_eq!(differ(a, b), differs, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn order_statistic_ranks_agree_with_the_oracle() {
        let rows = [
            (367, 0.99, None),
            (368, 0.99, Some((360, 368))),
            (1_000, 0.99, Some((983, 997))),
            (10_000, 0.99, Some((9_880, 9_920))),
            (3_687, 0.999, None),
            (100, 0.5, Some((40, 61))),
        ];
        for (n, q, expected) in rows {
            assert_eq!(quantile_ranks(n, q), expected, "n {n}, q {q}");
        }
    }

    #[test]
    fn a_share_of_nothing_has_no_interval_and_zero_of_n_has_an_upper_bound() {
        assert_eq!(wilson(0, 0), None);
        let (low, high) = wilson(0, 100).unwrap();
        assert!(low == 0.0 && (high - 0.037).abs() < 0.001, "{high}");
    }
}
