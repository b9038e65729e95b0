package io.spillway.jobs.wordcount;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.java.tuple.Tuple2;

/** Counts a word in a window as it comes in. */
final class Count implements AggregateFunction<Tuple2<String, Integer>, Tally, Tally> {
  private static final long serialVersionUID = 1L;

  @Override
  public Tally createAccumulator() {
    return new Tally();
  }

  @Override
  public Tally add(Tuple2<String, Integer> word, Tally tally) {
    tally.records += word.f1;
    if (!word.f0.equals(Tokenizer.NO_WORD)) {
      tally.count++;
    }
    return tally;
  }

  @Override
  public Tally getResult(Tally tally) {
    return tally;
  }

  @Override
  public Tally merge(Tally a, Tally b) {
    a.count += b.count;
    a.records += b.records;
    return a;
  }
}
