//! Figures as people like to read them: three digits that matter, and a unit.

/// What is not known.
pub(super) const UNKNOWN: &str = "–";

/// Records per second.
pub(super) fn rate(per_s: Option<f64>) -> String {
    scaled(
        per_s,
        &[(1e9, " G/s"), (1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")],
    )
}

/// How many.
pub(super) fn count(number: Option<f64>) -> String {
    scaled(number, &[(1e9, " G"), (1e6, " M"), (1e4, " k"), (1.0, "")])
}

/// So many bytes.
pub(super) fn bytes(bytes: Option<f64>) -> String {
    scaled(
        bytes,
        &[(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")],
    )
}

/// Milliseconds.
pub(super) fn millis(ms: Option<f64>) -> String {
    match ms {
        Some(ms) if ms >= 10_000.0 => format!("{} s", three(ms / 1e3)),
        Some(ms) => format!("{} ms", three(ms)),
        None => UNKNOWN.into(),
    }
}

/// A share of 1.
pub(super) fn share(share: Option<f64>) -> String {
    share.map_or_else(|| UNKNOWN.into(), |share| format!("{:.0} %", share * 100.0))
}

/// US dollars: cents, and below a dollar four digits that matter.
pub(super) fn usd(usd: Option<f64>) -> String {
    match usd {
        None => UNKNOWN.into(),
        Some(0.0) => "$0".into(),
        Some(usd) if usd.abs() >= 1.0 => format!("${usd:.2}"),
        Some(usd) if usd.abs() >= 0.000_1 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.1e}"),
    }
}

/// A span of time: its two largest units.
pub(super) fn span(ms: Option<f64>) -> String {
    let Some(ms) = ms else {
        return UNKNOWN.into();
    };
    let seconds = (ms / 1e3).max(0.0).floor();
    let (minutes, hours, days) = (seconds / 60.0, seconds / 3600.0, seconds / 86_400.0);
    if days >= 1.0 {
        format!("{} d {} h", days.floor(), (hours % 24.0).floor())
    } else if hours >= 1.0 {
        format!("{} h {} min", hours.floor(), (minutes % 60.0).floor())
    } else if minutes >= 1.0 {
        format!("{} min {} s", minutes.floor(), seconds % 60.0)
    } else {
        format!("{seconds} s")
    }
}

fn scaled(value: Option<f64>, units: &[(f64, &str)]) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return UNKNOWN.into();
    };
    // What rounds up to the next unit is shown in it: not "1000 k/s".
    let fitting = units
        .iter()
        .find(|(size, _)| value >= size * 0.9995)
        .or(units.last());
    match fitting {
        Some((size, unit)) if *size > 1.0 => format!("{}{unit}", three(value / size)),
        Some((_, unit)) => format!("{value:.0}{unit}"),
        None => UNKNOWN.into(),
    }
}

/// Three digits that matter.
fn three(value: f64) -> String {
    if value >= 99.95 || value == 0.0 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (per_s, text) in [
            (0.0, "0 /s"),
            (999.0, "999 /s"),
            (9_990.0, "9.99 k/s"),
            (411_999.0, "412 k/s"),
            (999_999.0, "1.00 M/s"),
            (1_234_567.0, "1.23 M/s"),
        ] {
            assert_eq!(rate(Some(per_s)), text);
        }
        assert_eq!(count(Some(1_204.0)), "1204");
        assert_eq!(count(Some(1_204_000.0)), "1.20 M");
        assert_eq!(bytes(Some(8_388_608.0)), "8.39 MB");
        assert_eq!(millis(Some(85.3)), "85.3 ms");
        assert_eq!(millis(Some(12_345.0)), "12.3 s");
        assert_eq!(share(Some(0.637)), "64 %");
    }

    #[test]
    fn money_is_never_shown_as_nothing_when_there_is_some() {
        assert_eq!(usd(Some(0.0)), "$0");
        assert_eq!(usd(Some(1.4)), "$1.40");
        assert_eq!(usd(Some(0.0123)), "$0.0123");
        assert_eq!(usd(Some(0.000_001_2)), "$1.2e-6");
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        assert_eq!(span(Some(12_900.0)), "12 s");
        assert_eq!(span(Some(192_000.0)), "3 min 12 s");
        assert_eq!(span(Some(7_980_000.0)), "2 h 13 min");
        assert_eq!(span(Some(190_800_000.0)), "2 d 5 h");
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        for text in [
            rate(None),
            count(None),
            bytes(None),
            millis(None),
            usd(None),
            span(None),
        ] {
            assert_eq!(text, UNKNOWN);
        }
    }
}
