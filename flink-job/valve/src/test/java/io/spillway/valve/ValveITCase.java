package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The valve in a real job on a real (small) cluster, with a sidecar on loopback. */
@Timeout(120)
class ValveITCase {

  private static final int RECORDS = 200_000;

  /**
   * The local lane is slow and its rate is not limited: only the fullness of the network buffers,
   * which belong to an operator chained behind the valve, tells the valve to divert. And nothing is
   * lost.
   */
  @Test
  void aSlowLocalLaneMakesTheValveDivertAndEveryRecordIsAccountedFor() throws Exception {
    try (FakeSidecar sidecar = new FakeSidecar()) {
      Configuration options = TestConfig.options();
      options.set(ValveOptions.SIDECAR_URL, sidecar.url());
      Outcome outcome = run(options);

      Map<String, Long> totals = outcome.totals();
      assertThat(totals.get("received")).isEqualTo(RECORDS);
      assertThat(totals.get("kept") + totals.get("diverted") + totals.get("bounced"))
          .isEqualTo(RECORDS);
      assertThat(totals.get("diverted")).isGreaterThan(RECORDS / 10);
      assertThat(outcome.locals).isEqualTo(totals.get("kept") + totals.get("bounced"));
      assertThat(outcome.receipted).isEqualTo(totals.get("diverted"));
      assertThat(outcome.last.get("final").booleanValue()).isTrue();
      assertThat(outcome.last.get("checkpoint").isNull()).isTrue();
      assertThat(outcome.last.get("watermark_ms").longValue()).isEqualTo(Long.MAX_VALUE);
      JsonNode report = Json.object(sidecar.reports.get(sidecar.reports.size() - 1).body());
      assertThat(report.get("received").longValue()).isEqualTo(RECORDS);
      assertThat(report.get("diverted").longValue()).isEqualTo(totals.get("diverted"));
      assertThat(report.get("unsettled").longValue()).isZero();
    }
  }

  @Test
  void withoutASidecarEverythingGoesLocal() throws Exception {
    Configuration options = TestConfig.options();
    options.removeConfig(ValveOptions.SIDECAR_URL);
    Outcome outcome = run(options);

    assertThat(outcome.locals).isEqualTo(RECORDS);
    assertThat(outcome.totals().get("kept")).isEqualTo(RECORDS);
  }

  /** The job fails while batches are on their way whose checkpoint is complete. */
  @Test
  void afterAFailureTheBatchesInFlightAreRestoredAndEveryRecordIsAccountedFor() throws Exception {
    try (FakeSidecar sidecar = new FakeSidecar()) {
      FailOnce.reset();
      sidecar.directive = sidecar.directive.replace("null", "20000");
      FakeSidecar.Answer settle = sidecar.onBatch;
      sidecar.onBatch =
          (request, exchange) -> {
            if (FailOnce.failed) {
              settle.to(request, exchange);
            } else {
              FailOnce.inFlight = true;
            }
          };
      Configuration options = TestConfig.options();
      options.set(ValveOptions.SIDECAR_URL, sidecar.url());
      options.set(ValveOptions.BATCH_DEADLINE, Duration.ofSeconds(60));
      Configuration restart = new Configuration();
      restart.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
      restart.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
      restart.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
      Outcome outcome = run(options, restart);

      List<String> attempts =
          outcome.books.stream().map(book -> book.get("attempt").textValue()).distinct().toList();
      assertThat(attempts).hasSize(2);
      long restored = unsettled(outcome.totals(attempts.get(0)));
      assertThat(restored).isPositive();
      assertThat(unsettled(outcome.totals(attempts.get(1)))).isEqualTo(-restored);

      Map<String, Long> totals = outcome.totals();
      assertThat(totals.get("received")).isEqualTo(RECORDS);
      assertThat(totals.get("late")).isZero();
      assertThat(outcome.locals).isEqualTo(totals.get("kept") + totals.get("bounced"));
      assertThat(outcome.receipted).isEqualTo(totals.get("diverted")).isPositive();
      assertThat(outcome.last.get("final").booleanValue()).isTrue();
    }
  }

