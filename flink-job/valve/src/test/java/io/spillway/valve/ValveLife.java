package io.spillway.valve;

import io.spillway.valve.FakeSender.Sent;
import io.spillway.valve.ValveCounters.Count;
import io.spillway.valve.Whereabouts.Place;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import javax.annotation.Nullable;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.operators.testutils.MockEnvironment;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * One life of a valve over its attempts, event by event. After each event it checks what the design
 * demands of a valve, from what went in and what came out.
 */
final class ValveLife implements AutoCloseable {

  /** A life has at most three, by a crash and a stop. Each has an environment, which names it. */
  static final int ATTEMPTS = 3;

  private static final int BATCH_RECORDS = 2;

  /** Enough for two batches. */
  private static final int RECORDS = 4;

  private static final int CHECKPOINTS = 2;
  private static final int STATUSES = 2;
  private static final Duration TICK = Duration.ofMillis(100);
  private static final Duration DEADLINE = Duration.ofMillis(150);
  private static final Duration LEASE = Duration.ofMillis(150);

  /** Far more than the end of an input takes. */
  private static final int TICKS_AT_THE_END = 50;

  private static final Configuration OPTIONS = options();

  private final int credits;
  private final MockEnvironment[] environments;
  private final Whereabouts records = new Whereabouts();
  private int attempts;
  private int checkpoints;
  @Nullable private OperatorSubtaskState committed;

  // The current attempt.
  private ValveHarness valve;
  private AttemptBatches batches;
  private HeldBack held;
  private final ArrayDeque<String> mails = new ArrayDeque<>();
  private long received;
  private long receipts;
  private int statuses;
  private long leaseEndsNanos;
  private int creditsNow;
  private int mostCredits;
  @Nullable private JsonNode lastLine;

  /** Nothing may come out any more. */
  private boolean over;

  /** Begins a life with so many credits, which come and go. */
  ValveLife(int credits, MockEnvironment[] environments) throws Exception {
    this.credits = credits;
    this.environments = environments;
    begin();
    direct();
  }

  private static Configuration options() {
    Configuration options = TestConfig.options();
    options.set(ValveOptions.BATCH_MAX_RECORDS, BATCH_RECORDS);
    options.set(ValveOptions.BATCH_LINGER, TICK);
    options.set(ValveOptions.BATCH_DEADLINE, DEADLINE);
    return options;
  }

  private void begin() throws Exception {
    mails.clear();
    received = 0;
    receipts = 0;
    statuses = 0;
    creditsNow = 0;
    mostCredits = 0;
    over = false;
    valve = ValveHarness.restore(OPTIONS, committed, environments[attempts++]);
    batches = new AttemptBatches(records, valve, DEADLINE);
    held = new HeldBack(batches);
    valve.sender.onSend = this::sent;
    leaseEndsNanos = valve.clock.nanos();
    labelMails("drain");
    check();
  }

  // ------------------------------------------------------------------ events

  /** Whether an event can happen now, and would not be the same as another. */
  boolean enabled(ValveEvent event) {
    return switch (event) {
      case OLD_RECORD, NEW_RECORD -> records.count() < RECORDS;
      case WATERMARK -> nextWatermark() < Whereabouts.WINDOWS * Whereabouts.WINDOW_MS;
      case IDLENESS -> statuses < STATUSES;
      case CREDITS, TIME, END_WITH_RECEIPTS, STOP_WITH_SAVEPOINT -> true;
      case END_WITH_REFUSALS -> records.unsettled() > 0;
      case MAIL -> valve.flink.getTaskMailbox().hasMail();
      case ROOM -> records.unsettled() > 0 && valve.localOutput.room > 1;
      case RECEIPT_OF_FIRST, REFUSAL_OF_FIRST, FAILURE_OF_FIRST -> !batches.unanswered().isEmpty();
      case RECEIPT_OF_SECOND, REFUSAL_OF_SECOND, FAILURE_OF_SECOND ->
          batches.unanswered().size() > 1;
      case CHECKPOINT -> checkpoints < CHECKPOINTS;
      case CRASH -> committed != null && attempts == 1;
    };
  }

