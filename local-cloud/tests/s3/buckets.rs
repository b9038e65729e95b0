//! Buckets, listing them, and who may.

use aws_sdk_s3::error::ProvideErrorMetadata;

use crate::common::{BUCKET, Cloud, s3_client};
use crate::{keys, put};

#[tokio::test]
async fn a_listing_is_sorted_rolled_up_and_paged() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    for key in ["p/b/2", "p/a", "p/b/1", "p/b.x", "p/c/1/1", "q", "p/b0"] {
        put(&s3, key, "1").await;
    }
    assert_eq!(
        keys(&s3, "p/").await,
        ["p/a", "p/b.x", "p/b/1", "p/b/2", "p/b0", "p/c/1/1"]
    );
    assert_eq!(keys(&s3, "p/b").await, ["p/b.x", "p/b/1", "p/b/2", "p/b0"]);
    let after = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .start_after("p/b/2")
        .send()
        .await
        .unwrap();
    assert_eq!(after.contents()[0].key(), Some("p/b0"));

    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let request = s3
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix("p/")
            .delimiter("/")
            .max_keys(2);
        let page = request.set_continuation_token(token).send().await.unwrap();
        assert_eq!(
            page.key_count(),
            i32::try_from(page.contents().len() + page.common_prefixes().len()).ok()
        );
        names.extend(
            page.contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
        names.extend(
            page.common_prefixes()
                .iter()
                .map(|prefix| prefix.prefix().unwrap().to_owned()),
        );
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            break;
        }
    }
    names.sort_unstable();
    assert_eq!(names, ["p/a", "p/b.x", "p/b/", "p/b0", "p/c/"]);

    let first = s3
        .list_objects()
        .bucket(BUCKET)
        .prefix("p/")
        .delimiter("/")
        .max_keys(3)
        .send()
        .await
        .unwrap();
    assert_eq!(first.next_marker(), Some("p/b/"));
    let rest = s3
        .list_objects()
        .bucket(BUCKET)
        .prefix("p/")
        .delimiter("/")
        .marker("p/b/")
        .send()
        .await
        .unwrap();
    assert_eq!(rest.contents()[0].key(), Some("p/b0"));
    assert_eq!(rest.common_prefixes()[0].prefix(), Some("p/c/"));
    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("p/a")
        .send()
        .await
        .unwrap();
    let listed = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("p/a")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.contents()[0].e_tag(), head.e_tag());
    assert_eq!(listed.contents()[0].size(), Some(1));
}

#[tokio::test]
async fn buckets_are_made_listed_and_removed() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    s3.create_bucket().bucket("another").send().await.unwrap();
    let again = s3
        .create_bucket()
        .bucket("another")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(again.is_bucket_already_owned_by_you(), "{again:?}");
    let listed = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed
        .buckets()
        .iter()
        .filter_map(aws_sdk_s3::types::Bucket::name)
        .collect();
    assert_eq!(names, ["another", BUCKET]);
    put(&s3, "k", "1").await;
    let full = s3
        .delete_bucket()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(full.code(), Some("BucketNotEmpty"));
    s3.delete_bucket().bucket("another").send().await.unwrap();
    assert!(
        s3.head_bucket()
            .bucket("another")
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_not_found()
    );
    let missing = s3
        .put_object()
        .bucket("another")
        .key("k")
        .body(vec![1].into())
        .send()
        .await
        .unwrap_err();
    assert_eq!(missing.into_service_error().code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let cloud = Cloud::with_s3_only().await;
    let stranger = s3_client(&cloud.running.s3_url(), "guess");
    let error = stranger
        .list_buckets()
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));
}
