//! Comparing JSON numbers by their values, exactly, however many digits they have (RFC 6902 §4.6).

use std::cmp::Ordering;

/// A number as `0.digits × 10^(exponent + shift)`.
struct Decimal<'n> {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    exponent: &'n [u8],
    exponent_negative: bool,
    shift: i64,
}

/// Compares the values of two checked JSON numbers. Takes time linear in their texts, however large the exponents are.
pub(super) fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    match (Plain::read(a), Plain::read(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        _ => Decimal::read(a).compare(&Decimal::read(b)),
    }
}

/// Appends bytes that compare as the values of checked JSON numbers do, and of which none is the start of another.
///
/// A sign, the exponent of `0.digits × 10^exponent`, the digits, and a zero byte; of a negative number all but the
/// sign with its bits turned. Takes time and room linear in the number's text.
pub(crate) fn encode_number(number: &[u8], out: &mut Vec<u8>) {
    match Plain::read(number) {
        Some(number) => number.encode(out),
        None => Decimal::read(number).encode(out),
    }
}

const NEGATIVE: u8 = 0x7F;
const ZERO: u8 = 0x80;
const POSITIVE: u8 = 0x81;

/// Appends a number of these digits, without zeros at either end and at least one, and of this exponent: its sign, and
/// its digits without leading zeros.
fn encode_parts<'d>(
    negative: bool,
    exponent: (bool, &[u8]),
    digits: impl Iterator<Item = &'d u8>,
    out: &mut Vec<u8>,
) {
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    encode_integer(exponent, out);
    out.extend(digits);
    out.push(0);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Appends an integer: the number of its digits, and those; of a negative one with its bits turned.
fn encode_integer((negative, digits): (bool, &[u8]), out: &mut Vec<u8>) {
    /// From so many digits on their number does not fit in the first byte.
    const DIGITS_LONG: usize = 0x7F;
    let start = out.len();
    match digits.len() {
        0 => out.push(ZERO),
        short if short < DIGITS_LONG => out.push(ZERO + short as u8),
        long => {
            out.push(u8::MAX);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(digits);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// A number without an exponent, as it is most often: compared where it stands.
struct Plain<'n> {
    negative: bool,
    /// Without zeros in front; empty for zero.
    whole: &'n [u8],
    /// Without zeros at the end.
    fraction: &'n [u8],
}

impl<'n> Plain<'n> {
    fn read(number: &'n [u8]) -> Option<Self> {
        if memchr::memchr2(b'e', b'E', number).is_some() {
            return None;
        }
        let (negative, number) = sign(number);
        let point = memchr::memchr(b'.', number).unwrap_or(number.len());
        let (whole, fraction) = number.split_at(point);
        let fraction = fraction.get(1..).unwrap_or_default();
        let zeros = fraction.iter().rev().take_while(|&&digit| digit == b'0').count();
        let (whole, fraction) = (strip_zeros(whole), &fraction[..fraction.len() - zeros]);
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole, fraction })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let size = |number: &Self| (number.whole.len(), number.whole, number.fraction);
        match (self.negative, other.negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (negative, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }
}

impl Plain<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let leading = self.fraction.iter().take_while(|&&digit| digit == b'0').count();
        let (exponent, fraction) = match self.whole.len() {
            0 => ((leading > 0, leading), &self.fraction[leading..]),
            whole => ((false, whole), self.fraction),
        };
        let digits = self.whole.len() + fraction.len();
        let zeros = match fraction.is_empty() {
            true => self.whole.iter().rev().take_while(|&&digit| digit == b'0').count(),
            false => 0,
        };
        if digits == 0 {
            return out.push(ZERO);
        }
        let (mut text, mut start, mut rest) = ([0; 20], 20, exponent.1);
        while rest > 0 {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let exponent = (exponent.0, &text[start..]);
        let digits = self.whole.iter().chain(fraction).take(digits - zeros);
        encode_parts(self.negative, exponent, digits, out);
    }
}

impl<'n> Decimal<'n> {
    fn encode(&self, out: &mut Vec<u8>) {
        if self.digits.is_empty() {
            return out.push(ZERO);
        }
        let (negative, exponent) = self.magnitude();
        encode_parts(self.negative, (negative, &exponent), self.digits.iter(), out);
    }

    fn read(number: &'n [u8]) -> Self {
        let (negative, number) = sign(number);
        let mantissa_end =
            number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
        let (mantissa, exponent) = number.split_at(mantissa_end);
        let (exponent_negative, exponent) = sign(exponent.get(1..).unwrap_or_default());
        // In a damaged number something else may follow.
        let digits = exponent.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let exponent = &exponent[..digits];
        let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self { negative, digits, exponent, exponent_negative, shift: point as i64 - leading as i64 }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let rank = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let (ours, theirs) = (rank(self), rank(other));
        if ours != theirs || ours == 0 {
            return ours.cmp(&theirs);
        }
        let size = compare_signed(&self.magnitude(), &other.magnitude())
            .then_with(|| self.digits.cmp(&other.digits));
        if ours < 0 { size.reverse() } else { size }
    }

    /// The sum of exponent and shift, as sign and digits without leading zeros.
    fn magnitude(&self) -> (bool, Vec<u8>) {
        let shift_digits = self.shift.unsigned_abs().to_string().into_bytes();
        let exponent = strip_zeros(self.exponent);
        if self.exponent_negative == (self.shift < 0) {
            return signed(self.exponent_negative, add(exponent, &shift_digits));
        }
        if at_least(exponent, strip_zeros(&shift_digits)) {
            signed(self.exponent_negative, subtract(exponent, &shift_digits))
        } else {
            signed(self.shift < 0, subtract(&shift_digits, exponent))
        }
    }
}

fn sign(number: &[u8]) -> (bool, &[u8]) {
    match number.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, number),
    }
}

