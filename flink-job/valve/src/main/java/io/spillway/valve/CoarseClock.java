package io.spillway.valve;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A clock that is cheap enough to ask for every record. It reads the real one every so many
 * records, and at the first record after each tick of a background thread: so it is a few
 * milliseconds late at most, and exact in a quiet stream.
 */
final class CoarseClock {

  private static final VarHandle TICKS;

  static {
    try {
      TICKS = MethodHandles.lookup().findVarHandle(CoarseClock.class, "ticks", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final ValveClock clock;
  private final int everyRecords;

  /** Written by the background thread only. */
  private int ticks;

  private int seen;
  private int left;
  private long nanos;
  private long millis;

  /**
   * Makes a coarse clock.
   *
   * @param everyRecords how many records may share a reading, at least 1
   */
  CoarseClock(ValveClock clock, int everyRecords) {
    this.clock = clock;
    this.everyRecords = everyRecords;
    read();
  }

  /** Says that time has passed. Called by one background thread. */
  void tick() {
    TICKS.setOpaque(this, ticks + 1);
  }

  /** Called once per record. True if the time was read anew. */
  boolean advance() {
    if (--left > 0 && (int) TICKS.getOpaque(this) == seen) {
      return false;
    }
    read();
    return true;
  }

  /** Reads the real clock now. */
  void read() {
    seen = (int) TICKS.getOpaque(this);
    left = everyRecords;
    nanos = clock.nanos();
    millis = clock.millis();
  }

  /** Monotonic, as of the last reading. */
  long nanos() {
    return nanos;
  }

  /** Wall clock, as of the last reading. */
  long millis() {
    return millis;
  }
}
