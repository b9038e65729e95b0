//! Multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use crate::common::{BUCKET, Cloud};
use crate::{MIB, exists, get, keys, put};

async fn begin(s3: &Client, key: &str) -> String {
    let begun = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .metadata("m", "1")
        .send()
        .await
        .unwrap();
    begun.upload_id().unwrap().to_owned()
}

async fn part(s3: &Client, key: &str, id: &str, number: i32, bytes: &[u8]) -> CompletedPart {
    let request = s3
        .upload_part()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .part_number(number);
    let stored = request.body(bytes.to_vec().into()).send().await.unwrap();
    CompletedPart::builder()
        .part_number(number)
        .e_tag(stored.e_tag().unwrap())
        .build()
}

async fn complete(
    s3: &Client,
    key: &str,
    id: &str,
    parts: Vec<CompletedPart>,
) -> Result<String, String> {
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let request = s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .multipart_upload(parts);
    match request.send().await {
        Ok(done) => Ok(done.e_tag().unwrap().to_owned()),
        Err(error) => Err(error.into_service_error().code().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn an_upload_appears_whole_and_only_when_it_is_completed() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    put(&s3, "k", "old").await;
    let id = begin(&s3, "k").await;
    // Not in order, with a gap, and one of them twice.
    let last = part(&s3, "k", &id, 7, b"end").await;
    part(&s3, "k", &id, 2, &vec![0; 5 * MIB]).await;
    let first = part(&s3, "k", &id, 2, &vec![1; 5 * MIB]).await;
    assert_eq!(get(&s3, "k").await, b"old");
    assert_eq!(keys(&s3, "").await, ["k"]);
    let listed = s3
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    let numbers: Vec<_> = listed
        .parts()
        .iter()
        .filter_map(aws_sdk_s3::types::Part::part_number)
        .collect();
    assert_eq!(numbers, [2, 7]);

    let e_tag = complete(&s3, "k", &id, vec![first, last]).await.unwrap();
    assert!(e_tag.ends_with("-2\""), "{e_tag}");
    let mut expected = vec![1; 5 * MIB];
    expected.extend_from_slice(b"end");
    assert!(get(&s3, "k").await == expected);
    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (head.e_tag(), head.metadata().unwrap()["m"].as_str()),
        (Some(e_tag.as_str()), "1")
    );
    assert_eq!(
        complete(&s3, "k", &id, Vec::new()).await,
        Err("NoSuchUpload".to_owned())
    );
}

#[tokio::test]
async fn a_completion_that_is_refused_leaves_the_upload_as_it_was() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let id = begin(&s3, "k").await;
    let small = part(&s3, "k", &id, 1, b"small").await;
    let last = part(&s3, "k", &id, 2, b"last").await;
    let missing = CompletedPart::builder()
        .part_number(3)
        .e_tag("\"00\"")
        .build();
    let foreign = CompletedPart::builder()
        .part_number(1)
        .e_tag("\"00\"")
        .build();
    for (parts, code) in [
        (vec![small.clone(), last.clone()], "EntityTooSmall"),
        (vec![last.clone(), small.clone()], "InvalidPartOrder"),
        (vec![missing], "InvalidPart"),
        (vec![foreign], "InvalidPart"),
    ] {
        assert_eq!(complete(&s3, "k", &id, parts).await, Err(code.to_owned()));
    }
    assert!(!exists(&s3, "k").await);
    complete(&s3, "k", &id, vec![small]).await.unwrap();
    assert_eq!(get(&s3, "k").await, b"small");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let id = begin(&s3, "k").await;
    let only = part(&s3, "k", &id, 1, b"x").await;
    let open = s3
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(open.uploads()[0].upload_id(), Some(id.as_str()));
    s3.abort_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(
        complete(&s3, "k", &id, vec![only]).await,
        Err("NoSuchUpload".to_owned())
    );
    let late = s3
        .upload_part()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .part_number(1)
        .body(b"x".to_vec().into());
    assert_eq!(
        late.send().await.unwrap_err().into_service_error().code(),
        Some("NoSuchUpload")
    );
    assert_eq!(
        std::fs::read_dir(cloud.root.path().join(".spillway/uploads"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_part_can_be_copied_from_an_object() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    put(&s3, "source", "0123456789").await;
    let id = begin(&s3, "k").await;
    let request = s3
        .upload_part_copy()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let copied = request
        .copy_source(format!("{BUCKET}/source"))
        .copy_source_range("bytes=2-5")
        .send()
        .await
        .unwrap();
    let e_tag = copied.copy_part_result().unwrap().e_tag().unwrap();
    let only = CompletedPart::builder().part_number(1).e_tag(e_tag).build();
    complete(&s3, "k", &id, vec![only]).await.unwrap();
    assert_eq!(get(&s3, "k").await, b"2345");
}

#[tokio::test]
async fn a_restart_loses_neither_objects_nor_unfinished_uploads() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    s3.put_object()
        .bucket(BUCKET)
        .key("a")
        .body(b"1".to_vec().into())
        .metadata("m", "1")
        .send()
        .await
        .unwrap();
    put(&s3, "gone", "1").await;
    s3.delete_object()
        .bucket(BUCKET)
        .key("gone")
        .send()
        .await
        .unwrap();
    let id = begin(&s3, "k").await;
    let first = part(&s3, "k", &id, 1, &vec![1; 5 * MIB]).await;
    let before = s3
        .head_object()
        .bucket(BUCKET)
        .key("a")
        .send()
        .await
        .unwrap();

    let cloud = cloud.restart().await;
    let s3 = cloud.s3();
    let after = s3
        .head_object()
        .bucket(BUCKET)
        .key("a")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (after.e_tag(), after.last_modified()),
        (before.e_tag(), before.last_modified())
    );
    assert_eq!(after.metadata().unwrap()["m"], "1");
    assert_eq!(keys(&s3, "").await, ["a"]);
    let last = part(&s3, "k", &id, 2, b"end").await;
    complete(&s3, "k", &id, vec![first, last]).await.unwrap();
    assert_eq!(get(&s3, "k").await.len(), 5 * MIB + 3);
}
