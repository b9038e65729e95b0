//! A running sidecar, from the command line.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Arg, ArgMatches, Command};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{Method, Request, StatusCode, Uri, request};
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::causes;
use crate::config;
use crate::failure::{ExitCode, Failure};

/// The status of a valve with 4096 subtasks has some 4 MB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A sidecar that answers over HTTP.
pub(super) struct Remote {
    transport: Transport,
    base: String,
    token: Option<String>,
    timeout: Duration,
}

/// Certificates are read only for a URL that needs them: it takes longer than all the rest.
enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// What it answered, if that was no error.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) json: Value,
    /// The version of what was answered, for `If-Match`.
    pub(super) etag: Option<String>,
}

/// Adds to `command` what says where the sidecar is.
pub(super) fn add(command: Command) -> Command {
    let heading = "Which sidecar";
    let url = Arg::new("url")
        .long("url")
        .value_name("URL")
        .env("SPILLWAY_URL")
        .default_value("http://127.0.0.1:7077")
        .help("Where the sidecar listens")
        .help_heading(heading);
    let token_file = Arg::new("token-file")
        .long("token-file")
        .value_name("FILE")
        .env("SPILLWAY_TOKEN_FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(
            "File whose first line is the bearer token; or put the token itself in SPILLWAY_TOKEN",
        )
        .help_heading(heading);
    let patience = Arg::new("timeout")
        .long("timeout")
        .value_name("DURATION")
        .env("SPILLWAY_TIMEOUT")
        .value_parser(timeout)
        .default_value("5s")
        .help("How long to wait for an answer")
        .help_heading(heading);
    command.args([url, token_file, patience])
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("give a time above 0".into()),
        Ok(timeout) => Ok(timeout),
        Err(error) => Err(error.to_string()),
    }
}

