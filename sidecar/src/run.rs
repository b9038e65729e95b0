//! Puts the parts together, and takes them apart again.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::config::Config;
use crate::divert::{Divert, InvokeError, Invoker};
use crate::publish::{self, Publishing};
use crate::sense::{Pace, Sensor};
use crate::serve::{self, App};
use crate::trace::files::{RETRY, keep};

/// When stopping, valves get this long to hear it: a few of their reports.
const FAREWELL: Duration = Duration::from_millis(500);
/// When stopping, the file of the trace gets this long to take what is left.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Time between two looks at whether all batches are settled.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// When stopping, the last metrics get this long to be sent.
const LAST_METRICS: Duration = Duration::from_secs(2);
/// Time between two looks whether the function is there, while it is not.
const FUNCTION_LOOK: Duration = Duration::from_secs(2);

/// Everything that a running sidecar is made of. Tests pass in their own.
pub struct Parts {
    /// Settings; `listen` is not used, the listener is there already.
    pub config: Config,
    /// Where requests come in.
    pub listener: TcpListener,
    /// The burst function.
    pub invoker: Arc<dyn Invoker>,
    /// What watches the job, if anything.
    pub sensor: Option<Box<dyn Sensor>>,
    /// Where the sidecar's own metrics go, besides `/metrics`.
    pub publishing: Option<Publishing>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

/// Runs the sidecar until `shutdown` is ready; then tells the valves to keep everything local, lets the
/// batches in flight settle for at most the grace period, and returns.
pub async fn run(parts: Parts, shutdown: impl Future<Output = ()>) {
    let Parts {
        config,
        listener,
        invoker,
        sensor,
        publishing,
        clock,
    } = parts;
    let divert = Arc::new(Divert::new(
        invoker,
        Arc::clone(&clock),
        &config.divert,
        config.lambda.clone(),
    ));
    let app = Arc::new(App::new(&config, Arc::clone(&divert), clock));
    // Dropped at the end, which ends both.
    let mut background = JoinSet::new();
    background.spawn(watch_function(Arc::clone(&app)));
    background.spawn(tick(Arc::clone(&app), config.events.tick));
    if let (Some(sensor), Some((job, interval))) = (sensor, config.watched()) {
        let (app, job) = (Arc::clone(&app), job.to_owned());
        background.spawn(watch_job(app, sensor, job, interval));
    }
    let publisher = publishing.map(|publishing| {
        let (stop, stopped) = oneshot::channel::<()>();
        let publish = publish::publish(Arc::clone(&app), publishing, async {
            // Dropped is as good as told.
            let _ = stopped.await;
        });
        (stop, tokio::spawn(publish))
    });
    let keeper = {
        let (app, trace) = (Arc::clone(&app), config.trace.clone());
        tokio::spawn(async move { keep(&trace, RETRY, || app.record_to_file()).await })
    };
    let stopping = {
        let app = Arc::clone(&app);
        async move {
            shutdown.await;
            stop(&app, config.grace).await;
            app.events.close();
            app.recordings.close();
        }
    };
    serve::serve(
        listener,
        serve::router(Arc::clone(&app)),
        config.http,
        app.stuck_connections(),
        stopping,
    )
    .await;
    if let Some((stop, publisher)) = publisher {
        drop(stop);
        if tokio::time::timeout(LAST_METRICS, publisher).await.is_err() {
            tracing::warn!("the last metrics could not be published in {LAST_METRICS:?}");
        }
    }
    if tokio::time::timeout(LAST_LINES, keeper).await.is_err() {
        tracing::warn!("the trace could not be written to its end in time");
    }
    tracing::info!("stopped");
}

/// Announces the end and waits until it can come.
async fn stop(app: &App, grace: Duration) {
    let in_flight = app.divert.in_flight();
    tracing::info!(
        in_flight,
        "stopping: valves are told to keep everything local"
    );
    let problem = "it is stopping";
    app.readiness.set("sidecar", Some(problem.into()));
    app.events.readiness("sidecar", Some(problem), app.when());
    app.divert.stop();
    let told = Instant::now() + FAREWELL.min(grace);
    let end = Instant::now() + grace;
    while Instant::now() < end && (Instant::now() < told || app.divert.in_flight() > 0) {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    let left = app.divert.in_flight();
    if left > 0 {
        tracing::warn!(
            left,
            "the grace period is over: batches are given up, their valves keep them"
        );
    }
}

/// Looks whether the function can be invoked until it can.
async fn watch_function(app: Arc<App>) {
    loop {
        match app.divert.check().await {
            Ok(()) => {
                if note(&app, "function", None) {
                    tracing::info!("the function can be invoked");
                }
                return;
            }
            Err(error) => {
                note(&app, "function", Some(explain(&error)));
            }
        }
        tokio::time::sleep(FUNCTION_LOOK).await;
    }
}

/// What is wrong with the function and what to do about it.
pub fn explain(error: &InvokeError) -> String {
    let advice = match error {
        InvokeError::FunctionMissing(_) => {
            "; check lambda.function, lambda.region and lambda.endpoint_url"
        }
        InvokeError::AccessDenied(_) => "; the credentials need lambda:InvokeFunction",
        InvokeError::Unreachable(_) => "; check the network, lambda.region and the AWS credentials",
        _ => "",
    };
    format!("{error}{advice}")
}

/// Looks at the job: at a steady pace while decisions rest on it, seldom otherwise.
async fn watch_job(app: Arc<App>, mut sensor: Box<dyn Sensor>, job: String, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::new(interval);
    let mut warned = Vec::new();
    // The configuration may call it by its id.
    let mut name = job.clone();
    loop {
        ticks.tick().await;
        let now = app.when().now;
        // While the cloud is only tried out there is nothing to decide, and a look costs a saturated job some of its throughput.
        let matters = app.divert.works() && app.valves.need_the_lane(now);
        if !pace.due(now, matters) {
            continue;
        }
        let valve = app.valves.watched_name(&name);
        let sighting = sensor.look(now, valve.as_ref()).await;
        app.looked(&sighting);
        note(&app, "flink", sighting.blind);
        for warning in sighting.warnings {
            if !warned.contains(&warning) {
                tracing::warn!("{warning}");
                warned.push(warning);
            }
        }
        name = sighting.job.name.clone().unwrap_or_else(|| job.clone());
        let mut seen = app.job.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take(sighting.job, sighting.lane.as_ref());
        drop(seen);
        if let Some(load) = sighting.lane {
            app.valves.look(&name, &load, app.when());
        }
    }
}

/// Tells at a steady pace how things stand.
async fn tick(app: Arc<App>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.tick();
    }
}

/// Keeps what is wrong with a part, and tells it when it is news. True if it is.
fn note(app: &App, part: &'static str, problem: Option<String>) -> bool {
    let text = problem.clone();
    let news = app.readiness.set(part, problem);
    if news {
        app.events.readiness(part, text.as_deref(), app.when());
    }
    if let (true, Some(text)) = (news, text) {
        tracing::warn!(part, "not ready: {text}");
    } else if news {
        tracing::info!(part, "ready");
    }
    news
}
