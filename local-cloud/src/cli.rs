//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use spillway_local_cloud::{Config, FunctionConfig};

/// Lambda and S3 on loopback, for development and tests only.
#[derive(Debug, Parser)]
#[command(name = "spillway-local-cloud", version)]
pub(crate) struct Cli {
    /// Folder for S3 objects; made if missing.
    #[arg(long, value_name = "DIR")]
    s3_root: PathBuf,
    /// Bucket to make if missing; may be given several times.
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// Function and its binary; may be given several times.
    #[arg(long = "function", value_name = "NAME=BINARY", value_parser = pair)]
    functions: Vec<(String, String)>,
    /// Environment variable for the functions; may be given several times.
    #[arg(long = "function-env", value_name = "NAME=VALUE", value_parser = pair)]
    function_env: Vec<(String, String)>,
    /// Memory that functions are told they have, in MB.
    #[arg(long, value_name = "MB", default_value_t = 1769, value_parser = clap::value_parser!(u32).range(128..=10240))]
    memory_mb: u32,
    /// How long an invocation may take.
    #[arg(long, default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// How many invocations of a function may run at once; more get 429.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Delay added to each cold start.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    cold_start: Duration,
    /// How long an instance without work is kept.
    #[arg(long, default_value = "60s", value_parser = duration)]
    idle_timeout: Duration,
    /// Port of Lambda on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    lambda_port: u16,
    /// Port of S3 on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    s3_port: u16,
    /// File that gets the process id and both URLs as JSON once everything is up.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

impl Cli {
    /// What to serve. A binary's path is made absolute, so that it is the same one for ever.
    ///
    /// # Errors
    /// A binary is missing or no executable file: one sentence.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let functions = self
            .functions
            .iter()
            .map(|(name, binary)| self.function(name, binary));
        Ok(Config {
            s3_root: self.s3_root.clone(),
            buckets: self.buckets.clone(),
            functions: functions.collect::<Result<_, _>>()?,
            lambda_port: self.lambda_port,
            s3_port: self.s3_port,
        })
    }

    fn function(&self, name: &str, binary: &str) -> Result<FunctionConfig, String> {
        use std::os::unix::fs::PermissionsExt;
        let failed = |what: &str| {
            format!("function {name}: {binary} {what}; build it first or correct --function")
        };
        let path = std::fs::canonicalize(binary)
            .map_err(|error| failed(&format!("cannot be read ({error})")))?;
        let metadata = path
            .metadata()
            .map_err(|error| failed(&format!("cannot be read ({error})")))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(failed("is not an executable file"));
        }
        Ok(FunctionConfig {
            name: name.to_owned(),
            binary: path,
            environment: self.function_env.clone(),
            memory_mb: self.memory_mb,
            timeout: self.timeout,
            concurrency: usize::from(self.concurrency),
            cold_start: self.cold_start,
            idle_timeout: self.idle_timeout,
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// A number with unit: `250ms`, `1.5s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let help = || "write it as a number with unit: 250ms, 1.5s, 2m".to_owned();
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(help)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| help())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(help()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| help())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["10", "", "s", "-1s", "1h30", "1e999s", "NaNs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_missing_binary_is_named() {
        let cli = Cli::parse_from([
            "x",
            "--s3-root",
            "/tmp",
            "--function",
            "burst=/no/such/binary",
        ]);
        let message = cli.config().unwrap_err();
        assert!(
            message.contains("burst") && message.contains("/no/such/binary"),
            "{message}"
        );
    }
}
