//! The operations of S3 that are served; `s3s` answers `NotImplemented` to all others.

#![allow(
    clippy::wildcard_imports,
    reason = "an operation names a dozen types of `s3s::dto`"
)]

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::store::Store;
use super::{buckets, multipart, objects};

/// Hands each operation to the function that does it. Only those that receive a body have to wait.
macro_rules! operations {
    ($($name:ident($input:ty) -> $output:ty = $does:path $(, $wait:tt)?;)*) => {
        #[async_trait::async_trait]
        impl S3 for Store {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $does(self, request)$(.$wait)?.map(S3Response::new)
            })*
        }
    };
}

operations! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list_buckets;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create_bucket;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head_bucket;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete_bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::get_bucket_location;
    list_objects(ListObjectsInput) -> ListObjectsOutput = buckets::list_objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = buckets::list_objects_v2;
    put_object(PutObjectInput) -> PutObjectOutput = objects::put_object, await;
    get_object(GetObjectInput) -> GetObjectOutput = objects::get_object;
    head_object(HeadObjectInput) -> HeadObjectOutput = objects::head_object;
    copy_object(CopyObjectInput) -> CopyObjectOutput = objects::copy_object;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete_object;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_objects;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part, await;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = multipart::upload_part_copy;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::list_uploads;
}
