//! Everything again over HTTP, against the S3 of local-cloud.

use std::fs;
use std::process::{Command, Output};

use crate::common::{Job, books, counts};
use spillway_local_cloud::{ACCESS_KEY, Config, LocalCloud, REGION, SECRET_KEY};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An S3 with one bucket, in which a job's files are under `out/job`.
struct S3 {
    runtime: Runtime,
    cloud: Option<LocalCloud>,
    url: String,
    _temp_dir: TempDir,
}

impl S3 {
    /// Starts with the files of `job` in place.
    fn start(job: &Job) -> Self {
        let temp_dir = tempfile::tempdir().unwrap();
        let target = temp_dir.path().join("s3/bucket/out/job");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::rename(job.path(), target).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = Config {
            s3_root: temp_dir.path().join("s3"),
            buckets: vec!["bucket".into()],
            functions: Vec::new(),
            lambda_port: 0,
            s3_port: 0,
        };
        let cloud = runtime.block_on(LocalCloud::start(config)).unwrap();
        let url = cloud.s3_url();
        Self {
            runtime,
            cloud: Some(cloud),
            url,
            _temp_dir: temp_dir,
        }
    }

    fn command(&self, secret: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_spillway-reconcile"))
            .args(args)
            .args(["--endpoint-url", &self.url])
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", REGION)
            .output()
            .unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.command(SECRET_KEY, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, code: i32, secret: &str, args: &[&str]) -> String {
        let output = self.command(secret, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(cloud) = self.cloud.take() {
            self.runtime.block_on(cloud.stop());
        }
    }
}

const LOCATION: &str = "s3://bucket/out/job";

#[test]
fn run_export_and_gc_do_the_same_as_on_files() {
    let job = Job::balanced();
    job.run();
    let expected = job.csv();
    fs::remove_dir_all(job.file("final")).unwrap();
    let orphan = job.put_partial(4, &[(0, "orphan")]);
    let s3 = S3::start(&job);

    let sheet = s3.ok(&["run", "--location", LOCATION]);
    assert!(sheet.contains("Balanced"), "{sheet}");
    assert_eq!(s3.ok(&["export", "--location", LOCATION]), expected);
    let said = s3.ok(&["gc", "--location", LOCATION, "--grace", "0s"]);
    assert!(said.contains(&format!("remove {}", orphan.batch)), "{said}");
    assert!(
        s3.ok(&["gc", "--location", LOCATION, "--grace", "0s"])
            .starts_with("0 orphans")
    );
    let again = s3.ok(&["run", "--location", LOCATION]);
    assert!(again.contains("Balanced"), "{again}");
    assert_eq!(s3.ok(&["export", "--location", LOCATION]), expected);
}

#[test]
fn long_listings_and_large_objects_come_in_pieces() {
    let job = Job::balanced();
    // More than a page of a listing, and more than one read.
    for n in 0..1100 {
        job.put(&format!("partials/x/{n}"), "");
    }
    let rows: String = (0..400_000).fold(String::new(), |rows, n| {
        rows + &format!("2000\t1\t0\t1\tw{}\n", n % 1000)
    });
    job.put("local/part-1", rows);
    let windows = [counts(2000, 400_000, 400_000, 0)];
    job.put_ledger("part-1", &[books(Some((1, 0)), &windows).to_line()]);
    let s3 = S3::start(&job);
    let sheet = s3.ok(&["run", "--location", LOCATION]);
    assert!(sheet.contains("1 100   objects in partials/"), "{sheet}");
    let csv = s3.ok(&["export", "--location", LOCATION]);
    assert_eq!(
        csv.lines()
            .filter(|line| line.starts_with("2000,") && line.ends_with(",400"))
            .count(),
        1000
    );
}

#[test]
fn a_wrong_bucket_folder_secret_or_port_is_one_line_with_its_exit_code() {
    let s3 = S3::start(&Job::balanced());
    let said = s3.fails(
        66,
        SECRET_KEY,
        &["run", "--location", "s3://nonesuch/out/job"],
    );
    assert!(said.contains("no such bucket"), "{said}");
    let said = s3.fails(
        66,
        SECRET_KEY,
        &["run", "--location", "s3://bucket/out/nonesuch"],
    );
    assert!(
        said.contains("no committed ledger in s3://bucket/out/nonesuch/ledger/"),
        "{said}"
    );
    let said = s3.fails(77, "wrong", &["run", "--location", LOCATION]);
    assert!(said.contains("access denied"), "{said}");
    let mut gone = S3::start(&Job::balanced());
    let cloud = gone.cloud.take().unwrap();
    gone.runtime.block_on(cloud.stop());
    let said = gone.fails(69, SECRET_KEY, &["run", "--location", LOCATION]);
    assert!(said.contains("cannot be reached"), "{said}");
}