  /** Lets an event happen, and checks. */
  void happen(ValveEvent event) throws Exception {
    switch (event) {
      case OLD_RECORD -> receive(0);
      case NEW_RECORD -> receive(1);
      case WATERMARK -> watermark(nextWatermark());
      case IDLENESS -> status();
      case CREDITS -> direct();
      case TIME -> tick();
      case MAIL -> mail();
      case ROOM -> valve.localOutput.room = 1;
      case RECEIPT_OF_FIRST -> answer(0, "receipt", Sent::settle);
      case RECEIPT_OF_SECOND -> answer(1, "receipt", Sent::settle);
      case REFUSAL_OF_FIRST -> answer(0, "refusal", Sent::refuse);
      case REFUSAL_OF_SECOND ->
          answer(1, "refusal", sent -> sent.replyAfter(429, Duration.ofHours(1)));
      case FAILURE_OF_FIRST -> answer(0, "failure", Sent::fail);
      case FAILURE_OF_SECOND -> answer(1, "failure", Sent::fail);
      case CHECKPOINT -> checkpoint();
      case CRASH -> crash();
      case END_WITH_RECEIPTS -> end(Sent::settle);
      case END_WITH_REFUSALS -> end(Sent::refuse);
      case STOP_WITH_SAVEPOINT -> stopWithSavepoint();
    }
    check();
  }

  /** A record goes where the directive, the credits and the watermarks say, and nowhere else. */
  private void receive(int window) throws Exception {
    boolean leased = valve.clock.nanos() < leaseEndsNanos;
    boolean restoredFirst = batches.restoredWaiting() > 0;
    // As of now: what comes after the record may release a watermark.
    boolean late = Whereabouts.lastMsOf(window) <= held.forwarded();
    boolean bounceWouldBeLate = Whereabouts.lastMsOf(window) <= held.received();
    if (leased && !restoredFirst && !bounceWouldBeLate) {
      mostCredits = Math.max(mostCredits, creditsNow);
    }
    boolean credit = valve.counters.get(Count.IN_FLIGHT_BATCHES) < creditsNow;
    boolean fits = batches.open() > 0 || credit && batches.sealedUnsettled() <= mostCredits;
    int record = records.receive(window);
    received++;
    valve.record(Integer.toString(record), (long) window * Whereabouts.WINDOW_MS + record);
    look();
    Place expected =
        late
            ? Place.LATE
            : leased && fits && !restoredFirst && !bounceWouldBeLate ? Place.UNSETTLED : Place.KEPT;
    require(records.of(record) == expected, record + " is " + records.of(record));
  }

  private long nextWatermark() {
    return Math.max(held.received(), -1) + Whereabouts.WINDOW_MS;
  }

  private void watermark(long time) throws Exception {
    held.watermark(time);
    valve.watermark(time);
  }

  private void status() throws Exception {
    WatermarkStatus status = statuses++ % 2 == 0 ? WatermarkStatus.IDLE : WatermarkStatus.ACTIVE;
    held.status(status);
    valve.flink.processWatermarkStatus(status);
  }

  /** The local rate is 0: what may be diverted is. */
  private void direct() {
    boolean leased = valve.clock.nanos() < leaseEndsNanos;
    creditsNow = leased && creditsNow > 0 ? 0 : credits;
    valve.direct(0, true, creditsNow, (int) LEASE.toMillis());
    leaseEndsNanos = valve.clock.nanos() + LEASE.toNanos();
  }

  private void tick() throws Exception {
    valve.localOutput.room = Integer.MAX_VALUE;
    valve.tick(TICK);
    labelMails("drain");
  }

  private void mail() throws Exception {
    valve.mail();
    mails.poll();
    labelMails("drain");
  }

  private void answer(int which, String label, Consumer<Sent> answer) {
    Sent sent = batches.unanswered().get(which);
    batches.answered(sent, label);
    answer.accept(sent);
    labelMails(label + which);
  }

  /** Mails cannot be looked at, but counted. */
  private void labelMails(String label) {
    while (mails.size() < valve.flink.getTaskMailbox().size()) {
      mails.add(label);
    }
  }

  private void checkpoint() throws Exception {
    committed = valve.checkpoint(++checkpoints);
    look();
    records.commit();
  }

  private void crash() throws Exception {
    abandon();
    records.rollBack();
    begin();
  }

  /** Whatever still comes to a closed valve does nothing. */
  private void abandon() throws Exception {
    over = true;
    // Not the harness's close, which finishes the operator first, as a crash does not.
    valve.flink.getOperator().close();
    comeToNothing();
    valve.close();
  }

  private void comeToNothing() throws Exception {
    batches.unanswered().forEach(Sent::settle);
    valve.mails();
    tick();
    valve.mails();
    look();
  }

  private void stopWithSavepoint() throws Exception {
    valve.flink.getOperator().finish();
    look();
    over = true;
    comeToNothing();
    checkpoint();
    abandon();
    records.rollBack();
    begin();
    end(Sent::settle);
  }

