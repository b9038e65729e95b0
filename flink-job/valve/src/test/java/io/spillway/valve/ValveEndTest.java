package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How a valve ends: with its input, or before it. */
@Timeout(30)
class ValveEndTest {

  @Test
  void theEndOfTheInputSealsWaitsAndClosesTheBooks() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.sender.onSend = FakeSender.Sent::settle;
      valve.divertAll(8).record("a", 1).watermark(Long.MAX_VALUE);
      valve.flink.endInput();

      assertThat(valve.receipts()).hasSize(1);
      assertThat(valve.output()).containsExactly("W" + Long.MAX_VALUE);
      JsonNode last = valve.books().get(0);
      assertThat(last.get("final").booleanValue()).isTrue();
      assertThat(last.get("checkpoint").isNull()).isTrue();
      assertThat(last.get("watermark_ms").longValue()).isEqualTo(Long.MAX_VALUE);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(1L, 0L, 1L, 0L, 0L));
      assertThat(valve.ledger()).last().asString().contains("\"books\"");
      assertThat(valve.finalReport).isTrue();
    }
  }

  @Test
  void whatBouncesAtTheEndGoesLocalBeforeTheBooksAreClosed() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.sender.onSend = sent -> sent.reply(422, "");
      valve.divertAll(8).record("a", 1).watermark(Long.MAX_VALUE);
      valve.flink.endInput();

      assertThat(valve.output()).containsExactly("a", "W" + Long.MAX_VALUE);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(1L, 0L, 0L, 1L, 0L));
    }
  }

  @Test
  void restoredRecordsAreSettledBeforeTheEnd() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      state = valve.divertAll(8).record("a", 1).checkpoint(1);
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      valve.sender.onSend = FakeSender.Sent::settle;
      valve.divertAll(8);
      valve.flink.endInput();

      assertThat(valve.receipts()).hasSize(1);
      assertThat(valve.balance().get(0L)).isEqualTo(List.of(0L, 0L, 1L, 0L, 0L));
    }
  }

  @Test
  void afterTheFinalBooksABarrierWritesNoMore() throws Exception {
    try (ValveHarness valve = ValveHarness.open()) {
      valve.record("a", 1);
      valve.flink.endInput();
      valve.flink.getOperator().finish();
      valve.checkpoint(3);

      assertThat(valve.books()).hasSize(1);
    }
  }

  /** Flink has told downstream that no data follows: what is unsettled goes into the savepoint. */
  @Test
  void stoppingWithASavepointEmitsTheBooksAndThenNothing() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      FakeSender.Sent sent = valve.sealed();
      valve.flink.getOperator().finish();
      sent.settle();
      state = valve.mails().checkpoint(3);

      assertThat(valve.receipts()).isEmpty();
      assertThat(valve.books()).hasSize(1);
      assertThat(valve.books().get(0).get("final").booleanValue()).isFalse();
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      assertThat(valve.mails().local()).containsExactly("a");
    }
  }

  /** A task that was stopped with a savepoint runs the mails that it has, and takes no more. */
  @Test
  void aBatchThatBouncesAfterTheSavepointFailsNothing() throws Exception {
    OperatorSubtaskState state;
    try (ValveHarness valve = ValveHarness.open()) {
      valve.divertAll(8).record("a", 1);
      FakeSender.Sent sent = valve.sealed();
      state = valve.checkpoint(3);
      sent.reply(422, "");
      valve.flink.getTaskMailbox().quiesce();
      valve.mails();

      assertThat(valve.local()).isEmpty();
    }
    try (ValveHarness valve = ValveHarness.restore(state)) {
      assertThat(valve.mails().local()).containsExactly("a");
    }
  }
}
