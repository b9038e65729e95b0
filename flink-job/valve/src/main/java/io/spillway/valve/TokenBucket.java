package io.spillway.valve;

/** Spends a rate. */
final class TokenBucket {

  private final double depthSeconds;
  private double perNano = Double.POSITIVE_INFINITY;
  private double depth = Double.POSITIVE_INFINITY;
  private double tokens = Double.POSITIVE_INFINITY;
  private long refilledNanos;

  /**
   * Makes an unlimited one.
   *
   * @param depthSeconds how long it takes to fill
   */
  TokenBucket(double depthSeconds) {
    this.depthSeconds = depthSeconds;
  }

  /**
   * Sets the rate. A bucket that was or becomes unlimited is full, else it keeps what it has.
   *
   * @param recordsPerSecond at least 0; infinite for no limit
   */
  void rate(double recordsPerSecond, long nowNanos) {
    refill(nowNanos);
    perNano = recordsPerSecond / 1e9;
    // Less than one token could never be spent.
    depth = recordsPerSecond == 0 ? 0 : Math.max(1, recordsPerSecond * depthSeconds);
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
