package io.spillway.jobs.wordcount;

/** What a window knows of a word. A Flink POJO. */
public final class Tally {
  /** How often the word occurred. */
  public long count;

  /** How many records are counted with it: those of which it is the first word. */
  public long records;
}
