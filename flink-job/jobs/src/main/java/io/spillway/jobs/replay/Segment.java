package io.spillway.jobs.replay;

import java.io.Serializable;
import java.math.BigDecimal;
import java.math.BigInteger;

/**
 * A stretch of constant rate within a {@link Profile}. Times are in the profile's units, of which
 * {@code unitsPerMs} make a millisecond, so that segments of a fraction of a millisecond are exact
 * too.
 *
 * @param firstRecord number of its first record within the run
 * @param records how many records it has; 0 is a pause
 * @param startUnits when it starts, counted from the start of the run
 * @param durationUnits how long it lasts, at least 1
 * @param unitsPerMs units in a millisecond, at least 1
 * @param ratePerSecond the rate as it was given
 */
public record Segment(
    long firstRecord,
    long records,
    long startUnits,
    long durationUnits,
    long unitsPerMs,
    BigDecimal ratePerSecond)
    implements Serializable {

  /** Number of the first record after the segment. */
  public long endRecord() {
    return firstRecord + records;
  }

  /**
   * When a record is due, in milliseconds from the start of the run: the records are spread evenly
   * over the segment, rounded down.
   *
   * @param record the record's number within the run; it must be in this segment
   */
  public long offsetMs(long record) {
    long step = record - firstRecord;
    if (fitsLong()) {
      return (startUnits * records + step * durationUnits) / (records * unitsPerMs);
    }
    BigInteger count = BigInteger.valueOf(records);
    return BigInteger.valueOf(startUnits)
        .multiply(count)
        .add(BigInteger.valueOf(step).multiply(BigInteger.valueOf(durationUnits)))
        .divide(count.multiply(BigInteger.valueOf(unitsPerMs)))
        .longValueExact();
  }

  /** Walks through the segment from a record in it, so many records at a time. */
  Offsets offsets(long record, int stride) {
    return new Offsets(this, record, stride);
  }

  /** Whether no product in {@link #offsetMs} can leave the range of a long. */
  private boolean fitsLong() {
    // The largest is (start + duration) × records; records × unitsPerMs is bounded likewise.
    return Math.multiplyHigh(startUnits + durationUnits, records) == 0
        && (startUnits + durationUnits) * records >= 0
        && Math.multiplyHigh(records, unitsPerMs) == 0
        && records * unitsPerMs >= 0;
  }

  /**
   * What {@link #offsetMs} says of every so many records, by sums: a quotient and a remainder go up
   * by the same each time, and the remainder carries over. Where sums could leave the range of a
   * long, it asks {@link #offsetMs}.
   */
  static final class Offsets {
    private final Segment segment;
    private final int stride;
    private final boolean bySums;
    private final long divisor;
    private final long msStep;
    private final long remainderStep;
    private long record;
    private long ms;
    private long remainder;

    private Offsets(Segment segment, long record, int stride) {
      this.segment = segment;
      this.record = record;
      this.stride = stride;
      bySums =
          segment.fitsLong()
              && Math.multiplyHigh(segment.durationUnits, stride) == 0
              && segment.durationUnits * stride >= 0
              && segment.records * segment.unitsPerMs <= Long.MAX_VALUE / 2;
      if (!bySums) {
        divisor = 1;
        msStep = 0;
        remainderStep = 0;
        ms = segment.offsetMs(record);
        return;
      }
      divisor = segment.records * segment.unitsPerMs;
      msStep = segment.durationUnits * stride / divisor;
      remainderStep = segment.durationUnits * stride % divisor;
      long dividend =
          segment.startUnits * segment.records
              + (record - segment.firstRecord) * segment.durationUnits;
      ms = dividend / divisor;
      remainder = dividend % divisor;
    }

    /** When the record is due, in milliseconds from the start of the run. */
    long ms() {
      return ms;
    }

    /** Goes on to the next record, which must be in the segment too. */
    void advance() {
      record += stride;
      if (!bySums) {
        ms = segment.offsetMs(record);
        return;
      }
      ms += msStep;
      remainder += remainderStep;
      if (remainder >= divisor) {
        remainder -= divisor;
        ms++;
      }
    }
  }
}
