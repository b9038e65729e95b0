package io.spillway.jobs.replay;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * A share of the run: the records whose number is {@code index} modulo {@code count}, from {@code
 * nextRecord} on.
 *
 * @param index 0 ≤ index &lt; count
 * @param count how many splits the run has, fixed when it first starts
 * @param nextRecord the first record that is still to be emitted
 */
public record ReplaySplit(int index, int count, long nextRecord) implements SourceSplit {

  /** A split of which nothing has been emitted. */
  public static ReplaySplit untouched(int index, int count) {
    return new ReplaySplit(index, count, index);
  }

  @Override
  public String splitId() {
    return index + "/" + count;
  }
}
