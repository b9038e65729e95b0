package io.spillway.valve;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * What the valve has done since its attempt began. Written by the task's thread only, read by any:
 * opaque writes cost as much as plain ones, and are seen by and by.
 */
final class ValveCounters {

  /** The numbers kept. */
  enum Count {
    RECEIVED("received"),
    KEPT("kept"),
    DIVERTED("diverted"),
    BOUNCED("bounced"),
    LATE("late"),
    UNSETTLED("unsettled"),
    IN_FLIGHT_BATCHES("inFlightBatches"),
    SETTLED_BATCHES("settledBatches"),
    BOUNCED_BATCHES("bouncedBatches"),
    RETRIES("retries"),
    RESTORED("restored");

    private final String metric;

    Count(String metric) {
      this.metric = metric;
    }

    /** Its name in the metric group {@code spillway}. */
    String metric() {
      return metric;
    }
  }

  private static final VarHandle ELEMENTS = MethodHandles.arrayElementVarHandle(long[].class);

  /** Times that are not counts, behind the counts. */
  private static final int WATERMARK = Count.values().length;

  private static final int FIRST_DIVERTED_MS = WATERMARK + 1;
  private static final int LAST_DIVERTED_MS = WATERMARK + 2;

  /**
   * An episode of diverting ends with so long without a diverted record: a report's interval.
   * Longer, and what was diverted before a spike would hide how soon the spike itself was answered;
   * shorter, and a spike would fall into more episodes than there are reports to tell of them.
   */
  private static final long EPISODE_GAP_MS = 100;

  /** Not set. */
  static final long NONE = Long.MIN_VALUE;

  private final long[] values = new long[LAST_DIVERTED_MS + 1];

  ValveCounters() {
    values[WATERMARK] = NONE;
    values[FIRST_DIVERTED_MS] = NONE;
    values[LAST_DIVERTED_MS] = NONE;
  }

  void add(Count count, long more) {
    int i = count.ordinal();
    ELEMENTS.setOpaque(values, i, values[i] + more);
  }

  void set(Count count, long value) {
    ELEMENTS.setOpaque(values, count.ordinal(), value);
  }

  long get(Count count) {
    return read(count.ordinal());
  }

  /** The last watermark forwarded, or {@link #NONE}. */
  long watermarkMs() {
    return read(WATERMARK);
  }

  void watermark(long watermarkMs) {
    ELEMENTS.setOpaque(values, WATERMARK, watermarkMs);
  }

  /** A record was put into a batch at this wall-clock time. */
  void divertedAt(long nowMs) {
    long last = values[LAST_DIVERTED_MS];
    if (nowMs == last) {
      return;
    }
    if (last == NONE || nowMs - last >= EPISODE_GAP_MS) {
      ELEMENTS.setOpaque(values, FIRST_DIVERTED_MS, nowMs);
    }
    ELEMENTS.setOpaque(values, LAST_DIVERTED_MS, nowMs);
  }

  /** When the current or latest episode of diverting began, or {@link #NONE}. */
  long firstDivertedMs() {
    return read(FIRST_DIVERTED_MS);
  }

  /** When the last record was put into a batch, or {@link #NONE}. */
  long lastDivertedMs() {
    return read(LAST_DIVERTED_MS);
  }

  private long read(int i) {
    return (long) ELEMENTS.getOpaque(values, i);
  }
}
