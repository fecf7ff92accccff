//! Tail probabilities of counts, in logarithms so that nothing underflows.
//!
//! What is learned of tails is stored, so all of it comes from arithmetic and `libm`.

use libm::lgamma as ln_gamma;

/// What a count in one window is expected to be.
///
/// The count is quasi negative binomial: mean `mean`, variance
/// `fano*mean + spread*mean^2 + fano*mean^2/evidence`, where the last term is what is not yet known
/// about the mean (Gamma-Poisson with `evidence` as pseudo-count).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Expected {
    /// Expected count.
    pub mean: f64,
    /// Variance per mean at small means: how strongly calls come in batches; at least 1.
    pub fano: f64,
    /// Squared relative deviation of the rate itself; at least [`Expected::SPREAD_MIN`].
    pub spread: f64,
    /// Events that the mean rests on.
    pub evidence: f64,
}

impl Expected {
    /// Floor of `spread`: about 7 % relative deviation, below which a change is of no interest.
    pub const SPREAD_MIN: f64 = 0.005;

    /// Nothing at all, for certain.
    pub const NONE: Self = Self {
        mean: 0.0,
        fano: 1.0,
        spread: Self::SPREAD_MIN,
        evidence: 1.0,
    };

    /// The same with `more` squared relative deviation of the rate.
    #[must_use]
    pub fn looser(self, more: f64) -> Self {
        Self {
            spread: self.spread + more,
            ..self
        }
    }

    /// Variance of the count.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let squared = self.mean * self.mean;
        self.fano * self.mean + self.spread * squared + self.fano * squared / self.evidence
    }

    /// Natural logarithm of `P(N >= n)`.
    ///
    /// `P(N >= n) = I_x(y, k)` with `M = mean/F`, `1/k = spread + F/evidence`, `x = M/(k+M)`; the
    /// count is scaled to `y = n/F + (1 - 1/F)/2` so that the scaled law keeps its mean.
    #[must_use]
    pub fn ln_upper(&self, n: f64) -> f64 {
        if n <= self.mean {
            return 0.0;
        }
        let y = n / self.fano + (1.0 - 1.0 / self.fano) / 2.0;
        let scaled = self.mean / self.fano;
        let k = 1.0 / (self.spread + self.fano / self.evidence);
        if y <= scaled {
            return 0.0;
        }
        if scaled > 300.0 && k < scaled / 100.0 {
            return ln_gamma_upper(k, k * y / scaled);
        }
        ln_beta_upper(y, k, scaled / (k + scaled)).min(0.0)
    }

    /// Natural logarithm of `P(N <= n)`.
    ///
    /// `P(N <= n) = 1 - I_x(y, k) = I_(1-x)(k, y)` with `y = (n + 1)/F`, the rest as in
    /// [`Expected::ln_upper`].
    #[must_use]
    pub fn ln_lower(&self, n: f64) -> f64 {
        let y = (n + 1.0) / self.fano;
        let scaled = self.mean / self.fano;
        let k = 1.0 / (self.spread + self.fano / self.evidence);
        if y >= scaled {
            return 0.0;
        }
        ln_beta_upper(k, y, k / (k + scaled)).min(0.0)
    }
}

/// `ln Q(a, x)`, the regularised upper incomplete gamma function, for `x > a`.
///
/// Near `a` it is one less the series of its complement; else its continued fraction, by Lentz's
/// method (DLMF 8.7.1 and 8.9.2; Press et al., Numerical Recipes, 6.2).
pub(super) fn ln_gamma_upper(a: f64, x: f64) -> f64 {
    let front = a * libm::log(x) - x - ln_gamma(a);
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..=TERMS {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < 1e-12 * sum {
                break;
            }
        }
        return libm::log1p(-(libm::exp(front) * sum).min(1.0));
    }
    let mut b = x + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..=TERMS {
        let n = f64::from(n);
        let numerator = n * (a - n);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    (front + libm::log(fraction)).min(0.0)
}

/// `ln P(T >= t)` of Student's law with so many degrees of `freedom`: half the regularised
/// incomplete beta function `I_x(freedom/2, 1/2)` at `x = freedom/(freedom + t^2)` (Abramowitz and
/// Stegun 26.7.1). Below 1, where that is near its mean, one less its complement; what is
/// not above 0 counts as 0.
#[must_use]
pub fn ln_student_upper(t: f64, freedom: f64) -> f64 {
    if t <= 0.0 {
        return libm::log(0.5);
    }
    let squared = t * t;
    let x = freedom / (freedom + squared);
    if squared > 1.0 {
        return ln_beta_upper(freedom / 2.0, 0.5, x) + libm::log(0.5);
    }
    let middle = libm::exp(ln_beta_upper(0.5, freedom / 2.0, 1.0 - x)).min(1.0);
    libm::log1p(-middle) + libm::log(0.5)
}

