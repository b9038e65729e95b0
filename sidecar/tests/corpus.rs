//! Goes through the corpora of the sidecar's fuzz targets, and through the inputs that once were findings.
//! See `fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

#[path = "../../fuzz/src/sidecar.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[allow(clippy::expect_used, reason = "shared with the fuzz targets")]
mod bodies;

use std::path::Path;

fn each_input(target: &str, check: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut inputs = 0;
    for folder in ["corpus", "findings"] {
        let Ok(files) = fuzz.join(folder).join(target).read_dir() else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| check(&content));
            assert!(outcome.is_ok(), "{}", path.display());
            inputs += 1;
        }
    }
    assert!(inputs > 0, "no corpus of {target}");
}

macro_rules! targets {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            each_input(stringify!($target), bodies::$target);
        }
    )*};
}

targets!(configuration, policy_patch, trace, scenario);
