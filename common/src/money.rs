//! Credits, dollars, and the only rounding in the product.
//!
//! Credits are whole. Costs are whole nano-dollars (10⁻⁹ $), prices whole pico-dollars (10⁻¹² $)
//! per token, so that a price of $0.0028 per million tokens is exactly 2,800 of them.
#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::str::FromStr;

macro_rules! integer_money {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// The sum; stays at the end of the range instead of wrapping.
            #[must_use]
            pub const fn plus(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference; stays at the end of the range instead of wrapping.
            #[must_use]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// Whether this is more than nothing.
            pub const fn is_positive(self) -> bool {
                self.0 > 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

integer_money!(
    /// Whole credits, what teams prepay and spend.
    Credits
);
integer_money!(
    /// Nano-dollars (10⁻⁹ $): what calls and jobs cost.
    NanoUsd
);
integer_money!(
    /// Pico-dollars (10⁻¹² $): what a token costs. $1 per million tokens are 1,000,000 of them.
    PicoUsd
);

/// The dearest price that is taken: $1,000,000 per million tokens.
pub const TOKEN_PRICE_MAX: PicoUsd = PicoUsd(1_000_000_000_000);

/// The dearest fee that is taken: $1,000 per billed call.
pub const FEE_PRICE_MAX: NanoUsd = NanoUsd(1_000_000_000_000);

/// The most that one call is taken to cost: $10,000. So the sum over almost a million calls that
/// cost as much as can be still fits into 64 bits.
pub const CALL_COST_MAX: NanoUsd = NanoUsd(10_000_000_000_000);

/// The most credits that an amount may have, and that may be allocated to an account in all.
pub const CREDITS_MAX: Credits = Credits(1_000_000_000_000_000);

/// The highest rate that is taken: a billion credits a dollar.
const CREDIT_RATE_MICROS_MAX: i64 = 1_000_000_000_000_000;

const NANOS_PER_DOLLAR: i128 = 1_000_000_000;
const MICROS_PER_CREDIT: i128 = 1_000_000;
const BASIS_POINTS: i128 = 10_000;

/// Brings a wide intermediate back to 64 bits, at the end of the range if it does not fit.
fn narrow(wide: i128) -> i64 {
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

impl NanoUsd {
    /// As a JSON number of dollars, for people: rounded half up to `decimals` places (0 to 9).
    pub fn dollars(self, decimals: u32) -> f64 {
        let step = 10_i128.pow(9_u32.saturating_sub(decimals));
        let steps = i128::from(self.0)
            .saturating_add(step.div_euclid(2))
            .div_euclid(step);
        narrow(steps) as f64 / 10_f64.powi(i32::try_from(decimals).unwrap_or(9))
    }

    /// Reads dollars such as `2.50`, at least 0 and with at most 9 decimals; larger amounts than
    /// there are become the largest.
    pub fn parse_dollars(text: &str) -> Option<Self> {
        parse_decimal(text, 9).map(Self)
    }
}

impl NanoUsd {
    /// Reads dollars per thousand billed calls, such as `10`; at most [`FEE_PRICE_MAX`] a call.
    pub fn parse_per_thousand(text: &str) -> Result<Self, String> {
        let nanos = parse_decimal(text, 6).ok_or_else(|| {
            format!(
                "'{text}' is not a fee: write dollars per thousand billed calls, at least 0 and \
                 with at most 6 decimals, as 10"
            )
        })?;
        if nanos > FEE_PRICE_MAX.0 {
            return Err(format!(
                "'{text}' is too much: a fee is at most 1000000 dollars per thousand calls"
            ));
        }
        Ok(Self(nanos))
    }
}

impl PicoUsd {
    /// Reads dollars per million tokens, such as `2.50`; at most [`TOKEN_PRICE_MAX`].
    pub fn parse_per_million(text: &str) -> Result<Self, String> {
        let picos = parse_decimal(text, 6).ok_or_else(|| {
            format!(
                "'{text}' is not a price: write dollars per million tokens, at least 0 and with \
                 at most 6 decimals, as 2.50"
            )
        })?;
        if picos > TOKEN_PRICE_MAX.0 {
            return Err(format!(
                "'{text}' is too much: a price is at most 1000000 dollars per million tokens"
            ));
        }
        Ok(Self(picos))
    }

    /// As dollars per million tokens: at least two decimals, more if there are any.
    pub fn per_million(self) -> String {
        let (whole, fraction) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let digits = format!("{fraction:06}");
        let significant = digits.trim_end_matches('0');
        format!("{whole}.{significant:0<2}")
    }

    /// This price changed as another one changes from one amount to another, rounded up. It stays
    /// as it is if either is not known.
    #[must_use]
    pub(crate) fn in_proportion(self, from: Option<Self>, to: Option<Self>) -> Self {
        let (Some(from), Some(to)) = (from, to) else {
            return self;
        };
        if from.0 <= 0 {
            return self.max(to);
        }
        let scaled = i128::from(self.0).saturating_mul(i128::from(to.0));
        let rounded_up = scaled.saturating_add(i128::from(from.0).saturating_sub(1));
        Self(narrow(rounded_up.div_euclid(i128::from(from.0)))).min(TOKEN_PRICE_MAX)
    }

    /// Twice the price.
    #[must_use]
    pub(crate) const fn twice(self) -> Self {
        self.plus(self)
    }
}

/// Reads a decimal of at least 0 as a whole number of 10^-`decimals`.
fn parse_decimal(text: &str, decimals: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || fraction.len() > decimals
        || !digits_only(whole)
        || !digits_only(fraction)
    {
        return None;
    }
    let wide: i128 = format!("{whole}{fraction:0<decimals$}").parse().ok()?;
    Some(narrow(wide))
}

/// What the reseller adds to the provider's cost, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Markup(i64);

impl Markup {
    /// Takes basis points; negative ones count as none.
    pub const fn from_basis_points(basis_points: i64) -> Self {
        Self(if basis_points < 0 { 0 } else { basis_points })
    }

    /// Hundredths of a percent.
    pub const fn basis_points(self) -> i64 {
        self.0
    }

    /// What the customer is asked for something that cost `provider_cost`, rounded half up; at
    /// most [`CALL_COST_MAX`].
    #[must_use]
    pub fn apply(self, provider_cost: NanoUsd) -> NanoUsd {
        let factor = BASIS_POINTS.saturating_add(i128::from(self.0));
        let scaled = i128::from(provider_cost.0).saturating_mul(factor);
        NanoUsd(narrow(
            scaled
                .saturating_add(BASIS_POINTS / 2)
                .div_euclid(BASIS_POINTS),
        ))
        .min(CALL_COST_MAX)
    }
}

/// Reads percent with at most two decimals, from 0 to 999.99.
impl FromStr for Markup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_decimal(text, 2) {
            Some(basis_points) if basis_points <= 99_999 => Ok(Self(basis_points)),
            _ => Err(format!(
                "'{text}' is not a markup: write percent from 0 to 999.99"
            )),
        }
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0.div_euclid(100), self.0.rem_euclid(100));
        write!(f, "{whole}.{hundredths:02}%")
    }
}

/// How many credits a dollar buys, in millionths of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditRate(i64);

impl CreditRate {
    /// Ten credits a dollar.
    pub const DEFAULT: Self = Self(10_000_000);

    /// Takes millionths of a credit per dollar; anything below one counts as one.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 1 { 1 } else { micros })
    }

    /// Millionths of a credit per dollar.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Credits per dollar as a JSON number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }

    /// Whole credits for a cost.
    pub fn credits(self, cost: NanoUsd, rounding: Rounding) -> Credits {
        let scaled = i128::from(cost.0).saturating_mul(i128::from(self.0));
        let nanos_per_credit = NANOS_PER_DOLLAR.saturating_mul(MICROS_PER_CREDIT);
        Credits(narrow(rounding.divide(scaled, nanos_per_credit)))
    }
}

