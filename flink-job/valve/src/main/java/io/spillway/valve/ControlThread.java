package io.spillway.valve;

import java.util.concurrent.ThreadFactory;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Wakes the reporter up every few milliseconds until it is closed. */
final class ControlThread implements AutoCloseable {

  private static final Logger LOG = LoggerFactory.getLogger(ControlThread.class);

  /** Fine enough to see a congested output, too rare to be felt. */
  private static final long PERIOD_NANOS = 5_000_000;

  private final Reporter reporter;
  private final Thread thread;
  private volatile boolean closed;
  private volatile boolean reportNow;

  ControlThread(Reporter reporter, ThreadFactory threads) {
    this.reporter = reporter;
    this.thread = threads.newThread(this::run);
    thread.start();
  }

  /** Reports at once. */
  void reportFinally() {
    reportNow = true;
    LockSupport.unpark(thread);
  }

  @Override
  public void close() {
    closed = true;
    LockSupport.unpark(thread);
  }

  private void run() {
    while (!closed) {
      try {
        reporter.wakeUp();
        if (reportNow) {
          reportNow = false;
          reporter.report();
        }
      } catch (RuntimeException e) {
        // Without reports the lease runs out and everything goes local: bad luck, no harm.
        LOG.error("Reporting to the sidecar failed", e);
      }
      LockSupport.parkNanos(this, PERIOD_NANOS);
    }
  }
}
