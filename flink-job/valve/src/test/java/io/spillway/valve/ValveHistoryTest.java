package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import io.spillway.valve.ValveCounters.Count;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random histories: records, watermarks, directives, answers, failures, checkpoints, crashes.
 * Whatever happens, every record ends up in exactly one place, and no record follows a watermark
 * that closes its window.
 */
@Timeout(60)
class ValveHistoryTest {

  private static final int EVENTS = 1_500;

  /** Where a record or a watermark stands in the source: a null text is a watermark. */
  private record Event(long timeMs, String text) {}

  /** What is committed with a checkpoint, or would be with the next. */
  private static final class Ledger {
    private final List<String> local = new ArrayList<>();
    private final List<String> late = new ArrayList<>();
    private final List<String> lines = new ArrayList<>();

    void add(ValveHarness valve) {
      local.addAll(valve.local());
      late.addAll(valve.late());
      lines.addAll(valve.ledger());
    }
  }

  private Random random;
  private List<Event> source;
  private int position;
  private int committedPosition;
  private OperatorSubtaskState committedState;
  private long committedUnsettled;

  /** Where the attempt began, and with how many records of the one before. */
  private int attemptPosition;

  private long attemptRestored;

  /** What the attempt had counted when its output was committed last. */
  private final Map<Count, Long> countsAtCommit = new EnumMap<>(Count.class);

  private final Ledger committed = new Ledger();
  private final Map<String, DecodedBatch> batches = new HashMap<>();
  private ValveHarness valve;
  private long checkpoint;

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
  void everyRecordEndsUpInOnePlace(long seed) throws Exception {
    random = new Random(seed);
    source = source();
    start();
    try {
      while (position < source.size()) {
        step();
        checkConservation();
      }
      finish();
    } finally {
      valve.close();
    }
    checkEachRecordOnce();
    checkBooks();
    assertThat(batches).as("a history with few batches shows little").hasSizeGreaterThan(15);
  }

  private List<Event> source() {
    List<Event> events = new ArrayList<>();
    long watermark = -2_000;
    for (int i = 0; i < EVENTS; i++) {
      if (random.nextInt(10) == 0) {
        watermark += random.nextInt(400);
        events.add(new Event(watermark, null));
      } else {
        // Some are late, most are not.
        long time = watermark - 700 + random.nextInt(2_000);
        events.add(new Event(time, i + "@" + time));
      }
    }
    return events;
  }