/// Which way a job's credits are made whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// A part of a credit costs nothing.
    #[default]
    Down,
    /// A part of a credit costs a whole one.
    Up,
}

impl Rounding {
    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }

    /// The quotient as a whole number; `divisor` is above zero.
    pub fn divide(self, dividend: i128, divisor: i128) -> i128 {
        let quotient = dividend.div_euclid(divisor);
        let has_rest = dividend.rem_euclid(divisor) != 0;
        quotient.saturating_add(i128::from(self == Self::Up && has_rest))
    }
}

impl FromStr for Rounding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Down, Self::Up]
            .into_iter()
            .find(|rounding| rounding.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no way to round credits: use down or up"))
    }
}

/// Reads a decimal above 0 with at most six decimals.
impl FromStr for CreditRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parse_decimal(text, 6) {
            Some(micros) if (1..=CREDIT_RATE_MICROS_MAX).contains(&micros) => Ok(Self(micros)),
            _ => Err(format!(
                "'{text}' is not a rate: write credits per dollar above 0, as 10, and at most \
                 1000000000"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(PicoUsd::parse_per_million("2.50"), Ok(PicoUsd(2_500_000)));
        assert_eq!(PicoUsd::parse_per_million("0.0028"), Ok(PicoUsd(2_800)));
        assert_eq!(
            PicoUsd::parse_per_million("1000000"),
            Ok(PicoUsd(1_000_000_000_000))
        );
        let bad = [
            "",
            "-1",
            "1e3",
            ".5",
            "0.0000001",
            "1.2.3",
            "NaN",
            "1000000.000001",
        ];
        for bad in bad {
            assert!(PicoUsd::parse_per_million(bad).is_err(), "{bad}");
        }
        for text in ["2.50", "0.0028", "0.00", "1000000.00", "0.000001"] {
            let price = PicoUsd::parse_per_million(text).unwrap();
            assert_eq!(price.per_million(), text);
        }
        assert_eq!(NanoUsd::parse_dollars("0.05"), Some(NanoUsd(50_000_000)));
        assert_eq!(NanoUsd::parse_per_thousand("10"), Ok(NanoUsd(10_000_000)));
        for bad in ["-1", "x", "1e3", "1000000.1"] {
            assert!(NanoUsd::parse_per_thousand(bad).is_err(), "{bad}");
        }
        assert_eq!("50".parse(), Ok(Markup(5_000)));
        assert!("1000".parse::<Markup>().is_err());
        assert!("0".parse::<CreditRate>().is_err());
    }

    #[test]
    fn rounding_happens_once_and_half_up() {
        let fifty_percent = Markup::from_basis_points(5_000);
        assert_eq!(
            fifty_percent.apply(NanoUsd(10_000_000)),
            NanoUsd(15_000_000)
        );
        assert_eq!(fifty_percent.apply(NanoUsd(1)), NanoUsd(2));
        assert!((NanoUsd(75_000).dollars(6) - 0.000_075).abs() < 1e-12);
        assert!((NanoUsd(500).dollars(6) - 0.000_001).abs() < 1e-12);
    }

    #[test]
    fn credits_for_a_cost_are_rounded_as_the_terms_say() {
        let rate = CreditRate::DEFAULT;
        for (cost, down, up) in [
            (152_000_000, 1, 2),
            (1_500_000_000, 15, 15),
            (50_000_000, 0, 1),
            (0, 0, 0),
            (1, 0, 1),
        ] {
            assert_eq!(rate.credits(NanoUsd(cost), Rounding::Down), Credits(down));
            assert_eq!(rate.credits(NanoUsd(cost), Rounding::Up), Credits(up));
        }
    }
}
