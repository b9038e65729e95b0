package io.spillway.valve;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Wakes the reporter up every few milliseconds until it is closed. */
final class ControlThread implements AutoCloseable {

  private static final Logger LOG = LoggerFactory.getLogger(ControlThread.class);

  /** Fine enough to see a congested output, too rare to be felt. */
  private static final long PERIOD_NANOS = 5_000_000;

  /** How long closing waits for the final report to arrive: a busy machine needs its time. */
  private static final long FINAL_REPORT_MS = 2_000;

  private final Reporter reporter;
  private final Thread thread;
  private final CompletableFuture<Void> finalReport = new CompletableFuture<>();
  private volatile boolean finalRequested;
  private volatile boolean closed;

  ControlThread(Reporter reporter, ThreadFactory threads) {
    this.reporter = reporter;
    this.thread = threads.newThread(this::run);
    thread.start();
  }

  /** Reports at once, since these are the last numbers. */
  void reportFinally() {
    finalRequested = true;
    LockSupport.unpark(thread);
  }

  @Override
  public void close() {
    if (finalRequested) {
      awaitFinalReport();
    }
    closed = true;
    LockSupport.unpark(thread);
  }

  private void awaitFinalReport() {
    try {
      finalReport.get(FINAL_REPORT_MS, TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException e) {
      LOG.debug("The final report did not arrive", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    String trouble = null;
    while (!closed) {
      try {
        reporter.wakeUp();
        if (finalRequested && !finalReport.isDone()) {
          reporter.report().thenAccept(finalReport::complete).join();
        }
      } catch (RuntimeException e) {
        // Without reports the lease runs out and everything goes local: a pity, no harm. Said once.
        if (!e.toString().equals(trouble)) {
          trouble = e.toString();
          LOG.error("Reporting to the sidecar failed", e);
        }
      }
      LockSupport.parkNanos(this, PERIOD_NANOS);
    }
  }
}
