//! Faults on demand: which call fails, and how.
//!
//! The rules are pure and count calls; there is no randomness, so a test that sends the same calls
//! sees the same faults. Applying a fault is up to the server that asked.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What can go wrong with an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LambdaFault {
    /// 429 `TooManyRequestsException`, reason `ConcurrentInvocationLimitExceeded`; the function is not called.
    Throttle,
    /// 500 `ServiceException`; the function is not called.
    ServiceError,
    /// The connection is cut without an answer; the function is not called.
    Down,
    /// The instance is killed before it gets the event.
    CrashBeforeInvoke,
    /// The instance has done its work, but is killed as it hands in its answer, which is lost.
    CrashBeforeResponse,
    /// The caller gets the answer, then the instance is killed.
    CrashAfterResponse,
    /// The instance does its work, but its answer is lost and it is killed at its deadline.
    Timeout,
    /// The event reaches the instance `delay_ms` later; the concurrency slot is taken meanwhile.
    Slow,
    /// A function error `Unhandled`, without the function having been called.
    ErrorUnhandled,
    /// The function's answer to its previous invocation (`{}` if there was none) instead of to this one.
    WrongAnswer,
    /// The first half of the function's answer.
    TruncatedAnswer,
}

/// What can go wrong with a request to S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum S3Fault {
    /// 500 `InternalError`; nothing is done.
    #[serde(rename = "500")]
    InternalError,
    /// 503 `SlowDown`; nothing is done.
    #[serde(rename = "503_slow_down")]
    SlowDown,
    /// The request is served `delay_ms` later.
    #[serde(rename = "slow")]
    Slow,
    /// The connection is cut: half-way through the answer of a GET, else before the request's body is read.
    #[serde(rename = "reset_mid_body")]
    ResetMidBody,
    /// The request is served, but the answer is 500 `InternalError`. Only PUT and POST match.
    #[serde(rename = "put_succeeds_answers_500")]
    PutSucceedsAnswers500,
    /// 409 `ConditionalRequestConflict`, as when another request writes the same key; nothing is done. Only a PUT
    /// or POST with a condition matches.
    #[serde(rename = "409_conditional_request_conflict")]
    Conflict,
    /// 412 `PreconditionFailed`; nothing is done. Only a PUT or POST with a condition matches.
    #[serde(rename = "412_precondition_failed")]
    PreconditionFailed,
}

/// What a request to S3 wants to do, as far as rules tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// GET, HEAD, DELETE.
    Read,
    /// PUT or POST.
    Write,
    /// PUT or POST, with `If-Match` or `If-None-Match`.
    ConditionalWrite,
}

impl S3Fault {
    /// Whether it can happen to such a request.
    fn is_of(self, access: Access) -> bool {
        match self {
            Self::Conflict | Self::PreconditionFailed => access == Access::ConditionalWrite,
            Self::PutSucceedsAnswers500 => access != Access::Read,
            _ => true,
        }
    }
}

/// One rule: of the calls that match, the `every`-th, 2·`every`-th, … fails, `count` times in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<F> {
    /// How the call fails.
    pub kind: F,
    /// How many calls fail; null: until the rules are cleared.
    #[serde(default)]
    pub count: Option<u64>,
    /// Every how many-th matching call fails; 1 (the default): each.
    #[serde(default = "one")]
    pub every: u64,
    /// For the slow kinds: by how many milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// S3 only: the path (bucket and key, percent-decoded) has to contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_contains: Option<String>,
    /// How many calls have matched so far. Counted here; not to be set.
    #[serde(default, skip_deserializing)]
    pub matched: u64,
    /// How many calls have failed so far. Counted here; not to be set.
    #[serde(default, skip_deserializing)]
    pub fired: u64,
}

fn one() -> u64 {
    1
}

/// What is to be done with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<F> {
    /// How the call fails.
    pub kind: F,
    /// The rule's delay.
    pub delay: Duration,
}

impl<F: Copy> Rule<F> {
    /// Counts one matching call and says whether it fails.
    fn strike(&mut self) -> Option<Fault<F>> {
        self.matched += 1;
        let spent = self.count.is_some_and(|count| self.fired >= count);
        // `every` 0 is refused by `Faults::check`, but dividing by it must never be possible.
        if spent || !self.matched.is_multiple_of(self.every.max(1)) {
            return None;
        }
        self.fired += 1;
        Some(Fault {
            kind: self.kind,
            delay: Duration::from_millis(self.delay_ms),
        })
    }
}

/// All rules in force: the body of `PUT /_local/faults`, and of its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// For invocations.
    #[serde(default)]
    pub lambda: Vec<Rule<LambdaFault>>,
    /// For requests to S3.
    #[serde(default)]
    pub s3: Vec<Rule<S3Fault>>,
}

