//! The burst function: aggregates one batch, stores its partial, answers with the receipt.
//!
//! A thin main around `spillway_core`: whatever can be decided without a socket is decided there or
//! in [`handler`].

mod destination;
mod error;
mod event;
mod handler;
mod settings;
mod store;

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use lambda_runtime::{LambdaEvent, Runtime, service_fn};

use event::Event;
use handler::Handler;
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
    let store = S3Store::new(settings.s3).await;
    let handler = Handler::new(settings.destination, store, move || start.elapsed());
    let handler = Rc::new(handler);
    let service = service_fn(move |event: LambdaEvent<Event>| {
        let handler = Rc::clone(&handler);
        async move {
            let result = handler.handle(event.payload).await;
            if let Err(error) = &result {
                eprintln!(
                    "spillway-burst: request {}: {error}",
                    event.context.request_id
                );
            }
            result
        }
    });
    match Runtime::new(service).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spillway-burst: Lambda's runtime API failed: {error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}
