package io.spillway.jobs.replay;

import org.apache.flink.api.connector.source.SourceOutput;

/** Where a reader stands in one of its splits. */
final class SplitCursor {
  private final ReplaySplit split;
  private final Profile profile;
  private final byte[][] lines;
  private final SourceOutput<byte[]> output;

  private long record;
  private int line;
  private Segment segment;
  private long offsetMs;

  /**
   * @param output the split's own output: a reader's watermark is the least of its splits'
   */
  SplitCursor(ReplaySplit split, Profile profile, byte[][] lines, SourceOutput<byte[]> output) {
    this.split = split;
    this.profile = profile;
    this.lines = lines;
    this.output = output;
    moveTo(split.nextRecord());
  }

  /** Whether the split has no record left. */
  boolean isDone() {
    return record >= profile.records();
  }

  /** Number of the next record within the run. */
  long record() {
    return record;
  }

  /** When the next record is due, in milliseconds from the start of the run. */
  long offsetMs() {
    return offsetMs;
  }

  /** Emits the next record and moves on. */
  void emit(long eventStartMs) {
    output.collect(lines[line], eventStartMs + offsetMs);
    moveTo(record + split.count());
  }

  /** What is left, for a checkpoint. */
  ReplaySplit rest() {
    return new ReplaySplit(split.index(), split.count(), record);
  }

  private void moveTo(long next) {
    record = next;
    if (isDone()) {
      return;
    }
    line = (int) (next % lines.length);
    if (segment == null || next >= segment.endRecord()) {
      segment = profile.segmentOf(next);
    }
    offsetMs = segment.offsetMs(next);
  }
}
