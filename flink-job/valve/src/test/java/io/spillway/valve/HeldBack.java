package io.spillway.valve;

import java.util.ArrayDeque;
import javax.annotation.Nullable;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Watermarks and statuses that one attempt of a valve has received and not forwarded. Each goes
 * when every batch opened before it is settled: not earlier, not later, and in the order of
 * arrival.
 */
final class HeldBack {

  /**
   * One of them.
   *
   * @param status null for a watermark
   * @param batches how many had been opened before it
   * @param restored whether records from restored state were waiting before it
   */
  private record Held(
      long watermark, @Nullable WatermarkStatus status, int batches, boolean restored) {}

  private final AttemptBatches batches;
  private final ArrayDeque<Held> queue = new ArrayDeque<>();
  private long received = Long.MIN_VALUE;
  private long forwarded = Long.MIN_VALUE;

  HeldBack(AttemptBatches batches) {
    this.batches = batches;
  }

  /** The last watermark that the valve received. */
  long received() {
    return received;
  }

  /** The last watermark that it forwarded. */
  long forwarded() {
    return forwarded;
  }

  boolean isEmpty() {
    return queue.isEmpty();
  }

  /** The valve is about to receive a watermark. */
  void watermark(long time) {
    received = time;
    add(time, null);
  }

  /** The valve is about to receive a status. */
  void status(WatermarkStatus status) {
    add(received, status);
  }

  private void add(long time, @Nullable WatermarkStatus status) {
    queue.add(new Held(time, status, batches.opened(), batches.restoredWaiting() > 0));
  }

  /** A watermark came out. One that is held may be left out for a later one. */
  void forwarded(long time) {
    while (!queue.isEmpty() && queue.peek().watermark < time) {
      go(null);
    }
    require(!queue.isEmpty() && queue.peek().watermark == time, "a watermark that never came");
    go(null);
    forwarded = time;
  }

  /** A status came out. */
  void forwarded(WatermarkStatus status) {
    require(!queue.isEmpty(), "a status that never came");
    go(status);
  }

  private void go(@Nullable WatermarkStatus status) {
    Held first = queue.remove();
    require(first.status == status, "a watermark and a status change places");
    require(isFree(first), "a watermark or status goes before the batches before it are settled");
  }

  /** To be called when all that came out is known. */
  void check() {
    require(queue.isEmpty() || !isFree(queue.peek()), "a watermark or status is held for nothing");
  }

  private boolean isFree(Held held) {
    return !(held.restored && batches.restoredWaiting() > 0)
        && batches.unsettled(held.batches) == 0;
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new AssertionError(otherwise);
    }
  }

  /** What they wait for. */
  String situation() {
    StringBuilder all = new StringBuilder().append(received).append(' ').append(forwarded);
    for (Held held : queue) {
      all.append(' ').append(held.watermark).append(held.status).append(held.restored);
      all.append(batches.unsettled(held.batches)).append(held.batches > batches.count());
    }
    return all.toString();
  }
}
