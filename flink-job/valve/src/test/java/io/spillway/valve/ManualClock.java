package io.spillway.valve;

import java.time.Duration;

/** A clock that stands still until it is told otherwise. */
final class ManualClock implements ValveClock {

  private long nanos = 7_000_000_000L;
  private long millis = 1_767_225_600_000L;

  @Override
  public long nanos() {
    return nanos;
  }

  @Override
  public long millis() {
    return millis;
  }

  void advance(Duration by) {
    nanos += by.toNanos();
    millis += by.toMillis();
  }
}
