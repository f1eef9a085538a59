//! The run as a picture: memory, threads and descriptors over time.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::sample::Sample;

/// A panel: its title, and what of a sample is in it.
type Panel = (&'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 3] = [
    ("resident memory, MiB", |sample| sample.memory_mib),
    ("threads", |sample| sample.threads),
    ("file descriptors", |sample| sample.descriptors),
];

/// Draws the lives of the servers, one after the other.
pub(super) fn draw(lives: &[&[Sample]], file: &Path) -> anyhow::Result<()> {
    draw_panels(lives, file).map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

fn draw_panels(lives: &[&[Sample]], file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(file, (860, 660)).into_drawing_area();
    root.fill(&WHITE)?;
    let minutes = |sample: &Sample| sample.at / 60.0;
    let end = lives.iter().flat_map(|life| life.iter().map(minutes)).fold(0.1, f64::max);
    for (area, (title, value)) in root.split_evenly((3, 1)).iter().zip(PANELS) {
        let highest = lives.iter().flat_map(|life| life.iter().map(value)).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .margin_right(30)
            .x_label_area_size(30)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0.0..highest * 1.1)?;
        chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("minutes").draw()?;
        for life in lives {
            let points = life.iter().map(|sample| (minutes(sample), value(sample)));
            chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2)))?;
        }
    }
    root.present()?;
    Ok(())
}
