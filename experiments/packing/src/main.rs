//! What packing a batch costs, step by step, and what other ways would cost, in one run on one core: see README.md.

use std::hint::black_box;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spillway_core::batch::BatchBuilder;
use spillway_core::envelope::Invocation;

/// Each step is measured this often; the quickest run counts.
const RUNS: u32 = 25;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args
        .next()
        .ok_or("usage: bench_envelope TEXT_FILE [LINES]")?;
    let lines: usize = args.next().map_or(Ok(45_000), |n| n.parse())?;
    let text = std::fs::read(&file)?;
    let mut batch = BatchBuilder::new("9f3a6c1e2b7d4f08-0-0", "bench", "wordcount", 1000);
    let input = text.strip_suffix(b"\n").unwrap_or(&text);
    for (i, line) in input.split(|b| *b == b'\n').cycle().take(lines).enumerate() {
        batch.push(1_767_225_599_950 + i64::try_from(i)? / 450, line);
    }
    let message = batch.encode();
    let report = |step: &str, time: Duration, bytes: usize| {
        let ns = time.as_nanos() as f64;
        let (per_record, mb_per_s) = (ns / lines as f64, message.len() as f64 * 1000.0 / ns);
        println!("{step:<34} {per_record:>8.1} ns/record {mb_per_s:>8.0} MB/s {bytes:>10} bytes");
    };
    println!("{lines} records, {} bytes", message.len());

    let compressed = lz4_flex::block::compress(&message);
    let payload = Invocation::pack(&message)?.to_json()?;
    report(
        "LZ4, as taken",
        quickest(|| lz4_flex::block::compress(&message)),
        compressed.len(),
    );
    report(
        "base64 of the LZ4 block",
        quickest(|| STANDARD.encode(&compressed)),
        compressed.len().div_ceil(3) * 4,
    );
    report(
        "both into JSON, as taken",
        quickest(|| Invocation::pack(&message).map(|packed| packed.to_json())),
        payload.len(),
    );
    report(
        "no LZ4: base64 of the batch",
        quickest(|| STANDARD.encode(&message)),
        message.len().div_ceil(3) * 4,
    );
    report(
        "base64-simd of the LZ4 block",
        quickest(|| base64_simd::STANDARD.encode_to_string(&compressed)),
        compressed.len().div_ceil(3) * 4,
    );
    report(
        "base64-simd of the batch",
        quickest(|| base64_simd::STANDARD.encode_to_string(&message)),
        message.len().div_ceil(3) * 4,
    );
    let mut snappy = snap::raw::Encoder::new();
    let size = snappy.compress_vec(&message)?.len();
    report("Snappy", quickest(|| snappy.compress_vec(&message)), size);

    let snapped = snappy.compress_vec(&message)?;
    report(
        "function: Snappy",
        quickest(|| snap::raw::Decoder::new().decompress_vec(&snapped)),
        message.len(),
    );
    let plain = STANDARD.encode(&message);
    let simd_input = STANDARD.encode(&compressed);
    report(
        "function: JSON and base64",
        quickest(|| Invocation::from_json(&payload)),
        compressed.len(),
    );
    let packed = Invocation::from_json(&payload)?;
    report("function: LZ4", quickest(|| packed.unpack()), message.len());
    report(
        "function: base64 of all",
        quickest(|| STANDARD.decode(&plain)),
        message.len(),
    );
    report(
        "function: base64-simd",
        quickest(|| base64_simd::STANDARD.decode_to_vec(&simd_input)),
        compressed.len(),
    );
    Ok(())
}

fn quickest<T>(mut step: impl FnMut() -> T) -> Duration {
    // The thread's own processor time: the machine may be busy with something else.
    let now = || {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
    };
    let run = |_| {
        let start = now();
        black_box(step());
        now() - start
    };
    (0..RUNS).map(run).min().unwrap_or_default()
}
