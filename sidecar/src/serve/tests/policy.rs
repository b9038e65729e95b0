//! The policy, read and changed while the sidecar runs.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::server::{Answer, Server};
use super::{burst, report};
use crate::config::Config;
use crate::divert::tests::fake::FakeFunction;

async fn patch(server: &Server, etag: &str, body: &Value) -> Answer {
    let headers = [
        ("content-type", "application/merge-patch+json"),
        ("if-match", etag),
    ];
    server
        .send("PATCH", "/v1/policy", &headers, body.to_string())
        .await
}

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_policy_in_force_is_shown_with_its_version() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    let answer = server.get("/v1/policy").await;
    let policy = answer.json();
    assert_eq!(policy["policy"]["mode"], "burst");
    assert_eq!(policy["policy"]["engage_hold"], "200ms");
    assert_eq!(policy["configured"], policy["policy"]);
    assert_eq!(policy["changed_ms"], Value::Null);
    assert_eq!(etag(&answer), format!("{}", policy["version"]));
}

#[tokio::test]
async fn a_change_tells_old_and_new_value_and_steers_the_next_directive() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    assert_eq!(server.report(&report(0)).await.json()["divert"], true);
    let before = server.get("/v1/policy").await;
    let changed = patch(&server, &etag(&before), &json!({"mode": "local"})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(
        changed.json()["changed"],
        json!([{"key": "mode", "old": "burst", "new": "local"}])
    );
    assert_eq!(changed.json()["configured"]["mode"], "burst");
    assert_ne!(etag(&changed), etag(&before));
    assert_eq!(server.report(&report(1)).await.json()["divert"], false);
    assert_eq!(etag(&server.get("/v1/policy").await), etag(&changed));
}

#[tokio::test]
async fn a_patch_that_changes_nothing_keeps_the_version() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    let answer = patch(&server, "*", &json!({"mode": "burst"})).await;
    assert_eq!(answer.json()["changed"], json!([]));
    assert_eq!(etag(&answer), etag(&server.get("/v1/policy").await));
}

#[tokio::test]
async fn an_invalid_patch_is_refused_with_all_reasons_and_changes_nothing() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let before = server.get("/v1/policy").await;
    let invalid =
        json!({"engage_utilization": 0.5, "min_rate": -1, "speed": 9, "lease": 2, "mode": "local"});
    let answer = patch(&server, &etag(&before), &invalid).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid-policy")
    );
    let reasons = answer.json()["reasons"].to_string();
    for key in ["engage_utilization", "min_rate", "speed", "lease"] {
        assert!(
            reasons.contains(&format!("policy.{key}")),
            "{key}: {reasons}"
        );
    }
    let after = server.get("/v1/policy").await;
    assert_eq!((etag(&after), after.text), (etag(&before), before.text));
}

#[tokio::test]
async fn of_two_operators_who_saw_the_same_policy_the_second_is_refused() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let seen = etag(&server.get("/v1/policy").await);
    let first = patch(&server, &seen, &json!({"target_utilization": 0.8})).await;
    assert_eq!(first.status, StatusCode::OK);
    let second = patch(&server, &seen, &json!({"engage_utilization": 0.85})).await;
    assert_eq!(
        (second.status, second.slug().as_str()),
        (StatusCode::PRECONDITION_FAILED, "policy-changed")
    );
    let policy = server.get("/v1/policy").await.json();
    assert_eq!(policy["policy"]["engage_utilization"], 0.9);
    for (tag, status) in [
        (seen.replace('"', ""), StatusCode::PRECONDITION_FAILED),
        (format!("W/{seen}"), StatusCode::PRECONDITION_FAILED),
        (format!("{seen}, {}", etag(&first)), StatusCode::OK),
    ] {
        let answer = patch(&server, &tag, &json!({"mode": "local"})).await;
        assert_eq!(answer.status, status, "{tag}");
    }
}

#[tokio::test]
async fn a_change_without_a_precondition_is_refused() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let json = [("content-type", "application/json")];
    let answer = server.send("PATCH", "/v1/policy", &json, "{}").await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::PRECONDITION_REQUIRED, "precondition-required")
    );
}

#[tokio::test]
async fn a_body_that_is_no_merge_patch_is_refused() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    for body in ["", "[]", "7", "null", "{\"mode\":", "\u{feff}{}"] {
        let headers = [("content-type", "application/json"), ("if-match", "*")];
        let answer = server.send("PATCH", "/v1/policy", &headers, body).await;
        assert_eq!(
            (answer.status, answer.slug().as_str()),
            (StatusCode::BAD_REQUEST, "malformed-patch"),
            "{body}"
        );
    }
    let headers = [("content-type", "text/plain"), ("if-match", "*")];
    let answer = server.send("PATCH", "/v1/policy", &headers, "{}").await;
    assert_eq!(answer.slug(), "unsupported-media-type");
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    let long = format!("{{\"mode\":\"{}\"}}", "a".repeat(70_000));
    let answer = server.send("PATCH", "/v1/policy", &headers, long).await;
    assert_eq!(answer.slug(), "body-too-large");
}
