package io.spillway.valve;

/** A local output that is as full as the test says. */
final class FakeOutput implements LocalOutput {

  boolean congested;
  boolean available = true;

  @Override
  public boolean congested() {
    return congested;
  }

  @Override
  public boolean available() {
    return available;
  }
}