  /** By the books, records that were received and are nowhere yet. */
  private static long unsettled(Map<String, Long> totals) {
    return totals.get("received")
        - totals.get("kept")
        - totals.get("diverted")
        - totals.get("bounced")
        - totals.get("late");
  }

  private static Outcome run(Configuration options) throws Exception {
    Configuration once = new Configuration();
    once.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    FailOnce.reset();
    return run(options, once);
  }

  @SuppressWarnings("try") // Flink's iterator may throw InterruptedException when it is closed.
  private static Outcome run(Configuration options, Configuration cluster) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, cluster);
    env.enableCheckpointing(200);
    env.getConfig().enableObjectReuse();
    GeneratorFunction<Long, byte[]> generator =
        i -> ("record " + i).getBytes(StandardCharsets.US_ASCII);
    DataStream<byte[]> source =
        env.fromSource(
            new DataGeneratorSource<>(
                generator,
                RECORDS,
                RateLimiterStrategy.perSecond(100_000),
                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO),
            WatermarkStrategy.<byte[]>forMonotonousTimestamps()
                .withTimestampAssigner((record, time) -> number(record) / 100),
            "numbers");
    ValveStreams<byte[]> valve = Valve.named("valve").attach(source, RecordCodec.bytes(), options);
    DataStream<String> local =
        valve
            .local()
            .map(record -> new String(record, StandardCharsets.US_ASCII))
            .returns(Types.STRING)
            .keyBy(record -> record.hashCode() & 7)
            .map(new FailOnce())
            .returns(Types.STRING);
    DataStream<String> all =
        local.map(record -> "local").returns(Types.STRING).union(valve.ledger());

    Outcome outcome = new Outcome();
    try (CloseableIterator<String> lines = all.executeAndCollect()) {
      while (lines.hasNext()) {
        outcome.add(lines.next());
      }
    }
    return outcome;
  }

  private static long number(byte[] record) {
    return Long.parseLong(new String(record, 7, record.length - 7, StandardCharsets.US_ASCII));
  }

  /** Takes 20 µs: half of the rate of the source. */
  private static String slowly(String record) {
    long until = System.nanoTime() + 20_000;
    while (System.nanoTime() < until) {
      Thread.onSpinWait();
    }
    return record;
  }

  /**
   * Handles records slowly, and fails at the third checkpoint that completes while a batch is in
   * flight: then the batch is in the checkpoint before it at the latest. Static, as Flink copies
   * functions.
   */
  private static final class FailOnce implements MapFunction<String, String>, CheckpointListener {

    private static final long serialVersionUID = 1L;

    private static volatile boolean inFlight;
    private static volatile boolean failed;

    private int checkpoints;

    static void reset() {
      inFlight = false;
      failed = false;
    }

    @Override
    public String map(String record) {
      return slowly(record);
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      if (inFlight && !failed && ++checkpoints == 3) {
        failed = true;
        throw new IllegalStateException("This failure is part of the test");
      }
    }
  }

  /** What came out of the job. */
  private static final class Outcome {
    private long locals;
    private long receipted;
    private JsonNode last;
    private final List<JsonNode> books = new ArrayList<>();

    void add(String line) throws Exception {
      if (line.equals("local")) {
        locals++;
        return;
      }
      JsonNode json = Json.MAPPER.readTree(line);
      if (json.get("type").textValue().equals("receipt")) {
        receipted += json.get("records").longValue();
      } else {
        books.add(json);
        last = json;
      }
    }

    Map<String, Long> totals() {
      return totals("");
    }

    /** What the books of an attempt add up to. */
    Map<String, Long> totals(String attempt) {
      Map<String, Long> totals = new TreeMap<>();
      for (JsonNode book : books) {
        if (!book.get("attempt").textValue().startsWith(attempt)) {
          continue;
        }
        for (JsonNode window : book.get("windows")) {
          for (String field : List.of("received", "kept", "diverted", "bounced", "late")) {
            totals.merge(field, window.get(field).longValue(), Long::sum);
          }
        }
      }
      return totals;
    }
  }
}
