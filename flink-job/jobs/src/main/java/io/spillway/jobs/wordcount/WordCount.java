package io.spillway.jobs.wordcount;

import io.spillway.valve.latency.MeasuredTrigger;
import java.time.Duration;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;

/** The local lane of wordcount, from records to the rows under {@code local/}. */
public final class WordCount {
  private WordCount() {}

  /**
   * Counts words per tumbling window.
   *
   * @param records with event timestamps
   * @param window size of the windows
   * @param latencyOptions how latencies are measured, see the valve's options
   */
  public static SingleOutputStreamOperator<LocalRow> rows(
      DataStream<byte[]> records, Duration window, ReadableConfig latencyOptions) {
    return records
        .flatMap(new Tokenizer())
        .returns(Types.TUPLE(Types.STRING, Types.INT))
        .name("tokenize")
        .uid("tokenize")
        .keyBy(word -> word.f0, Types.STRING)
        .window(TumblingEventTimeWindows.of(window))
        .trigger(MeasuredTrigger.of(latencyOptions))
        .aggregate(new Count(), new ToLocalRow())
        .name("count")
        .uid("count");
  }

  /** Writes the rows as lines. */
  public static Encoder<LocalRow> encoder() {
    return new LocalRowEncoder();
  }
}
