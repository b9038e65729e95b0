package io.spillway.jobs.replay;

import java.io.Serializable;
import java.util.List;

/**
 * How many records are due when: segments of constant rate, one after the other, from offset 0. A
 * profile stands for exactly floor(Σ rate × duration) records; nothing in it is floating point.
 */
public final class Profile implements Serializable {
  private static final long serialVersionUID = 1L;

  private final List<Segment> segments;

  /**
   * @param segments in order, each starting where the one before ends; at least one with records
   */
  Profile(List<Segment> segments) {
    this.segments = List.copyOf(segments);
  }

  /** The segments in order. */
  public List<Segment> segments() {
    return segments;
  }

  /** How many records the profile stands for, at least 1. */
  public long records() {
    return segments.get(segments.size() - 1).endRecord();
  }

  /**
   * The segment that holds a record.
   *
   * @param record 0 ≤ record &lt; {@link #records()}
   */
  public Segment segmentOf(long record) {
    int low = 0;
    int high = segments.size() - 1;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (segments.get(middle).endRecord() > record) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return segments.get(low);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Profile profile && segments.equals(profile.segments);
  }

  @Override
  public int hashCode() {
    return segments.hashCode();
  }

  @Override
  public String toString() {
    return "Profile" + segments;
  }
}
