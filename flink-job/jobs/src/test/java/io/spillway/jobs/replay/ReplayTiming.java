package io.spillway.jobs.replay;

import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.metrics.SimpleCounter;

/**
 * Times what the reader costs for each record, without Flink around it. Not a test: run its main.
 */
final class ReplayTiming {

  private ReplayTiming() {}

  /** Prints nanoseconds a record, several times over until all is compiled. */
  public static void main(String[] args) throws Exception {
    byte[][] lines = new byte[4096][];
    for (int i = 0; i < lines.length; i++) {
      lines[i] = ("line " + i).getBytes(StandardCharsets.US_ASCII);
    }
    for (int round = 0; round < 6; round++) {
      ReplaySource.Settings settings =
          new ReplaySource.Settings(
              "", ProfileParser.parse("50k:10s,500k:60s,50k:10s"), 0, 0, true);
      Summing output = new Summing();
      SimpleCounter records = new SimpleCounter();
      ReplayReader reader =
          new ReplayReader(settings, lines, Clock.systemUTC(), new NoAlarm(), records);
      reader.addSplits(List.of(ReplaySplit.untouched(0, 1)));
      reader.notifyNoMoreSplits();
      long polls = 0;
      long start = System.nanoTime();
      while (reader.pollNext(output) != InputStatus.END_OF_INPUT) {
        polls++;
      }
      long nanos = System.nanoTime() - start;
      System.out.printf(
          "%.2f ns a record, %.1f records a poll (sum %d)%n",
          (double) nanos / records.getCount(), (double) records.getCount() / polls, output.sum);
    }
  }

  /** Everything is due long since. */
  private static final class NoAlarm implements Alarm {
    @Override
    public void completeAfter(long delayMs, CompletableFuture<Void> future) {}

    @Override
    public void close() {}
  }

  /** Adds up what it gets, so that nothing is optimised away. */
  private static final class Summing implements ReaderOutput<byte[]> {
    private long sum;

    @Override
    public void collect(byte[] record, long timestamp) {
      sum += record.length + timestamp;
    }

    @Override
    public void collect(byte[] record) {
      sum += record.length;
    }

    @Override
    public void emitWatermark(Watermark watermark) {}

    @Override
    public void markIdle() {}

    @Override
    public void markActive() {}

    @Override
    public SourceOutput<byte[]> createOutputForSplit(String splitId) {
      return this;
    }

    @Override
    public void releaseOutputForSplit(String splitId) {}
  }
}
