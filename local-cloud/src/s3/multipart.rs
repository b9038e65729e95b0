//! Operations on multipart uploads.

#![allow(
    clippy::wildcard_imports,
    reason = "an operation names a dozen types of `s3s::dto`"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "every operation has the same signature"
)]

use std::io::{Seek, SeekFrom};

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::condition::Conditions;
use super::draft::Claims;
use super::object::{Attributes, Checksums, hex};
use super::objects::open_source;
use super::store::{NewObject, Store};
use super::upload::Upload;

/// S3's highest part number.
const LAST_PART: i32 = 10_000;

pub(super) fn create(
    store: &Store,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<CreateMultipartUploadOutput> {
    let input = request.input;
    store.check_bucket(&input.bucket)?;
    let attributes = Attributes {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
        user: input.metadata,
    };
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload =
        Upload::begin(&store.disk, bucket, key, attributes).map_err(S3Error::internal_error)?;
    let id = upload.id.clone();
    store.add_upload(upload);
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..Default::default()
    })
}

fn check_number(number: i32) -> S3Result {
    if (1..=LAST_PART).contains(&number) {
        return Ok(());
    }
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message))
}

pub(super) async fn upload_part(
    store: &Store,
    request: S3Request<UploadPartInput>,
) -> S3Result<UploadPartOutput> {
    let S3Request {
        input,
        trailing_headers,
        ..
    } = request;
    check_number(input.part_number)?;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
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
    let draft = store.disk.draft().map_err(S3Error::internal_error)?;
    let written = draft
        .receive(input.body, claims, trailing_headers.as_ref())
        .await?;
    // It may have been completed or aborted while the body came in.
    store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let (e_tag, sums) = (written.e_tag(), written.sums.clone());
    upload
        .add(input.part_number, written)
        .map_err(S3Error::internal_error)?;
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(e_tag)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..Default::default()
    })
}

pub(super) fn upload_part_copy(
    store: &Store,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<UploadPartCopyOutput> {
    let input = request.input;
    check_number(input.part_number)?;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let (source, mut file) = open_source(store, &input.copy_source)?;
    let conditions = Conditions {
        matches: input.copy_source_if_match,
        none_match: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    conditions.check_read(&source, true)?;
    let range = match input.copy_source_range.as_deref() {
        None => 0..source.stamp.size,
        Some(range) => Range::parse(range)
            .map_err(|_| S3ErrorCode::InvalidArgument)?
            .check(source.stamp.size)?,
    };
    file.seek(SeekFrom::Start(range.start))
        .map_err(S3Error::internal_error)?;
    let draft = store.disk.draft().map_err(S3Error::internal_error)?;
    let written = draft
        .copy_from(&mut file, range.end - range.start)
        .map_err(S3Error::internal_error)?;
    let stamp = written.draft.stamp().map_err(S3Error::internal_error)?;
    let e_tag = written.e_tag();
    upload
        .add(input.part_number, written)
        .map_err(S3Error::internal_error)?;
    let result = CopyPartResult {
        e_tag: Some(ETag::Strong(e_tag)),
        last_modified: Some(Timestamp::from(stamp.modified())),
        ..Default::default()
    };
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..Default::default()
    })
}

pub(super) fn complete(
    store: &Store,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<CompleteMultipartUploadOutput> {
    let input = request.input;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let listed = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let selected = upload.select(&listed)?;
    let (draft, e_tag) = upload.join(&store.disk, &selected)?;
    let conditions = Conditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        ..Conditions::default()
    };
    let new = NewObject {
        bucket: &input.bucket,
        key: &input.key,
        e_tag,
        attributes: upload.attributes.clone(),
        checksums: Checksums::default(),
    };
    // First the object, then the upload goes: whenever the process dies, one of them is there.
    let object = store.put(new, draft, &conditions)?;
    store.remove_upload(&upload.id);
    upload.discard();
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(object.e_tag.clone())),
        ..Default::default()
    })
}

pub(super) fn abort(
    store: &Store,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<AbortMultipartUploadOutput> {
    let upload = store.upload(
        &request.input.bucket,
        &request.input.key,
        &request.input.upload_id,
    )?;
    store.remove_upload(&upload.id);
    upload.discard();
    Ok(AbortMultipartUploadOutput::default())
}

pub(super) fn list_parts(
    store: &Store,
    request: S3Request<ListPartsInput>,
) -> S3Result<ListPartsOutput> {
    let input = request.input;
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let after = input.part_number_marker.unwrap_or(0);
    let limit = usize::try_from(input.max_parts.unwrap_or(1000))
        .unwrap_or(0)
        .min(1000);
    let parts = upload.parts();
    let mut rest = parts.range(after.saturating_add(1)..);
    let page: Vec<Part> = rest
        .by_ref()
        .take(limit)
        .map(|(number, part)| Part {
            part_number: Some(*number),
            e_tag: Some(ETag::Strong(hex(&part.md5))),
            size: i64::try_from(part.stamp.size).ok(),
            last_modified: Some(Timestamp::from(part.stamp.modified())),
            ..Default::default()
        })
        .collect();
    let truncated = rest.next().is_some();
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(after),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: page
            .last()
            .and_then(|part| part.part_number)
            .filter(|_| truncated),
        is_truncated: Some(truncated),
        parts: (!page.is_empty()).then_some(page),
        ..Default::default()
    })
}

/// All on one page: nobody has a thousand uploads open here.
pub(super) fn list_uploads(
    store: &Store,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<ListMultipartUploadsOutput> {
    let input = request.input;
    store.check_bucket(&input.bucket)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let uploads: Vec<MultipartUpload> = store
        .uploads(&input.bucket, &prefix)
        .iter()
        .map(|upload| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(upload.id.clone()),
            initiated: Some(Timestamp::from(upload.begun())),
            ..Default::default()
        })
        .collect();
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        is_truncated: Some(false),
        uploads: (!uploads.is_empty()).then_some(uploads),
        ..Default::default()
    })
}