  private void start() throws Exception {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, 15);
    options.set(ValveOptions.BATCH_MAX_SIZE, MemorySize.parse("4kb"));
    valve = ValveHarness.restore(options, committedState);
    position = committedPosition;
    attemptPosition = committedPosition;
    attemptRestored = committedUnsettled;
    countsAtCommit.clear();
    direct();
  }

  private void step() throws Exception {
    int dice = random.nextInt(200);
    if (dice < 4) {
      checkpointNow();
      if (random.nextInt(4) == 0) {
        crash();
      }
    } else if (dice < 5) {
      crash();
    } else if (dice < 8) {
      direct();
    } else if (dice < 20) {
      answer();
    } else if (dice < 30) {
      valve.pass(Duration.ofMillis(random.nextInt(60)));
    } else if (dice < 50) {
      valve.mail();
    } else if (dice < 53) {
      valve.localOutput.congested = random.nextInt(3) == 0;
    } else if (dice < 56) {
      valve.localOutput.available = random.nextInt(4) != 0;
    } else {
      emit(source.get(position++));
    }
  }

  private void emit(Event event) throws Exception {
    if (event.text() == null) {
      valve.watermark(event.timeMs());
    } else {
      // With neither room nor credit the valve waits, at the longest until its lease ends.
      valve.recordWhileTimePasses(event.text(), event.timeMs(), Duration.ofMillis(10));
    }
  }

  private void direct() {
    double rate =
        switch (random.nextInt(3)) {
          case 0 -> 0;
          case 1 -> Double.POSITIVE_INFINITY;
          default -> random.nextInt(2_000);
        };
    valve.direct(rate, random.nextInt(5) != 0, random.nextInt(8), 500 + random.nextInt(5_000));
  }

  private void answer() {
    List<FakeSender.Sent> waiting =
        valve.sender.sent.stream().filter(sent -> !sent.answer().isDone()).toList();
    if (waiting.isEmpty()) {
      return;
    }
    FakeSender.Sent sent = waiting.get(random.nextInt(waiting.size()));
    switch (random.nextInt(6)) {
      case 0 -> sent.reply(422, "no");
      case 1 -> sent.reply(500, "");
      case 2 -> sent.replyAfter(429, Duration.ofMillis(random.nextInt(3_000)));
      case 3 -> sent.fail();
      default -> sent.settle();
    }
  }

  private void checkpointNow() throws Exception {
    OperatorSubtaskState state = valve.checkpoint(++checkpoint);
    commit(state);
  }

  /** What went out since the last checkpoint is committed. */
  private void commit(OperatorSubtaskState state) {
    checkNothingIsLateDownstream();
    remember();
    committed.add(valve);
    valve.flink.getOutput().clear();
    clear(valve.flink.getSideOutput(ValveHarness.LATE));
    clear(valve.flink.getSideOutput(ValveHarness.LEDGER));
    committedState = state;
    committedPosition = position;
    committedUnsettled = valve.counters.get(Count.UNSETTLED);
    for (Count count : Count.values()) {
      countsAtCommit.put(count, valve.counters.get(count));
    }
  }

  private static void clear(java.util.Collection<?> output) {
    if (output != null) {
      output.clear();
    }
  }

  /** The attempt ends; what it had not committed is as if it had never been. */
  private void crash() throws Exception {
    checkNothingIsLateDownstream();
    remember();
    valve.close();
    forwarded = Long.MIN_VALUE;
    start();
  }

  private void remember() {
    valve.sender.sent.forEach(
        sent -> assertThat(batches.put(sent.id(), sent.batch())).isIn(null, sent.batch()));
  }

  private void finish() throws Exception {
    valve.localOutput.available = true;
    valve.localOutput.congested = false;
    valve.watermark(Long.MAX_VALUE);
    while (valve.counters.get(Count.UNSETTLED) > 0) {
      valve.sender.sent.forEach(FakeSender.Sent::settle);
      valve.pass(Duration.ofMillis(100));
      checkConservation();
    }
    valve.flink.endInput();
    commit(null);
  }

  private void checkConservation() {
    ValveCounters counters = valve.counters;
    assertThat(
            counters.get(Count.KEPT)
                + counters.get(Count.DIVERTED)
                + counters.get(Count.BOUNCED)
                + counters.get(Count.LATE)
                + counters.get(Count.UNSETTLED))
        .isEqualTo(counters.get(Count.RECEIVED) + counters.get(Count.RESTORED));
    checkCountsAreWhatLeft(counters);
  }

  /** The counters are not only right among themselves: they say what came in and what went out. */
  private void checkCountsAreWhatLeft(ValveCounters counters) {
    long receivedRecords =
        source.subList(attemptPosition, position).stream().filter(e -> e.text() != null).count();
    assertThat(counters.get(Count.RECEIVED)).isEqualTo(receivedRecords);
    assertThat(counters.get(Count.RESTORED)).isEqualTo(attemptRestored);
    assertThat(sinceCommit(Count.KEPT) + sinceCommit(Count.BOUNCED))
        .isEqualTo(valve.local().size());
    assertThat(sinceCommit(Count.LATE)).isEqualTo(valve.late().size());
    long receipted = 0;
    for (String receipt : valve.receipts()) {
      try {
        receipted += Json.MAPPER.readTree(receipt).get("records").longValue();
      } catch (java.io.IOException e) {
        throw new AssertionError(receipt, e);
      }
    }
    assertThat(sinceCommit(Count.DIVERTED)).isEqualTo(receipted);
  }

  private long sinceCommit(Count count) {
    return valve.counters.get(count) - countsAtCommit.getOrDefault(count, 0L);
  }

  /** The last watermark that went out in this attempt before the current checkpoint. */
  private long forwarded = Long.MIN_VALUE;

  private void checkNothingIsLateDownstream() {
    for (String element : valve.output()) {
      if (element.startsWith("W")) {
        long watermark = Long.parseLong(element.substring(1));
        assertThat(watermark).isGreaterThan(forwarded);
        forwarded = watermark;
      } else {
        long time = time(element);
        assertThat(time - Math.floorMod(time, 1_000) + 999).isGreaterThan(forwarded);
      }
    }
  }

  private static long time(String record) {
    return Long.parseLong(record.substring(record.indexOf('@') + 1));
  }

  private void checkEachRecordOnce() throws Exception {
    List<String> all = new ArrayList<>(committed.local);
    all.addAll(committed.late);
    for (String line : committed.lines) {
      JsonNode json = Json.MAPPER.readTree(line);
      if (json.get("type").textValue().equals("receipt")) {
        batches.get(json.get("batch").textValue()).items().forEach(item -> all.add(item.text()));
      }
    }
    assertThat(all)
        .containsExactlyInAnyOrderElementsOf(
            source.stream().filter(e -> e.text() != null).map(Event::text).toList());
  }

  private void checkBooks() throws Exception {
    Map<Long, long[]> books = new TreeMap<>();
    Map<Long, Long> receipted = new TreeMap<>();
    for (String line : committed.lines) {
      JsonNode json = Json.MAPPER.readTree(line);
      boolean receipt = json.get("type").textValue().equals("receipt");
      for (JsonNode window : json.get("windows")) {
        long start = window.get("start_ms").longValue();
        if (receipt) {
          receipted.merge(start, window.get("records").longValue(), Long::sum);
        } else {
          long[] sums = books.computeIfAbsent(start, s -> new long[5]);
          int i = 0;
          for (String field : List.of("received", "kept", "diverted", "bounced", "late")) {
            sums[i++] += window.get(field).longValue();
          }
        }
      }
    }
    Map<Long, Long> local = new TreeMap<>();
    committed.local.forEach(
        record -> local.merge(time(record) - Math.floorMod(time(record), 1_000), 1L, Long::sum));
    books.forEach(
        (start, sums) -> {
          assertThat(sums[0]).isEqualTo(sums[1] + sums[2] + sums[3] + sums[4]);
          assertThat(local.getOrDefault(start, 0L)).isEqualTo(sums[1] + sums[3]);
          assertThat(receipted.getOrDefault(start, 0L)).isEqualTo(sums[2]);
        });
  }
}
