package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.junit.jupiter.api.Test;

/** Watermarks never pass a record that may still come back. */
class ValveWatermarkTest {

  private static Configuration oneRecordBatches() {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 1);
    return options;
  }

  @Test
  void aWatermarkGoesOnAtOnceWhenNothingIsUnsettled() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.record("a", 1).watermark(5);

      assertThat(valve.output()).containsExactly("a", "W5");
    }
  }

  @Test
  void aWatermarkWaitsForTheOpenBatchToSettle() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).watermark(5);
      FakeSender.Sent sent = valve.sealed();
      assertThat(valve.output()).isEmpty();

      sent.settle();
      valve.mails();
      assertThat(valve.output()).containsExactly("W5");
    }
  }

  @Test
  void aBouncedRecordComesBeforeTheWatermarkThatWaitedForIt() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).watermark(1_000);
      valve.sealed().reply(400, "");
      valve.mails();

      assertThat(valve.output()).containsExactly("a", "W1000");
    }
  }

  @Test
  void aWatermarkDoesNotWaitForBatchesOpenedAfterIt() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordBatches())) {
      valve.divertAll(8).record("a", 1).watermark(5).record("b", 1_000).watermark(6);
      valve.sender.sent.get(0).settle();
      valve.mails();
      assertThat(valve.output()).containsExactly("W5");

      valve.sender.sent.get(1).settle();
      valve.mails();
      assertThat(valve.output()).containsExactly("W5", "W6");
    }
  }

  @Test
  void batchesThatSettleOutOfOrderReleaseWatermarksInOrder() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordBatches())) {
      valve.divertAll(8).record("a", 1).watermark(5).record("b", 6).watermark(7);
      valve.sender.sent.get(1).settle();
      valve.mails();
      assertThat(valve.output()).isEmpty();

      valve.sender.sent.get(0).settle();
      valve.mails();
      assertThat(valve.output()).containsExactly("W5", "W7");
    }
  }

  @Test
  void watermarksThatWaitForTheSameBatchesCollapse() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).watermark(5).watermark(6).watermark(7);
      valve.sealed().settle();
      valve.mails();

      assertThat(valve.output()).containsExactly("W7");
    }
  }

  @Test
  void idlenessWaitsInLineWithWatermarks() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).watermark(5);
      valve.flink.processWatermarkStatus(WatermarkStatus.IDLE);
      valve.sealed();
      assertThat(valve.output()).isEmpty();

      valve.sender.last().settle();
      valve.mails();
      valve.flink.processWatermarkStatus(WatermarkStatus.ACTIVE);
      assertThat(valve.output()).containsExactly("W5", "idle", "active");
    }
  }

  /**
   * The watermark at 999 waits for the first batch only. A record of the window it closes, put into
   * a second batch, could bounce after the watermark has gone on, and would be late.
   */
  @Test
  void aRecordOfAWindowThatAWaitingWatermarkClosesIsNotDiverted() throws Exception {
    try (ValveHarness valve = ValveHarness.open(oneRecordBatches())) {
      valve.divertAll(8).record("a", 1).watermark(999).record("b", 2);
      valve.sender.sent.get(0).settle();
      valve.mails();

      assertThat(valve.output()).containsExactly("b", "W999");
      assertThat(valve.sender.sent).hasSize(1);
      assertThat(valve.late()).isEmpty();
    }
  }

  @Test
  void aWatermarkWaitsForRestoredRecordsAndForTheBatchesTheyWentInto() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      state = valve.divertAll(8).record("a", 1).checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.divertAll(8).watermark(500);
      assertThat(valve.output()).isEmpty();
      valve.mails().record("b", 600).watermark(700);
      FakeSender.Sent sent = valve.sealed();
      // Nothing was open when the first watermark came: only the records from the state held it.
      assertThat(valve.output()).containsExactly("W500");

      sent.settle();
      valve.mails();
      assertThat(valve.output()).containsExactly("W500", "W700");
    }
  }

  @Test
  void returnedRecordsHoldTheWatermarkUntilTheLastOfThemIsOut() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 300; i++) {
        valve.record("r" + i, i);
      }
      valve.watermark(999);
      valve.sealed().reply(422, "");
      valve.mail();
      valve.mail();
      assertThat(valve.local()).hasSize(256);
      assertThat(valve.output()).doesNotContain("W999");

      valve.mails();
      assertThat(valve.local()).hasSize(300);
      assertThat(valve.output()).last().isEqualTo("W999");
    }
  }

  @Test
  void returnedRecordsWaitForRoomInTheOutput() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).watermark(999);
      valve.sealed().reply(422, "");
      valve.localOutput.available = false;
      valve.mails().pass(Duration.ofMillis(2)).pass(Duration.ofMillis(2));
      assertThat(valve.output()).isEmpty();

      valve.localOutput.available = true;
      valve.pass(Duration.ofMillis(2));
      assertThat(valve.output()).containsExactly("a", "W999");
    }
  }

  @Test
  void returnedRecordsMakeProgressThroughACongestedOutput() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 300; i++) {
        valve.record("r" + i, i);
      }
      valve.sealed().reply(422, "");
      valve.direct(0, false, 0, 60_000).localOutput.congested = true;
      valve.mails();
      int first = valve.local().size();
      valve.pass(Duration.ofMillis(2));

      assertThat(first).isBetween(1, 64);
      assertThat(valve.local().size()).isBetween(first + 1, first + 64);
    }
  }
}
