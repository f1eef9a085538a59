//! Whether a server grows.

use std::fmt;

use super::sample::Sample;

/// How much of a life is warming up, and is not judged.
const WARMING_UP: f64 = 0.25;
/// What threads and descriptors may have more at the end: idle ones come and go.
const SLACK: f64 = 4.0;

/// What a life took, and by how much that grew in a minute, once the server was warm.
pub(super) struct Verdict {
    memory: Line,
    threads: Line,
    descriptors: Line,
}

/// A straight line through values: the last one, and the slope in a minute.
struct Line {
    last: f64,
    slope: f64,
    /// By how much the highest value of the last third is above the highest of the first.
    rise: f64,
}

impl Verdict {
    /// The heads of the columns of its text.
    pub(super) const HEAD: &str = "MiB | a minute | threads | a minute | descriptors | a minute";

    pub(super) fn of(life: &[Sample]) -> Self {
        let end = life.last().map_or(0.0, |sample| sample.age);
        let warm: Vec<_> = life.iter().filter(|sample| sample.age >= end * WARMING_UP).collect();
        let line = |value: fn(&Sample) -> f64| {
            Line::through(
                &warm.iter().map(|sample| (sample.age, value(sample))).collect::<Vec<_>>(),
            )
        };
        Self {
            memory: line(|sample| sample.memory_mib),
            threads: line(|sample| sample.threads),
            descriptors: line(|sample| sample.descriptors),
        }
    }

    /// Whether threads and descriptors stay as many. Memory follows what is in the engine's write
    /// buffer, and is told from life to life.
    pub(super) fn is_flat(&self) -> bool {
        self.threads.rise <= SLACK && self.descriptors.rise <= SLACK
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, threads, descriptors } = self;
        write!(f, "{:.1} | {:+.1} | ", memory.last, memory.slope)?;
        write!(f, "{:.0} | {:+.1} | ", threads.last, threads.slope)?;
        write!(f, "{:.0} | {:+.1}", descriptors.last, descriptors.slope)
    }
}

impl Line {
    /// Returns the line with the least squares.
    fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len().max(1) as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let shared: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let slope = if spread > 0.0 { shared / spread * 60.0 } else { 0.0 };
        let highest = |part: &[(f64, f64)]| part.iter().map(|point| point.1).fold(0.0, f64::max);
        let third = points.len() / 3;
        let rise = highest(&points[points.len() - third..]) - highest(&points[..third]);
        Self { last: points.last().map_or(0.0, |point| point.1), slope, rise }
    }
}

/// Returns what the highest memory of each life says of the whole run.
pub(super) fn from_life_to_life(lives: &[&[Sample]]) -> String {
    let highest =
        |life: &&[Sample]| life.iter().map(|sample| sample.memory_mib).fold(0.0, f64::max);
    let peaks: Vec<_> = lives.iter().map(highest).collect();
    let points: Vec<_> =
        peaks.iter().enumerate().map(|(life, peak)| (life as f64 * 60.0, *peak)).collect();
    let (first, last) = (peaks.first().copied(), peaks.last().copied());
    format!(
        "most memory of a life: {:.1} MiB in the first, {:.1} MiB in the last, {:+.2} MiB a life",
        first.unwrap_or_default(),
        last.unwrap_or_default(),
        Line::through(&points).slope,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(value: impl Fn(f64) -> (f64, f64, f64)) -> Vec<Sample> {
        let sample = |age: u32| {
            let age = f64::from(age);
            let (memory_mib, threads, descriptors) = value(age);
            Sample { at: age, age, memory_mib, threads, descriptors }
        };
        (0..60).map(sample).collect()
    }

    #[test]
    fn what_grows_is_not_flat_and_what_warms_up_is() {
        assert!(Verdict::of(&life(|age| (age.min(10.0), 9.0, age.min(12.0)))).is_flat());
        assert!(!Verdict::of(&life(|age| (0.0, 9.0 + age, 0.0))).is_flat());
        assert!(!Verdict::of(&life(|age| (0.0, 9.0, age / 5.0))).is_flat());
        let growing = Verdict::of(&life(|age| (20.0 + age / 6.0, 1.0, 1.0)));
        assert!((growing.memory.slope - 10.0).abs() < 1e-6, "{}", growing.memory.slope);
    }
}
