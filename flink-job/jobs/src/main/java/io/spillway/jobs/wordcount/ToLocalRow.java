package io.spillway.jobs.wordcount;

import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** Adds word and window to a finished tally. */
final class ToLocalRow extends ProcessWindowFunction<Tally, LocalRow, String, TimeWindow> {
  private static final long serialVersionUID = 1L;

  @Override
  public void process(
      String word, Context context, Iterable<Tally> tallies, Collector<LocalRow> out) {
    Tally tally = tallies.iterator().next();
    out.collect(new LocalRow(context.window().getStart(), tally.records, tally.count, word));
  }
}
