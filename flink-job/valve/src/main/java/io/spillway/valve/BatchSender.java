package io.spillway.valve;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import javax.annotation.Nullable;

/** Takes batches to the sidecar. */
interface BatchSender extends AutoCloseable {

  /**
   * An answer, of whatever status.
   *
   * @param retryAfter what the header of this name says, or null
   */
  record Answer(int status, byte[] body, @Nullable Duration retryAfter) {}

  /**
   * Sends a batch, and does not wait.
   *
   * @param id the batch's id
   * @param message the encoded batch; not changed by anyone from now on
   * @param deadline how long the answer is waited for
   * @return the answer; fails with what went wrong if there is none by the deadline, and it is not
   *     known what became of the batch
   */
  CompletableFuture<Answer> send(String id, byte[] message, Duration deadline);

  /** Lets go of connections and threads, without waiting for answers. */
  @Override
  void close();
}
