//! Which variables `SPILLWAY_*` are none of the configuration's, and yet no mistake.

/// The prefix of all our variables.
pub(super) const PREFIX: &str = "SPILLWAY_";

/// Read by others: the log, the burst function and, in development, the preloaded clock and what starts the
/// processes. What the command line reads is left out before.
const ELSEWHERE: &[&str] = &[
    "SPILLWAY_LOG",
    "SPILLWAY_DESTINATION",
    "SPILLWAY_METRICS",
    "SPILLWAY_RUN",
    "SPILLWAY_CLOCK_FILE",
    "SPILLWAY_API_REQUESTS",
    "SPILLWAY_API_SEED",
    "SPILLWAY_API_TALLY",
];

/// Whether a variable that is no key's twin may be there all the same.
pub(super) fn is_known(variable: &str, value: &str) -> bool {
    ELSEWHERE.contains(&variable) || is_of_a_service(variable, value)
}

/// Whether Kubernetes has set it, for a service whose name begins with `spillway`: `…_SERVICE_HOST`,
/// `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, and as Docker's links did `…_PORT`, a URL, and
/// `…_PORT_7077_TCP_ADDR` and the like.
fn is_of_a_service(variable: &str, value: &str) -> bool {
    if variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
    {
        return true;
    }
    if variable.ends_with("_PORT") && value.contains("://") {
        return true;
    }
    variable.split("_PORT_").skip(1).any(|rest| {
        let (number, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        number.parse::<u16>().is_ok()
            && ["TCP", "UDP", "SCTP"]
                .iter()
                .any(|known| protocol.starts_with(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_of_our_name_is_known() {
        for (variable, value) in [
            ("SPILLWAY_SERVICE_HOST", "10.0.0.7"),
            ("SPILLWAY_SERVICE_PORT", "7077"),
            ("SPILLWAY_SERVICE_PORT_HTTP", "7077"),
            ("SPILLWAY_PORT", "tcp://10.0.0.7:7077"),
            ("SPILLWAY_PORT_7077_TCP", "tcp://10.0.0.7:7077"),
            ("SPILLWAY_PORT_7077_TCP_PROTO", "tcp"),
            ("SPILLWAY_PORT_7077_TCP_PORT", "7077"),
            ("SPILLWAY_PORT_7077_TCP_ADDR", "10.0.0.7"),
            ("SPILLWAY_LAMBDA_SERVICE_HOST", "10.0.0.8"),
            ("SPILLWAY_SIDECAR_PORT_53_UDP_ADDR", "10.0.0.8"),
        ] {
            assert!(is_known(variable, value), "{variable}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for (variable, value) in [
            ("SPILLWAY_PORT", "7077"),
            ("SPILLWAY_PORT_NUMBER", "7077"),
            ("SPILLWAY_PORT_7077", "tcp"),
            ("SPILLWAY_SERVICE", "10.0.0.7"),
        ] {
            assert!(!is_known(variable, value), "{variable}");
        }
    }
}
