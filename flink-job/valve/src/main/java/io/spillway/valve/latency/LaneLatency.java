package io.spillway.valve.latency;

import io.spillway.valve.ValveOptions;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
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

  /** Longer ones count as this: an hour, in microseconds. */
  private static final long MOST_MICROS = 3_600_000_000L;

  /** Significant digits: a latency is right to 1 %. A third one costs eight times the memory. */
  private static final int DIGITS = 2;

  /** A second without a record between so many looks of the log is over for now. */
  private static final int QUIET_LOOKS = 2;

  private static final Map<Lane, Queue<LaneLatency>> WAITING =
      Map.of(Lane.LOCAL, new ConcurrentLinkedQueue<>(), Lane.CLOUD, new ConcurrentLinkedQueue<>());

  private final Lane lane;
  private final long offsetMs;
  @Nullable private final LatencyLog log;

  private final Histogram sinceReport = histogram();
  private boolean waiting;

  private final Map<Long, Second> bySecond = new HashMap<>();

  /** The one used last: records come in runs of the same second. */
  @Nullable private Second current;

  private boolean inLog;

  /** What was due in one second, since the log last wrote it. */
  private static final class Second {
    private final long startMs;
    private final Histogram latencies = histogram();

    /** Looks of the log since the last record. */
    private int looks;

    Second(long startMs) {
      this.startMs = startMs;
    }

    boolean contains(long dueMs) {
      return dueMs >= startMs && dueMs - startMs < 1_000;
    }
  }

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
    return of(lane, offsetMs, logFile == null ? null : LatencyLog.at(Path.of(logFile)));
  }

  /** Times a lane into a log. */
  static LaneLatency of(Lane lane, long offsetMs, @Nullable LatencyLog log) {
    return new LaneLatency(lane, offsetMs, log);
  }

  private static Histogram histogram() {
    return new Histogram(1, MOST_MICROS, DIGITS);
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
      Second second = second(dueMs);
      second.latencies.recordValueWithCount(micros, records);
      second.looks = 0;
      if (!inLog) {
        inLog = true;
        log.wake(this);
      }
    }
  }

  private Second second(long dueMs) {
    if (current == null || !current.contains(dueMs)) {
      current =
          bySecond.computeIfAbsent(
              dueMs - Math.floorMod(dueMs, 1_000L), start -> new Second(start));
    }
    return current;
  }

  /** Writes what the log does not have yet, of this and all other lanes. */
  public void flush() {
    if (log != null) {
      log.flush();
    }
  }

  /**
   * Takes what every subtask in this JVM recorded for a lane since the last time.
   *
   * @return an HdrHistogram of microseconds (V2, compressed), or null if nothing was recorded
   */
  @Nullable
  public static byte[] drain(Lane lane) {
    LaneLatency next = WAITING.get(lane).poll();
    if (next == null) {
      return null;
    }
    Histogram sum = histogram();
    do {
      next.drainInto(sum);
    } while ((next = WAITING.get(lane).poll()) != null);
    return encode(sum);
  }

  private synchronized void drainInto(Histogram sum) {
    sum.add(sinceReport);
    sinceReport.reset();
    waiting = false;
  }

  /**
   * The log looks: takes the seconds that seem to be over. If more records of such a second come
   * after all, they are taken later.
   *
   * @param all whether to take every second
   * @param to takes the due second in milliseconds, and the encoded histogram
   * @return whether anything is left; if not, the lane wakes the log again
   */
  synchronized boolean takeSeconds(boolean all, BiConsumer<Long, byte[]> to) {
    Iterator<Second> seconds = bySecond.values().iterator();
    while (seconds.hasNext()) {
      Second second = seconds.next();
      if (all || second.looks++ >= QUIET_LOOKS) {
        to.accept(second.startMs, encode(second.latencies));
        seconds.remove();
      }
    }
    current = null;
    inLog = !bySecond.isEmpty();
    return inLog;
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
