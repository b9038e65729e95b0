//! Single objects.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, Delete, EncodingType, MetadataDirective, ObjectIdentifier,
};

use crate::common::{BUCKET, Cloud};
use crate::{MIB, exists, get, keys, put};

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