  /** The input ends: time passes while the valve waits, until every record is in its place. */
  private void end(Consumer<Sent> answer) throws Exception {
    valve.localOutput.room = Integer.MAX_VALUE;
    valve.sender.onSend =
        sent -> {
          sent(sent);
          answer.accept(sent);
        };
    batches.unanswered().forEach(answer);
    watermark(Long.MAX_VALUE);
    valve.endInput(TICK, TICKS_AT_THE_END);
    valve.flink.getOperator().finish();
    look();
    over = true;
    require(lastLine != null && lastLine.path("final").asBoolean(), "no final books come last");
    require(valve.finalReport, "there is no final report");
    require(records.unsettled() == 0 && held.isEmpty(), "the end comes before all is settled");
    require(valve.counters.get(Count.IN_FLIGHT_BATCHES) == 0, "batches are in flight at the end");
    checkpoint();
    require(committed.getRawOperatorState().isEmpty(), "there is state after the end");
  }

  // ------------------------------------------------------------------ what comes out

  private void sent(Sent sent) {
    require(!over, "a batch is sent after the end");
    batches.sent(sent);
  }

  /** Takes what came out since the last look. */
  private void look() {
    take(valve.flink.getSideOutput(ValveHarness.LEDGER), this::line);
    take(valve.flink.getSideOutput(ValveHarness.LATE), r -> records.place(number(r), Place.LATE));
    take(valve.flink.getOutput(), this::element);
    held.check();
  }

  private <E> void take(@Nullable Queue<E> output, Consumer<E> to) {
    E element;
    while (output != null && (element = output.poll()) != null) {
      require(!over, "something comes out after the end: " + element);
      to.accept(element);
    }
  }

  private void line(StreamRecord<String> line) {
    try {
      lastLine = Json.MAPPER.readTree(line.getValue());
    } catch (IOException e) {
      throw new AssertionError(line.getValue(), e);
    }
    if (lastLine.get("type").textValue().equals("books")) {
      records.tell(lastLine);
      return;
    }
    receipts++;
    for (int record : batches.records(lastLine.get("batch").textValue())) {
      records.place(record, Place.RECEIPTED);
    }
  }

  private void element(Object element) {
    if (element instanceof Watermark mark) {
      held.forwarded(mark.getTimestamp());
    } else if (element instanceof WatermarkStatus status) {
      held.forwarded(status);
    } else {
      int record = number((StreamRecord<?>) element);
      require(records.lastMs(record) > held.forwarded(), record + " is late downstream");
      require(!batches.receipted(record), record + " goes local although it has a receipt");
      records.place(record, batches.sealed(record) ? Place.BOUNCED : Place.KEPT);
    }
  }

  private static int number(StreamRecord<?> record) {
    return Integer.parseInt(new String((byte[]) record.getValue(), StandardCharsets.ISO_8859_1));
  }

  // ------------------------------------------------------------------ what must hold

  private void check() {
    look();
    for (int record = 0; record < records.count(); record++) {
      require(
          !records.isUnsettled(record) || records.lastMs(record) > held.forwarded(),
          "a watermark is forwarded beyond record " + record + ", which is unsettled");
    }
    long open = batches.open();
    require(open >= 0 && open < BATCH_RECORDS, "the open batch has " + open + " records");
    count(Count.RECEIVED, received);
    count(Count.RESTORED, batches.restored());
    count(Count.KEPT, records.placed(Place.KEPT));
    count(Count.BOUNCED, records.placed(Place.BOUNCED));
    count(Count.DIVERTED, records.placed(Place.RECEIPTED));
    count(Count.LATE, records.placed(Place.LATE));
    count(Count.UNSETTLED, records.unsettled());
    count(Count.SETTLED_BATCHES, receipts);
    count(Count.RETRIES, batches.retries());
    long inFlight = valve.counters.get(Count.IN_FLIGHT_BATCHES);
    count(Count.BOUNCED_BATCHES, batches.count() - receipts - inFlight);
  }

  private void count(Count count, long expected) {
    long is = valve.counters.get(count);
    require(is == expected, count + " is " + is + ", not " + expected);
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new AssertionError(otherwise);
    }
  }

  /** Where each record has ended up. */
  List<Place> places() {
    return IntStream.range(0, records.count()).mapToObj(records::of).toList();
  }

  /** All on which it depends what can happen from now on, and whether that is right. */
  String situation() {
    StringBuilder waiting = new StringBuilder();
    for (int record = 0; record < records.count(); record++) {
      if (records.isUnsettled(record) && !batches.sealed(record)) {
        waiting.append(records.windowOf(record));
      }
    }
    return List.of(
            records.situation(),
            batches.situation(),
            held.situation(),
            waiting,
            mails,
            attempts,
            checkpoints,
            statuses,
            valve.localOutput.room,
            creditsNow,
            mostCredits,
            Math.max(0, leaseEndsNanos - valve.clock.nanos()))
        .toString();
  }

  @Override
  public void close() {
    valve.close();
  }
}
