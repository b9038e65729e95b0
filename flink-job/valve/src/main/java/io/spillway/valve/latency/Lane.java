package io.spillway.valve.latency;

/** Which way a record went. */
public enum Lane {
  /** Through the Flink job; timed until the record is in the window's state. */
  LOCAL("local"),
  /** Through the function; timed until its batch's receipt is emitted. */
  CLOUD("cloud");

  private final String label;

  Lane(String label) {
    this.label = label;
  }

  /** Its name in reports and logs. */
  public String label() {
    return label;
  }
}
