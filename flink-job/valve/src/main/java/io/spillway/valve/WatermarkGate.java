package io.spillway.valve;

import java.util.ArrayDeque;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Holds each watermark back until every batch that was opened before it arrived is settled, so that
 * a record that bounces is never late downstream.
 *
 * <p>Idleness is held in the same queue: an idle channel no longer holds the watermark downstream,
 * so forwarding it early would let the others pass the batches in flight.
 */
final class WatermarkGate {

  /** Nothing is unsettled. */
  static final long NONE = Long.MAX_VALUE;

  /** Something is unsettled that came before every batch: records from restored state. */
  static final long BEFORE_ALL = -1;

  /**
   * A watermark or a status that waits.
   *
   * @param batches how many batches had been opened when it arrived: those must be settled
   * @param status null for a watermark
   */
  private record Waiting(long batches, long watermark, WatermarkStatus status) {}

  private final LongConsumer forwardWatermark;
  private final Consumer<WatermarkStatus> forwardStatus;
  private final ArrayDeque<Waiting> waiting = new ArrayDeque<>();
  private long received = Long.MIN_VALUE;
  private long forwarded = Long.MIN_VALUE;

  WatermarkGate(LongConsumer forwardWatermark, Consumer<WatermarkStatus> forwardStatus) {
    this.forwardWatermark = forwardWatermark;
    this.forwardStatus = forwardStatus;
  }

  /** The last watermark that arrived; {@link Long#MIN_VALUE} before the first. */
  long received() {
    return received;
  }

  /** The last watermark that went on; {@link Long#MIN_VALUE} before the first. */
  long forwarded() {
    return forwarded;
  }

  /**
   * A watermark arrives.
   *
   * @param opened batches opened so far
   * @param firstUnsettled sequence number of the first batch that is not settled, {@link #NONE} or
   *     {@link #BEFORE_ALL}
   */
  void watermark(long watermark, long opened, long firstUnsettled) {
    if (watermark <= received) {
      return;
    }
    received = watermark;
    Waiting last = waiting.peekLast();
    if (last != null && last.status == null && last.batches == opened) {
      // Both would go at the same moment: the later one says it all.
      waiting.pollLast();
    }
    waiting.addLast(new Waiting(opened, watermark, null));
    release(firstUnsettled);
  }

  /** The input becomes idle or active. Parameters as with {@link #watermark}. */
  void status(WatermarkStatus status, long opened, long firstUnsettled) {
    waiting.addLast(new Waiting(opened, 0, status));
    release(firstUnsettled);
  }

  /** Forwards what need not wait any longer. */
  void release(long firstUnsettled) {
    Waiting next;
    while ((next = waiting.peekFirst()) != null && next.batches <= firstUnsettled) {
      waiting.pollFirst();
      if (next.status == null) {
        forwarded = next.watermark;
        forwardWatermark.accept(next.watermark);
      } else {
        forwardStatus.accept(next.status);
      }
    }
  }
}
