package io.spillway.valve;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import javax.annotation.Nullable;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.operators.testutils.MockEnvironment;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/** A valve in Flink's operator harness, in a world that stands still unless told otherwise. */
final class ValveHarness implements AutoCloseable {

  /** The checkpoint that {@link #restore} restores from, as Flink tells the operator. */
  static final long RESTORED_CHECKPOINT = 7;

  static final OutputTag<String> LEDGER = new OutputTag<>("ledger", Types.STRING);
  static final OutputTag<byte[]> LATE =
      new OutputTag<>("late", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

  final FakeSender sender = new FakeSender();
  final ManualClock clock = new ManualClock();
  final FakeOutput localOutput = new FakeOutput();
  final OneInputStreamOperatorTestHarness<byte[], byte[]> flink;

  ValveCounters counters;
  DirectiveSlot directives;
  boolean finalReport;

  private ValveHarness(Configuration options, int parallelism, int subtask) throws Exception {
    flink = new OneInputStreamOperatorTestHarness<>(factory(options), 16, parallelism, subtask);
    flink.setup(BytePrimitiveArraySerializer.INSTANCE);
  }

  private ValveHarness(Configuration options, MockEnvironment environment) throws Exception {
    flink = new OneInputStreamOperatorTestHarness<>(factory(options), environment);
    flink.setup(BytePrimitiveArraySerializer.INSTANCE);
  }

  private ValveOperatorFactory<byte[]> factory(Configuration options) {
    return new ValveOperatorFactory<>(
        ValveConfig.of("valve", options), RecordCodec.bytes(), LEDGER, LATE, new Wiring());
  }

  static ValveHarness open() throws Exception {
    return open(TestConfig.options());
  }

  static ValveHarness open(Configuration options) throws Exception {
    return restore(options, null);
  }

  static ValveHarness restore(@Nullable OperatorSubtaskState state) throws Exception {
    return restore(TestConfig.options(), state);
  }

  static ValveHarness restore(Configuration options, @Nullable OperatorSubtaskState state)
      throws Exception {
    return restore(options, state, 1, 0);
  }

  static ValveHarness restore(
      Configuration options, @Nullable OperatorSubtaskState state, int parallelism, int subtask)
      throws Exception {
    return new ValveHarness(options, parallelism, subtask).begin(state);
  }

  /**
   * The same in an environment that is used again and again: to make one takes ten times as long as
   * all the rest. It names the attempt.
   */
  static ValveHarness restore(
      Configuration options, @Nullable OperatorSubtaskState state, MockEnvironment environment)
      throws Exception {
    return new ValveHarness(options, environment).begin(state);
  }

  private ValveHarness begin(@Nullable OperatorSubtaskState state) throws Exception {
    if (state != null) {
      flink.setRestoredCheckpointId(RESTORED_CHECKPOINT);
    }
    flink.initializeState(state);
    flink.open();
    return this;
  }

  /** Everything is diverted, with so many credits. */
  ValveHarness divertAll(int credits) {
    return direct(0, true, credits, 60_000);
  }

  ValveHarness direct(double localRate, boolean divert, int credits, int leaseMs) {
    directives.publish(
        new Directive(localRate, divert, credits, leaseMs, "burst", "test"), clock.nanos());
    return this;
  }

  ValveHarness record(String text, long timeMs) throws Exception {
    flink.processElement(text.getBytes(StandardCharsets.ISO_8859_1), timeMs);
    return this;
  }

  ValveHarness watermark(long timeMs) throws Exception {
    flink.processWatermark(timeMs);
    return this;
  }

  /** Lets time pass on all clocks: timers fire, mails are read. */
  ValveHarness pass(Duration time) throws Exception {
    return tick(time).mails();
  }

  /** Lets time pass on all clocks: timers fire. */
  ValveHarness tick(Duration time) throws Exception {
    clock.advance(time);
    flink.setProcessingTime(flink.getProcessingTime() + time.toMillis());
    return this;
  }

  /** Ends the input. While the valve waits for anything time passes, but not without end. */
  ValveHarness endInput(Duration tick, int most) throws Exception {
    tickWhenRead(tick, new AtomicInteger(most));
    flink.endInput();
    return this;
  }

  /** The same, while time passes for as long as the valve waits for room, but not without end. */
  ValveHarness recordWhileTimePasses(String text, long timeMs, Duration tick) throws Exception {
    AtomicInteger left = new AtomicInteger(1_000);
    tickWhenRead(tick, left);
    record(text, timeMs);
    // What is left in the mailbox of that does nothing.
    left.set(Integer.MIN_VALUE);
    return this;
  }

  private void tickWhenRead(Duration tick, AtomicInteger left) {
    Mail mail =
        new Mail(
            () -> {
              if (left.get() < 0) {
                return;
              }
              if (left.getAndDecrement() == 0) {
                throw new AssertionError("What the valve waits for does not come");
              }
              tick(tick);
              tickWhenRead(tick, left);
            },
            TaskMailbox.MAX_PRIORITY,
            "time passes");
    flink.getTaskMailbox().put(mail);
  }

  /** Reads all mails, also those that come of them. */
  ValveHarness mails() throws Exception {
    Optional<Mail> mail;
    while ((mail = flink.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY)).isPresent()) {
      mail.get().run();
    }
    return this;
  }

