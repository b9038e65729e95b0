package io.spillway.valve;

import io.spillway.valve.latency.Lane;
import io.spillway.valve.latency.LaneLatency;
import java.io.IOException;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import javax.annotation.Nullable;
import org.apache.flink.util.ExceptionUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the control thread does each time it wakes up: it ticks the valve's clock, looks at the
 * local output, and reports when it is time. It never touches the valve's state, only published
 * numbers.
 */
final class Reporter {

  private static final Logger LOG = LoggerFactory.getLogger(Reporter.class);

  private final ValveConfig config;
  private final ValveIdentity identity;
  private final ReportTransport transport;
  private final LocalOutput output;
  private final ValveCounters counters;
  private final CoarseClock ticks;
  private final DirectiveSlot slot;
  private final ValveClock clock;

  /**
   * Latencies are for people to look at, and encoding them costs more than the rest of a report.
   */
  private static final long LATENCY_INTERVAL_NANOS = 1_000_000_000;

  private long sequence;
  private long reportedNanos;
  private long latencyNanos;
  private long lookedNanos;
  private long unavailableNanos;
  private boolean wasUnavailable;

  /** Whether a report is on its way; written by whoever completes it. */
  private volatile boolean waiting;

  /** What went wrong last, so that it is said once; guarded by this. */
  @Nullable private String trouble;

  Reporter(
      ValveConfig config,
      ValveIdentity identity,
      ReportTransport transport,
      LocalOutput output,
      ValveCounters counters,
      CoarseClock ticks,
      DirectiveSlot slot,
      ValveClock clock) {
    this.config = config;
    this.identity = identity;
    this.transport = transport;
    this.output = output;
    this.counters = counters;
    this.ticks = ticks;
    this.slot = slot;
    this.clock = clock;
    this.lookedNanos = clock.nanos();
    this.reportedNanos = lookedNanos - config.reportInterval().toNanos();
    this.latencyNanos = lookedNanos - LATENCY_INTERVAL_NANOS;
  }

  /** Called every few milliseconds by one thread. */
  void wakeUp() {
    long now = clock.nanos();
    ticks.tick();
    boolean unavailable = output.congested();
    if (unavailable && wasUnavailable) {
      // Both ends of the time in between: one look alone says nothing about how long.
      unavailableNanos += now - lookedNanos;
    }
    wasUnavailable = unavailable;
    lookedNanos = now;
    if (!waiting && now - reportedNanos >= config.reportInterval().toNanos()) {
      reportedNanos = now;
      boolean withLatency = now - latencyNanos >= LATENCY_INTERVAL_NANOS;
      if (withLatency) {
        latencyNanos = now;
      }
      report(withLatency);
    }
  }

  /**
   * Reports now, whenever the last one was, with everything.
   *
   * @return done when the answer is there, whatever it is
   */
  CompletableFuture<Void> report() {
    return report(true);
  }

  private CompletableFuture<Void> report(boolean withLatency) {
    Map<Lane, byte[]> latencies = new EnumMap<>(Lane.class);
    if (withLatency) {
      for (Lane lane : Lane.values()) {
        byte[] latency = LaneLatency.drain(lane);
        if (latency != null) {
          latencies.put(lane, latency);
        }
      }
    }
    byte[] report =
        Report.encode(
            config,
            identity,
            sequence++,
            clock.millis(),
            counters,
            unavailableNanos / 1_000_000,
            latencies);
    waiting = true;
    return transport
        .post(report)
        .handle(
            (body, failure) -> {
              waiting = false;
              answered(body, failure);
              return null;
            });
  }

  private synchronized void answered(@Nullable byte[] body, @Nullable Throwable failure) {
    if (failure != null) {
      say(
          "The sidecar at "
              + config.sidecar()
              + " does not answer reports, so everything goes local: "
              + ExceptionUtils.stripException(failure, CompletionException.class));
      return;
    }
    try {
      Directive directive = Directive.parse(body);
      slot.publish(directive, clock.nanos());
      if (trouble != null) {
        trouble = null;
        LOG.info("The sidecar at {} answers reports again", config.sidecar());
      }
    } catch (IOException e) {
      slot.reject();
      say("The sidecar's directive is ignored: " + e.getMessage());
    }
  }

  private void say(String now) {
    if (!now.equals(trouble)) {
      trouble = now;
      LOG.warn("{}", now);
    }
  }
}
