package io.spillway.valve;

/** A local output that is as full as the test says. */
final class FakeOutput implements LocalOutput {

  boolean congested;
  boolean available = true;

  /** So many records more are let through. */
  int room = Integer.MAX_VALUE;

  /** How many were. */
  int passed;

  @Override
  public boolean congested() {
    return congested;
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
