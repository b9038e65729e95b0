//! S3 as the real SDK sees it, and what Hadoop's S3A needs of it.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod common;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, EncodingType,
    MetadataDirective, ObjectIdentifier,
};
use common::{BUCKET, Cloud, s3_client};

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

#[tokio::test]
async fn an_object_comes_back_with_all_that_was_stored() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let request = s3
        .put_object()
        .bucket(BUCKET)
        .key("a/b")
        .body(b"hello".to_vec().into());
    let request = request
        .content_type("text/plain")
        .content_encoding("identity")
        .metadata("Origin", "test");
    let stored = request.send().await.unwrap();
    assert_eq!(stored.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert!(
        stored.checksum_crc32().is_some(),
        "the SDK sends one by default"
    );

    let got = s3
        .get_object()
        .bucket(BUCKET)
        .key("a/b")
        .send()
        .await
        .unwrap();
    assert_eq!(got.e_tag(), stored.e_tag());
    assert_eq!(got.checksum_crc32(), stored.checksum_crc32());
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.metadata().unwrap()["origin"], "test");
    assert_eq!(got.content_length(), Some(5));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("a/b")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (head.e_tag(), head.content_length()),
        (stored.e_tag(), Some(5))
    );
    assert_eq!(
        std::fs::read(cloud.root.path().join(BUCKET).join("a/b")).unwrap(),
        b"hello"
    );
}

#[tokio::test]
async fn a_streamed_body_with_a_trailing_checksum_is_stored_without_its_framing() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let bytes: Vec<u8> = (0..=250).cycle().take(3 * MIB).collect();
    let file = cloud.root.path().join("source");
    std::fs::write(&file, &bytes).unwrap();
    for algorithm in [
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Crc64Nvme,
    ] {
        let body = ByteStream::from_path(&file).await.unwrap();
        let request = s3
            .put_object()
            .bucket(BUCKET)
            .key("big")
            .checksum_algorithm(algorithm)
            .body(body);
        request.send().await.unwrap();
        assert!(get(&s3, "big").await == bytes);
    }
}

#[tokio::test]
async fn a_body_that_fails_its_checksum_leaves_the_object_as_it_was() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    put(&s3, "k", "old").await;
    let request = s3
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(b"new".to_vec().into());
    let error = request
        .checksum_crc32("AAAAAA==")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("BadDigest"));
    let request = s3
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(b"new".to_vec().into());
    let error = request
        .content_md5("1B2M2Y8AsgTpgAmY7PhCfg==")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("BadDigest"));
    assert_eq!(get(&s3, "k").await, b"old");
    assert_eq!(
        std::fs::read_dir(cloud.root.path().join(".spillway/drafts"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    put(&s3, "a/b/c", "1").await;
    for folder in ["a", "a/", "a/b", "a/b/", "a/b/c/", "a/b/c/d"] {
        assert!(!exists(&s3, folder).await, "{folder}");
        let error = s3
            .get_object()
            .bucket(BUCKET)
            .key(folder)
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        assert!(error.is_no_such_key(), "{folder}: {error:?}");
    }
}

#[tokio::test]
async fn any_key_that_s3_takes_is_kept_as_it_is() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let (long_name, long_path) = ("n".repeat(1000), "p/".repeat(511));
    let mut all = vec![
        "a",
        "a/",
        "a/b",
        "a/b/c",
        "a/b/",
        "a//b",
        "/a",
        "x=1/y=2/.part-0_tmp_1",
        "ü/日本",
        "sp ace/+%25&?#",
        "../up",
        "./here",
        "dir/../x",
        "a\u{1}b",
        &long_name,
        &long_path,
    ];
    for key in &all {
        put(&s3, key, format!("at {key}")).await;
    }
    for key in &all {
        assert_eq!(
            get(&s3, key).await,
            format!("at {key}").into_bytes(),
            "{key}"
        );
    }
    all.sort_unstable();
    let listed = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    let listed: Vec<String> = listed
        .contents()
        .iter()
        .map(|object| object.key().unwrap().to_owned())
        .collect();
    assert_eq!(listed.len(), all.len());
    assert!(
        listed.contains(&"sp%20ace/%2B%2525%26%3F%23".to_owned()),
        "{listed:?}"
    );

    let cloud = cloud.restart().await;
    let s3 = cloud.s3();
    for key in &all {
        assert_eq!(
            get(&s3, key).await,
            format!("at {key}").into_bytes(),
            "after a restart: {key}"
        );
        s3.delete_object()
            .bucket(BUCKET)
            .key(*key)
            .send()
            .await
            .unwrap();
        assert!(!exists(&s3, key).await, "{key}");
    }
    assert_eq!(
        std::fs::read_dir(cloud.root.path().join(BUCKET))
            .unwrap()
            .count(),
        0,
        "no folder is left"
    );
}

#[tokio::test]
async fn an_object_that_was_replaced_is_replaced_for_good() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    // `a` lies aside while there is `a/b`, then at its own path.
    put(&s3, "a/b", "1").await;
    put(&s3, "a", "2").await;
    s3.delete_object()
        .bucket(BUCKET)
        .key("a/b")
        .send()
        .await
        .unwrap();
    put(&s3, "a", "3").await;
    assert_eq!(get(&s3, "a").await, b"3");
    let cloud = cloud.restart().await;
    assert_eq!(get(&cloud.s3(), "a").await, b"3");
    assert_eq!(keys(&cloud.s3(), "").await, ["a"]);
}

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
async fn ranges_are_as_in_rfc_9110() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let bytes: Vec<u8> = (0..=250).cycle().take(MIB).collect();
    put(&s3, "k", bytes.clone()).await;
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-600000", 10, 600_001),
        ("bytes=1048570-", MIB - 6, MIB),
        ("bytes=1048570-99999999", MIB - 6, MIB),
        ("bytes=-5", MIB - 5, MIB),
        ("bytes=-99999999", 0, MIB),
    ] {
        let answer = s3
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .range(range)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.content_range(),
            Some(format!("bytes {from}-{}/{MIB}", to - 1).as_str()),
            "{range}"
        );
        assert!(
            answer.body.collect().await.unwrap().to_vec() == bytes[from..to],
            "{range}"
        );
    }
    let error = s3
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range("bytes=1048576-")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("InvalidRange"));
}

