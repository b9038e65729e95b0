//! Panels of lines and dots, one below the other, with axes.

use super::{Anchor, Canvas, Colour, Stroke};

pub(super) const WIDTH: f64 = 900.0;
const PANEL: f64 = 260.0;
const TOP: f64 = 36.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 20.0;
/// Above a panel: its legend. Below: the axis' numbers and name.
const HEAD: f64 = 34.0;
const FOOT: f64 = 44.0;
const INK: Colour = [34, 34, 34];
const GRID: Colour = [221, 221, 221];

/// A picture.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// One below the other.
    pub panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// Quantity and unit.
    pub name: String,
    /// Whether equal distances are equal factors.
    pub logarithmic: bool,
}

/// Points that belong together.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// For the legend; empty for none.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// Where they are. A value that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// Whether they are joined by a line; dots otherwise.
    pub joined: bool,
    /// Whether the line is dashed.
    pub dashed: bool,
}

impl Chart {
    pub(super) fn height(&self) -> f64 {
        TOP + self.panels.len() as f64 * (HEAD + PANEL + FOOT)
    }

    pub(super) fn draw(&self, canvas: &mut dyn Canvas) {
        canvas.text((LEFT, 25.0), 16.0, Anchor::Start, INK, &self.title);
        for (index, panel) in self.panels.iter().enumerate() {
            let top = TOP + index as f64 * (HEAD + PANEL + FOOT) + HEAD;
            panel.draw(canvas, top);
        }
    }
}

