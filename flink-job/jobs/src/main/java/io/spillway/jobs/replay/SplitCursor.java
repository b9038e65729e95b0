package io.spillway.jobs.replay;

import org.apache.flink.api.connector.source.SourceOutput;

/**
 * Where a reader stands in one of its splits. From one record to the next there is no look-up and,
 * within a segment, no division: only sums.
 */
final class SplitCursor {
  private final ReplaySplit split;
  private final Profile profile;
  private final byte[][] lines;
  private final SourceOutput<byte[]> output;

  /** Number of the first record after the run. */
  private final long end;

  /** From one record of the split to the next. */
  private final int stride;

  /** The stride modulo the number of lines. */
  private final int lineStride;

  private long record;
  private int line;

  /** Number of the first record after the segment that {@link #offset} walks through. */
  private long segmentEnd;

  private Segment.Offsets offset;

  /**
   * @param output the split's own output: a reader's watermark is the least of its splits'
   */
  SplitCursor(ReplaySplit split, Profile profile, byte[][] lines, SourceOutput<byte[]> output) {
    this.split = split;
    this.profile = profile;
    this.lines = lines;
    this.output = output;
    end = profile.records();
    stride = split.count();
    lineStride = stride % lines.length;
    record = split.nextRecord();
    line = (int) (record % lines.length);
    enterSegment();
  }

  /** Whether the split has no record left. */
  boolean isDone() {
    return record >= end;
  }

  /** Number of the next record within the run. */
  long record() {
    return record;
  }

  /** When the next record is due, in milliseconds from the start of the run. */
  long offsetMs() {
    return offset.ms();
  }

  /** Emits the next record and moves on. */
  void emit(long eventStartMs) {
    output.collect(lines[line], eventStartMs + offset.ms());
    record += stride;
    line += lineStride;
    if (line >= lines.length) {
      line -= lines.length;
    }
    if (record < segmentEnd) {
      offset.advance();
    } else {
      enterSegment();
    }
  }

  /** What is left, for a checkpoint. */
  ReplaySplit rest() {
    return new ReplaySplit(split.index(), split.count(), record);
  }

  private void enterSegment() {
    if (isDone()) {
      return;
    }
    Segment segment = profile.segmentOf(record);
    segmentEnd = segment.endRecord();
    offset = segment.offsets(record, stride);
  }
}