#[tokio::test]
async fn conditions_decide_on_reads_and_writes() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    let write = |body: &str| {
        s3.put_object()
            .bucket(BUCKET)
            .key("k")
            .body(body.as_bytes().to_vec().into())
    };
    let first = write("1").if_none_match("*").send().await.unwrap();
    let tag = first.e_tag().unwrap();
    let refused = write("2").if_none_match("*").send().await.unwrap_err();
    assert_eq!(
        refused.into_service_error().code(),
        Some("PreconditionFailed")
    );
    write("2").if_match(tag).send().await.unwrap();
    let refused = write("3").if_match(tag).send().await.unwrap_err();
    assert_eq!(
        refused.into_service_error().code(),
        Some("PreconditionFailed")
    );
    let read = s3
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .if_match(tag)
        .send()
        .await
        .unwrap_err();
    assert_eq!(read.into_service_error().code(), Some("PreconditionFailed"));
    assert_eq!(get(&s3, "k").await, b"2");
}

#[tokio::test]
async fn objects_are_copied_and_deleted_in_bulk() {
    let cloud = Cloud::with_s3_only().await;
    let s3 = cloud.s3();
    s3.put_object()
        .bucket(BUCKET)
        .key("a")
        .body(b"x".to_vec().into())
        .metadata("m", "1")
        .send()
        .await
        .unwrap();
    let copy = |to: &str| {
        s3.copy_object()
            .bucket(BUCKET)
            .key(to)
            .copy_source(format!("{BUCKET}/a"))
    };
    copy("b/c").send().await.unwrap();
    copy("a")
        .metadata_directive(MetadataDirective::Replace)
        .metadata("m", "2")
        .send()
        .await
        .unwrap();
    for (key, value) in [("b/c", "1"), ("a", "2")] {
        let head = s3
            .head_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap();
        assert_eq!(head.metadata().unwrap()["m"], value);
        assert_eq!(get(&s3, key).await, b"x");
    }
    let id = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder()
        .objects(id("a"))
        .objects(id("b/c"))
        .objects(id("never"))
        .build()
        .unwrap();
    let deleted = s3
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete)
        .send()
        .await
        .unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    assert_eq!(keys(&s3, "").await, Vec::<String>::new());
}

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
