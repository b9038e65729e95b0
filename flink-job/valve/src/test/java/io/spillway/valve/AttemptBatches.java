package io.spillway.valve;

import io.spillway.valve.FakeSender.Sent;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The batches of one attempt of a valve: the sealed ones, which it sent, and the open one, of which
 * all that is seen is that its records are in no other place.
 */
final class AttemptBatches {

  /** A sealed batch. */
  private static final class Batch {
    final DecodedBatch content;
    final int[] records;
    final long sealedNanos;
    final List<String> answers = new ArrayList<>();
    int sends;

    Batch(DecodedBatch content, long sealedNanos) {
      this.content = content;
      this.records = content.items().stream().mapToInt(i -> Integer.parseInt(i.text())).toArray();
      this.sealedNanos = sealedNanos;
    }

    boolean has(int record) {
      return Arrays.stream(records).anyMatch(each -> each == record);
    }
  }

  private final Whereabouts whereabouts;
  private final FakeSender sender;
  private final FakeOutput output;
  private final ManualClock clock;
  private final long deadlineNanos;
  private final long restored;
  private final Map<String, Batch> batches = new LinkedHashMap<>();

  AttemptBatches(Whereabouts whereabouts, ValveHarness valve, Duration deadline) {
    this.whereabouts = whereabouts;
    this.sender = valve.sender;
    this.output = valve.localOutput;
    this.clock = valve.clock;
    this.restored = whereabouts.unsettled();
    this.deadlineNanos = deadline.toNanos();
  }

  /** A batch is sent: at first by itself, then unchanged, until its deadline, one at a time. */
  void sent(Sent sent) {
    Batch batch = batches.get(sent.id());
    if (batch == null) {
      batch = new Batch(sent.batch(), clock.nanos());
      for (int record : batch.records) {
        require(!sealed(record) && whereabouts.isUnsettled(record), "it was sealed or settled");
      }
      batches.put(sent.id(), batch);
    }
    batch.sends++;
    require(batch.content.equals(sent.batch()), "a batch changed between two sends");
    require(!isSettled(batch), "a settled batch is sent");
    require(clock.nanos() - batch.sealedNanos < deadlineNanos, "sent after its deadline");
    require(
        unanswered().stream().filter(each -> each.id().equals(sent.id())).count() == 1,
        "a batch is sent while it is under way");
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new AssertionError(otherwise);
    }
  }

  /** What has no answer, in the order of sending. */
  List<Sent> unanswered() {
    return sender.sent.stream().filter(sent -> !sent.answer().isDone()).toList();
  }

  void answered(Sent sent, String answer) {
    batches.get(sent.id()).answers.add(answer);
  }

  /** The records of a batch. */
  int[] records(String id) {
    return batches.get(id).records;
  }

  int count() {
    return batches.size();
  }

  /** Sends of batches that had been sent before. */
  long retries() {
    return batches.values().stream().mapToLong(batch -> batch.sends - 1).sum();
  }

  /** Whether a record is in any of them. */
  boolean sealed(int record) {
    return batches.values().stream().anyMatch(batch -> batch.has(record));
  }

  /** Whether a record's batch was given a receipt in time. */
  boolean receipted(int record) {
    return sender.sent.stream()
        .filter(sent -> batches.get(sent.id()).has(record))
        .map(Sent::answer)
        .filter(answer -> answer.isDone() && !answer.isCompletedExceptionally())
        .anyMatch(answer -> answer.join().status() == 200);
  }

  private boolean isSettled(Batch batch) {
    return Arrays.stream(batch.records).noneMatch(whereabouts::isUnsettled);
  }

  /** How many sealed ones are not settled. */
  long sealedUnsettled() {
    return sealedUnsettled(batches.size());
  }

  /** How many of the first so many are not settled. */
  private long sealedUnsettled(int first) {
    return batches.values().stream().limit(first).filter(batch -> !isSettled(batch)).count();
  }

  /** Records from restored state. */
  long restored() {
    return restored;
  }

  /** Those that have not been offered anew: they go first, one for each that the output took. */
  long restoredWaiting() {
    return Math.max(0, restored - output.passed);
  }

  /** Records in the open batch. */
  long open() {
    long sealed =
        batches.values().stream()
            .flatMapToInt(batch -> Arrays.stream(batch.records))
            .filter(whereabouts::isUnsettled)
            .count();
    return whereabouts.unsettled() - sealed - restoredWaiting();
  }

  /** How many have been opened. */
  int opened() {
    return batches.size() + (open() > 0 ? 1 : 0);
  }

  /** How many of the first so many that were opened are not settled. */
  long unsettled(int first) {
    return sealedUnsettled(first) + (open() > 0 && first > batches.size() ? 1 : 0);
  }

  /** How far each is that is not settled. */
  String situation() {
    StringBuilder all = new StringBuilder().append(restoredWaiting());
    for (Batch batch : batches.values()) {
      if (!isSettled(batch)) {
        all.append(batch.sends).append(batch.answers).append(clock.nanos() - batch.sealedNanos);
        for (int record : batch.records) {
          all.append(whereabouts.of(record)).append(whereabouts.windowOf(record));
        }
      }
    }
    return all.toString();
  }
}
