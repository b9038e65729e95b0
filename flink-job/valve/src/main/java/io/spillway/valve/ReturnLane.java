package io.spillway.valve;

import java.util.ArrayDeque;
import java.util.function.Consumer;
import javax.annotation.Nullable;

/**
 * Batches on their way back: refused ones, and those from restored state. They are handed on in
 * slices, so that neither checkpoints nor new records wait for a whole batch.
 */
final class ReturnLane {

  /** How a record is handed on. */
  interface Taker {

    /**
     * Whether a record can be taken now, without waiting for anything.
     *
     * @param timeMs its event time
     * @param restored whether it comes from restored state
     */
    boolean hasRoom(long timeMs, boolean restored);

    /**
     * Takes the reader's current record.
     *
     * @param restored whether it comes from restored state
     */
    void take(BatchReader record, boolean restored) throws Exception;
  }

  /**
   * A batch and how much of it is left.
   *
   * @param batch null if it comes from restored state
   */
  private record Returned(BatchReader reader, @Nullable SealedBatch batch) {}

  private final Taker taker;
  private final Consumer<SealedBatch> done;
  private final ArrayDeque<Returned> returned = new ArrayDeque<>();
  private int restoredBatches;

  ReturnLane(Taker taker, Consumer<SealedBatch> done) {
    this.taker = taker;
    this.done = done;
  }

  /** Adds a refused batch. */
  void bounced(SealedBatch batch, BatchReader reader) {
    returned.add(new Returned(reader, batch));
  }

  /** Adds a batch from restored state. */
  void restored(BatchReader reader) {
    returned.add(new Returned(reader, null));
    restoredBatches++;
  }

  boolean isEmpty() {
    return returned.isEmpty();
  }

  /**
   * Whether there are records from restored state: they came before every batch of this attempt.
   */
  boolean hasRestored() {
    return restoredBatches > 0;
  }

  /**
   * Hands on so many records at most.
   *
   * @return whether there was room for all of them; if not, it is better to wait a little
   */
  boolean handOn(int most) throws Exception {
    int left = most;
    while (left > 0 && !returned.isEmpty()) {
      Returned next = returned.peekFirst();
      while (left > 0 && next.reader.remaining() > 0) {
        if (!taker.hasRoom(next.reader.peekTime(), next.batch == null)) {
          return false;
        }
        next.reader.next();
        taker.take(next.reader, next.batch == null);
        left--;
      }
      if (next.reader.remaining() == 0) {
        returned.pollFirst();
        if (next.batch == null) {
          restoredBatches--;
        } else {
          done.accept(next.batch);
        }
      }
    }
    return true;
  }

  /** What is left of each batch, for the snapshot. */
  void remainders(Consumer<byte[]> to) {
    for (Returned next : returned) {
      to.accept(next.reader.rest());
    }
  }
}