/// Maps an axis' values to the picture.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, axis: &Axis, from: f64, to: f64) -> Self {
        let logarithmic = axis.logarithmic;
        let shown = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let (low, high) = if logarithmic {
            (
                low.max(1e-12).log10().floor(),
                high.max(1e-12).log10().ceil(),
            )
        } else {
            let step = step(high - low.min(0.0));
            (low.min(0.0), (high / step).ceil() * step)
        };
        Self {
            low,
            high: if high > low { high } else { low + 1.0 },
            from,
            to,
            logarithmic,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.max(1e-12).log10()
        } else {
            value
        };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let mut decade = self.low;
            let mut ticks = Vec::new();
            while decade <= self.high + 0.5 {
                ticks.push(10_f64.powf(decade));
                decade += 1.0;
            }
            return ticks;
        }
        let step = step(self.high - self.low);
        let mut ticks = Vec::new();
        let mut tick = (self.low / step).ceil() * step;
        while tick <= self.high + step * 1e-6 {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

/// A round step that gives four to nine ticks over `span`.
fn step(span: f64) -> f64 {
    let rough = (span / 8.0).max(1e-12);
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let fits = steps
        .into_iter()
        .find(|step| step * decade >= rough * 0.999);
    fits.unwrap_or(10.0) * decade
}

impl Panel {
    fn draw(&self, canvas: &mut dyn Canvas, top: f64) {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::of(all().map(|point| point.0), &self.x, LEFT, WIDTH - RIGHT);
        let y = Scale::of(all().map(|point| point.1), &self.y, top + PANEL, top);
        let thin = Stroke {
            colour: GRID,
            width: 1.0,
            dashed: false,
        };
        for tick in y.ticks() {
            let at = y.at(tick);
            canvas.line(&[(LEFT, at), (WIDTH - RIGHT, at)], thin);
            canvas.text(
                (LEFT - 8.0, at + 4.0),
                12.0,
                Anchor::End,
                INK,
                &number(tick),
            );
        }
        for tick in x.ticks() {
            let at = x.at(tick);
            canvas.line(&[(at, top), (at, top + PANEL)], thin);
            canvas.text(
                (at, top + PANEL + 17.0),
                12.0,
                Anchor::Middle,
                INK,
                &number(tick),
            );
        }
        let frame = Stroke {
            colour: INK,
            ..thin
        };
        canvas.line(
            &[
                (LEFT, top),
                (LEFT, top + PANEL),
                (WIDTH - RIGHT, top + PANEL),
            ],
            frame,
        );
        canvas.text(
            (WIDTH - RIGHT, top + PANEL + 35.0),
            12.0,
            Anchor::End,
            INK,
            &self.x.name,
        );
        canvas.text(
            (LEFT - 60.0, top - 10.0),
            12.0,
            Anchor::Start,
            INK,
            &self.y.name,
        );
        for series in &self.series {
            series.draw(canvas, &x, &y);
        }
        let mut at = WIDTH - RIGHT;
        for series in self
            .series
            .iter()
            .rev()
            .filter(|series| !series.name.is_empty())
        {
            canvas.text((at, top - 10.0), 12.0, Anchor::End, INK, &series.name);
            // The font's letters are some 7 units wide at this size.
            at -= series.name.chars().count() as f64 * 7.2 + 8.0;
            if series.joined {
                let stroke = Stroke {
                    colour: series.colour,
                    width: 2.0,
                    dashed: series.dashed,
                };
                canvas.line(&[(at - 20.0, top - 14.0), (at, top - 14.0)], stroke);
            } else {
                canvas.dot((at - 6.0, top - 14.0), 4.0, series.colour);
            }
            at -= 34.0;
        }
    }
}

impl Series {
    fn draw(&self, canvas: &mut dyn Canvas, x: &Scale, y: &Scale) {
        let place = |point: &(f64, f64)| (x.at(point.0), y.at(point.1));
        if !self.joined {
            for point in self
                .points
                .iter()
                .filter(|point| point.0.is_finite() && point.1.is_finite())
            {
                canvas.dot(place(point), 3.5, self.colour);
            }
            return;
        }
        let stroke = Stroke {
            colour: self.colour,
            width: 1.8,
            dashed: self.dashed,
        };
        for run in self
            .points
            .split(|point| !point.0.is_finite() || !point.1.is_finite())
        {
            let run: Vec<(f64, f64)> = run.iter().map(place).collect();
            match run.as_slice() {
                [] => {}
                [alone] => canvas.dot(*alone, 2.0, self.colour),
                _ => canvas.line(&run, stroke),
            }
        }
    }
}

/// A tick's number: `20`, `0.05`, `300k`, `1.5M`.
fn number(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Ticks are round: what is left beyond six digits is the binary system's.
    let rounded = format!("{value:.6}");
    format!(
        "{}{unit}",
        rounded.trim_end_matches('0').trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_over_the_whole_axis() {
        let scale = |values: &[f64], logarithmic| {
            let axis = Axis {
                name: String::new(),
                logarithmic,
            };
            let scale = Scale::of(values.iter().copied(), &axis, 0.0, 100.0);
            scale.ticks().into_iter().map(number).collect::<Vec<_>>()
        };
        assert_eq!(
            scale(&[3.0, 740e3], false),
            [
                "0", "100k", "200k", "300k", "400k", "500k", "600k", "700k", "800k"
            ]
        );
        assert_eq!(
            scale(&[0.02, 0.3], false),
            ["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"]
        );
        assert_eq!(
            scale(&[7.0, 1500.0], true),
            ["1", "10", "100", "1000", "10k"]
        );
        assert_eq!(scale(&[], false).first().map(String::as_str), Some("0"));
    }

    #[test]
    fn a_chart_is_a_well_formed_picture_in_both_formats() {
        let series = Series {
            name: "p99 <ms> & more".into(),
            colour: [0, 114, 178],
            points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 30.0), (3.0, 40.0)],
            joined: true,
            dashed: true,
        };
        let panel = Panel {
            x: Axis::default(),
            y: Axis::default(),
            series: vec![series],
        };
        let chart = Chart {
            title: "A < B".into(),
            panels: vec![panel],
        };
        let svg = crate::plot::svg(&chart);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("A &lt; B") && svg.contains("p99 &lt;ms&gt; &amp; more"));
        assert!(!svg.contains("NaN"));
        let png = crate::plot::png(&chart);
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[png.len() - 8..png.len() - 4], b"IEND");
        assert!(png.len() > 2_000);
    }
}
