//! Figures of lists: decimals as they are written, to whole pico-dollars and nano-dollars.

use super::json::Node;
use crate::money::{FEE_PRICE_MAX, NanoUsd, PicoUsd, TOKEN_PRICE_MAX};

/// The most digits that a figure may have.
const DIGITS_MAX: usize = 30;

/// The largest power of ten that a figure may have, up and down.
const EXPONENT_MAX: i32 = 40;

/// What a figure counts: a unit of ours is 10^-`shift` of the list's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Dollars per million tokens.
    Million,
    /// Dollars per token.
    Token,
    /// Dollars per thousand billed calls.
    ThousandCalls,
    /// Dollars per billed call.
    Call,
}

impl Scale {
    const fn shift(self) -> i32 {
        match self {
            Self::Million | Self::ThousandCalls => 6,
            Self::Token => 12,
            Self::Call => 9,
        }
    }
}

/// Reads a price per token.
pub(super) fn price(node: Node<'_>, scale: Scale) -> Result<PicoUsd, String> {
    let picos = units(node, scale.shift())?;
    let within = picos.filter(|picos| *picos <= TOKEN_PRICE_MAX.0);
    within.map(PicoUsd).ok_or_else(|| {
        let figure = shown(node);
        format!("{figure} is too much: a price is at most 1000000 dollars per million tokens")
    })
}

/// Reads a fee per billed call.
pub(super) fn fee(node: Node<'_>, scale: Scale) -> Result<NanoUsd, String> {
    let nanos = units(node, scale.shift())?;
    let within = nanos.filter(|nanos| *nanos <= FEE_PRICE_MAX.0);
    within.map(NanoUsd).ok_or_else(|| {
        let figure = shown(node);
        format!("{figure} is too much: a fee is at most 1000 dollars per billed call")
    })
}

/// Reads a number of tokens above 0.
pub(super) fn tokens(node: Node<'_>) -> Result<i64, String> {
    let bad = || format!("{} is not a number of tokens", shown(node));
    let number = Decimal::parse(node.raw()).ok_or_else(bad)?;
    let tokens = number
        .scaled(0)
        .and_then(|tokens| i64::try_from(tokens).ok());
    let is_whole = tokens.is_some_and(|tokens| number.is(tokens));
    tokens
        .filter(|tokens| is_whole && *tokens > 0)
        .ok_or_else(bad)
}

/// The figure times 10^`shift`, rounded half up; `None` if it is beyond 64 bits. What is finer than
/// a unit is an artefact of a list that has passed through floating-point numbers.
fn units(node: Node<'_>, shift: i32) -> Result<Option<i64>, String> {
    let text = node.text();
    let text = text.as_deref().unwrap_or_else(|| node.raw());
    let figure = Decimal::parse(text).ok_or_else(|| format!("{} is not a number", shown(node)))?;
    if figure.is_negative {
        return Err(format!("{} is negative", shown(node)));
    }
    let Some(scaled) = figure.scaled(shift) else {
        return Ok(None);
    };
    if scaled == 0 && figure.digits != 0 {
        let why = "is finer than what is counted here, and not nothing";
        return Err(format!("{} {why}", shown(node)));
    }
    Ok(i64::try_from(scaled).ok())
}

/// A value in a message: its beginning.
fn shown(node: Node<'_>) -> String {
    const CHARACTERS_MAX: usize = 40;
    node.raw().chars().take(CHARACTERS_MAX).collect()
}

/// A number as it is written: `digits` times 10^`exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: i128,
    exponent: i32,
}

impl Decimal {
    /// Reads `-12.5e-3` and its parts.
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let is_bad = whole.is_empty()
            || digits.len() > DIGITS_MAX
            || !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent)
            || !digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_bad {
            return None;
        }
        let decimals = i32::try_from(fraction.len()).ok()?;
        let digits: i128 = digits.parse().ok()?;
        Some(Self {
            is_negative: is_negative && digits != 0,
            digits,
            exponent: exponent.saturating_sub(decimals),
        })
    }

    /// The number times 10^`shift`, rounded half up; `None` if that is beyond 128 bits.
    fn scaled(self, shift: i32) -> Option<i128> {
        let power = self.exponent.saturating_add(shift);
        let factor = 10_i128.checked_pow(power.unsigned_abs());
        if power >= 0 {
            return match factor {
                Some(factor) => self.digits.checked_mul(factor),
                None => (self.digits == 0).then_some(0),
            };
        }
        // Beyond 128 bits the divisor is larger than any number of digits that is read.
        let Some(factor) = factor else {
            return Some(0);
        };
        let half = factor.div_euclid(2);
        Some(self.digits.saturating_add(half).div_euclid(factor))
    }

    /// Whether the number is exactly this.
    fn is(self, whole: i64) -> bool {
        let power = self.exponent.unsigned_abs();
        let Some(factor) = 10_i128.checked_pow(power) else {
            return self.digits == 0 && whole == 0;
        };
        let (one, other) = if self.exponent >= 0 {
            (self.digits.checked_mul(factor), Some(i128::from(whole)))
        } else {
            (Some(self.digits), i128::from(whole).checked_mul(factor))
        };
        !self.is_negative && one.is_some() && one == other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, scale: Scale) -> Result<i64, String> {
        price(Node::parse(text).unwrap(), scale).map(|price| price.0)
    }

    #[test]
    fn figures_are_read_exactly_whatever_they_are_written_like() {
        for (text, scale, picos) in [
            ("2.5", Scale::Million, 2_500_000),
            ("2.50", Scale::Million, 2_500_000),
            ("\"0.0028\"", Scale::Million, 2_800),
            ("1e-6", Scale::Million, 1),
            ("2.5e-06", Scale::Token, 2_500_000),
            ("0.00000015", Scale::Token, 150_000),
            ("8.999999999999999e-07", Scale::Token, 900_000),
            ("2.0000000000000002e-07", Scale::Token, 200_000),
            ("0", Scale::Token, 0),
            ("-0.0", Scale::Token, 0),
            ("0e40", Scale::Token, 0),
            ("1", Scale::Token, 1_000_000_000_000),
        ] {
            assert_eq!(read(text, scale), Ok(picos), "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused_with_the_reason() {
        for (text, why) in [
            ("-1", "negative"),
            ("\"NaN\"", "not a number"),
            ("\"\"", "not a number"),
            ("true", "not a number"),
            ("[1]", "not a number"),
            ("1.0000001", "too much"),
            ("1e30", "too much"),
            ("1e40", "too much"),
            ("1e41", "not a number"),
            ("1e-30", "finer"),
        ] {
            let said = read(text, Scale::Token).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert_eq!(tokens(Node::parse("256000.0").unwrap()), Ok(256_000));
        for bad in ["0", "-5", "1.5", "\"many\"", "1e30"] {
            assert!(tokens(Node::parse(bad).unwrap()).is_err(), "{bad}");
        }
        let fee = |text, scale| fee(Node::parse(text).unwrap(), scale).map(|fee| fee.0);
        assert_eq!(fee("10", Scale::ThousandCalls), Ok(10_000_000));
        assert_eq!(fee("0.035", Scale::Call), Ok(35_000_000));
        assert!(fee("1000.01", Scale::Call).is_err());
    }

    proptest! {
        /// Whatever JSON writes of a price of ours is read as that price.
        #[test]
        fn our_own_figures_survive_json(picos in 0..=TOKEN_PRICE_MAX.0) {
            let dollars = picos as f64 / 1_000_000.0;
            let text = serde_json::to_string(&dollars).unwrap();
            prop_assert_eq!(read(&text, Scale::Million), Ok(picos));
        }
    }
}
