package io.spillway.jobs.replay;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;

/**
 * Hands each split to a reader. A reader that registers gets, at once and for good, all splits that
 * are its own (index modulo parallelism) and that nobody has; it will get no more.
 */
final class ReplayEnumerator implements SplitEnumerator<ReplaySplit, Collection<ReplaySplit>> {
  private final SplitEnumeratorContext<ReplaySplit> context;
  private final Map<Integer, ReplaySplit> unassigned = new TreeMap<>();

  ReplayEnumerator(
      SplitEnumeratorContext<ReplaySplit> context, Collection<ReplaySplit> unassigned) {
    this.context = context;
    addSplits(unassigned);
  }

  @Override
  public void start() {}

  @Override
  public void addReader(int subtask) {
    int parallelism = context.currentParallelism();
    List<ReplaySplit> own =
        unassigned.values().stream()
            .filter(split -> split.index() % parallelism == subtask)
            .toList();
    own.forEach(split -> unassigned.remove(split.index()));
    if (!own.isEmpty()) {
      context.assignSplits(new SplitsAssignment<>(Map.of(subtask, own)));
    }
    context.signalNoMoreSplits(subtask);
  }

  @Override
  public void addSplitsBack(List<ReplaySplit> splits, int subtask) {
    // The reader failed before a checkpoint had its splits. It will register again.
    addSplits(splits);
  }

  @Override
  public void handleSplitRequest(int subtask, String requesterHostname) {
    // Readers get their splits when they register, and never ask.
  }

  @Override
  public Collection<ReplaySplit> snapshotState(long checkpointId) {
    return List.copyOf(unassigned.values());
  }

  @Override
  public void close() {}

  private void addSplits(Collection<ReplaySplit> splits) {
    splits.forEach(split -> unassigned.put(split.index(), split));
  }
}
