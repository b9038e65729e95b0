package io.spillway.valve;

import java.util.function.BooleanSupplier;

/** A local output that is as full as the test says. */
final class FakeOutput implements LocalOutput {

  boolean congested;
  boolean available = true;

  /** Another reason to be congested. */
  BooleanSupplier congestedWhen = () -> false;

  /** At the so manieth look from now on there is room; 0 if it stays as it is. */
  int looksUntilRoom;

  /** So many records more are let through. */
  int room = Integer.MAX_VALUE;

  /** How many were. */
  int passed;

  @Override
  public boolean congested() {
    if (looksUntilRoom > 0 && --looksUntilRoom == 0) {
      congested = false;
    }
    return congested || congestedWhen.getAsBoolean();
  }

  @Override
  public boolean available() {
    if (!available || room == 0) {
      return false;
    }
    room--;
    passed++;
    return true;
  }
}