impl Remote {
    /// The sidecar that the arguments of [`add`] and `SPILLWAY_TOKEN` name.
    pub(super) fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let url = matches.get_one::<String>("url").map_or("", String::as_str);
        let base = base(url)?;
        let token = match matches.get_one::<PathBuf>("token-file") {
            Some(path) => Some(config::token_in(path)?),
            None => std::env::var("SPILLWAY_TOKEN")
                .ok()
                .filter(|token| !token.is_empty()),
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let builder = Client::builder(TokioExecutor::new());
        let transport = if base.starts_with("https:") {
            let tls = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| {
                    let message = format!("cannot read the machine's root certificates: {error}");
                    Failure::new(ExitCode::Unavailable, message)
                })?
                .https_only()
                .enable_http1()
                .wrap_connector(http);
            Transport::Tls(builder.build(tls))
        } else {
            Transport::Plain(builder.build(http))
        };
        Ok(Self {
            transport,
            base,
            token,
            timeout: matches
                .get_one::<Duration>("timeout")
                .copied()
                .unwrap_or(Duration::from_secs(5)),
        })
    }

    /// The sidecar's URL.
    pub(super) fn url(&self) -> &str {
        &self.base
    }

    /// Sends a GET to `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.exchange(Method::GET, path, None).await
    }

    /// Sends a PATCH to `path` with a JSON merge patch, if it is still of the version `etag`.
    pub(super) async fn patch(
        &self,
        path: &str,
        changes: &Value,
        etag: &str,
    ) -> Result<Answer, Failure> {
        self.exchange(Method::PATCH, path, Some((changes, etag)))
            .await
    }

    /// Opens the stream at `path`. What comes of it, and for how long, has no time limit.
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        let request = self.authorized(Method::GET, path).body(Full::default());
        let request = request.map_err(|_| unsendable())?;
        let opened = tokio::time::timeout(self.timeout, self.send(request)).await;
        let response = opened
            .map_err(|_| self.unreachable(&format!("no answer within {:?}", self.timeout)))?
            .map_err(|error| self.unreachable(&causes::root(&error)))?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let problem = Limited::new(body, MAX_ANSWER).collect();
        let problem = tokio::time::timeout(self.timeout, problem).await;
        let problem = problem.ok().and_then(Result::ok).map(Collected::to_bytes);
        let problem = serde_json::from_slice(&problem.unwrap_or_default()).unwrap_or_default();
        Err(self.refused(parts.status, path, &problem))
    }

    fn authorized(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        merge: Option<(&Value, &str)>,
    ) -> Result<Answer, Failure> {
        let mut request = self.authorized(method, path);
        let mut body = Bytes::new();
        if let Some((changes, etag)) = merge {
            request = request
                .header(CONTENT_TYPE, "application/merge-patch+json")
                .header(IF_MATCH, etag);
            body = changes.to_string().into();
        }
        let request = request.body(Full::new(body)).map_err(|_| unsendable())?;
        let exchange = async {
            let response = self
                .send(request)
                .await
                .map_err(|error| self.unreachable(&causes::root(&error)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| self.unreachable(&format!("the answer broke off: {error}")))?
                .to_bytes();
            Ok((parts, body))
        };
        let (parts, body) = tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(self.unreachable(&format!("no answer within {:?}", self.timeout)))
            })?;
        let json = serde_json::from_slice(&body);
        if !parts.status.is_success() {
            return Err(self.refused(parts.status, path, &json.unwrap_or_default()));
        }
        let json = json.map_err(|_| {
            let message = format!(
                "what answers at {} is no spillway sidecar: check --url (SPILLWAY_URL)",
                self.base
            );
            Failure::new(ExitCode::Protocol, message)
        })?;
        let etag = parts.headers.get(ETAG);
        Ok(Answer {
            json,
            etag: etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
        })
    }

    fn send(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match &self.transport {
            Transport::Plain(client) => client.request(request),
            Transport::Tls(client) => client.request(request),
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let message = format!(
            "cannot reach the sidecar at {}: {why}; start it with `spillway run`, or say where it is with --url (SPILLWAY_URL)",
            self.base
        );
        Failure::new(ExitCode::Unavailable, message)
    }

    /// What an error answer, an RFC 9457 problem, means for the user.
    fn refused(&self, status: StatusCode, path: &str, problem: &Value) -> Failure {
        let base = &self.base;
        let detail = problem["detail"].as_str().unwrap_or("it does not say why");
        let (code, message) = match status {
            StatusCode::UNAUTHORIZED if self.token.is_some() => (
                ExitCode::Permission,
                format!(
                    "the sidecar at {base} does not accept this token: check SPILLWAY_TOKEN or --token-file (SPILLWAY_TOKEN_FILE)"
                ),
            ),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                ExitCode::Permission,
                format!(
                    "the sidecar at {base} wants a token: set SPILLWAY_TOKEN or --token-file (SPILLWAY_TOKEN_FILE)"
                ),
            ),
            StatusCode::PRECONDITION_FAILED => {
                (ExitCode::Temporary, format!("not changed: {detail}"))
            }
            StatusCode::UNPROCESSABLE_ENTITY => (ExitCode::Data, format!("not changed: {detail}")),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => (
                ExitCode::Protocol,
                format!(
                    "what answers at {base} does not know {path}: is it a sidecar, and of this version?"
                ),
            ),
            _ => (
                ExitCode::Unavailable,
                format!("the sidecar at {base} answered {status} to {path}: {detail}"),
            ),
        };
        Failure::new(code, message)
    }
}

/// Of a request, the token is the only part that the user has written and that was not checked yet.
fn unsendable() -> Failure {
    let message = "the token cannot be sent: it has characters that no header may have";
    Failure::new(ExitCode::Usage, message)
}

/// The URL without a slash at its end.
fn base(url: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Err(Failure::new(ExitCode::Usage, format!("--url: {why}")));
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("not a URL; give one such as http://127.0.0.1:7077");
    };
    let Some(authority) = uri.authority() else {
        return wrong("give a URL such as http://127.0.0.1:7077");
    };
    // Not repeated: it has a password in it.
    if authority.as_str().contains('@') {
        return wrong("a URL must not carry credentials; the token goes into SPILLWAY_TOKEN");
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
        return wrong("give a URL such as http://127.0.0.1:7077");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_carries_credentials_is_refused_without_repeating_them() {
        let failure = base("http://user:hunter2@host:7077").unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(!failure.message.contains("hunter2"));
    }

    #[test]
    fn only_a_plain_http_url_will_do() {
        for bad in [
            "",
            "/",
            "localhost:7077",
            "ftp://h",
            "http://",
            "http://h/?x=1",
            "http://h h",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
        assert_eq!(base("https://h/spillway/").unwrap(), "https://h/spillway");
    }
}
