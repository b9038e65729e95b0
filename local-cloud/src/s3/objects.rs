//! Operations on single objects.

#![allow(
    clippy::wildcard_imports,
    reason = "an operation names a dozen types of `s3s::dto`"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "every operation has the same signature"
)]

use std::fs::File;
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::condition::Conditions;
use super::draft::Claims;
use super::object::{Attributes, Checksums, Object};
use super::reader;
use super::store::{NewObject, Store};

/// What S3 says of an object that was stored without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

pub(super) async fn put_object(
    store: &Store,
    request: S3Request<PutObjectInput>,
) -> S3Result<PutObjectOutput> {
    let S3Request {
        input,
        trailing_headers,
        ..
    } = request;
    store.check_bucket(&input.bucket)?;
    let claims = Claims {
        md5: input.content_md5,
        algorithm: input
            .checksum_algorithm
            .map(|algorithm| algorithm.as_str().to_owned()),
        sums: Checksums {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
        },
    };
    let attributes = Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
        user: input.metadata,
    };
    let conditions = Conditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        ..Conditions::default()
    };
    let draft = store.disk.draft().map_err(S3Error::internal_error)?;
    let written = draft
        .receive(input.body, claims, trailing_headers.as_ref())
        .await?;
    let new = NewObject {
        bucket: &input.bucket,
        key: &input.key,
        e_tag: written.e_tag(),
        attributes,
        checksums: written.sums,
    };
    let object = store.put(new, written.draft, &conditions)?;
    let sums = object.checksums.clone();
    Ok(PutObjectOutput {
        e_tag: Some(ETag::Strong(object.e_tag.clone())),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

pub(super) fn get_object(
    store: &Store,
    request: S3Request<GetObjectInput>,
) -> S3Result<GetObjectOutput> {
    let input = request.input;
    let (object, file) = store.open_object(&input.bucket, &input.key)?;
    let conditions = Conditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    };
    conditions.check_read(&object, false)?;
    let size = object.stamp.size;
    let range = match input.range {
        None => 0..size,
        Some(range) => range.check(size)?,
    };
    let partial = input.range.is_some();
    let body = reader::body(file, range.start, range.end).map_err(S3Error::internal_error)?;
    // Sums are of the whole object, so they would not fit a part of it.
    let wanted = input
        .checksum_mode
        .is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
        && !partial;
    let sums = if wanted {
        object.checksums.clone()
    } else {
        Checksums::default()
    };
    let attributes = object.attributes.clone();
    Ok(GetObjectOutput {
        body: Some(body),
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range: partial.then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1)),
        last_modified: Some(Timestamp::from(object.stamp.modified())),
        e_tag: Some(ETag::Strong(object.e_tag.clone())),
        content_type: input
            .response_content_type
            .or(attributes.content_type)
            .or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned())),
        content_encoding: input
            .response_content_encoding
            .or(attributes.content_encoding),
        content_disposition: input
            .response_content_disposition
            .or(attributes.content_disposition),
        content_language: input
            .response_content_language
            .or(attributes.content_language),
        cache_control: input.response_cache_control.or(attributes.cache_control),
        expires: input.response_expires.or(attributes.expires),
        metadata: attributes.user,
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

pub(super) fn head_object(
    store: &Store,
    request: S3Request<HeadObjectInput>,
) -> S3Result<HeadObjectOutput> {
    let input = request.input;
    let object = store.head(&input.bucket, &input.key)?;
    let conditions = Conditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        modified_since: input.if_modified_since,
        unmodified_since: input.if_unmodified_since,
    };
    conditions.check_read(&object, false)?;
    let wanted = input
        .checksum_mode
        .is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    let sums = if wanted {
        object.checksums.clone()
    } else {
        Checksums::default()
    };
    let attributes = object.attributes.clone();
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(object.stamp.size).ok(),
        last_modified: Some(Timestamp::from(object.stamp.modified())),
        e_tag: Some(ETag::Strong(object.e_tag.clone())),
        content_type: attributes
            .content_type
            .or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned())),
        content_encoding: attributes.content_encoding,
        content_disposition: attributes.content_disposition,
        content_language: attributes.content_language,
        cache_control: attributes.cache_control,
        expires: attributes.expires,
        metadata: attributes.user,
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

pub(super) fn copy_object(
    store: &Store,
    request: S3Request<CopyObjectInput>,
) -> S3Result<CopyObjectOutput> {
    let input = request.input;
    let (source, mut file) = open_source(store, &input.copy_source)?;
    let conditions = Conditions {
        matches: input.copy_source_if_match,
        none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    conditions.check_read(&source, true)?;
    let replace = input
        .metadata_directive
        .is_some_and(|what| what.as_str() == MetadataDirective::REPLACE);
    let attributes = if replace {
        Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires,
            user: input.metadata,
        }
    } else {
        source.attributes.clone()
    };
    let draft = store.disk.draft().map_err(S3Error::internal_error)?;
    let written = draft
        .copy_from(&mut file, source.stamp.size)
        .map_err(S3Error::internal_error)?;
    let new = NewObject {
        bucket: &input.bucket,
        key: &input.key,
        e_tag: written.e_tag(),
        attributes,
        checksums: source.checksums.clone(),
    };
    let object = store.put(new, written.draft, &Conditions::default())?;
    let result = CopyObjectResult {
        e_tag: Some(ETag::Strong(object.e_tag.clone())),
        last_modified: Some(Timestamp::from(object.stamp.modified())),
        ..Default::default()
    };
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        ..Default::default()
    })
}

/// The object that a copy reads.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`; `NotImplemented` for access points.
pub(super) fn open_source(store: &Store, source: &CopySource) -> S3Result<(Arc<Object>, File)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => store.open_object(bucket, key),
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(S3ErrorCode::NotImplemented.into())
        }
    }
}

pub(super) fn delete_object(
    store: &Store,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<DeleteObjectOutput> {
    store.delete(&request.input.bucket, &request.input.key)?;
    Ok(DeleteObjectOutput::default())
}

pub(super) fn delete_objects(
    store: &Store,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<DeleteObjectsOutput> {
    let S3Request {
        input: DeleteObjectsInput { bucket, delete, .. },
        ..
    } = request;
    store.check_bucket(&bucket)?;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in delete.objects {
        match store.delete(&bucket, &object.key) {
            Ok(()) => deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            }),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key),
                ..Default::default()
            }),
        }
    }
    let quiet = delete.quiet.unwrap_or(false);
    Ok(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    })
}
