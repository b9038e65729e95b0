package io.spillway.valve;

import java.util.ArrayDeque;
import java.util.function.Consumer;
import javax.annotation.Nullable;

/**
 * Batches on their way back: refused ones, and those from restored state. They are handed on in
 * slices, so that neither checkpoints nor new records wait for a whole batch.
 */
final class ReturnLane {

  /** Records handed on in one go. */
  private static final int SLICE = 256;

  /** Records handed on in one go when the local output is congested: progress, but not more. */
  private static final int CONGESTED_SLICE = 32;

  /** How a record is handed on. */
  interface Taker {

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

  private final LocalOutput output;
  private final Taker taker;
  private final Consumer<SealedBatch> done;
  private final ArrayDeque<Returned> returned = new ArrayDeque<>();
  private int restoredBatches;

  ReturnLane(LocalOutput output, Taker taker, Consumer<SealedBatch> done) {
    this.output = output;
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
   * Hands on a slice.
   *
   * @return whether the output had room for all of it; if not, it is better to wait a little
   */
  boolean drainSlice() throws Exception {
    boolean congested = output.congested();
    int left = congested ? CONGESTED_SLICE : SLICE;
    while (left > 0 && !returned.isEmpty()) {
      Returned next = returned.peekFirst();
      while (left > 0 && next.reader.remaining() > 0) {
        if (!output.available()) {
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
    return !congested;
  }

  /** What is left of each batch, for the snapshot. */
  void remainders(Consumer<byte[]> to) {
    for (Returned next : returned) {
      to.accept(next.reader.rest());
    }
  }
}
