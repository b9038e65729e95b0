//! Where a job's folder is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A folder: `s3://bucket/prefix`, `file:///path`, or a plain path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A prefix in an S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix without slashes around it; empty for the whole bucket.
        prefix: String,
    },
    /// A directory of this machine.
    Directory(PathBuf),
}

impl Location {
    /// The folder `name` in this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::S3 { bucket, prefix } => {
                let bucket = bucket.clone();
                let prefix = if prefix.is_empty() {
                    name.to_owned()
                } else {
                    format!("{prefix}/{name}")
                };
                Self::S3 { bucket, prefix }
            }
            Self::Directory(path) => Self::Directory(path.join(name)),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let usage = |why: &str| {
            let message = format!(
                "location {text:?}: {why}; expected s3://bucket/prefix/job, file:///path or a path"
            );
            Err(Error::new(ErrorKind::Usage, message))
        };
        // Flink's Hadoop filesystem calls the same place s3a.
        let s3 = ["s3://", "s3a://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        if let Some(rest) = s3 {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return usage("it names no bucket");
            }
            return Ok(Self::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix("file:") {
            // file:///path and file:/path are the same; file://host/path is another machine's.
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if !path.starts_with('/') {
                return usage("a file location is absolute");
            }
            return Ok(Self::Directory(path.into()));
        }
        if text.is_empty() {
            return usage("it is empty");
        }
        if text.contains("://") {
            return usage("unknown scheme");
        }
        Ok(Self::Directory(text.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_and_a_prefix_are_told_apart_whatever_the_slashes() {
        let expected = Location::S3 {
            bucket: "b".into(),
            prefix: "out/job".into(),
        };
        for text in ["s3://b/out/job", "s3://b/out/job/", "s3a://b//out/job"] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("s3://b").to_string(), "s3://b");
        assert_eq!(parse("s3://b").join("final").to_string(), "s3://b/final");
        assert_eq!(expected.join("final").to_string(), "s3://b/out/job/final");
    }

    #[test]
    fn files_come_as_uri_or_as_path() {
        for text in ["file:///tmp/job", "file:/tmp/job", "/tmp/job"] {
            assert_eq!(
                parse(text),
                Location::Directory("/tmp/job".into()),
                "{text}"
            );
        }
        assert_eq!(
            parse("out/job").join("final"),
            Location::Directory("out/job/final".into())
        );
    }

    #[test]
    fn other_places_are_refused() {
        for text in ["", "s3://", "s3:///x", "gs://b/x", "file://host/x"] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        }
    }
}
