package io.spillway.valve;

import io.spillway.valve.ValveCounters.Count;
import io.spillway.valve.latency.Lane;
import io.spillway.valve.latency.LaneLatency;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import javax.annotation.Nullable;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.metrics.TimerGauge;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

/**
 * Sends each record down the local lane or into a batch for the cloud lane.
 *
 * <p>At every barrier each record that was received is in exactly one place: sent on, in a receipt
 * that was emitted, or in this operator's state. What the parts do is in their own classes; here
 * they meet Flink. All of it runs in the task's thread, see {@link CloudLane}.
 */
final class ValveOperator<T> extends AbstractStreamOperator<T>
    implements OneInputStreamOperator<T, T>, BoundedOneInput, CloudLane.Events {

  private static final long serialVersionUID = 1L;

  /** How long records wait for room before it is looked for again. */
  private static final long PAUSE_MS = 2;

  /** Returned records handed on in one mail. */
  private static final int SLICE = 256;

  /**
   * The same when the local output is congested and takes all that comes: progress, but not more.
   */
  private static final int CONGESTED_SLICE = 32;

  /** Records from restored state that go before the next new one: they are few again soon. */
  private static final int RESTORED_FOR_EACH_NEW = 4;

  private final transient ValveConfig config;
  private final transient RecordCodec<T> codec;
  private final transient OutputTag<String> ledger;
  private final transient OutputTag<T> late;
  private final transient ValveWiring wiring;
  private final transient MailboxExecutor mailbox;

  private final transient LocalOutput localOutput;
  private final transient ValveIdentity identity;
  private final transient ValveCounters counters = new ValveCounters();
  private final transient Books books;
  private final transient WatermarkGate gate;

  private transient ValveWiring.Connections connections;
  private transient DirectiveSlot directives;
  private transient CoarseClock clock;
  private transient Admission admission;
  private transient CloudLane cloud;
  private transient ReturnLane returns;
  private transient LaneLatency cloudLatency;

  /** Reused for records that come out of a batch. */
  private final transient StreamRecord<T> fromBatch = new StreamRecord<>(null);

  private transient boolean drainScheduled;
  private transient boolean pauseScheduled;
  private transient TimerGauge backPressured;

  /**
   * A new record waits for room. What comes back leaves the local output to it, and has its share
   * when it is gone; else that would take all room that there is, and no barrier came by.
   */
  private transient boolean recordWaits;

  /** After this nothing may be emitted any more. */
  private transient boolean finished;

  ValveOperator(
      StreamOperatorParameters<T> parameters,
      ValveConfig config,
      RecordCodec<T> codec,
      OutputTag<String> ledger,
      OutputTag<T> late,
      ValveWiring wiring) {
    super(parameters);
    this.config = config;
    this.codec = codec;
    this.ledger = ledger;
    this.late = late;
    this.wiring = wiring;
    this.mailbox = parameters.getMailboxExecutor();
    this.localOutput = wiring.localOutput(getContainingTask(), getOperatorConfig());
    TaskInfo task = getRuntimeContext().getTaskInfo();
    this.identity =
        ValveIdentity.of(
            getContainingTask().getEnvironment().getExecutionId().toString(),
            config.valve(),
            task.getIndexOfThisSubtask(),
            task.getNumberOfParallelSubtasks());
    this.books = new Books(config, identity);
    this.gate = new WatermarkGate(this::forwardWatermark, output::emitWatermarkStatus);
  }

  // ------------------------------------------------------------------ life cycle

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    books.startFrom(context.getRestoredCheckpointId().orElse(0));
    connections = wiring.connect(config, identity, localOutput);
    directives = new DirectiveSlot(wiring.clock().nanos());
    clock = new CoarseClock(wiring.clock(), wiring.recordsPerClockReading());
    admission = new Admission(directives, clock, localOutput);
    backPressured =
        getContainingTask()
            .getEnvironment()
            .getMetricGroup()
            .getIOMetricGroup()
            .getSoftBackPressuredTimePerSecond();
    cloudLatency = LaneLatency.of(Lane.CLOUD, config.latencyOffsetMs(), config.latencyLog());
    returns = new ReturnLane(new Returning(), this::returnedWhole);
    cloud =
        new CloudLane(
            config,
            identity,
            connections.sender(),
            new RetryBackoff(wiring::random),
            mailbox,
            getProcessingTimeService(),
            wiring.clock(),
            counters,
            this);
    UnsettledState.read(context.getRawOperatorStateInputs(), this::restored);
  }

  private void restored(BatchReader batch) {
    counters.add(Count.RESTORED, batch.remaining());
    counters.add(Count.UNSETTLED, batch.remaining());
    returns.restored(batch);
  }

  @Override
  public void open() throws Exception {
    super.open();
    MetricGroup group = getMetricGroup().addGroup("spillway");
    ValveMetrics.register(group, counters, directives);
    connections.startReporting(counters, clock, directives);
    scheduleDrain();
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpointId) {
    if (!finished) {
      emitBooks(checkpointId, false);
    }
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    List<byte[]> messages = new ArrayList<>();
    for (SealedBatch batch : cloud.unsettled()) {
      if (!batch.returned) {
        messages.add(batch.message);
      }
    }
    returns.remainders(messages::add);
    byte[] open = cloud.openMessage();
    if (open != null) {
      messages.add(open);
    }
    UnsettledState.write(context, messages);
  }

  @Override
  public void endInput() throws Exception {
    while (!returns.isEmpty() || cloud.firstUnsettled() != WatermarkGate.NONE) {
      if (!returns.hasRestored()) {
        cloud.seal();
      }
      mailbox.yield();
    }
    emitBooks(null, true);
    finished = true;
    connections.reportFinally();
  }

  /**
   * Without a drained input (stop-with-savepoint) this is the last moment to emit anything; what is
   * unsettled goes into the savepoint.
   */
  @Override
  public void finish() throws Exception {
    super.finish();
    if (!finished) {
      emitBooks(null, false);
      finished = true;
      cloud.close();
    }
  }

  @Override
  public void close() throws Exception {
    finished = true;
    if (cloud != null) {
      cloud.close();
    }
    if (connections != null) {
      connections.close();
    }
    if (cloudLatency != null) {
      cloudLatency.flush();
    }
    super.close();
  }

  // ------------------------------------------------------------------ elements

  @Override
  public void processElement(StreamRecord<T> element) throws Exception {
    if (!element.hasTimestamp()) {
      throw new IllegalStateException(
          "A record has no event timestamp. Assign timestamps and watermarks before the valve.");
    }
    long time = element.getTimestamp();
    WindowCounts window = books.at(time);
    window.received++;
    counters.add(Count.RECEIVED, 1);
    if (window.lastMs <= gate.forwarded()) {
      window.late++;
      counters.add(Count.LATE, 1);
      output.collect(late, element);
    } else if (staysLocal(element.getValue(), time, window)) {
      window.kept++;
      counters.add(Count.KEPT, 1);
      output.collect(element);
    } else {
      counters.add(Count.UNSETTLED, 1);
    }
    if (!returns.isEmpty()) {
      returns.handOn(returns.hasRestored() ? RESTORED_FOR_EACH_NEW : 1);
      gate.release(firstUnsettled());
    }
  }

  /**
   * Puts a record into the open batch, or says that it stays local. If neither lane has room, it
   * waits for whichever has some first: were it given to a local output that nothing leaves, the
   * task could not divert what comes after it, however much the cloud can take. But no longer than
   * the lease that it found, for barriers wait as well.
   */
  private boolean staysLocal(T record, long time, WindowCounts window) throws Exception {
    long waitsUntil = 0;
    while (!admission.staysLocal()) {
      if (!divertible(window)) {
        return true;
      }
      // What was restored is older.
      if (!returns.hasRestored() && divert(record, time, window)) {
        return false;
      }
      boolean fits = cloud.hasRoom(admission.credits()) && !returns.hasRestored();
      // Without any credits none comes back either.
      if (fits || !admission.full() || admission.credits() == 0) {
        return true;
      }
      if (waitsUntil == 0) {
        waitsUntil = admission.leaseEnds();
      } else if (clock.nanos() - waitsUntil >= 0) {
        return true;
      }
      pause();
    }
    return true;
  }

  /**
   * Whether a record may be diverted. It may not when its window is closed by a watermark that has
   * arrived, although not been forwarded: that watermark waits only for batches opened before it,
   * so a later one might bounce after it, and its records would be late.
   */
  private boolean divertible(WindowCounts window) {
    return window.lastMs > gate.received();
  }

  private boolean divert(T record, long time, WindowCounts window) {
    if (!cloud.offer(record, codec, time, window, admission.credits())) {
      return false;
    }
    counters.divertedAt(clock.millis());
    return true;
  }

  /** Lets answers, timers and returned records have their turn, for a moment. */
  private void pause() throws InterruptedException {
    if (!pauseScheduled) {
      pauseScheduled = true;
      after(PAUSE_MS, time -> pauseScheduled = false);
    }
    recordWaits = true;
    // For Flink that is back-pressure: among others, no split is idle meanwhile.
    backPressured.markStart();
    try {
      mailbox.yield();
    } finally {
      backPressured.markEnd();
      recordWaits = false;
    }
    admission.look();
  }

  private void after(long ms, ProcessingTimeService.ProcessingTimeCallback then) {
    ProcessingTimeService timers = getProcessingTimeService();
    timers.registerTimer(timers.getCurrentProcessingTime() + ms, then);
  }

  @Override
  public void processWatermark(Watermark mark) {
    gate.watermark(mark.getTimestamp(), cloud.opened(), firstUnsettled());
  }

  @Override
  public void processWatermarkStatus(WatermarkStatus status) {
    gate.status(status, cloud.opened(), firstUnsettled());
  }

  private void forwardWatermark(long watermark) {
    counters.watermark(watermark);
    output.emitWatermark(new Watermark(watermark));
  }

  private long firstUnsettled() {
    return returns.hasRestored() ? WatermarkGate.BEFORE_ALL : cloud.firstUnsettled();
  }

  private void emitBooks(@Nullable Long checkpoint, boolean isFinal) {
    emitToLedger(books.close(checkpoint, gate.forwarded(), isFinal));
  }

  private void emitToLedger(String line) {
    output.collect(ledger, new StreamRecord<>(line));
  }

  // ------------------------------------------------------------------ batches

  @Override
  public void settled(SealedBatch batch, String receipt) {
    WindowTally tally = batch.windows;
    for (int i = 0; i < tally.windows(); i++) {
      books.at(tally.starts()[i]).diverted += tally.records()[i];
    }
    counters.add(Count.DIVERTED, batch.records);
    counters.add(Count.UNSETTLED, -batch.records);
    emitToLedger(receipt);
    recordLatency(batch);
    gate.release(firstUnsettled());
  }

  /** Times every record of a batch: those that were due together, together. */
  private void recordLatency(SealedBatch batch) {
    long now = wiring.clock().millis();
    BatchReader reader = reader(batch);
    long run = 0;
    long time = 0;
    while (reader.nextTime()) {
      if (run > 0 && reader.eventTimeMs() != time) {
        cloudLatency.record(time, now, run);
        run = 0;
      }
      time = reader.eventTimeMs();
      run++;
    }
    cloudLatency.record(time, now, run);
  }

  @Override
  public void bounced(SealedBatch batch) {
    returns.bounced(batch, reader(batch));
    scheduleDrain();
  }

  private static BatchReader reader(SealedBatch batch) {
    try {
      return new BatchReader(batch.message);
    } catch (IOException e) {
      throw new IllegalStateException("Batch " + batch.id + " was not encoded rightly", e);
    }
  }

  private void scheduleDrain() {
    if (drainScheduled || returns.isEmpty()) {
      return;
    }
    try {
      mailbox.execute(this::drain, "return records to the local lane");
      drainScheduled = true;
    } catch (RejectedExecutionException e) {
      // The task is over: it runs the mails that it has, and takes no more. What is still here is
      // in the savepoint that it was stopped with.
      LOG.debug("Returned records wait in the savepoint", e);
    }
  }

  private void drain() throws Exception {
    drainScheduled = false;
    if (finished || returns.isEmpty()) {
      return;
    }
    admission.look();
    // While diverting is allowed, what is handed on through a congested output goes into the cloud.
    boolean crowded = localOutput.congested() && !admission.full();
    boolean hadRoom = returns.handOn(crowded ? CONGESTED_SLICE : SLICE) && !crowded;
    gate.release(firstUnsettled());
    if (hadRoom) {
      scheduleDrain();
    } else if (!returns.isEmpty()) {
      drainScheduled = true;
      after(PAUSE_MS, time -> drain());
    }
  }

  /**
   * Where returned records go: a restored one as a new one would, the others down the local lane.
   */
  private final class Returning implements ReturnLane.Taker {

    @Override
    public boolean hasRoom(long timeMs, boolean restored) {
      boolean cloudHasRoom =
          restored && divertible(books.at(timeMs)) && cloud.hasRoom(admission.credits());
      boolean localHasRoom = !admission.full() && !recordWaits;
      return localOutput.available() && (cloudHasRoom || localHasRoom);
    }

    @Override
    public void take(BatchReader record, boolean restored) {
      long time = record.eventTimeMs();
      WindowCounts window = books.at(time);
      T value = codec.decode(record.array(), record.recordOffset(), record.recordLength());
      if (restored) {
        if (!admission.staysLocal() && divertible(window) && divert(value, time, window)) {
          return;
        }
        window.kept++;
        counters.add(Count.KEPT, 1);
      } else {
        admission.charge();
        window.bounced++;
        counters.add(Count.BOUNCED, 1);
      }
      counters.add(Count.UNSETTLED, -1);
      output.collect(fromBatch.replace(value, time));
    }
  }

  private void returnedWhole(SealedBatch batch) {
    cloud.forget(batch);
  }
}
