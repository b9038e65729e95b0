//! Operations on buckets, listing among them.

#![allow(
    clippy::wildcard_imports,
    reason = "an operation names a dozen types of `s3s::dto`"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "every operation has the same signature"
)]

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::list::{Page, Query, url_encode};
use super::object::{Object, hex};
use super::store::Store;

/// S3's own limit of a page.
const PAGE_LIMIT: usize = 1000;

pub(super) fn list_buckets(
    store: &Store,
    _: S3Request<ListBucketsInput>,
) -> S3Result<ListBucketsOutput> {
    let bucket = |name| Bucket {
        name: Some(name),
        ..Default::default()
    };
    let buckets = store.bucket_names().into_iter().map(bucket).collect();
    Ok(ListBucketsOutput {
        buckets: Some(buckets),
        ..Default::default()
    })
}

pub(super) fn create_bucket(
    store: &Store,
    request: S3Request<CreateBucketInput>,
) -> S3Result<CreateBucketOutput> {
    let bucket = request.input.bucket;
    store.create_bucket(&bucket)?;
    Ok(CreateBucketOutput {
        location: Some(format!("/{bucket}")),
    })
}

pub(super) fn head_bucket(
    store: &Store,
    request: S3Request<HeadBucketInput>,
) -> S3Result<HeadBucketOutput> {
    store.check_bucket(&request.input.bucket)?;
    Ok(HeadBucketOutput {
        bucket_region: Some(super::REGION.to_owned()),
        ..Default::default()
    })
}

pub(super) fn delete_bucket(
    store: &Store,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<DeleteBucketOutput> {
    store.delete_bucket(&request.input.bucket)?;
    Ok(DeleteBucketOutput::default())
}

pub(super) fn get_bucket_location(
    store: &Store,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<GetBucketLocationOutput> {
    store.check_bucket(&request.input.bucket)?;
    // No constraint means us-east-1.
    Ok(GetBucketLocationOutput::default())
}

/// Names are sent as they are, or percent-encoded if the client wants that.
#[derive(Clone, Copy)]
struct Names {
    encoded: bool,
}

impl Names {
    fn new(encoding: Option<&EncodingType>) -> Self {
        Self {
            encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
        }
    }

    fn show(self, name: &str) -> String {
        if self.encoded {
            url_encode(name)
        } else {
            name.to_owned()
        }
    }

    fn show_option(self, name: Option<String>) -> Option<String> {
        name.map(|name| self.show(&name))
    }

    fn contents(self, objects: &[&Object]) -> Option<Vec<s3s::dto::Object>> {
        let entry = |object: &&Object| s3s::dto::Object {
            key: Some(self.show(&object.key)),
            e_tag: Some(ETag::Strong(object.e_tag.clone())),
            size: i64::try_from(object.stamp.size).ok(),
            last_modified: Some(Timestamp::from(object.stamp.modified())),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Default::default()
        };
        (!objects.is_empty()).then(|| objects.iter().map(entry).collect())
    }

    fn prefixes(self, prefixes: &[String]) -> Option<Vec<CommonPrefix>> {
        let entry = |prefix: &String| CommonPrefix {
            prefix: Some(self.show(prefix)),
        };
        (!prefixes.is_empty()).then(|| prefixes.iter().map(entry).collect())
    }
}

/// The page's size, within S3's limit.
fn page_limit(max_keys: Option<i32>) -> S3Result<usize> {
    let asked =
        usize::try_from(max_keys.unwrap_or(1000)).map_err(|_| S3ErrorCode::InvalidArgument)?;
    Ok(asked.min(PAGE_LIMIT))
}

/// A page of no keys is empty and the last, as with S3.
fn page<T>(
    store: &Store,
    bucket: &str,
    query: &Query<'_>,
    show: impl FnOnce(Page<'_>) -> T,
) -> S3Result<T> {
    if query.limit == 0 {
        store.check_bucket(bucket)?;
        return Ok(show(Page::default()));
    }
    store.list(bucket, query, show)
}

pub(super) fn list_objects_v2(
    store: &Store,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<ListObjectsV2Output> {
    let input = request.input;
    let names = Names::new(input.encoding_type.as_ref());
    let resumed = input
        .continuation_token
        .as_deref()
        .map(read_token)
        .transpose()?;
    let limit = page_limit(input.max_keys)?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or(""),
        delimiter: input
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty()),
        // The token goes before: it continues a listing that had started after that key.
        after: resumed
            .as_deref()
            .or(input.start_after.as_deref())
            .unwrap_or(""),
        limit,
    };
    let mut output = page(store, &input.bucket, &query, |page| ListObjectsV2Output {
        key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
        contents: names.contents(&page.objects),
        common_prefixes: names.prefixes(&page.prefixes),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| hex(next.as_bytes())),
        ..Default::default()
    })?;
    output.name = Some(input.bucket);
    output.prefix = Some(names.show(&input.prefix.unwrap_or_default()));
    output.delimiter = names.show_option(input.delimiter);
    output.start_after = names.show_option(input.start_after);
    output.continuation_token = input.continuation_token;
    output.encoding_type = input.encoding_type;
    output.max_keys = i32::try_from(limit).ok();
    Ok(output)
}

pub(super) fn list_objects(
    store: &Store,
    request: S3Request<ListObjectsInput>,
) -> S3Result<ListObjectsOutput> {
    let input = request.input;
    let names = Names::new(input.encoding_type.as_ref());
    let limit = page_limit(input.max_keys)?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or(""),
        delimiter: input
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty()),
        after: input.marker.as_deref().unwrap_or(""),
        limit,
    };
    let mut output = page(store, &input.bucket, &query, |page| ListObjectsOutput {
        contents: names.contents(&page.objects),
        common_prefixes: names.prefixes(&page.prefixes),
        is_truncated: Some(page.next.is_some()),
        next_marker: names.show_option(page.next),
        ..Default::default()
    })?;
    output.name = Some(input.bucket);
    output.prefix = Some(names.show(&input.prefix.unwrap_or_default()));
    output.delimiter = names.show_option(input.delimiter);
    output.marker = Some(names.show(&input.marker.unwrap_or_default()));
    output.encoding_type = input.encoding_type;
    output.max_keys = i32::try_from(limit).ok();
    Ok(output)
}

/// A token is the last name of the page in hexadecimal: names may hold what XML cannot.
fn read_token(token: &str) -> S3Result<String> {
    let byte = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::InvalidArgument,
            "The continuation token is not ours",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_the_name_back_and_a_foreign_one_is_refused() {
        assert_eq!(read_token(&hex("ü/\u{1}".as_bytes())).unwrap(), "ü/\u{1}");
        for foreign in ["0", "zz", "ff", "ü"] {
            assert!(read_token(foreign).is_err(), "{foreign}");
        }
    }
}
