package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.spillway.valve.ValveCounters.Count;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

/** Snapshots hold what is unsettled, and restores offer it again. */
class ValveStateTest {

  private static Configuration oneRecordBatches() {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 1);
    return options;
  }

  @Test
  void openAndInFlightBatchesAreRestoredAndSettledOnesAreNot() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 2);
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open(options)) {
      valve.divertAll(8);
      for (String record : List.of("settled", "settled", "in flight", "", "open")) {
        valve.record(record, -5);
      }
      valve.sender.sent.get(0).settle();
      state = valve.mails().checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(options, state)) {
      valve.mails();

      assertThat(valve.local()).containsExactly("in flight", "", "open");
      assertThat(valve.flink.extractOutputStreamRecords())
          .extracting(StreamRecord::getTimestamp)
          .containsOnly(-5L);
    }
  }

  @Test
  void aSnapshotDoesNotSealTheOpenBatch() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1).checkpoint(1);
      assertThat(valve.sender.sent).isEmpty();
      valve.record("b", 2);

      assertThat(valve.sealed().batch().items()).hasSize(2);
    }
  }

  @Test
  void ofAPartlyReturnedBatchOnlyTheRestIsRestored() throws Exception {
    OperatorSubtaskState state;
    List<String> before;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 300; i++) {
        valve.record("r" + i, i);
      }
      valve.sealed().reply(422, "");
      // The answer, and one slice.
      valve.mail();
      valve.mail();
      state = valve.checkpoint(1);
      before = valve.local();
      assertThat(before).hasSizeBetween(1, 299);
      valve.checkpoint(2);
      valve.mails();
      assertThat(valve.local()).hasSize(300).doesNotHaveDuplicates();
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.mails();
      List<String> all = new ArrayList<>(before);
      all.addAll(valve.local());
      assertThat(all).hasSize(300).doesNotHaveDuplicates();
    }
  }

  @Test
  void restoredRecordsMayBeDivertedAgainAndAreNotReceivedAgain() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      state = valve.divertAll(8).record("a", 1).record("b", 2).checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      assertThat(valve.counters.get(Count.UNSETTLED)).isEqualTo(2);
      valve.divertAll(8).mails();
      FakeSender.Sent sent = valve.sealed();
      assertThat(sent.batch().items()).hasSize(2);
      sent.settle();
      valve.mails().checkpoint(2);

      assertThat(valve.balance().get(0L)).isEqualTo(List.of(0L, 0L, 2L, 0L, 0L));
      assertThat(valve.counters.get(Count.RECEIVED)).isZero();
      assertThat(valve.counters.get(Count.UNSETTLED)).isZero();
    }
  }

  @Test
  void restoredRecordsGoBeforeAllButAFewNewOnes() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 8; i++) {
        valve.record("r" + i, i);
      }
      state = valve.checkpoint(1);
    }
    // No mail is read: a saturated task hardly comes to it.
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.record("a", 10).record("b", 11).record("c", 12);
      assertThat(valve.local())
          .containsExactly("a", "r0", "r1", "r2", "r3", "b", "r4", "r5", "r6", "r7", "c");
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      // New ones take no credit before them.
      valve.divertAll(8).record("a", 10).record("b", 11).record("c", 12);
      assertThat(valve.local()).containsExactly("a", "b");
      assertThat(valve.sealed().batch().items())
          .extracting("text")
          .containsExactly("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "c");
    }
  }

  @Test
  void aCongestedOutputDoesNotSlowRestoredRecordsOnTheirWayIntoTheCloud() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 300; i++) {
        valve.record("r" + i, i);
      }
      state = valve.checkpoint(1);
    }
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 100);
    try (ValveHarness valve = ValveHarness.restore(options, state)) {
      valve.localOutput.congested = true;
      // No time passes.
      valve.divertAll(8).mails();

      assertThat(valve.sender.sent).hasSize(3);
      assertThat(valve.local()).isEmpty();
    }
  }

  @Test
  void restoredRecordsThatMayNotBeDivertedDoNotFillACongestedOutput() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      state = valve.divertAll(8).record("a", 1).record("b", 1_001).checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.localOutput.congested = true;
      valve.divertAll(8).watermark(999).mails();
      assertThat(valve.local()).isEmpty();

      valve.localOutput.congested = false;
      valve.pass(Duration.ofMillis(2));
      assertThat(valve.local()).containsExactly("a");
      assertThat(valve.sealed().batch().items()).extracting("text").containsExactly("b");
    }
  }

  @Test
  void restoredRecordsTakeTheCreditsOfALaterDirective() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8);
      for (int i = 0; i < 6; i++) {
        valve.record("r" + i, i);
      }
      state = valve.checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(oneRecordBatches(), state)) {
      valve.localOutput.congested = true;
      valve.divertAll(1).mails();
      valve.sender.last().refuse();
      valve.pass(Duration.ofMillis(2));
      valve.sender.last().refuse();
      valve.pass(Duration.ofMillis(2));
      // Two have come back, behind those that wait: as much as is held with a single credit.
      assertThat(valve.sender.sent).hasSize(2);

      valve.divertAll(8).pass(Duration.ofMillis(2));
      assertThat(valve.sender.sent).hasSize(6);
      assertThat(valve.local()).isEmpty();
    }
  }

  @Test
  void restoredRecordsThatGoLocalCountAsKept() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      state = valve.checkpoint(1);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(1L, 0L, 0L, 0L, 0L));
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.mails().checkpoint(2);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(0L, 1L, 0L, 0L, 0L));
    }
  }

  @Test
  void theBooksSayWhichCheckpointTheAttemptStartedFrom() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      state = valve.record("a", 1).checkpoint(1);
      assertThat(valve.books()).extracting(line -> line.get("restored").asLong()).containsOnly(0L);
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.checkpoint(8);
      assertThat(valve.books())
          .extracting(line -> line.get("restored").asLong())
          .containsOnly(ValveHarness.RESTORED_CHECKPOINT);
    }
  }

  @Test
  void rescalingSplitsTheBatchesOverTheSubtasks() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open(oneRecordBatches())) {
      valve.divertAll(8);
      for (int i = 0; i < 5; i++) {
        valve.record("r" + i, i);
      }
      state = valve.checkpoint(1);
    }
    List<String> all = new ArrayList<>();
    for (int subtask = 0; subtask < 2; subtask++) {
      OperatorSubtaskState part =
          AbstractStreamOperatorTestHarness.repartitionOperatorState(state, 16, 1, 2, subtask);
      try (ValveHarness valve = ValveHarness.restore(TestConfig.options(), part, 2, subtask)) {
        valve.mails();
        assertThat(valve.local()).hasSizeBetween(2, 3);
        all.addAll(valve.local());
      }
    }
    assertThat(all).containsExactlyInAnyOrder("r0", "r1", "r2", "r3", "r4");
  }

  @Test
  void aDamagedBatchInTheStateFailsTheRestore() throws Exception {
    byte[] batch = "no batch".getBytes(StandardCharsets.US_ASCII);
    Map<String, byte[]> damaged =
        Map.of(
            "Malformed batch of 8 bytes", partition(1, batch.length, batch),
            "A batch ends after 8 of 9 bytes", partition(1, batch.length + 1, batch),
            "A batch of -1 bytes", partition(1, -1, batch),
            "It has version 2, and this valve reads 1", partition(2, batch.length, batch),
            "EOFException", new byte[] {1, 0});
    for (Map.Entry<String, byte[]> each : damaged.entrySet()) {
      OperatorSubtaskState state = rawState(each.getValue());
      assertThatThrownBy(() -> ValveHarness.restore(state))
          .hasStackTraceContaining("The valve's state cannot be restored")
          .hasStackTraceContaining(each.getKey());
    }
  }

  @Test
  void booksCountFromBarrierToBarrier() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.record("a", 1).record("b", 1_500).checkpoint(7);
      valve.record("c", 1_600).watermark(1_650).checkpoint(8);
      valve.checkpoint(9);

      List<JsonNode> books = valve.books();
      assertThat(books).hasSize(3);
      assertThat(books.get(0).get("checkpoint").longValue()).isEqualTo(7);
      assertThat(books.get(0).get("watermark_ms").isNull()).isTrue();
      assertThat(books.get(0).get("windows"))
          .hasToString(
              "[{\"start_ms\":0,\"received\":1,\"kept\":1,\"diverted\":0,\"bounced\":0,\"late\":0},"
                  + "{\"start_ms\":1000,\"received\":1,\"kept\":1,\"diverted\":0,\"bounced\":0,"
                  + "\"late\":0}]");
      assertThat(books.get(1).get("watermark_ms").longValue()).isEqualTo(1_650);
      assertThat(books.get(1).get("windows")).hasSize(1);
      assertThat(books.get(2).get("windows")).isEmpty();
      assertThat(books.get(2).get("final").booleanValue()).isFalse();
      assertThat(books.get(2).get("attempt").textValue()).matches("[0-9a-f]{16}");
    }
  }

  @Test
  void anAnswerAfterTheEndOfTheAttemptIsIgnored() throws Exception {
    ValveHarness valve = ValveHarness.open();
    FakeSender.Sent sent;
    try (valve) {
      valve.divertAll(8).record("a", 1);
      sent = valve.sealed();
    }
    sent.settle();
    valve.mails();

    assertThat(valve.receipts()).isEmpty();
    assertThat(valve.sender.closed).isTrue();
  }

  private static byte[] partition(int version, int length, byte[] batch) {
    return ByteBuffer.allocate(5 + batch.length)
        .put((byte) version)
        .putInt(length)
        .put(batch)
        .array();
  }

  @SuppressWarnings("try") // Flink's harness may throw InterruptedException when it is closed.
  private static OperatorSubtaskState rawState(byte[] partition) throws Exception {
    try (OneInputStreamOperatorTestHarness<byte[], byte[]> flink =
        new OneInputStreamOperatorTestHarness<>(new StateWriter(partition))) {
      flink.open();
      return flink.snapshot(1, 1);
    }
  }

  /** Puts into the valve's state what no valve would. */
  private static final class StateWriter extends AbstractStreamOperator<byte[]>
      implements OneInputStreamOperator<byte[], byte[]> {

    private static final long serialVersionUID = 1L;

    private final byte[] partition;

    StateWriter(byte[] partition) {
      this.partition = partition;
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) {}

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
      context.getRawOperatorStateOutput().startNewPartition();
      context.getRawOperatorStateOutput().write(partition);
    }
  }
}