impl Faults {
    /// Says what is wrong with the rules, if anything, in one sentence.
    ///
    /// # Errors
    /// `every` is 0, or `key_contains` is set on a rule for Lambda.
    pub fn check(&self) -> Result<(), String> {
        let periods = self
            .lambda
            .iter()
            .map(|rule| rule.every)
            .chain(self.s3.iter().map(|rule| rule.every));
        if periods.into_iter().any(|every| every == 0) {
            return Err("`every` counts calls, so it is at least 1".to_owned());
        }
        if self.lambda.iter().any(|rule| rule.key_contains.is_some()) {
            return Err("`key_contains` is for S3 rules only".to_owned());
        }
        Ok(())
    }

    /// Decides on the next invocation. Rules are asked in order; the first that strikes wins, and
    /// those after it do not count the call.
    pub fn for_invocation(&mut self) -> Option<Fault<LambdaFault>> {
        self.lambda.iter_mut().find_map(Rule::strike)
    }

    /// Decides on the next request to S3, in the same way.
    pub fn for_s3(&mut self, path: &str, access: Access) -> Option<Fault<S3Fault>> {
        self.s3
            .iter_mut()
            .filter(|rule| {
                rule.key_contains
                    .as_ref()
                    .is_none_or(|part| path.contains(part.as_str()))
            })
            .filter(|rule| rule.kind.is_of(access))
            .find_map(Rule::strike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_rule_strikes_every_kth_call_and_stops_after_count() {
        let mut faults = faults(r#"{"lambda":[{"kind":"throttle","every":3,"count":2}]}"#);
        let struck: Vec<bool> = (0..12).map(|_| faults.for_invocation().is_some()).collect();
        let expected: Vec<bool> = (1..=12).map(|call| call == 3 || call == 6).collect();
        assert_eq!(struck, expected);
        assert_eq!((faults.lambda[0].matched, faults.lambda[0].fired), (12, 2));
    }

    #[test]
    fn without_count_a_rule_strikes_until_it_is_cleared() {
        let mut faults = faults(r#"{"lambda":[{"kind":"down","count":null}]}"#);
        assert!((0..1000).all(|_| faults.for_invocation().is_some()));
    }

    #[test]
    fn the_first_rule_that_strikes_wins_and_hides_the_call_from_the_next() {
        let mut faults = faults(
            r#"{"lambda":[{"kind":"throttle","count":1},{"kind":"slow","delay_ms":7,"count":1}]}"#,
        );
        assert_eq!(faults.for_invocation().unwrap().kind, LambdaFault::Throttle);
        let second = faults.for_invocation().unwrap();
        assert_eq!(
            second,
            Fault {
                kind: LambdaFault::Slow,
                delay: Duration::from_millis(7)
            }
        );
        assert_eq!(faults.for_invocation(), None);
    }

    #[test]
    fn only_matching_requests_are_counted() {
        let mut faults = faults(
            r#"{"s3":[{"kind":"500","every":2,"key_contains":"partials/"},{"kind":"put_succeeds_answers_500"}]}"#,
        );
        assert_eq!(faults.for_s3("/b/local/x", Access::Read), None);
        assert_eq!(faults.for_s3("/b/partials/x", Access::Read), None);
        assert_eq!(
            faults.for_s3("/b/local/x", Access::Write).unwrap().kind,
            S3Fault::PutSucceedsAnswers500
        );
        assert_eq!(
            faults.for_s3("/b/partials/x", Access::Read).unwrap().kind,
            S3Fault::InternalError
        );
    }

    #[test]
    fn conflicts_are_of_writes_with_a_condition_only() {
        let mut faults = faults(
            r#"{"s3":[{"kind":"409_conditional_request_conflict","count":1},{"kind":"412_precondition_failed"}]}"#,
        );
        assert_eq!(faults.for_s3("/b/x", Access::Read), None);
        assert_eq!(faults.for_s3("/b/x", Access::Write), None);
        let mut struck = || faults.for_s3("/b/x", Access::ConditionalWrite).unwrap();
        assert_eq!(struck().kind, S3Fault::Conflict);
        assert_eq!(struck().kind, S3Fault::PreconditionFailed);
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        assert!(serde_json::from_str::<Faults>(r#"{"lambda":[{"kind":"meteor"}]}"#).is_err());
        assert!(
            serde_json::from_str::<Faults>(r#"{"lambda":[{"kind":"down","cuont":3}]}"#).is_err()
        );
        assert!(serde_json::from_str::<Faults>(r#"{"lamda":[]}"#).is_err());
        assert!(
            faults(r#"{"s3":[{"kind":"slow","every":0}]}"#)
                .check()
                .is_err()
        );
        assert!(
            faults(r#"{"lambda":[{"kind":"slow","key_contains":"x"}]}"#)
                .check()
                .is_err()
        );
    }
}
