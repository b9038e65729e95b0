//! Chance that is the same on every machine.

/// Steele, Lea and Flood's `SplitMix64`: passes `BigCrush`, and any seed will do.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// Chance that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        // Below `end`, so it fits.
        #[expect(clippy::cast_possible_truncation)]
        let number = (self.next() % (end as u64).max(1)) as usize;
        number
    }

    /// A number around 0 with standard deviation 1, never beyond ±6: twelve even ones added up.
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_they_spread_as_they_should() {
        let draw = |seed| {
            let mut noise = Noise::new(seed);
            (0..4_000).map(|_| noise.bell()).collect::<Vec<_>>()
        };
        let numbers = draw(1);
        assert_eq!(numbers, draw(1));
        assert_ne!(numbers, draw(2));
        let mean = numbers.iter().sum::<f64>() / 4_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((variance - 1.0).abs() < 0.1, "{variance}");
    }
}
