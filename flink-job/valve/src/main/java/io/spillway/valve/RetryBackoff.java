package io.spillway.valve;

import java.time.Duration;
import java.util.function.DoubleSupplier;

/**
 * How long to wait before a batch is sent again: 50 ms, doubled each time up to 1 s, and of that a
 * random half to whole, so that batches which failed together do not come back together.
 */
final class RetryBackoff {

  private static final long FIRST_MS = 50;
  private static final long MOST_MS = 1_000;

  private final DoubleSupplier random;

  /**
   * Makes a backoff.
   *
   * @param random numbers in [0, 1)
   */
  RetryBackoff(DoubleSupplier random) {
    this.random = random;
  }

  /**
   * The wait after a failed send.
   *
   * @param sends sends so far, at least 1
   */
  Duration after(int sends) {
    long wait = Math.min(MOST_MS, FIRST_MS << Math.min(sends - 1, 10));
    return Duration.ofNanos((long) (wait * 1_000_000 * (0.5 + random.getAsDouble() / 2)));
  }
}
