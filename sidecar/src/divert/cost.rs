//! What the cloud lane costs, at list prices: an estimate from the function's own timing, not a bill.

use spillway_core::envelope::Timing;

use crate::config::Lambda;

/// Milliseconds that an invocation is billed for: Lambda rounds its duration up to the next one. An
/// instance's start is billed too (for all package types since August 2025).
pub(crate) fn billed_ms(timing: &Timing) -> u64 {
    let init = if timing.cold { timing.init_us } else { 0 };
    [
        timing.decode_us,
        timing.aggregate_us,
        timing.encode_us,
        timing.write_us,
    ]
    .into_iter()
    .fold(init, u64::saturating_add)
    .div_ceil(1000)
}

/// Lambda's price for so much billed time and so many invocations, in USD.
pub(crate) fn lambda_usd(prices: &Lambda, billed_ms: u64, invocations: u64) -> f64 {
    let gb_seconds = billed_ms as f64 / 1e3 * f64::from(prices.memory_mb) / 1024.0;
    gb_seconds * prices.usd_per_gb_second
        + invocations as f64 / 1e6 * prices.usd_per_million_requests
}

/// S3's price for so many PUTs, in USD.
pub(crate) fn puts_usd(prices: &Lambda, puts: u64) -> f64 {
    puts as f64 / 1e3 * prices.usd_per_thousand_puts
}

/// Everything that the cloud lane has cost, in USD: for so much billed time, so many invocations, and a PUT
/// by each of them.
pub(crate) fn total_usd(prices: &Lambda, billed_ms: u64, invocations: u64) -> f64 {
    lambda_usd(prices, billed_ms, invocations) + puts_usd(prices, invocations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_billed_by_the_started_millisecond_and_its_start_only_when_cold() {
        let warm = Timing {
            cold: false,
            init_us: 9_800,
            decode_us: 900,
            aggregate_us: 9_100,
            encode_us: 700,
            write_us: 2_100,
        };
        assert_eq!(billed_ms(&warm), 13);
        assert_eq!(billed_ms(&Timing { cold: true, ..warm }), 23);
    }

    #[test]
    fn the_price_of_a_gigabyte_second_and_of_a_million_requests() {
        let prices = Lambda {
            memory_mb: 1024,
            ..Lambda::default()
        };
        assert!((lambda_usd(&prices, 1_000, 0) - 0.000_016_666_7).abs() < 1e-12);
        assert!((lambda_usd(&prices, 0, 1_000_000) - 0.20).abs() < 1e-12);
        assert!((puts_usd(&prices, 1_000) - 0.005).abs() < 1e-12);
    }
}
