//! Drawing as pixels.

use ab_glyph::{Font as _, FontRef, ScaleFont as _, point};

use super::{Anchor, Canvas, Colour, Stroke, png};

/// Latin letters, digits and signs of `DejaVu Sans` 2.37 (`fonts/LICENSE`).
const FONT: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");
/// Lengths of a dash and of the gap after it.
const DASH: (f64, f64) = (6.0, 4.0);

pub(super) struct Raster {
    width: usize,
    height: usize,
    scale: f64,
    pixels: Vec<u8>,
    /// How much of each pixel the stroke that is being drawn covers: where its pieces overlap, they do not
    /// count twice.
    cover: Vec<f32>,
}

impl Raster {
    pub(super) fn new(width: f64, height: f64, scale: f64) -> Self {
        let (width, height) = (pixel(width * scale), pixel(height * scale));
        Self {
            width,
            height,
            scale,
            pixels: vec![255; width * height * 3],
            cover: vec![0.0; width * height],
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        png::encode(self.width, self.height, &self.pixels)
    }

    /// Covers what is within `radius` of the line from `a` to `b`, in pixels.
    fn cover(&mut self, a: (f64, f64), b: (f64, f64), radius: f64) {
        let reach = radius + 1.0;
        let columns =
            pixel(a.0.min(b.0) - reach)..pixel(a.0.max(b.0) + reach + 1.0).min(self.width);
        let rows = pixel(a.1.min(b.1) - reach)..pixel(a.1.max(b.1) + reach + 1.0).min(self.height);
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = dx * dx + dy * dy;
        for y in rows {
            for x in columns.clone() {
                let (px, py) = (x as f64 + 0.5 - a.0, y as f64 + 0.5 - a.1);
                let along = if length > 0.0 {
                    ((px * dx + py * dy) / length).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let distance = (px - along * dx).hypot(py - along * dy);
                let share = (radius + 0.5 - distance).clamp(0.0, 1.0);
                let cover = &mut self.cover[y * self.width + x];
                // From 0 to 1: an f32 is more than exact enough for one of 256 shades.
                #[expect(clippy::cast_possible_truncation)]
                let share = share as f32;
                *cover = cover.max(share);
            }
        }
    }

    /// Paints what is covered.
    fn paint(&mut self, colour: Colour) {
        for index in 0..self.cover.len() {
            let share = std::mem::take(&mut self.cover[index]);
            if share > 0.0 {
                self.blend(index, share, colour);
            }
        }
    }

    fn blend(&mut self, index: usize, share: f32, colour: Colour) {
        for (channel, wanted) in self.pixels[index * 3..index * 3 + 3].iter_mut().zip(colour) {
            let mixed = f32::from(*channel) + share * (f32::from(wanted) - f32::from(*channel));
            // Between two bytes.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let mixed = mixed.round() as u8;
            *channel = mixed;
        }
    }

    fn segment(
        &mut self,
        a: (f64, f64),
        b: (f64, f64),
        radius: f64,
        dashed: bool,
        walked: &mut f64,
    ) {
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        if !dashed || length <= 0.0 {
            self.cover(a, b, radius);
            return;
        }
        let (dash, gap) = (DASH.0 * self.scale, DASH.1 * self.scale);
        let on = |share: f64| (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share);
        let mut at = 0.0;
        while at < length {
            let phase = (*walked + at) % (dash + gap);
            let (drawn, step) = if phase < dash {
                (true, dash - phase)
            } else {
                (false, dash + gap - phase)
            };
            let end = (at + step.max(0.1)).min(length);
            if drawn {
                self.cover(on(at / length), on(end / length), radius);
            }
            at = end;
        }
        *walked += length;
    }
}

/// A coordinate as a pixel's number; what is left of the picture is 0.
fn pixel(value: f64) -> usize {
    // Never negative, and no picture has 2^53 pixels.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.max(0.0) as usize;
    whole
}

impl Canvas for Raster {
    fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let scaled = |(x, y): (f64, f64)| (x * self.scale, y * self.scale);
        let points: Vec<(f64, f64)> = points.iter().copied().map(scaled).collect();
        let mut walked = 0.0;
        for pair in points.windows(2) {
            self.segment(
                pair[0],
                pair[1],
                stroke.width * self.scale / 2.0,
                stroke.dashed,
                &mut walked,
            );
        }
        self.paint(stroke.colour);
    }

    fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: Colour) {
        let at = (x * self.scale, y * self.scale);
        self.cover(at, at, radius * self.scale - 0.5);
        self.paint(colour);
    }

    fn text(&mut self, (x, y): (f64, f64), size: f64, anchor: Anchor, colour: Colour, text: &str) {
        // The font is part of the program; a test draws with it.
        let Ok(font) = FontRef::try_from_slice(FONT) else {
            return;
        };
        // Sizes and places of a picture: an f32 holds them.
        #[expect(clippy::cast_possible_truncation)]
        let (size, x, y) = (
            (size * self.scale * 1.16) as f32,
            (x * self.scale) as f32,
            (y * self.scale) as f32,
        );
        let scaled = font.as_scaled(size);
        let width: f32 = text
            .chars()
            .map(|c| scaled.h_advance(font.glyph_id(c)))
            .sum();
        let mut at = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        for c in text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(size, point(at, y));
            at += scaled.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            outline.draw(|column, row, share| {
                let (x, y) = (
                    f64::from(corner.x) + f64::from(column),
                    f64::from(corner.y) + f64::from(row),
                );
                if x >= 0.0 && y >= 0.0 && pixel(x) < self.width && pixel(y) < self.height {
                    self.blend(pixel(y) * self.width + pixel(x), share.min(1.0), colour);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dark(raster: &Raster) -> usize {
        raster
            .pixels
            .iter()
            .filter(|channel| **channel < 128)
            .count()
            / 3
    }

    #[test]
    fn the_font_in_the_program_draws_every_letter_that_charts_use() {
        for c in ('!'..='~').chain("µ×·≤…".chars()) {
            let mut raster = Raster::new(20.0, 20.0, 2.0);
            raster.text((4.0, 15.0), 12.0, Anchor::Start, [0, 0, 0], &c.to_string());
            assert!(dark(&raster) > 0, "{c}");
            let font = FontRef::try_from_slice(FONT).unwrap();
            assert_ne!(font.glyph_id(c).0, 0, "{c} is not in the font");
        }
    }

    #[test]
    fn a_line_is_as_thick_as_it_should_be_and_a_dashed_one_has_gaps() {
        let draw = |dashed| {
            let mut raster = Raster::new(100.0, 10.0, 1.0);
            let stroke = Stroke {
                colour: [0, 0, 0],
                width: 2.0,
                dashed,
            };
            raster.line(&[(10.0, 5.0), (50.0, 5.0), (90.0, 5.0)], stroke);
            dark(&raster)
        };
        assert!((150..=175).contains(&draw(false)), "{}", draw(false));
        assert!((90..=140).contains(&draw(true)), "{}", draw(true));
    }
}
