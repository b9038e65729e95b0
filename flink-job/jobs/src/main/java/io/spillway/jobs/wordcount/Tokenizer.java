package io.spillway.jobs.wordcount;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.util.Collector;

/**
 * From a record to its words: {@code (word, records)}. A record is counted with its first word,
 * where {@code records} is 1, and never again. A record without words gives {@code ("", 1)}, so
 * that it is counted too.
 */
final class Tokenizer extends RichFlatMapFunction<byte[], Tuple2<String, Integer>> {
  private static final long serialVersionUID = 1L;

  /** The word that is none. */
  static final String NO_WORD = "";

  /** One object for all: the job runs with object reuse, and nobody behind keeps it. */
  private transient Tuple2<String, Integer> out;

  @Override
  public void open(OpenContext context) {
    out = Tuple2.of(NO_WORD, 0);
  }

  @Override
  public void flatMap(byte[] record, Collector<Tuple2<String, Integer>> collector) {
    out.f1 = 1;
    int words =
        Words.forEach(
            record,
            word -> {
              out.f0 = word;
              collector.collect(out);
              out.f1 = 0;
            });
    if (words == 0) {
      out.f0 = NO_WORD;
      collector.collect(out);
    }
  }
}
