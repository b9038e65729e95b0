//! The function's settings, from the environment.

use crate::destination::{Destination, InvalidDestination};
use crate::store::{S3Settings, StaticCredentials};

/// Variables that Lambda sets, and without which its runtime cannot be reached.
const RUNTIME: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Everything the function is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) destination: Destination,
    pub(crate) s3: S3Settings,
    /// The function's name, if its metrics are to be published.
    pub(crate) metrics_of: Option<String>,
}

/// Why the function cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("SPILLWAY_DESTINATION is not set: set it to s3://bucket/prefix")]
    NoDestination,
    #[error("SPILLWAY_DESTINATION: {0}")]
    Destination(#[from] InvalidDestination),
    #[error("{0} is not set: run this in AWS Lambda, spillway-local-cloud or cargo lambda")]
    NoRuntime(&'static str),
    #[error("AWS_LAMBDA_FUNCTION_MEMORY_SIZE={0:?} is not a number of megabytes")]
    Memory(String),
    #[error("SPILLWAY_METRICS={0:?} is not known: set it to emf or off")]
    Metrics(String),
    #[error("{0} is not set: Lambda sets it from the function's role; elsewhere set it yourself")]
    NoCredentials(&'static str),
    #[error("AWS_REGION is not set: set it to the region of the bucket")]
    NoRegion,
}

impl Settings {
    /// Reads the settings; `variable` gives the value of an environment variable.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let destination = variable("SPILLWAY_DESTINATION")
            .ok_or(SettingsError::NoDestination)?
            .parse()?;
        for name in RUNTIME {
            variable(name).ok_or(SettingsError::NoRuntime(name))?;
        }
        let memory = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").unwrap_or_default();
        if memory.parse::<i32>().is_err() {
            return Err(SettingsError::Memory(memory));
        }
        let region = variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .ok_or(SettingsError::NoRegion)?;
        let metrics_of = match variable("SPILLWAY_METRICS").as_deref() {
            None | Some("off") => None,
            Some("emf") => variable("AWS_LAMBDA_FUNCTION_NAME"),
            Some(other) => return Err(SettingsError::Metrics(other.into())),
        };
        let endpoint_url = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let credential = |name| variable(name).ok_or(SettingsError::NoCredentials(name));
        let credentials = StaticCredentials {
            access_key_id: credential("AWS_ACCESS_KEY_ID")?,
            secret_access_key: credential("AWS_SECRET_ACCESS_KEY")?,
            session_token: variable("AWS_SESSION_TOKEN"),
        };
        Ok(Self {
            destination,
            s3: S3Settings {
                region,
                endpoint_url,
                credentials,
            },
            metrics_of,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(changes: &[(&'static str, Option<&'static str>)]) -> Result<Settings, SettingsError> {
        let mut variables = HashMap::from([
            ("SPILLWAY_DESTINATION", "s3://data/spillway"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_LAMBDA_FUNCTION_NAME", "spillway-burst"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]);
        for (name, value) in changes {
            match value {
                Some(value) => variables.insert(name, value),
                None => variables.remove(name),
            };
        }
        Settings::read(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn what_lambda_sets_and_a_destination_are_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.destination.bucket(), "data");
        assert_eq!(settings.s3.region, "eu-central-1");
        assert_eq!(settings.s3.endpoint_url, None);
        let credentials = settings.s3.credentials;
        assert_eq!(credentials.secret_access_key, "secret");
        assert_eq!(credentials.session_token, None);
    }

    #[test]
    fn the_endpoint_of_s3_goes_before_the_general_one() {
        let general = ("AWS_ENDPOINT_URL", Some("http://general"));
        let s3 = ("AWS_ENDPOINT_URL_S3", Some("http://s3"));
        let endpoint = |changes: &[_]| read(changes).unwrap().s3.endpoint_url.unwrap();
        assert_eq!(endpoint(&[general]), "http://general");
        assert_eq!(endpoint(&[general, s3]), "http://s3");
    }

    #[test]
    fn metrics_are_published_only_if_asked_for_and_a_typing_error_is_no_silence() {
        let metrics = |value| read(&[("SPILLWAY_METRICS", value)]);
        assert_eq!(metrics(None).unwrap().metrics_of, None);
        assert_eq!(metrics(Some("off")).unwrap().metrics_of, None);
        let name = metrics(Some("emf")).unwrap().metrics_of;
        assert_eq!(name.as_deref(), Some("spillway-burst"));
        assert_eq!(
            metrics(Some("EMF")),
            Err(SettingsError::Metrics("EMF".into()))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        use SettingsError::{Memory, NoCredentials, NoDestination, NoRegion, NoRuntime};
        assert_eq!(read(&[("SPILLWAY_DESTINATION", None)]), Err(NoDestination));
        assert_eq!(
            read(&[("SPILLWAY_DESTINATION", Some(""))]),
            Err(NoDestination)
        );
        assert_eq!(read(&[("AWS_REGION", None)]), Err(NoRegion));
        for name in RUNTIME {
            assert_eq!(read(&[(name, None)]), Err(NoRuntime(name)));
        }
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert_eq!(read(&[(name, None)]), Err(NoCredentials(name)));
        }
        let memory = ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Some("much"));
        assert_eq!(read(&[memory]), Err(Memory("much".into())));
        let error = read(&[("SPILLWAY_DESTINATION", Some("data"))]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("SPILLWAY_DESTINATION: \"data\"")
        );
    }
}
