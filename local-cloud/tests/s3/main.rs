//! S3 as the real SDK sees it, and what Hadoop's S3A needs of it.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod buckets;
#[path = "../common/mod.rs"]
mod common;
mod multipart;
mod objects;

use aws_sdk_s3::Client;
use common::BUCKET;

const MIB: usize = 1 << 20;

async fn put(s3: &Client, key: &str, body: impl Into<Vec<u8>>) {
    s3.put_object()
        .bucket(BUCKET)
        .key(key)
        .body(body.into().into())
        .send()
        .await
        .unwrap();
}

/// The object's bytes; its checksum is checked by the SDK.
async fn get(s3: &Client, key: &str) -> Vec<u8> {
    let answer = s3
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .unwrap();
    answer.body.collect().await.unwrap().to_vec()
}

async fn keys(s3: &Client, prefix: &str) -> Vec<String> {
    let answer = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix(prefix)
        .send()
        .await
        .unwrap();
    answer
        .contents()
        .iter()
        .map(|object| object.key().unwrap().to_owned())
        .collect()
}

async fn exists(s3: &Client, key: &str) -> bool {
    match s3.head_object().bucket(BUCKET).key(key).send().await {
        Ok(_) => true,
        Err(error) => {
            let error = error.into_service_error();
            assert!(error.is_not_found(), "{key}: {error:?}");
            false
        }
    }
}
