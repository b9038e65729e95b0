package io.spillway.valve.latency;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Base64;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Appends latencies to a file, a quarter of a second after they were recorded. Its thread ends when
 * there is nothing to write: windows have no hook that says when they are over.
 */
final class LatencyLog {

  private static final Logger LOG = LoggerFactory.getLogger(LatencyLog.class);

  private static final long DELAY_MS = 250;

  private static final Map<Path, LatencyLog> LOGS = new ConcurrentHashMap<>();

  private final Path file;
  private final Queue<LaneLatency> waiting = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean scheduled = new AtomicBoolean();
  private final ScheduledThreadPoolExecutor thread;
  private boolean failed;

  private LatencyLog(Path file) {
    this.file = file;
    thread =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread daemon = new Thread(task, "spillway-latency-log");
              daemon.setDaemon(true);
              return daemon;
            });
    thread.setKeepAliveTime(1, TimeUnit.SECONDS);
    thread.allowCoreThreadTimeOut(true);
  }

  /** The log of a file: one in this JVM and job. */
  static LatencyLog at(Path file) {
    return LOGS.computeIfAbsent(file.toAbsolutePath().normalize(), LatencyLog::new);
  }

  /** Says that a lane has something to write. */
  void wake(LaneLatency lane) {
    if (!scheduled.get() && scheduled.compareAndSet(false, true)) {
      thread.schedule(this::flush, DELAY_MS, TimeUnit.MILLISECONDS);
    }
    if (lane.joinLog()) {
      waiting.add(lane);
    }
  }

  /** Writes what is waiting now. */
  synchronized void flush() {
    scheduled.set(false);
    StringBuilder lines = new StringBuilder();
    LaneLatency lane;
    while ((lane = waiting.poll()) != null) {
      String label = lane.lane().label();
      lane.drainSeconds(
          (second, histogram) ->
              lines
                  .append(label)
                  .append('\t')
                  .append(second)
                  .append('\t')
                  .append(Base64.getEncoder().encodeToString(histogram))
                  .append('\n'));
    }
    if (lines.isEmpty()) {
      return;
    }
    try {
      // One write, so that the lines of several TaskManagers do not mix.
      Files.write(
          file,
          lines.toString().getBytes(StandardCharsets.US_ASCII),
          StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
    } catch (IOException e) {
      if (!failed) {
        failed = true;
        LOG.error("Latencies cannot be written to {}; this is said once", file, e);
      }
    }
  }
}
