//! Whether two JSON numbers are numerically equal, exactly, however many digits they have (RFC 6902 §4.6).

/// A number as `0.digits × 10^(exponent + shift)`.
struct Decimal<'n> {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Vec<u8>,
    exponent: &'n [u8],
    exponent_negative: bool,
    shift: i64,
}

/// Whether two checked JSON numbers have the same value.
pub(super) fn same_number(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (Decimal::read(a), Decimal::read(b));
    if a.digits.is_empty() || b.digits.is_empty() {
        // Zero has no sign and no size.
        return a.digits == b.digits;
    }
    a.negative == b.negative && a.digits == b.digits && a.magnitude() == b.magnitude()
}

impl<'n> Decimal<'n> {
    fn read(number: &'n [u8]) -> Self {
        let (negative, number) = sign(number);
        let mantissa_end =
            number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
        let (mantissa, exponent) = number.split_at(mantissa_end);
        let (exponent_negative, exponent) = sign(exponent.get(1..).unwrap_or_default());
        let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self { negative, digits, exponent, exponent_negative, shift: point as i64 - leading as i64 }
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

/// Compares two digit sequences without leading zeros.
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
