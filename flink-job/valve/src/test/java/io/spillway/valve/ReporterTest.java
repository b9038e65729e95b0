package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import io.spillway.valve.ValveCounters.Count;
import io.spillway.valve.latency.Lane;
import io.spillway.valve.latency.LaneLatency;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.HdrHistogram.Histogram;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Reports go out in time, and directives come in with their lease. */
class ReporterTest {

  private static final String DIRECTIVE =
      """
      {"local_rate": 5, "divert": true, "credits": 3, "lease_ms": 2000, "mode": "burst",
       "reason": "r"}""";

  private final ManualClock clock = new ManualClock();
  private final ValveCounters counters = new ValveCounters();
  private final FakeOutput output = new FakeOutput();
  private final DirectiveSlot slot = new DirectiveSlot(clock.nanos());
  private final List<JsonNode> reports = new ArrayList<>();
  private final List<CompletableFuture<byte[]>> answers = new ArrayList<>();
  private final Reporter reporter =
      new Reporter(
          TestConfig.config(),
          new ValveIdentity("9f3a6c1e2b7d4f08", 2, 4),
          this::post,
          output,
          counters,
          new CoarseClock(clock, 64),
          slot,
          clock);

  @BeforeEach
  void forgetLatenciesOfOtherTests() {
    LaneLatency.drain(Lane.LOCAL);
    LaneLatency.drain(Lane.CLOUD);
  }

  private CompletableFuture<byte[]> post(byte[] report) {
    try {
      reports.add(Json.object(report));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    CompletableFuture<byte[]> answer = new CompletableFuture<>();
    answers.add(answer);
    return answer;
  }

  private void answer(String json) {
    answers.get(answers.size() - 1).complete(json.getBytes(StandardCharsets.UTF_8));
  }

  private void pass(int millis) {
    clock.advance(Duration.ofMillis(millis));
    reporter.wakeUp();
  }

  @Test
  void theFirstReportGoesOutAtOnceAndTheNextAfterTheInterval() {
    reporter.wakeUp();
    answer(DIRECTIVE);
    pass(99);
    assertThat(reports).hasSize(1);
    pass(1);
    assertThat(reports).hasSize(2);
    assertThat(reports.get(1).get("sequence").intValue()).isEqualTo(1);
  }

  @Test
  void whileAReportIsOnItsWayNoOtherIsSent() {
    reporter.wakeUp();
    pass(500);
    assertThat(reports).hasSize(1);
    answers.get(0).completeExceptionally(new IOException("time-out"));
    pass(5);
    assertThat(reports).hasSize(2);
  }

  @Test
  void aDirectiveHoldsForItsLeaseFromItsArrival() {
    reporter.wakeUp();
    clock.advance(Duration.ofMillis(50));
    answer(DIRECTIVE);

    assertThat(slot.lease().directive()).isEqualTo(new Directive(5, true, 3, 2_000, "burst", "r"));
    assertThat(slot.lease().holds(clock.nanos() + 1_999_999_999)).isTrue();
    assertThat(slot.lease().holds(clock.nanos() + 2_000_000_000)).isFalse();
  }

  @Test
  void aDirectiveThatBreaksABoundIsIgnoredAndCounted() {
    reporter.wakeUp();
    answer(DIRECTIVE);
    DirectiveSlot.Lease before = slot.lease();
    pass(100);
    answer(DIRECTIVE.replace("3", "3000"));

    assertThat(slot.lease()).isSameAs(before);
    assertThat(slot.rejected()).isEqualTo(1);
  }

  @Test
  void aReportHasEveryFieldOfTheContract() throws Exception {
    counters.add(Count.RECEIVED, 10);
    counters.add(Count.KEPT, 4);
    counters.add(Count.DIVERTED, 3);
    counters.add(Count.BOUNCED, 1);
    counters.add(Count.LATE, 1);
    counters.add(Count.UNSETTLED, 1);
    counters.add(Count.IN_FLIGHT_BATCHES, 2);
    counters.add(Count.SETTLED_BATCHES, 5);
    counters.add(Count.BOUNCED_BATCHES, 6);
    counters.add(Count.RETRIES, 7);
    counters.watermark(-3);
    counters.divertedAt(100);
    counters.divertedAt(150);
    LaneLatency.of(Lane.CLOUD, 0, (String) null).record(1_000, 1_250, 3);
    reporter.wakeUp();

    JsonNode report = reports.get(0);
    JsonNode expected =
        Json.MAPPER.readTree(
            """
            {"attempt": "9f3a6c1e2b7d4f08", "sequence": 0, "parallelism": 4,
             "workload": "wordcount", "window_size_ms": 1000, "time_ms": 1767225600000,
             "received": 10, "kept": 4, "diverted": 3, "bounced": 1, "late": 1, "unsettled": 1,
             "in_flight_batches": 2, "settled_batches": 5, "bounced_batches": 6, "retries": 7,
             "local_unavailable_ms": 0, "watermark_ms": -3,
             "first_diverted_ms": 100, "last_diverted_ms": 150}""");
    expected
        .fields()
        .forEachRemaining(
            field ->
                assertThat(report.get(field.getKey()))
                    .as(field.getKey())
                    .isEqualTo(field.getValue()));
    assertThat(report.get("latency").has("local")).isFalse();
    Histogram cloud =
        Histogram.decodeFromCompressedByteBuffer(
            ByteBuffer.wrap(
                Base64.getDecoder().decode(report.get("latency").get("cloud").textValue())),
            0);
    assertThat(cloud.getTotalCount()).isEqualTo(3);
    assertThat(cloud.getMaxValue()).isBetween(250_000L, 252_500L);
  }

  @Test
  void latenciesAreInOneReportASecondAndInTheLast() {
    LaneLatency latency = LaneLatency.of(Lane.CLOUD, 0, (String) null);
    List<Boolean> timed = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      latency.record(0, 1, 1);
      pass(i == 0 ? 0 : 100);
      answer(DIRECTIVE);
      timed.add(reports.get(i).get("latency").has("cloud"));
    }
    latency.record(0, 1, 1);
    reporter.report();

    assertThat(timed).hasSize(12).startsWith(true, false).endsWith(true, false);
    assertThat(timed.stream().filter(t -> t)).hasSize(2);
    assertThat(reports.get(12).get("latency").has("cloud")).isTrue();
  }

  @Test
  void whatHasNotHappenedYetIsNull() {
    reporter.wakeUp();

    for (String field : List.of("watermark_ms", "first_diverted_ms", "last_diverted_ms")) {
      assertThat(reports.get(0).get(field).isNull()).as(field).isTrue();
    }
  }

  @Test
  void theTimeOfACongestedOutputAddsUp() {
    reporter.wakeUp();
    answer(DIRECTIVE);
    output.congested = true;
    pass(5);
    pass(20);
    pass(30);
    output.congested = false;
    pass(5);
    pass(100);

    assertThat(reports.get(1).get("local_unavailable_ms").longValue()).isEqualTo(50);
  }
}