/// `ln I_x(a, b)` for `x < a/(a+b)` by its hypergeometric series; what is cut off is bounded from
/// above by a geometric series, so a truncated value is too large, never too small.
fn ln_beta_upper(a: f64, b: f64, x: f64) -> f64 {
    let front = a * libm::log(x) + b * libm::log1p(-x)
        - libm::log(a)
        - (ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b));
    let (mut term, mut sum) = (1.0, 1.0);
    for j in 0..TERMS {
        let j = f64::from(j);
        term *= x * (a + b + j) / (a + 1.0 + j);
        sum += term;
        if term < 1e-9 * sum {
            return front + libm::log(sum);
        }
    }
    // The ratio of terms tends to x from one side: the larger of it and its limit bounds the rest.
    let last = x * (a + b + f64::from(TERMS)) / (a + 1.0 + f64::from(TERMS));
    let ratio = if last > x { last } else { x };
    if ratio < 1.0 {
        sum += term * ratio / (1.0 - ratio);
    }
    front + libm::log(sum)
}

const TERMS: u32 = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(mean: f64, fano: f64, spread: f64) -> Expected {
        Expected {
            mean,
            fano,
            spread,
            evidence: 1e12,
        }
    }

    /// Sums the negative binomial mass directly.
    fn naive(mean: f64, k: f64, n: u32) -> f64 {
        let x = mean / (k + mean);
        let ln_mass = |j: f64| {
            ln_gamma(k + j) - ln_gamma(k) - ln_gamma(j + 1.0) + k * (1.0 - x).ln() + j * x.ln()
        };
        (n..n + 20_000).map(|j| ln_mass(f64::from(j)).exp()).sum()
    }

    #[test]
    fn agrees_with_the_mass_summed_directly() {
        for (mean, spread) in [(0.7, 0.5), (5.0, 0.02), (40.0, 0.1), (300.0, 0.3)] {
            for factor in [1.5, 3.0, 8.0] {
                let n = (mean * factor + 3.0) as u32;
                let got = expected(mean, 1.0, spread).ln_upper(f64::from(n)).exp();
                let want = naive(mean, 1.0 / spread, n);
                assert!(
                    (got / want - 1.0).abs() < 0.05,
                    "{mean} {spread} {n}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn the_gamma_tail_is_the_one_in_the_tables() {
        use statrs::function::gamma::{gamma_ur, ln_gamma as table};
        for a in [0.02, 0.3, 1.0, 2.5, 30.0, 199.0] {
            assert!((ln_gamma(a) - table(a)).abs() < 1e-9 * table(a).abs().max(1.0));
            for times in [1.0001, 1.01, 1.2, 1.7, 3.0, 10.0] {
                let (got, want) = (ln_gamma_upper(a, a * times), gamma_ur(a, a * times).ln());
                // The table underflows, ours does not.
                assert!(
                    want < -700.0 || (got - want).abs() < 1e-8 * want.abs().max(1.0),
                    "{a} {times}: {got} {want}"
                );
            }
        }
        assert!(ln_gamma_upper(199.0, 1e6) < -9e5);
    }

    #[test]
    fn the_tail_of_students_law_is_the_one_in_the_tables() {
        use statrs::distribution::{ContinuousCDF, StudentsT};
        for freedom in [1.0, 2.5, 4.0, 30.0, 100.0] {
            let table = StudentsT::new(0.0, 1.0, freedom).unwrap();
            let mut last = 0.0;
            for t in [0.001, 0.3, 0.999, 1.001, 1.2, 2.0, 3.0, 5.0, 8.0, 30.0] {
                let (got, want) = (ln_student_upper(t, freedom), table.sf(t).ln());
                // The series ends at a term of 1e-9; near 1, with many degrees, it is cut off before, from above.
                assert!(
                    (-1e-7..0.01).contains(&(got - want)),
                    "{freedom} {t}: {got} {want}"
                );
                assert!(got < last);
                last = got;
            }
        }
        assert_eq!(ln_student_upper(-1.0, 5.0), 0.5_f64.ln());
        assert!(ln_student_upper(1e6, 100.0) < -800.0);
    }

    /// What is learned must not differ by platform: these bits are the same on every one.
    #[test]
    fn a_tail_has_the_same_bits_everywhere() {
        let laws = [expected(41.0, 2.0, 0.02), expected(900.0, 1.5, 0.3)];
        let bits = laws.map(|law| law.ln_upper(law.mean * 2.0).to_bits());
        assert_eq!(bits, BITS);
    }

    const BITS: [u64; 2] = [13_843_417_680_831_542_294, 13_837_106_234_797_713_508];

    #[test]
    fn far_tails_do_not_underflow_and_fall_with_the_count() {
        let law = expected(41.0, 2.0, 0.02);
        let mut last = 0.0;
        for n in (60..200_000).step_by(997) {
            let p = law.ln_upper(f64::from(n));
            assert!(p < last && p.is_finite(), "{n}: {p} after {last}");
            last = p;
        }
        assert!(last < -1000.0);
    }

    #[test]
    fn at_or_below_the_mean_nothing_is_unusual() {
        assert_eq!(expected(10.0, 1.0, 0.1).ln_upper(10.0), 0.0);
    }
}
