package io.spillway.valve;

/** What happened to the records of one window since the last books. */
final class WindowCounts {

  final long startMs;

  /** The window's last millisecond: the window is closed by a watermark of this or later. */
  final long lastMs;

  long received;
  long kept;
  long diverted;
  long bounced;
  long late;

  /** Records in the open batch, see {@link WindowTally.Builder}. */
  long inOpenBatch;

  WindowCounts(long startMs, long lastMs) {
    this.startMs = startMs;
    this.lastMs = lastMs;
  }

  boolean contains(long timeMs) {
    return timeMs >= startMs && timeMs <= lastMs;
  }

  boolean changed() {
    return (received | kept | diverted | bounced | late) != 0;
  }

  /** Starts the next books. */
  void reset() {
    received = 0;
    kept = 0;
    diverted = 0;
    bounced = 0;
    late = 0;
  }
}
