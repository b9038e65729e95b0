package io.spillway.valve;

/**
 * Spends the local rate. It holds 50 ms of it: short enough that a spike is diverted before a queue
 * can form, long enough that a source which emits in clumps is not diverted below its mean rate.
 */
final class TokenBucket {

  private static final double DEPTH_SECONDS = 0.05;

  private double perNano = Double.POSITIVE_INFINITY;
  private double depth = Double.POSITIVE_INFINITY;
  private double tokens = Double.POSITIVE_INFINITY;
  private long refilledNanos;

  /**
   * Sets the rate. A bucket that was or becomes unlimited is full, else it keeps what it has.
   *
   * @param recordsPerSecond at least 0; infinite for no limit
   */
  void rate(double recordsPerSecond, long nowNanos) {
    refill(nowNanos);
    perNano = recordsPerSecond / 1e9;
    // Less than one token could never be spent.
    depth = recordsPerSecond == 0 ? 0 : Math.max(1, recordsPerSecond * DEPTH_SECONDS);
    tokens = perNano == Double.POSITIVE_INFINITY ? depth : Math.min(tokens, depth);
  }

  /** Adds what came in since the last time. */
  void refill(long nowNanos) {
    double added = Math.max(0, nowNanos - refilledNanos) * perNano;
    // Infinity times zero is not a number: an unlimited bucket is always full.
    tokens = perNano == Double.POSITIVE_INFINITY ? depth : Math.min(depth, tokens + added);
    refilledNanos = nowNanos;
  }

  boolean hasToken() {
    return tokens >= 1;
  }

  /**
   * Takes a token, if need be on credit: what must go local anyway makes room by sending later
   * records elsewhere. The debt never exceeds the depth.
   */
  void take() {
    tokens = Math.max(-depth, tokens - 1);
  }
}
