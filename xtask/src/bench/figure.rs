//! Numbers for people.

/// Returns a number in three figures, its thousands set apart.
pub(super) fn figure(value: f64) -> String {
    if value < 100.0 {
        let digits = if value < 10.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let unit = 10_f64.powi(value.log10().floor() as i32 - 2);
    let digits = ((value / unit).round() * unit).round().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_three() {
        let cases = [
            (0.123, "0.12"),
            (9.994, "9.99"),
            (45.67, "45.7"),
            (123.4, "123"),
            (1234.0, "1,230"),
            (81_523.0, "81,500"),
            (1_234_567.0, "1,230,000"),
        ];
        for (value, expected) in cases {
            assert_eq!(figure(value), expected);
        }
    }
}
