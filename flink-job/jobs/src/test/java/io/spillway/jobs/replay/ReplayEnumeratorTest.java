package io.spillway.jobs.replay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.metrics.groups.SplitEnumeratorMetricGroup;
import org.junit.jupiter.api.Test;

class ReplayEnumeratorTest {
  private static final ReplaySource SOURCE =
      new ReplaySource(new ReplaySource.Settings("unused", null, 0, 0, true));

  @Test
  void givesEachReaderOneSplitAndSaysThatThereAreNoMore() {
    RecordingContext context = new RecordingContext(3);
    var enumerator = SOURCE.createEnumerator(context);

    List.of(2, 0, 1).forEach(enumerator::addReader);

    assertThat(context.assigned)
        .isEqualTo(
            Map.of(
                0, List.of(new ReplaySplit(0, 3, 0)),
                1, List.of(new ReplaySplit(1, 3, 1)),
                2, List.of(new ReplaySplit(2, 3, 2))));
    assertThat(context.noMoreSplits).containsExactly(0, 1, 2);
  }

  @Test
  void givesASplitBackToTheReaderThatFailed() throws Exception {
    RecordingContext context = new RecordingContext(2);
    var enumerator = SOURCE.createEnumerator(context);
    List.of(0, 1).forEach(enumerator::addReader);
    List<ReplaySplit> lost = context.assigned.remove(1);

    enumerator.addSplitsBack(lost, 1);
    assertThat(enumerator.snapshotState(1)).containsExactlyElementsOf(lost);
    enumerator.addReader(1);

    assertThat(context.assigned.get(1)).isEqualTo(lost);
    assertThat(enumerator.snapshotState(2)).isEmpty();
  }

  @Test
  void dealsOutWhatNobodyHadWhenItIsRestoredAtAnotherParallelism() throws Exception {
    RecordingContext before = new RecordingContext(5);
    var enumerator = SOURCE.createEnumerator(before);
    enumerator.addReader(3);
    Collection<ReplaySplit> state = throughTheSerializer(enumerator.snapshotState(1));

    RecordingContext after = new RecordingContext(2);
    SplitEnumerator<ReplaySplit, Collection<ReplaySplit>> restored =
        SOURCE.restoreEnumerator(after, state);
    List.of(0, 1).forEach(restored::addReader);

    assertThat(after.assigned.get(0)).extracting(ReplaySplit::index).containsExactly(0, 2, 4);
    assertThat(after.assigned.get(1)).extracting(ReplaySplit::index).containsExactly(1);
    assertThat(after.assigned.get(0)).extracting(ReplaySplit::count).containsOnly(5);
  }

  @Test
  void aSplitSurvivesItsSerializer() throws Exception {
    ReplaySplitSerializer serializer = new ReplaySplitSerializer();
    ReplaySplit split = new ReplaySplit(3, 7, Long.MAX_VALUE - 1);

    assertThat(serializer.deserialize(serializer.getVersion(), serializer.serialize(split)))
        .isEqualTo(split);
    assertThatThrownBy(() -> serializer.deserialize(2, serializer.serialize(split)))
        .isInstanceOf(IOException.class);
    assertThatThrownBy(() -> serializer.deserialize(1, new byte[3]))
        .isInstanceOf(IOException.class);
  }

  private static Collection<ReplaySplit> throughTheSerializer(Collection<ReplaySplit> splits)
      throws IOException {
    UnassignedSplitsSerializer serializer = new UnassignedSplitsSerializer();
    return serializer.deserialize(serializer.getVersion(), serializer.serialize(splits));
  }

  /** Records what is assigned to whom. */
  private static final class RecordingContext implements SplitEnumeratorContext<ReplaySplit> {
    private final int parallelism;
    private final Map<Integer, List<ReplaySplit>> assigned = new HashMap<>();
    private final TreeSet<Integer> noMoreSplits = new TreeSet<>();

    RecordingContext(int parallelism) {
      this.parallelism = parallelism;
    }

    @Override
    public int currentParallelism() {
      return parallelism;
    }

    @Override
    public void assignSplits(SplitsAssignment<ReplaySplit> assignment) {
      assignment
          .assignment()
          .forEach(
              (reader, splits) ->
                  assigned.computeIfAbsent(reader, key -> new ArrayList<>()).addAll(splits));
    }

    @Override
    public void signalNoMoreSplits(int subtask) {
      noMoreSplits.add(subtask);
    }

    @Override
    public SplitEnumeratorMetricGroup metricGroup() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void sendEventToSourceReader(int subtask, SourceEvent event) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Map<Integer, ReaderInfo> registeredReaders() {
      throw new UnsupportedOperationException();
    }

    @Override
    public <T> void callAsync(Callable<T> callable, BiConsumer<T, Throwable> handler) {
      throw new UnsupportedOperationException();
    }

    @Override
    public <T> void callAsync(
        Callable<T> callable, BiConsumer<T, Throwable> handler, long initialDelay, long period) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void runInCoordinatorThread(Runnable runnable) {
      throw new UnsupportedOperationException();
    }
  }
}
