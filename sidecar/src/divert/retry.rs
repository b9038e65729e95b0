//! What to do about a failed attempt: a type, decided in one place.

use std::time::Duration;

use spillway_core::envelope::FunctionErrorType;

use super::Refusal;
use super::breaker::Trouble;
use super::invoke::InvokeError;

/// What a failed attempt means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another attempt may fare better.
    Retry(Class),
    /// It may not.
    GiveUp(Refusal),
}

/// Why another attempt is made; the label `class` of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    Throttled,
    Unreachable,
    Service,
    Storage,
    Function,
    BadAnswer,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Service => "service",
            Self::Storage => "storage",
            Self::Function => "function",
            Self::BadAnswer => "bad_answer",
        }
    }
}

/// Judges a failed attempt.
///
/// An unknown outcome is retried under the same id: if the function had succeeded, it writes the same
/// object again, with the same bytes.
pub(crate) fn judge(error: &InvokeError) -> Verdict {
    let why = error.to_string();
    match error {
        InvokeError::Throttled { .. } => Verdict::Retry(Class::Throttled),
        InvokeError::Unreachable(_) => Verdict::Retry(Class::Unreachable),
        InvokeError::Service(_) => Verdict::Retry(Class::Service),
        InvokeError::BadAnswer(_) => Verdict::Retry(Class::BadAnswer),
        InvokeError::Function {
            kind: Some(FunctionErrorType::MalformedBatch),
            ..
        } => Verdict::GiveUp(Refusal::Malformed(why)),
        InvokeError::Function {
            kind: Some(FunctionErrorType::PartialConflict),
            ..
        } => Verdict::GiveUp(Refusal::Conflict(why)),
        InvokeError::Function {
            kind: Some(FunctionErrorType::StorageMisconfigured),
            ..
        }
        | InvokeError::FunctionMissing(_)
        | InvokeError::AccessDenied(_)
        | InvokeError::Refused(_) => Verdict::GiveUp(Refusal::Misconfigured(why)),
        InvokeError::Function {
            kind: Some(FunctionErrorType::StorageUnavailable),
            ..
        } => Verdict::Retry(Class::Storage),
        InvokeError::Function { kind: None, .. } => Verdict::Retry(Class::Function),
        InvokeError::TooLarge(_) => Verdict::GiveUp(Refusal::TooLarge(why)),
    }
}

/// What an error says about the cloud as a whole; `None` if it is the batch's own fault.
pub(crate) fn trouble(error: &InvokeError) -> Option<Trouble> {
    match error {
        InvokeError::Throttled { .. } => Some(Trouble::Throttle),
        InvokeError::Unreachable(_) | InvokeError::Service(_) => Some(Trouble::Unreachable),
        InvokeError::FunctionMissing(_)
        | InvokeError::AccessDenied(_)
        | InvokeError::Refused(_) => Some(Trouble::Access),
        InvokeError::TooLarge(_) => None,
        InvokeError::BadAnswer(_) => Some(Trouble::Function),
        InvokeError::Function {
            kind, error_type, ..
        } => match kind {
            Some(FunctionErrorType::MalformedBatch | FunctionErrorType::PartialConflict) => None,
            Some(FunctionErrorType::StorageMisconfigured) => Some(Trouble::Access),
            // Behind the function there is S3, which is a part of the cloud like any other.
            Some(FunctionErrorType::StorageUnavailable) => Some(Trouble::Unreachable),
            None if error_type == TIMED_OUT => Some(Trouble::Timeout),
            None => Some(Trouble::Function),
        },
    }
}

/// Whether the function may have run, so that it may have to be paid for.
pub(crate) fn may_have_run(error: &InvokeError) -> bool {
    matches!(
        error,
        InvokeError::Unreachable(_) | InvokeError::Function { .. } | InvokeError::BadAnswer(_)
    )
}

/// How Lambda names an invocation that it ended at the function's time-out.
const TIMED_OUT: &str = "Sandbox.Timedout";

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a batch's whole deadline is a few seconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// The pause before attempt number `attempt` (1 is the first retry): doubling, between half and the whole
/// of it, so that batches that were throttled together do not come back together. The part is drawn from
/// `seed`, so that the same batch always waits the same.
pub(crate) fn pause(attempt: u32, seed: u64) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(LONGEST_PAUSE);
    // The finaliser of SplitMix64: spreads neighbouring sequence numbers over the whole range.
    let mut mixed = seed.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let part = (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64;
    whole.mul_f64(f64::midpoint(1.0, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_differ_between_batches() {
        for attempt in 1..40 {
            let whole = FIRST_PAUSE
                .saturating_mul(1 << (attempt - 1).min(10))
                .min(LONGEST_PAUSE);
            for seed in 0..20 {
                let pause = pause(attempt, seed);
                assert!(
                    pause >= whole / 2 && pause <= whole,
                    "{attempt} {seed} {pause:?}"
                );
            }
        }
        assert_ne!(pause(1, 1), pause(1, 2));
        assert_eq!(pause(3, 7), pause(3, 7));
    }

    #[test]
    fn only_what_may_fare_better_is_retried() {
        let function = |kind| InvokeError::Function {
            kind,
            error_type: "X".into(),
            message: "m".into(),
        };
        assert_eq!(judge(&function(None)), Verdict::Retry(Class::Function));
        assert_eq!(
            judge(&function(Some(FunctionErrorType::StorageUnavailable))),
            Verdict::Retry(Class::Storage)
        );
        assert!(matches!(
            judge(&function(Some(FunctionErrorType::MalformedBatch))),
            Verdict::GiveUp(Refusal::Malformed(_))
        ));
        assert!(matches!(
            judge(&function(Some(FunctionErrorType::PartialConflict))),
            Verdict::GiveUp(Refusal::Conflict(_))
        ));
        assert!(matches!(
            judge(&function(Some(FunctionErrorType::StorageMisconfigured))),
            Verdict::GiveUp(Refusal::Misconfigured(_))
        ));
        assert!(matches!(
            judge(&InvokeError::FunctionMissing("f".into())),
            Verdict::GiveUp(Refusal::Misconfigured(_))
        ));
        assert_eq!(
            judge(&InvokeError::Throttled {
                what: "t".into(),
                at_once: true,
                retry_after: None
            }),
            Verdict::Retry(Class::Throttled)
        );
    }

    #[test]
    fn a_batchs_own_fault_says_nothing_about_the_cloud() {
        let function = |kind, error_type: &str| InvokeError::Function {
            kind,
            error_type: error_type.into(),
            message: "m".into(),
        };
        let cases = [
            (
                function(Some(FunctionErrorType::MalformedBatch), "MalformedBatch"),
                None,
            ),
            (InvokeError::TooLarge("413".into()), None),
            (function(None, "Sandbox.Timedout"), Some(Trouble::Timeout)),
            (function(None, "Runtime.ExitError"), Some(Trouble::Function)),
            (
                function(Some(FunctionErrorType::StorageUnavailable), "s"),
                Some(Trouble::Unreachable),
            ),
            (
                InvokeError::AccessDenied("403".into()),
                Some(Trouble::Access),
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(trouble(&error), expected, "{error}");
        }
    }
}
