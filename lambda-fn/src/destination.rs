//! Where partials go.

use std::str::FromStr;

use spillway_core::ids::JobName;

/// A bucket and the prefix under which every job has its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    bucket: String,
    /// Without slashes at its ends; may be empty.
    prefix: String,
}

/// A destination that is not `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no destination ({problem}): expected s3://bucket/prefix")]
pub(crate) struct InvalidDestination {
    given: String,
    problem: &'static str,
}

impl Destination {
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The full key of an object of a job, given its key within the job's folder.
    pub(crate) fn key(&self, job: &JobName, object: &str) -> String {
        if self.prefix.is_empty() {
            format!("{job}/{object}")
        } else {
            format!("{}/{job}/{object}", self.prefix)
        }
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(s: &str) -> Result<Self, InvalidDestination> {
        let invalid = |problem| InvalidDestination {
            given: s.into(),
            problem,
        };
        let rest = s
            .strip_prefix("s3://")
            .ok_or(invalid("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let in_bucket = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(in_bucket) {
            return Err(invalid("no bucket is called so"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains(char::is_control);
        if !prefix.is_empty() && prefix.split('/').any(odd) {
            return Err(invalid("the prefix has an empty, a '.' or a '..' part"));
        }
        Ok(Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lie_in_the_folder_of_their_job_under_the_prefix() {
        let job = "wordcount".parse().unwrap();
        for (given, key) in [
            ("s3://data", "wordcount/partials/x"),
            ("s3://data/", "wordcount/partials/x"),
            ("s3://data/spillway", "spillway/wordcount/partials/x"),
            ("s3://data/a/b/", "a/b/wordcount/partials/x"),
        ] {
            let destination: Destination = given.parse().unwrap();
            assert_eq!(destination.bucket(), "data");
            assert_eq!(destination.key(&job, "partials/x"), key, "{given}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for given in [
            "",
            "data/prefix",
            "file:///data",
            "s3:///prefix",
            "s3://ab",
            "s3://Data/prefix",
            "s3://data//prefix",
            "s3://data/a/../b",
            "s3://data/a//",
            "s3://data/a\nb",
        ] {
            assert!(given.parse::<Destination>().is_err(), "{given:?}");
        }
    }
}