  /** Reads one mail; false if there is none. */
  boolean mail() throws Exception {
    Optional<Mail> mail = flink.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return mail.isPresent();
  }

  /** Seals the open batch by letting it linger. */
  FakeSender.Sent sealed() throws Exception {
    pass(Duration.ofMillis(100));
    return sender.last();
  }

  /** A checkpoint: books before the barrier, then the state. */
  OperatorSubtaskState checkpoint(long id) throws Exception {
    flink.prepareSnapshotPreBarrier(id);
    return flink.snapshot(id, id);
  }

  /** Records, watermarks ("W…") and statuses in the order in which they left. */
  List<String> output() {
    List<String> all = new ArrayList<>();
    for (Object element : flink.getOutput()) {
      if (element instanceof Watermark watermark) {
        all.add("W" + watermark.getTimestamp());
      } else if (element instanceof WatermarkStatus status) {
        all.add(status.isIdle() ? "idle" : "active");
      } else if (element instanceof StreamRecord<?> record) {
        all.add(new String((byte[]) record.getValue(), StandardCharsets.ISO_8859_1));
      } else {
        all.add(element.getClass().getSimpleName());
      }
    }
    return all;
  }

  /** Records that left for the local lane. */
  List<String> local() {
    return output().stream().filter(e -> !e.matches("W-?\\d+|idle|active")).toList();
  }

  List<String> late() {
    ConcurrentLinkedQueue<StreamRecord<byte[]>> late = flink.getSideOutput(LATE);
    return late == null
        ? List.of()
        : late.stream().map(r -> new String(r.getValue(), StandardCharsets.ISO_8859_1)).toList();
  }

  List<String> ledger() {
    ConcurrentLinkedQueue<StreamRecord<String>> lines = flink.getSideOutput(LEDGER);
    return lines == null ? List.of() : lines.stream().map(StreamRecord::getValue).toList();
  }

  List<String> receipts() {
    return ledger().stream().filter(line -> line.contains("\"receipt\"")).toList();
  }

  List<JsonNode> books() throws Exception {
    List<JsonNode> books = new ArrayList<>();
    for (String line : ledger()) {
      if (line.contains("\"books\"")) {
        books.add(Json.MAPPER.readTree(line));
      }
    }
    return books;
  }

  /** All books added up: "received kept diverted bounced late" by window. */
  Map<Long, List<Long>> balance() throws Exception {
    Map<Long, List<Long>> sums = new TreeMap<>();
    for (JsonNode book : books()) {
      for (JsonNode window : book.get("windows")) {
        List<Long> numbers = new ArrayList<>();
        for (String field : List.of("received", "kept", "diverted", "bounced", "late")) {
          numbers.add(window.get(field).longValue());
        }
        sums.merge(
            window.get("start_ms").longValue(),
            numbers,
            (a, b) -> {
              List<Long> sum = new ArrayList<>();
              for (int i = 0; i < a.size(); i++) {
                sum.add(a.get(i) + b.get(i));
              }
              return sum;
            });
      }
    }
    return sums;
  }

  @Override
  public void close() {
    try {
      flink.close();
    } catch (Exception e) {
      throw new AssertionError("The operator did not close", e);
    }
  }

  /** The world of this harness. It is never serialized: the harness makes the operator itself. */
  private final class Wiring implements ValveWiring {

    private static final long serialVersionUID = 1L;

    @Override
    public ValveClock clock() {
      return clock;
    }

    @Override
    public int recordsPerClockReading() {
      return 1;
    }

    @Override
    public double random() {
      return 0;
    }

    @Override
    public LocalOutput localOutput(StreamTask<?, ?> task, StreamConfig operator) {
      return localOutput;
    }

    @Override
    public Connections connect(ValveConfig config, ValveIdentity identity, LocalOutput output) {
      return new Connections() {
        @Override
        public BatchSender sender() {
          return sender;
        }

        @Override
        public void startReporting(
            ValveCounters valveCounters, CoarseClock ticks, DirectiveSlot slot) {
          counters = valveCounters;
          directives = slot;
        }

        @Override
        public void reportFinally() {
          finalReport = true;
        }

        @Override
        public void close() {
          sender.close();
        }
      };
    }
  }
}
