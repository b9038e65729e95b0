//! Goes through the corpora of the fuzz targets, and through the inputs that once were findings, in ordinary tests.

use std::path::Path;

/// Checks every input that is kept for a target.
pub fn each_input(target: &str, check: fn(&[u8])) {
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

/// A test for each target of a module of bodies.
macro_rules! targets {
    ($bodies:ident: $($target:ident),*) => {$(
        #[test]
        fn $target() {
            corpus::each_input(stringify!($target), $bodies::$target);
        }
    )*};
}
pub(crate) use targets;