fn signed(negative: bool, digits: Vec<u8>) -> (bool, Vec<u8>) {
    let digits = strip_zeros(&digits).to_vec();
    (negative && !digits.is_empty(), digits)
}

fn strip_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&digit| digit == b'0').count()..]
}

/// Compares two numbers of sign and digits without leading zeros.
fn compare_signed(a: &(bool, Vec<u8>), b: &(bool, Vec<u8>)) -> Ordering {
    let size = |digits: &Vec<u8>| digits.len();
    match (a.0, b.0) {
        (false, false) => (size(&a.1), &a.1).cmp(&(size(&b.1), &b.1)),
        (true, true) => (size(&b.1), &b.1).cmp(&(size(&a.1), &a.1)),
        (negative, _) => {
            if negative {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// Whether the first of two digit sequences without leading zeros is at least the second.
fn at_least(a: &[u8], b: &[u8]) -> bool {
    (a.len(), a) >= (b.len(), b)
}

fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    combine(a, b, |a, b, carry| {
        let sum = a + b + carry;
        (sum % 10, sum / 10)
    })
}

/// Subtracts `b` from `a`, which must not be smaller.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    combine(a, b, |a, b, borrow| {
        let taken = b + borrow;
        if a >= taken { (a - taken, 0) } else { (a + 10 - taken, 1) }
    })
}

fn combine(a: &[u8], b: &[u8], step: impl Fn(u8, u8, u8) -> (u8, u8)) -> Vec<u8> {
    let mut carry = 0;
    let digit = |digits: &[u8], place: usize| {
        digits.iter().rev().nth(place).map_or(0, |digit| digit - b'0')
    };
    let mut result: Vec<u8> = (0..=a.len().max(b.len()))
        .map(|place| {
            let (digit, next) = step(digit(a, place), digit(b, place), carry);
            carry = next;
            digit + b'0'
        })
        .collect();
    result.reverse();
    result
}
