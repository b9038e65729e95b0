//! `If-Match` and its kin.

use std::time::{Duration, SystemTime};

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3ErrorCode, S3Result};

use super::object::Object;

/// The conditions of one request.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_match: Option<ETagCondition>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// For reading `object`, in the order of RFC 9110, section 13.2.2.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NotModified` (412 too, if `copying`).
    pub(crate) fn check_read(&self, object: &Object, copying: bool) -> S3Result {
        let not_modified = if copying {
            S3ErrorCode::PreconditionFailed
        } else {
            S3ErrorCode::NotModified
        };
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !fits(condition, object) => {
                return Err(S3ErrorCode::PreconditionFailed.into());
            }
            (None, Some(time)) if changed_after(object, time) => {
                return Err(S3ErrorCode::PreconditionFailed.into());
            }
            _ => {}
        }
        match (&self.none_match, &self.modified_since) {
            (Some(condition), _) if fits(condition, object) => Err(not_modified.into()),
            (None, Some(time)) if !changed_after(object, time) => Err(not_modified.into()),
            _ => Ok(()),
        }
    }

    /// For writing over `object`, or where there is none.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey` for `If-Match` where there is no object.
    pub(crate) fn check_write(&self, object: Option<&Object>) -> S3Result {
        if let Some(condition) = &self.matches {
            let object = object.ok_or(S3ErrorCode::NoSuchKey)?;
            if !fits(condition, object) {
                return Err(S3ErrorCode::PreconditionFailed.into());
            }
        }
        match (&self.none_match, object) {
            (Some(condition), Some(object)) if fits(condition, object) => {
                Err(S3ErrorCode::PreconditionFailed.into())
            }
            _ => Ok(()),
        }
    }
}

fn fits(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(e_tag) => ETag::Strong(object.e_tag.clone()).weak_cmp(e_tag),
    }
}

/// Whether the object is newer than `time`, in whole seconds, as HTTP dates are.
fn changed_after(object: &Object, time: &Timestamp) -> bool {
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs()
    };
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(object.stamp.modified())))
        > *time
}
