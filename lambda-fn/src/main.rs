//! The burst function: aggregates one batch, stores its partial, answers with the receipt.
//!
//! A thin main around `spillway_core`: whatever can be decided without a socket is decided there or
//! in [`handler`].

mod destination;
mod error;
mod event;
mod handler;
mod metrics;
mod settings;
mod store;

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use lambda_runtime::tower::util::MapResponseLayer;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};

use event::Event;
use handler::Handler;
use metrics::Metrics;
use settings::Settings;
use store::S3Store;

/// sysexits' `EX_CONFIG`.
const CONFIG: u8 = 78;
/// sysexits' `EX_UNAVAILABLE`.
const UNAVAILABLE: u8 = 69;

// An instance has one invocation at a time, and computing is most of it: one thread is enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let start = Instant::now();
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("spillway-burst: {error}");
            return ExitCode::from(CONFIG);
        }
    };
    let store = S3Store::new(settings.s3);
    let handler = Handler::new(settings.destination, store, move || start.elapsed());
    let handler = Rc::new(handler);
    let metrics = settings
        .metrics_of
        .map(|function| Rc::new(Metrics::new(function, std::io::stdout())));
    let after_answer = metrics.clone();
    let service = service_fn(move |event: LambdaEvent<Event>| {
        let handler = Rc::clone(&handler);
        let metrics = metrics.clone();
        async move {
            let result = handler.handle(event.payload).await;
            if let Some(metrics) = &metrics {
                metrics.note(&event.context.request_id, &result);
            }
            if let Err(error) = &result {
                eprintln!(
                    "spillway-burst: request {}: {error}",
                    event.context.request_id
                );
            }
            result
        }
    });
    // The layer's service is done when the Runtime API has taken the answer.
    let publish = MapResponseLayer::new(move |()| {
        if let Some(metrics) = &after_answer {
            metrics.publish();
        }
    });
    match Runtime::new(service).layer(publish).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spillway-burst: Lambda's runtime API failed: {error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}
