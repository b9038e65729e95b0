//! Charts as SVG and PNG.
//!
//! Own drawing instead of a plotting crate: a chart is lines, dots and text. An SVG needs no code beyond that,
//! and a PNG only a line with soft edges and a font; `plotters` with its bitmap back end would bring the whole of
//! `image`. The font is in the binary (`fonts/`), so the picture is the same on every machine.

mod chart;
mod png;
mod raster;
mod svg;

use std::path::Path;

pub use chart::{Axis, Chart, Panel, Series};

/// An RGB colour.
pub type Colour = [u8; 3];

/// Colours that people with any kind of colour blindness tell apart (Okabe and Ito, 2008).
pub const PALETTE: [Colour; 6] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
];

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stroke {
    colour: Colour,
    width: f64,
    dashed: bool,
}

/// Something to draw on; y points down, text stands on its y.
trait Canvas {
    fn line(&mut self, points: &[(f64, f64)], stroke: Stroke);
    fn dot(&mut self, at: (f64, f64), radius: f64, colour: Colour);
    fn text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, colour: Colour, text: &str);
}

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file's name says nothing of a format.
    #[error("a plot is written as .svg or .png, which {0:?} is not")]
    Format(String),
    /// The file cannot be written.
    #[error("cannot write {0}: {1}")]
    Io(String, std::io::Error),
}

/// Whether a chart can be written to a file of this name.
pub fn check_name(path: &Path) -> Result<(), PlotError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "png") => Ok(()),
        _ => Err(PlotError::Format(path.display().to_string())),
    }
}

/// Writes `chart` as the file's name says.
pub fn write(chart: &Chart, path: &Path) -> Result<(), PlotError> {
    check_name(path)?;
    let bytes = if path.extension().is_some_and(|extension| extension == "png") {
        png(chart)
    } else {
        svg(chart).into_bytes()
    };
    std::fs::write(path, bytes).map_err(|error| PlotError::Io(path.display().to_string(), error))
}

/// The chart as an SVG document.
pub fn svg(chart: &Chart) -> String {
    let mut canvas = svg::Svg::new(chart::WIDTH, chart.height());
    chart.draw(&mut canvas);
    canvas.finish()
}

/// The chart as a PNG image, two pixels for each of its units.
pub fn png(chart: &Chart) -> Vec<u8> {
    let mut canvas = raster::Raster::new(chart::WIDTH, chart.height(), 2.0);
    chart.draw(&mut canvas);
    canvas.finish()
}
