package io.spillway.jobs.replay;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.metrics.SimpleCounter;
import org.junit.jupiter.api.Test;

class ReplayReaderTest {
  private static final long EVENT_START_MS = 50_000;
  private static final long DUE_START_MS = 1_000_000;

  private final ManualTime time = new ManualTime();
  private final CollectingOutput output = new CollectingOutput();
  private final SimpleCounter recordsIn = new SimpleCounter();

  @Test
  void emitsNothingBeforeItIsDueAndSleepsUntilThen() throws Exception {
    ReplayReader reader = reader("1k:3ms", "a", "b");
    assign(reader, ReplaySplit.untouched(0, 1));
    time.nowMs = DUE_START_MS - 7;

    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.NOTHING_AVAILABLE);
    assertThat(output.records).isEmpty();
    assertThat(reader.isAvailable()).isNotDone();

    time.advanceTo(DUE_START_MS - 1);
    assertThat(reader.isAvailable()).isNotDone();

    time.advanceTo(DUE_START_MS);
    assertThat(reader.isAvailable()).isDone();
    drain(reader);
    assertThat(output.records).containsExactly("a@50000");
  }

  @Test
  void doesNotWakeUpForEachMillisecond() throws Exception {
    ReplayReader reader = reader("1k:1s", "a");
    assign(reader, ReplaySplit.untouched(0, 1));
    time.nowMs = DUE_START_MS;
    drain(reader);

    time.advanceTo(DUE_START_MS + ReplayReader.MIN_NAP_MS - 1);
    assertThat(reader.isAvailable()).isNotDone();

    time.advanceTo(DUE_START_MS + ReplayReader.MIN_NAP_MS);
    assertThat(reader.isAvailable()).isDone();
    drain(reader);
    assertThat(output.records).hasSize(1 + (int) ReplayReader.MIN_NAP_MS);
  }

  @Test
  void goesRoundTheLinesAndStampsEachRecordWithItsScheduleEvenIfLate() throws Exception {
    ReplayReader reader = reader("2k:2ms,0:1s,1k:3ms", "a", "b", "");
    assign(reader, ReplaySplit.untouched(0, 1));
    time.nowMs = DUE_START_MS + 60_000;

    assertThat(drain(reader)).isEqualTo(InputStatus.END_OF_INPUT);

    assertThat(output.records)
        .containsExactly("a@50000", "b@50000", "@50001", "a@50001", "b@51002", "@51003", "a@51004");
    assertThat(recordsIn.getCount()).isEqualTo(7);
  }

  @Test
  void readsTheClockOnlyWhenTheNextRecordIsNotKnownToBeDue() throws Exception {
    ReplayReader reader = reader("1M:10ms", "a");
    assign(reader, ReplaySplit.untouched(0, 1));
    time.nowMs = DUE_START_MS + 9;

    drain(reader);

    assertThat(recordsIn.getCount()).isEqualTo(10_000);
    assertThat(time.readings).isEqualTo(1);
  }

  @Test
  void emitsASliceInAPollAndStopsWhereRecordsAreNotDue() throws Exception {
    ReplayReader reader = reader("10k:10ms", "a");
    assign(reader, ReplaySplit.untouched(0, 1));
    time.nowMs = DUE_START_MS + 1;

    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.MORE_AVAILABLE);
    assertThat(recordsIn.getCount()).isEqualTo(ReplayReader.SLICE);
    assertThat(reader.snapshotState(1)).containsExactly(new ReplaySplit(0, 1, ReplayReader.SLICE));
    reader.pollNext(output);
    assertThat(output.records).hasSize(20).endsWith("a@50001");
    assertThat(recordsIn.getCount()).isEqualTo(20);
  }

  @Test
  void doesNotWaitWhenUnpaced() throws Exception {
    ReplayReader reader = reader(false, "1:1000s", "a");
    assign(reader, ReplaySplit.untouched(0, 1));

    assertThat(drain(reader)).isEqualTo(InputStatus.END_OF_INPUT);

    assertThat(output.records).hasSize(1_000).startsWith("a@50000", "a@51000");
    assertThat(time.readings).isZero();
  }

  @Test
  void takesTurnsBetweenItsSplitsInTheOrderOfRecords() throws Exception {
    ReplayReader reader = reader("1k:6ms", "0", "1", "2", "3", "4", "5");
    assign(reader, ReplaySplit.untouched(2, 3), ReplaySplit.untouched(0, 3));
    time.nowMs = DUE_START_MS + 100;

    drain(reader);

    assertThat(output.records).containsExactly("0@50000", "2@50002", "3@50003", "5@50005");
  }

  @Test
  void letsGoOfASplitThatIsDoneSoThatItHoldsNoWatermark() throws Exception {
    ReplayReader reader = reader("1k:4ms", "a");
    assign(reader, ReplaySplit.untouched(0, 2), new ReplaySplit(1, 2, 5));
    time.nowMs = DUE_START_MS - 1;

    reader.pollNext(output);

    assertThat(output.openSplits).containsExactly("0/2");
  }

  @Test
  void goesOnExactlyWhereASnapshotWasTakenWhateverTheReader() throws Exception {
    String spec = "2k:20ms,0:7ms,333:100ms";
    List<String> whole = new ArrayList<>();
    time.nowMs = DUE_START_MS + 1_000;
    for (int taken = 0; taken <= 73; taken++) {
      ReplayReader before = reader(spec, "a", "b", "c");
      assign(before, ReplaySplit.untouched(0, 2), ReplaySplit.untouched(1, 2));
      output.records.clear();
      for (int i = 0; i < taken; i++) {
        before.pollNext(output);
      }
      // At another parallelism each of the splits may come to a reader of its own.
      for (ReplaySplit split : before.snapshotState(1)) {
        ReplayReader after = reader(spec, "a", "b", "c");
        assign(after, split);
        assertThat(drain(after)).isEqualTo(InputStatus.END_OF_INPUT);
      }

      if (taken == 0) {
        whole.addAll(output.records);
      }
      assertThat(output.records).containsExactlyInAnyOrderElementsOf(whole);
    }
    assertThat(whole).hasSize(73);
  }

  @Test
  void keepsSplitsInASnapshotThatItHasNotBegun() throws Exception {
    ReplayReader reader = reader("1k:4ms", "a");
    assign(reader, ReplaySplit.untouched(1, 2));

    assertThat(reader.snapshotState(1)).containsExactly(new ReplaySplit(1, 2, 1));
  }

  @Test
  void waitsForSplitsWithoutPollingAndEndsOnlyWhenNoneWillCome() throws Exception {
    ReplayReader reader = reader("1k:1ms", "a");
    time.nowMs = DUE_START_MS;

    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.NOTHING_AVAILABLE);
    assertThat(reader.isAvailable()).isNotDone();
    reader.addSplits(List.of(ReplaySplit.untouched(0, 1)));
    assertThat(reader.isAvailable()).isDone();
    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.MORE_AVAILABLE);
    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.NOTHING_AVAILABLE);
    assertThat(reader.isAvailable()).isNotDone();
    reader.notifyNoMoreSplits();
    assertThat(reader.isAvailable()).isDone();
    assertThat(reader.pollNext(output)).isEqualTo(InputStatus.END_OF_INPUT);
  }

  private ReplayReader reader(String spec, String... lines) throws Exception {
    return reader(true, spec, lines);
  }

  private ReplayReader reader(boolean paced, String spec, String... lines) throws Exception {
    byte[][] bytes = new byte[lines.length][];
    for (int i = 0; i < lines.length; i++) {
      bytes[i] = lines[i].getBytes(StandardCharsets.UTF_8);
    }
    ReplaySource.Settings settings =
        new ReplaySource.Settings(
            "unused", ProfileParser.parse(spec), EVENT_START_MS, DUE_START_MS, paced);
    return new ReplayReader(settings, bytes, time, time.alarm(), recordsIn);
  }

  private static void assign(ReplayReader reader, ReplaySplit... splits) {
    reader.addSplits(List.of(splits));
    reader.notifyNoMoreSplits();
  }

  /** Polls until the reader has nothing. */
  private InputStatus drain(ReplayReader reader) {
    InputStatus status;
    do {
      status = reader.pollNext(output);
    } while (status == InputStatus.MORE_AVAILABLE);
    return status;
  }

  /** A clock that stands still, counts its readings, and lets alarms go off. */
  private static final class ManualTime extends Clock {
    private record Pending(long atMs, CompletableFuture<Void> future) {}

    private final List<Pending> alarms = new ArrayList<>();
    private long nowMs;
    private int readings;

    Alarm alarm() {
      return new Alarm() {
        @Override
        public void completeAfter(long delayMs, CompletableFuture<Void> future) {
          alarms.add(new Pending(nowMs + delayMs, future));
        }

        @Override
        public void close() {}
      };
    }

    void advanceTo(long ms) {
      nowMs = ms;
      alarms.stream().filter(each -> each.atMs <= ms).forEach(each -> each.future.complete(null));
    }

    @Override
    public long millis() {
      readings++;
      return nowMs;
    }

    @Override
    public Instant instant() {
      return Instant.ofEpochMilli(millis());
    }

    @Override
    public ZoneId getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
      return this;
    }
  }
}
