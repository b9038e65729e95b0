package io.spillway.valve.latency;

import io.spillway.valve.ValveOptions;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.BiConsumer;
import java.util.zip.Deflater;
import javax.annotation.Nullable;
import org.HdrHistogram.Histogram;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Latencies of one lane in one subtask, kept twice: since the last report of this JVM, and, if
 * there is a log, by the second in which records were due. Records from one thread, drained by
 * others.
 *
 * <p>What is recorded waits in a static queue until a report takes it, so the windows of a
 * TaskManager need not know its valves. Static means per job, as Flink loads each job's classes
 * anew.
 */
public final class LaneLatency {

  /** Longer ones count as this: a day, in microseconds. */
  private static final long MOST_MICROS = 86_400_000_000L;

  private static final int DIGITS = 3;

  private static final Map<Lane, Queue<LaneLatency>> WAITING =
      Map.of(Lane.LOCAL, new ConcurrentLinkedQueue<>(), Lane.CLOUD, new ConcurrentLinkedQueue<>());

  private final Lane lane;
  private final long offsetMs;
  @Nullable private final LatencyLog log;

  private final Histogram sinceReport = new Histogram(1, MOST_MICROS, DIGITS);
  private boolean waiting;

  private final Map<Long, Histogram> bySecond = new HashMap<>();
  private boolean inLog;

  private LaneLatency(Lane lane, long offsetMs, @Nullable LatencyLog log) {
    this.lane = lane;
    this.offsetMs = offsetMs;
    this.log = log;
  }

  /** Times a lane as the options say, see {@code spillway.valve.latency.*}. */
  public static LaneLatency of(Lane lane, ReadableConfig options) {
    return of(
        lane,
        options.get(ValveOptions.LATENCY_EVENT_TIME_OFFSET),
        options.get(ValveOptions.LATENCY_LOG));
  }

  /**
   * Times a lane.
   *
   * @param offsetMs from event time to the wall clock when a record was due
   * @param logFile where to log, or null
   */
  public static LaneLatency of(Lane lane, long offsetMs, @Nullable String logFile) {
    return new LaneLatency(
        lane, offsetMs, logFile == null ? null : LatencyLog.at(Path.of(logFile)));
  }

  /**
   * Records that so many records of one event time are through.
   *
   * @param nowMs the wall clock
   */
  public synchronized void record(long eventTimeMs, long nowMs, long records) {
    long dueMs = eventTimeMs + offsetMs;
    long micros = Math.min(MOST_MICROS, Math.max(0, nowMs - dueMs) * 1_000);
    sinceReport.recordValueWithCount(micros, records);
    if (!waiting) {
      waiting = true;
      WAITING.get(lane).add(this);
    }
    if (log != null) {
      long second = dueMs - Math.floorMod(dueMs, 1_000L);
      bySecond
          .computeIfAbsent(second, s -> new Histogram(DIGITS))
          .recordValueWithCount(micros, records);
      log.wake(this);
    }
  }

  /** Whether the log has to be told of this lane: true once until the next drain. */
  synchronized boolean joinLog() {
    boolean join = !inLog;
    inLog = true;
    return join;
  }

  /**
   * Takes what every subtask in this JVM recorded for a lane since the last time.
   *
   * @return an HdrHistogram of microseconds (V2, compressed), or null if nothing was recorded
   */
  @Nullable
  public static byte[] drain(Lane lane) {
    Histogram sum = new Histogram(1, MOST_MICROS, DIGITS);
    LaneLatency next;
    while ((next = WAITING.get(lane).poll()) != null) {
      next.drainInto(sum);
    }
    return sum.getTotalCount() == 0 ? null : encode(sum);
  }

  private synchronized void drainInto(Histogram sum) {
    sum.add(sinceReport);
    sinceReport.reset();
    waiting = false;
  }

  /** Takes the histograms by second: due second in milliseconds, encoded histogram. */
  synchronized void drainSeconds(BiConsumer<Long, byte[]> to) {
    bySecond.forEach((second, histogram) -> to.accept(second, encode(histogram)));
    bySecond.clear();
    inLog = false;
  }

  Lane lane() {
    return lane;
  }

  private static byte[] encode(Histogram histogram) {
    ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
    int length = histogram.encodeIntoCompressedByteBuffer(buffer, Deflater.BEST_SPEED);
    return Arrays.copyOf(buffer.array(), length);
  }
}
