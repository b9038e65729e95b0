package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.spillway.valve.ValveCounters.Count;
import java.time.Duration;
import java.util.List;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.junit.jupiter.api.Test;

/** Which lane a record takes, and what becomes of batches. */
class ValveLanesTest {

  @Test
  void everythingStaysLocalBeforeTheFirstDirective() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.record("a", 1).record("b", 2);

      assertThat(valve.local()).containsExactly("a", "b");
      assertThat(valve.sender.sent).isEmpty();
    }
  }

  @Test
  void divertedRecordsBecomeOneBatchAfterTheLinger() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1_500).record("", 999).record("c", -1);
      valve.pass(Duration.ofMillis(99));
      assertThat(valve.sender.sent).isEmpty();
      valve.pass(Duration.ofMillis(1));

      DecodedBatch batch = valve.sender.last().batch();
      assertThat(batch.items())
          .containsExactly(
              new DecodedBatch.Item(1_500, "a"),
              new DecodedBatch.Item(999, ""),
              new DecodedBatch.Item(-1, "c"));
      assertThat(batch.job()).isEqualTo("wordcount");
      assertThat(batch.workload()).isEqualTo("wordcount");
      assertThat(batch.windowSizeMs()).isEqualTo(1_000);
      assertThat(batch.id()).matches("[0-9a-f]{16}-0-0").isEqualTo(valve.sender.last().id());
      assertThat(valve.sender.last().deadline()).isEqualTo(Duration.ofSeconds(5));
      assertThat(valve.local()).isEmpty();
    }
  }

  @Test
  void aReceiptSettlesTheBatchAndGoesIntoTheLedgerAsItCame() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).record("b", 2);
      FakeSender.Sent sent = valve.sealed();
      sent.settle();
      valve.mails();

      assertThat(valve.receipts()).containsExactly(sent.batch().receipt());
      assertThat(valve.local()).isEmpty();
      assertThat(valve.counters.get(Count.DIVERTED)).isEqualTo(2);
      assertThat(valve.counters.get(Count.UNSETTLED)).isZero();
    }
  }

  @Test
  void aRefusedBatchGoesDownTheLocalLaneInOrder() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).record("b", 2);
      valve.sealed().reply(422, "no");
      valve.mails();

      assertThat(valve.local()).containsExactly("a", "b");
      assertThat(valve.flink.extractOutputStreamRecords())
          .extracting(StreamRecord::getTimestamp)
          .containsExactly(1L, 2L);
      assertThat(valve.receipts()).isEmpty();
      assertThat(valve.counters.get(Count.BOUNCED)).isEqualTo(2);
      assertThat(valve.counters.get(Count.UNSETTLED)).isZero();
    }
  }

  @Test
  void aReceiptThatDoesNotFitBouncesTheBatch() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).record("b", 2);
      FakeSender.Sent sent = valve.sealed();
      sent.reply(200, sent.batch().receipt().replace("\"records\": 2", "\"records\": 3"));
      valve.mails();

      assertThat(valve.local()).containsExactly("a", "b");
      assertThat(valve.receipts()).isEmpty();
    }
  }

  @Test
  void anUnknownOutcomeIsSentAgainUnderTheSameIdUntilItSettles() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      valve.sealed().fail();
      valve.mails().pass(Duration.ofMillis(24));
      assertThat(valve.sender.sent).hasSize(1);
      // The first wait is 50 ms, of which the harness's random number leaves half.
      valve.pass(Duration.ofMillis(1));
      assertThat(valve.sender.sent).hasSize(2);
      assertThat(valve.sender.last().id()).isEqualTo(valve.sender.sent.get(0).id());
      assertThat(valve.sender.last().batch()).isEqualTo(valve.sender.sent.get(0).batch());
      assertThat(valve.sender.last().deadline()).isEqualTo(Duration.ofMillis(4_975));

      valve.sender.last().settle();
      valve.mails();
      assertThat(valve.receipts()).hasSize(1);
      assertThat(valve.counters.get(Count.RETRIES)).isEqualTo(1);
    }
  }

  @Test
  void theDeadlineEndsRetries() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      valve.sealed();
      for (int i = 0; i < 200; i++) {
        valve.sender.sent.forEach(sent -> sent.reply(500, ""));
        valve.mails().pass(Duration.ofMillis(25));
      }

      assertThat(valve.local()).containsExactly("a");
      assertThat(valve.sender.sent).hasSizeBetween(5, 20);
      assertThat(valve.sender.sent).allMatch(sent -> !sent.deadline().isNegative());
    }
  }

  @Test
  void retryAfterIsObeyedAndBoundedByTheDeadline() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      valve.sealed().replyAfter(429, Duration.ofMillis(1_500));
      valve.mails().pass(Duration.ofMillis(1_499));
      assertThat(valve.sender.sent).hasSize(1);
      valve.pass(Duration.ofMillis(1));
      assertThat(valve.sender.sent).hasSize(2);

      valve.sender.last().replyAfter(503, Duration.ofMillis(3_500));
      valve.mails();
      assertThat(valve.local()).containsExactly("a");
    }
  }

  @Test
  void creditsBoundTheBatchesThatAreUnsettled() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 1);
    try (ValveHarness valve = ValveHarness.open(options)) {
      valve.divertAll(2).record("a", 1).record("b", 2).record("c", 3);
      assertThat(valve.sender.sent).hasSize(2);
      assertThat(valve.local()).containsExactly("c");

      valve.sender.sent.get(0).settle();
      valve.mails().record("d", 4);
      assertThat(valve.sender.sent).hasSize(3);
      assertThat(valve.local()).containsExactly("c");
    }
  }

  @Test
  void aBatchIsSealedByItsNumberOfRecords() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 2);
    try (ValveHarness valve = ValveHarness.open(options)) {
      valve.divertAll(8).record("a", 1).record("b", 2).record("c", 3);

      assertThat(valve.sender.sent).hasSize(1);
      assertThat(valve.sender.last().batch().items()).hasSize(2);
      // The first batch's linger must not seal the second one early.
      valve.pass(Duration.ofMillis(60)).record("d", 4).pass(Duration.ofMillis(39));
      assertThat(valve.sender.sent).hasSize(2);
      assertThat(valve.sender.last().batch().items()).hasSize(2);
    }
  }

  @Test
  void aBatchIsSealedBeforeItExceedsItsSize() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_SIZE, MemorySize.parse("4kb"));
    try (ValveHarness valve = ValveHarness.open(options)) {
      String kilobyte = "x".repeat(1_024);
      valve.divertAll(8);
      for (int i = 0; i < 4; i++) {
        valve.record(kilobyte, i);
      }
      assertThat(valve.sender.sent).hasSize(1);
      assertThat(valve.sender.last().batch().items()).hasSize(3);
      assertThat(valve.sealed().batch().items())
          .containsExactly(new DecodedBatch.Item(3, kilobyte));
    }
  }

  @Test
  void aRecordThatFitsIntoNoBatchStaysLocal() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_SIZE, MemorySize.parse("4kb"));
    try (ValveHarness valve = ValveHarness.open(options)) {
      String large = "x".repeat(4_096);
      valve.divertAll(8).record(large, 1).record("a", 2).record(large, 3).record("b", 4);
      valve.sealed();

      assertThat(valve.local()).containsExactly(large, large);
      assertThat(valve.sender.sent.stream().mapToInt(sent -> sent.batch().items().size()).sum())
          .isEqualTo(2);
    }
  }

  @Test
  void theTokenBucketKeepsTheLocalRate() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.direct(1_000, true, 8, 60_000);
      for (int i = 0; i < 100; i++) {
        valve.record("r" + i, i);
      }
      // 50 ms of the rate.
      assertThat(valve.local()).hasSize(50);
      valve.pass(Duration.ofMillis(10));
      for (int i = 100; i < 200; i++) {
        valve.record("r" + i, i);
      }
      assertThat(valve.local()).hasSize(60);
    }
  }

  @Test
  void aCongestedOutputDivertsEvenWithTokens() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.direct(Double.POSITIVE_INFINITY, true, 8, 60_000).record("a", 1);
      valve.localOutput.congested = true;
      valve.record("b", 2);
      valve.localOutput.congested = false;
      valve.record("c", 3);

      assertThat(valve.local()).containsExactly("a", "c");
    }
  }

  @Test
  void withNeitherRoomNorCreditARecordGoesWhereThereIsRoomFirst() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.divertAll(1).record("a", 1);
      valve.localOutput.congested = true;
      valve.sender.last().settle();
      valve.recordWhileTimePasses("b", 2, Duration.ofMillis(1));
      // The credit came back: what waited for it has taken it.
      assertThat(valve.sender.last().batch().items()).extracting("text").containsExactly("b");
      assertThat(valve.local()).isEmpty();

      valve.localOutput.looksUntilRoom = 3;
      valve.recordWhileTimePasses("c", 3, Duration.ofMillis(1));
      assertThat(valve.local()).containsExactly("c");
    }
  }

  @Test
  void anOutputThatNothingLeavesIsNotFilledWhileDivertingIsAllowed() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.divertAll(2).record("a", 1).record("b", 2);
      valve.localOutput.congested = true;
      valve.sender.sent.get(0).reply(422, "");
      valve.mails().pass(Duration.ofMillis(2));
      // A batch that has come back takes no credit, but waits as well.
      valve.recordWhileTimePasses("c", 3, Duration.ofMillis(1));
      assertThat(valve.local()).isEmpty();
      assertThat(valve.sender.sent).hasSize(3);

      valve.localOutput.congested = false;
      valve.pass(Duration.ofMillis(2));
      assertThat(valve.local()).containsExactly("a");
    }
  }

  @Test
  void aRecordThatWaitsForRoomDoesNotWaitForAllThatComesBack() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(1);
      for (int i = 0; i < 100; i++) {
        valve.record("r" + i, i);
      }
      FakeSender.Sent sent = valve.sealed();
      long start = valve.flink.getProcessingTime();
      // The lane takes eight records in the time after which is looked again.
      valve.localOutput.congestedWhen =
          () -> valve.local().size() >= 8 * ((valve.flink.getProcessingTime() - start) / 2);
      sent.refuse();
      valve.mails().direct(0, true, 0, 60_000);
      valve.recordWhileTimePasses("a", 100, Duration.ofMillis(1));

      assertThat(valve.local()).contains("a").hasSizeLessThan(16);
    }
  }

  @Test
  void whoWaitsForRoomWaitsNoLongerThanTheLease() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.direct(0, true, 1, 1_000).record("a", 1);
      valve.localOutput.congested = true;
      valve.recordWhileTimePasses("b", 2, Duration.ofMillis(10));

      assertThat(valve.local()).containsExactly("b");
      assertThat(valve.sender.sent).hasSize(1);
    }
  }

  @Test
  void whoWaitsForRoomWaitsNoLongerAlthoughTheLeaseIsRenewed() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.direct(0, true, 1, 1_000).record("a", 1);
      valve.localOutput.congested = true;
      valve
          .flink
          .getProcessingTimeService()
          .registerTimer(
              valve.flink.getProcessingTime() + 500, time -> valve.direct(0, true, 1, 60_000));
      long start = valve.clock.millis();
      valve.recordWhileTimePasses("b", 2, Duration.ofMillis(10));

      assertThat(valve.local()).containsExactly("b");
      assertThat(valve.clock.millis() - start).isBetween(1_000L, 1_050L);
    }
  }

  @Test
  void withoutAnyCreditsNobodyWaitsForOne() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.divertAll(0).localOutput.congested = true;
      long start = valve.clock.millis();
      valve.recordWhileTimePasses("a", 1, Duration.ofMillis(10));

      assertThat(valve.local()).containsExactly("a");
      assertThat(valve.clock.millis()).isEqualTo(start);
    }
  }

  @Test
  void aDirectiveThatForbidsDivertingEndsTheWaitForRoom() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.divertAll(1).record("a", 1);
      valve.localOutput.congested = true;
      valve
          .flink
          .getProcessingTimeService()
          .registerTimer(
              valve.flink.getProcessingTime() + 30, time -> valve.direct(0, false, 0, 60_000));
      valve.recordWhileTimePasses("b", 2, Duration.ofMillis(10));

      assertThat(valve.local()).containsExactly("b");
    }
  }

  @Test
  void aRecordThatMayNotBeDivertedAnyMoreDoesNotWaitForRoom() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.divertAll(1).record("a", 1).watermark(999);
      valve.localOutput.congested = true;
      // Its window is closed but for the batch that is out.
      valve.record("b", 2);

      assertThat(valve.local()).containsExactly("b");
    }
  }

  @Test
  void batchesThatHaveComeBackTakeUpNoCredits() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordABatch())) {
      valve.localOutput.available = false;
      valve.divertAll(3).record("a", 1).record("b", 2).record("c", 3);
      valve.sender.sent.forEach(sent -> sent.reply(422, ""));
      valve.mails();
      // A single credit, as for a trial.
      valve.divertAll(1).record("d", 4);
      assertThat(valve.sender.sent).hasSize(4);

      // But what is held is bounded: one batch more than there ever were credits.
      valve.sender.last().reply(422, "");
      valve.mails().record("e", 5);
      assertThat(valve.sender.sent).hasSize(4);
      assertThat(valve.local()).containsExactly("e");
    }
  }

  @Test
  void returnedRecordsGetAsMuchOfTheLocalLaneAsNewOnes() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).record("b", 2).record("c", 3);
      valve.sealed().reply(422, "");
      valve.mail();
      // No mail is read from here on: a saturated task hardly comes to it.
      valve.direct(0, false, 0, 60_000).record("d", 4).record("e", 5).record("f", 6);

      assertThat(valve.local()).containsExactly("d", "a", "e", "b", "f", "c");
    }
  }

  private static Configuration oneRecordABatch() {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 1);
    return options;
  }

  @Test
  void whenTheLeaseRunsOutEverythingGoesLocal() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.direct(0, true, 8, 1_000).record("a", 1);
      valve.pass(Duration.ofMillis(999)).record("b", 2);
      valve.pass(Duration.ofMillis(1)).record("c", 3);

      assertThat(valve.local()).containsExactly("c");
    }
  }

  @Test
  void aDirectiveThatForbidsDivertingKeepsEverythingAtOnce() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      valve.direct(0, false, 8, 60_000).record("b", 2);

      assertThat(valve.local()).containsExactly("b");
    }
  }

  @Test
  void aLateRecordGoesToTheLateOutput() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.record("a", 500).watermark(999).record("b", 999).record("c", 1_000);

      assertThat(valve.late()).containsExactly("b");
      assertThat(valve.local()).containsExactly("a", "c");
      valve.checkpoint(1);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(2L, 1L, 0L, 0L, 1L));
    }
  }

  @Test
  void aRecordWithoutTimestampIsAnErrorThatSaysWhatToDo() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      assertThatThrownBy(() -> valve.flink.processElement(new StreamRecord<>(new byte[0])))
          .hasMessageContaining("Assign timestamps");
    }
  }

  @Test
  void anEpisodeOfDivertingIsTimed() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      long start = valve.clock.millis();
      valve.divertAll(1_000).record("a", 1);
      valve.pass(Duration.ofMillis(99)).record("b", 2);
      assertThat(valve.counters.firstDivertedMs()).isEqualTo(start);
      assertThat(valve.counters.lastDivertedMs()).isEqualTo(start + 99);

      valve.pass(Duration.ofMillis(100)).record("c", 3);
      assertThat(valve.counters.firstDivertedMs()).isEqualTo(start + 199);
    }
  }
}
