//! What a client takes, and which it prefers: lists of values with weights (RFC 9110 §12.4.2).

use axum::http::{HeaderMap, HeaderName};

/// A weight in thousandths: 0 says *not this*.
pub(crate) type Weight = u16;
const WEIGHT_MAX: Weight = 1000;

/// The values of a header such as `Accept`, in lower case and without parameters, each with its weight.
pub(crate) struct Weighted(Vec<(String, Weight)>);

impl Weighted {
    /// Reads a header; a weight that is malformed counts as the highest one.
    pub(crate) fn of(headers: &HeaderMap, name: HeaderName) -> Self {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let parts = values.flat_map(|value| value.split(',')).map(|part| {
            let mut parameters = part.split(';').map(str::trim);
            let value = parameters.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parameters.find_map(|parameter| {
                let (name, weight) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| weight_of(weight.trim()))
            });
            (value, weight.unwrap_or(WEIGHT_MAX))
        });
        Self(parts.filter(|(value, _)| !value.is_empty()).collect())
    }

    /// Returns the weight that a value is given by its own name; `None` if it is not named.
    pub(crate) fn named(&self, value: &str) -> Option<Weight> {
        self.0.iter().find(|(named, _)| named == value).map(|(_, weight)| *weight)
    }

    /// Returns the weight of a value by the first of some names that the header has, the value's own
    /// and ranges that it is in.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<Weight> {
        names.iter().find_map(|name| self.named(name))
    }
}

fn weight_of(text: &str) -> Weight {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as Weight,
        _ => WEIGHT_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_weights_that_they_are_given() {
        let mut headers = HeaderMap::new();
        headers.append("accept", "text/HTML;level=1;q=0.5, */*; Q=0.25,".parse().expect("a value"));
        headers.append("accept", "a/b;q=0, c/d;q=x, e/f".parse().expect("a value"));
        let accept = Weighted::of(&headers, axum::http::header::ACCEPT);
        for (value, weight) in [
            ("text/html", Some(500)),
            ("*/*", Some(250)),
            ("a/b", Some(0)),
            ("c/d", Some(1000)),
            ("e/f", Some(1000)),
            ("g/h", None),
        ] {
            assert_eq!(accept.named(value), weight, "{value}");
        }
        assert_eq!(accept.first_of(&["x/y", "x/*", "*/*"]), Some(250));
        assert_eq!(accept.first_of(&[]), None);
    }
}
