package io.spillway.valve.latency;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Appends latencies to a file, each due second once its records have come through. Its thread ends
 * when there is nothing to write: windows have no hook that says when they are over.
 */
final class LatencyLog {

  private static final Logger LOG = LoggerFactory.getLogger(LatencyLog.class);

  /** Between two looks at what may be written. */
  private static final long LOOK_MS = 250;

  private static final Map<Path, LatencyLog> LOGS = new ConcurrentHashMap<>();

  private final Path file;
  private final Queue<LaneLatency> waiting = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean scheduled = new AtomicBoolean();
  private final Consumer<Runnable> later;
  private boolean failed;

  /**
   * Makes a log.
   *
   * @param later runs something a little later, not at once
   */
  LatencyLog(Path file, Consumer<Runnable> later) {
    this.file = file;
    this.later = later;
  }

  private static Consumer<Runnable> thread() {
    ScheduledThreadPoolExecutor thread =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread daemon = new Thread(task, "spillway-latency-log");
              daemon.setDaemon(true);
              return daemon;
            });
    thread.setKeepAliveTime(1, TimeUnit.SECONDS);
    thread.allowCoreThreadTimeOut(true);
    return task -> thread.schedule(task, LOOK_MS, TimeUnit.MILLISECONDS);
  }

  /** The log of a file: one in this JVM and job. */
  static LatencyLog at(Path file) {
    return LOGS.computeIfAbsent(
        file.toAbsolutePath().normalize(), path -> new LatencyLog(path, thread()));
  }

  /** Says that a lane has something to write. Called once until it has nothing left. */
  void wake(LaneLatency lane) {
    waiting.add(lane);
    lookLater();
  }

  private void lookLater() {
    if (scheduled.compareAndSet(false, true)) {
      later.accept(this::look);
    }
  }

  /** Writes the seconds that seem to be over. */
  private void look() {
    scheduled.set(false);
    write(false);
    if (!waiting.isEmpty()) {
      lookLater();
    }
  }

  /** Writes everything now. */
  void flush() {
    write(true);
  }

  private synchronized void write(boolean all) {
    StringBuilder lines = new StringBuilder();
    List<LaneLatency> left = new ArrayList<>();
    LaneLatency lane;
    while ((lane = waiting.poll()) != null) {
      String label = lane.lane().label();
      boolean more =
          lane.takeSeconds(
              all,
              (second, histogram) ->
                  lines
                      .append(label)
                      .append('\t')
                      .append(second)
                      .append('\t')
                      .append(Base64.getEncoder().encodeToString(histogram))
                      .append('\n'));
      if (more) {
        left.add(lane);
      }
    }
    waiting.addAll(left);
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
