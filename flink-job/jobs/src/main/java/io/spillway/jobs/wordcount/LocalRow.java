package io.spillway.jobs.wordcount;

/** One line under {@code local/}. A Flink POJO. */
public final class LocalRow {
  /** Start of the window, milliseconds since the epoch. */
  public long windowStartMs;

  /** How many records this row stands for. */
  public long records;

  /** How often the word occurred. */
  public long count;

  /** The word, or empty for records without words. */
  public String word;

  /** For Flink. */
  public LocalRow() {}

  LocalRow(long windowStartMs, long records, long count, String word) {
    this.windowStartMs = windowStartMs;
    this.records = records;
    this.count = count;
    this.word = word;
  }
}
