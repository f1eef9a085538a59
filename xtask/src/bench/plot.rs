//! The plots of the benchmark page, as SVG.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, anyhow};
use plotters::prelude::*;

use super::summary::Row;

/// A plot of one suite: which of its cases are on it, and where on the axis each stands.
struct Plot {
    suite: &'static str,
    file: &'static str,
    title: &'static str,
    axis: &'static str,
    /// Returns where a case stands; `None` if it is not on this plot.
    position: fn(&str) -> Option<f64>,
}

const PLOTS: &[Plot] = &[
    Plot {
        suite: "merge",
        file: "merge-one-member.svg",
        title: "Merging one member",
        axis: "document, bytes",
        position: |case| bytes(case.strip_suffix(", one member")?),
    },
    Plot {
        suite: "merge",
        file: "merge-most-of-it.svg",
        title: "Merging most of the document",
        axis: "document, bytes",
        position: |case| bytes(case.strip_suffix(", most of it")?),
    },
    Plot {
        suite: "store",
        file: "store-durable-writers.svg",
        title: "Durable merges of 1 KB documents",
        axis: "writers",
        position: |case| writers(case, "merge, durable, ", ", 1 KB"),
    },
    Plot {
        suite: "peers",
        file: "peers-durable-writers.svg",
        title: "Durable merges of 1 KB documents",
        axis: "writers",
        position: |case| writers(case, "merge, durable, ", ", 1 KB"),
    },
    Plot {
        suite: "recovery",
        file: "recovery-open.svg",
        title: "Opening a store that was closed",
        axis: "documents",
        position: |case| case.strip_suffix(" documents, closed")?.parse().ok(),
    },
    Plot {
        suite: "recovery",
        file: "recovery-crash.svg",
        title: "Opening a store after a crash",
        axis: "documents",
        position: |case| case.strip_suffix(" documents, crashed")?.parse().ok(),
    },
    Plot {
        suite: "growth",
        file: "growth-merge.svg",
        title: "Merging one member, buffered",
        axis: "documents",
        position: |case| documents(case, "merge, "),
    },
    Plot {
        suite: "growth",
        file: "growth-page.svg",
        title: "Listing 1,000 documents from anywhere",
        axis: "documents",
        position: |case| documents(case, "list 1,000, "),
    },
    Plot {
        suite: "growth",
        file: "growth-list.svg",
        title: "Listing all documents",
        axis: "documents",
        position: |case| documents(case, "list all, "),
    },
    Plot {
        suite: "growth",
        file: "growth-open.svg",
        title: "Opening a store that was closed",
        axis: "documents",
        position: |case| documents(case, "open, "),
    },
    Plot {
        suite: "growth",
        file: "growth-space.svg",
        title: "Space on the disk while documents are updated",
        axis: "updates",
        position: |case| case.split_once(" documents, ")?.1.strip_suffix(" updates")?.parse().ok(),
    },
    Plot {
        suite: "growth",
        file: "growth-stalls.svg",
        title: "The slowest durable merge into 1,000,000 documents in each second",
        axis: "second",
        position: second,
    },
];

/// Returns whether a case is on a plot and in no table, which would be too long.
pub(crate) fn is_only_plotted(case: &str) -> bool {
    second(case).is_some()
}

fn second(case: &str) -> Option<f64> {
    case.strip_prefix("stalls, second ")?.parse().ok()
}

fn bytes(size: &str) -> Option<f64> {
    let (number, unit) = size.split_once(' ')?;
    let factor = match unit {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

fn documents(case: &str, before: &str) -> Option<f64> {
    case.strip_prefix(before)?.strip_suffix(" documents")?.parse().ok()
}

fn writers(case: &str, before: &str, after: &str) -> Option<f64> {
    let number = case.strip_prefix(before)?.strip_suffix(after)?;
    number.strip_suffix(" writers").or(number.strip_suffix(" writer"))?.parse().ok()
}

/// Writes the plots of a suite into `dir`, and returns their files and titles.
pub(crate) fn write(
    suite: &str,
    rows: &[&Row],
    dir: &Path,
) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    fs::create_dir_all(dir)?;
    let mut written = Vec::new();
    for plot in PLOTS.iter().filter(|plot| plot.suite == suite) {
        let lines = lines(rows, plot.position);
        if lines.iter().any(|(_, points)| points.len() > 1) {
            let shown = rows.iter().find(|row| (plot.position)(&row.case).is_some());
            let unit = shown.map_or("", |row| &row.unit);
            draw(plot, &lines, unit, &dir.join(plot.file))
                .map_err(|error| anyhow!("{error}"))
                .with_context(|| format!("cannot draw {}", plot.file))?;
            written.push((plot.file, plot.title));
        }
    }
    Ok(written)
}

/// A subject and its points.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

fn lines<'a>(rows: &[&'a Row], position: fn(&str) -> Option<f64>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for row in rows {
        let Some(at) = position(&row.case) else { continue };
        let point = (at, row.value);
        match lines.iter_mut().find(|(subject, _)| *subject == row.subject) {
            Some((_, points)) => points.push(point),
            None => lines.push((&row.subject, vec![point])),
        }
    }
    lines
}

fn draw(
    plot: &Plot,
    lines: &[Line<'_>],
    unit: &str,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(file, (860, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|(_, points)| points);
    let x = span(points().map(|point| point.0), 1.0);
    let y = span(points().map(|point| point.1), 1.4);
    let mut chart = ChartBuilder::on(&root)
        .caption(plot.title, ("sans-serif", 20))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(plot.axis)
        .y_desc(unit)
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| super::figure::figure(*value))
        .draw()?;
    for (index, (subject, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let style = color.stroke_width(if subject.starts_with("MelDB") { 4 } else { 2 });
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
            .label(*subject)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Returns a range around all values, widened by a factor on either side.
fn span(values: impl Iterator<Item = f64>, factor: f64) -> Range<f64> {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    low / factor..high * factor
}
