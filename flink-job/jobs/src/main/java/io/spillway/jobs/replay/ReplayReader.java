package io.spillway.jobs.replay;

import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.metrics.Counter;

/**
 * Emits the records of its splits when they are due, in the order of their numbers. The clock is
 * read only when the next record is not known to be due, and nobody waits: between records the
 * reader is unavailable until an alarm goes off.
 */
final class ReplayReader implements SourceReader<byte[], ReplaySplit> {
  /**
   * A reader that woke up for each millisecond's records would spend a twentieth of a core on
   * waking up. Real sources hand over records in fetches too.
   */
  static final long MIN_NAP_MS = 5;

  /**
   * So many records at most are emitted in one poll: Flink looks at its mails and at the output's
   * buffers between polls, which costs as much as a record. They still fit into a network buffer.
   */
  static final int SLICE = 16;

  private final ReplaySource.Settings settings;
  private final byte[][] lines;
  private final Clock clock;
  private final Alarm alarm;
  private final Counter recordsIn;

  /** Splits without an output yet: outputs can only be made once records are polled for. */
  private final List<ReplaySplit> added = new ArrayList<>();

  private final List<SplitCursor> cursors = new ArrayList<>();
  private boolean noMoreSplits;

  /** The least of the cursors, or null if there is none. */
  private SplitCursor next;

  /** All records up to this offset are known to be due. */
  private long dueOffsetMs = Long.MIN_VALUE;

  private CompletableFuture<Void> available = new CompletableFuture<>();

  /**
   * @param recordsIn counts every emitted record, as each source's reader has to
   */
  ReplayReader(
      ReplaySource.Settings settings, byte[][] lines, Clock clock, Alarm alarm, Counter recordsIn) {
    this.settings = settings;
    this.lines = lines;
    this.clock = clock;
    this.alarm = alarm;
    this.recordsIn = recordsIn;
    if (!settings.paced()) {
      dueOffsetMs = Long.MAX_VALUE;
    }
  }

  @Override
  public void start() {}

  @Override
  public InputStatus pollNext(ReaderOutput<byte[]> output) {
    if (!added.isEmpty()) {
      open(output);
    }
    if (next == null && noMoreSplits) {
      return InputStatus.END_OF_INPUT;
    }
    if (next == null) {
      becomeUnavailable();
      return InputStatus.NOTHING_AVAILABLE;
    }
    if (next.offsetMs() > dueOffsetMs && !isDue(next.offsetMs())) {
      return InputStatus.NOTHING_AVAILABLE;
    }
    recordsIn.inc(emitSlice());
    if (cursors.size() > 1 || next.isDone()) {
      chooseNext(output);
    }
    return InputStatus.MORE_AVAILABLE;
  }

  /**
   * Emits the next record, which is due, and those after it that are.
   *
   * @return how many
   */
  private int emitSlice() {
    long eventStartMs = settings.eventStartMs();
    SplitCursor cursor = next;
    // With several splits the next record is another one's.
    int most = cursors.size() > 1 ? 1 : SLICE;
    int emitted = 0;
    do {
      cursor.emit(eventStartMs);
      emitted++;
    } while (emitted < most && !cursor.isDone() && cursor.offsetMs() <= dueOffsetMs);
    return emitted;
  }

  /** Reads the clock; sets the alarm if the time has not come. */
  private boolean isDue(long offsetMs) {
    dueOffsetMs = clock.millis() - settings.dueStartMs();
    if (offsetMs <= dueOffsetMs) {
      return true;
    }
    becomeUnavailable();
    alarm.completeAfter(Math.max(MIN_NAP_MS, offsetMs - dueOffsetMs), available);
    return false;
  }

  private void becomeUnavailable() {
    if (available.isDone()) {
      available = new CompletableFuture<>();
    }
  }

  private void open(ReaderOutput<byte[]> output) {
    for (ReplaySplit split : added) {
      cursors.add(
          new SplitCursor(
              split, settings.profile(), lines, output.createOutputForSplit(split.splitId())));
    }
    added.clear();
    chooseNext(output);
  }

  /** Lets go of splits that are done, so that they no longer hold the watermark. */
  private void chooseNext(ReaderOutput<byte[]> output) {
    next = null;
    for (int i = cursors.size() - 1; i >= 0; i--) {
      SplitCursor cursor = cursors.get(i);
      if (cursor.isDone()) {
        output.releaseOutputForSplit(cursor.rest().splitId());
        cursors.remove(i);
      } else if (next == null || cursor.record() < next.record()) {
        next = cursor;
      }
    }
  }

  @Override
  public CompletableFuture<Void> isAvailable() {
    return available;
  }

  @Override
  public void addSplits(List<ReplaySplit> splits) {
    added.addAll(splits);
    available.complete(null);
  }

  @Override
  public void notifyNoMoreSplits() {
    noMoreSplits = true;
    available.complete(null);
  }

  @Override
  public List<ReplaySplit> snapshotState(long checkpointId) {
    List<ReplaySplit> state = new ArrayList<>(added);
    cursors.forEach(cursor -> state.add(cursor.rest()));
    return state;
  }

  @Override
  public void close() {
    alarm.close();
  }
}
