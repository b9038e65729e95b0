package io.spillway.valve;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.runtime.event.WatermarkEvent;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.RecordAttributes;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/**
 * Times what a record costs the task's thread in the valve, kept or diverted, up to the receipt of
 * its batch; what the sidecar stands in for is not counted. Not a test: run its main, and compare
 * the lines of one run.
 */
final class OperatorTiming {

  private static final int RECORDS = 6_000_000;
  private static final int RECORDS_PER_MS = 450;

  private long sidecarNanos;
  private DirectiveSlot directives;

  private OperatorTiming() {}

  /** Prints nanoseconds a record, several times over until all is compiled. */
  public static void main(String[] args) throws Exception {
    new OperatorTiming().run();
  }

  @SuppressWarnings({"try", "unchecked"}) // The harness hides the type of its operator.
  private void run() throws Exception {
    try (OneInputStreamOperatorTestHarness<byte[], byte[]> flink =
        new OneInputStreamOperatorTestHarness<>(
            new ValveOperatorFactory<>(
                TestConfig.config(),
                RecordCodec.bytes(),
                ValveHarness.LEDGER,
                ValveHarness.LATE,
                new Wiring()),
            16,
            1,
            0)) {
      flink.setOutputCreator(serializer -> new NoOutput());
      flink.setup(BytePrimitiveArraySerializer.INSTANCE);
      flink.open();
      Object operator = flink.getOperator();
      TaskMailbox mails = flink.getTaskMailbox();
      for (int round = 0; round < 5; round++) {
        for (boolean divert : new boolean[] {false, true}) {
          directives.publish(new Directive(0, divert, 8, 60_000, "burst", ""), System.nanoTime());
          time(
              divert ? "diverted" : "kept",
              (OneInputStreamOperator<byte[], byte[]>) operator,
              mails);
        }
      }
    }
  }

  private void time(String name, OneInputStreamOperator<byte[], byte[]> operator, TaskMailbox mails)
      throws Exception {
    byte[][] lines = lines();
    StreamRecord<byte[]> record = new StreamRecord<>(null);
    sidecarNanos = 0;
    long start = System.nanoTime();
    for (int i = 0; i < RECORDS; i++) {
      operator.processElement(record.replace(lines[i & (lines.length - 1)], i / RECORDS_PER_MS));
      if ((i & 255) == 0) {
        Optional<Mail> mail;
        while ((mail = mails.tryTake(TaskMailbox.MIN_PRIORITY)).isPresent()) {
          mail.get().run();
        }
      }
    }
    long nanos = System.nanoTime() - start - sidecarNanos;
    System.out.printf("%-8s %.1f ns a record%n", name, (double) nanos / RECORDS);
  }

  private static byte[][] lines() {
    Random random = new Random(1);
    byte[][] lines = new byte[4096][];
    for (int i = 0; i < lines.length; i++) {
      lines[i] = new byte[60 + random.nextInt(66)];
      random.nextBytes(lines[i]);
    }
    return lines;
  }

  /** Gives every batch its receipt at once. */
  private CompletableFuture<BatchSender.Answer> answer(String id, byte[] message) {
    long start = System.nanoTime();
    StringBuilder windows = new StringBuilder();
    long records = 0;
    try {
      BatchReader reader = new BatchReader(message);
      long window = 0;
      long inWindow = 0;
      while (reader.nextTime()) {
        long time = reader.eventTimeMs();
        if (time >= window + 1_000) {
          append(windows, window, inWindow);
          window = time - time % 1_000;
          inWindow = 0;
        }
        inWindow++;
        records++;
      }
      append(windows, window, inWindow);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    String receipt =
        """
        {"type":"receipt","version":1,"job":"wordcount","batch":"%s","workload":"wordcount",\
        "window_size_ms":1000,"records":%d,"windows":[%s]}"""
            .formatted(id, records, windows);
    CompletableFuture<BatchSender.Answer> answer =
        CompletableFuture.completedFuture(
            new BatchSender.Answer(200, receipt.getBytes(StandardCharsets.US_ASCII), null));
    sidecarNanos += System.nanoTime() - start;
    return answer;
  }

  private static void append(StringBuilder windows, long startMs, long records) {
    if (records > 0) {
      windows.append(windows.isEmpty() ? "" : ",");
      windows.append("{\"start_ms\":%d,\"records\":%d}".formatted(startMs, records));
    }
  }

  /** The world outside: a clock that runs, and a sidecar that answers at once. */
  private final class Wiring implements ValveWiring {

    private static final long serialVersionUID = 1L;

    @Override
    public ValveClock clock() {
      return ValveClock.SYSTEM;
    }

    @Override
    public int recordsPerClockReading() {
      return new NetworkWiring().recordsPerClockReading();
    }

    @Override
    public double random() {
      return 0;
    }

    @Override
    public LocalOutput localOutput(StreamTask<?, ?> task, StreamConfig operator) {
      return LocalOutput.UNLIMITED;
    }

    @Override
    public Connections connect(ValveConfig config, ValveIdentity identity, LocalOutput output) {
      return new Connections() {
        @Override
        public BatchSender sender() {
          return new BatchSender() {
            @Override
            public CompletableFuture<Answer> send(String id, byte[] message, Duration deadline) {
              return answer(id, message);
            }

            @Override
            public void close() {}
          };
        }

        @Override
        public void startReporting(ValveCounters counters, CoarseClock ticks, DirectiveSlot slot) {
          directives = slot;
        }

        @Override
        public void reportFinally() {}

        @Override
        public void close() {}
      };
    }
  }

  /** Throws everything away. */
  private static final class NoOutput implements Output<StreamRecord<byte[]>> {

    @Override
    public void collect(StreamRecord<byte[]> record) {}

    @Override
    public <X> void collect(OutputTag<X> tag, StreamRecord<X> record) {}

    @Override
    public void emitWatermark(Watermark mark) {}

    @Override
    public void emitWatermark(WatermarkEvent watermark) {}

    @Override
    public void emitWatermarkStatus(WatermarkStatus status) {}

    @Override
    public void emitLatencyMarker(LatencyMarker marker) {}

    @Override
    public void emitRecordAttributes(RecordAttributes attributes) {}

    @Override
    public void close() {}
  }
}
