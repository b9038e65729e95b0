#![no_main]

libfuzzer_sys::fuzz_target!(
    // The reader catches the Parquet library's panics. Those that nobody catches still end the run.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| spillway_fuzz::wire::partial_file(data)
);
