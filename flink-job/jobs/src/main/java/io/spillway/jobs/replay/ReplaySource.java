package io.spillway.jobs.replay;

import io.spillway.jobs.InvalidInputException;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Collection;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * Replays the lines of a file as {@link Settings} say. Record i is line i modulo the number of
 * lines. There are as many splits as the source had subtasks when it first started; at another
 * parallelism later they are dealt out anew.
 *
 * <p>A record is the line's array itself, the same instance each time the line comes round. Nobody
 * downstream may write to it.
 */
public final class ReplaySource
    implements Source<byte[], ReplaySplit, Collection<ReplaySplit>>, ResultTypeQueryable<byte[]> {
  private static final long serialVersionUID = 1L;

  /**
   * What to replay, and when.
   *
   * @param input the file; each TaskManager reads it
   * @param profile how many records are due when
   * @param eventStartMs event time of offset 0
   * @param dueStartMs wall clock at which offset 0 is due
   * @param paced false to emit as fast as possible, for saturation tests
   */
  public record Settings(
      String input, Profile profile, long eventStartMs, long dueStartMs, boolean paced)
      implements Serializable {}

  private final Settings settings;

  /** Replays as the settings say. */
  public ReplaySource(Settings settings) {
    this.settings = settings;
  }

  /**
   * Says before a job is submitted whether an input can be replayed. Reads next to nothing of it:
   * the submitting client's heap is no place for it.
   *
   * @throws InvalidInputException if the file cannot be read, is empty or too large
   */
  public static void checkInput(String input) throws InvalidInputException {
    Lines.check(Path.of(input));
  }

  @Override
  public Boundedness getBoundedness() {
    return Boundedness.BOUNDED;
  }

  @Override
  public SplitEnumerator<ReplaySplit, Collection<ReplaySplit>> createEnumerator(
      SplitEnumeratorContext<ReplaySplit> context) {
    int count = context.currentParallelism();
    List<ReplaySplit> all =
        IntStream.range(0, count).mapToObj(index -> ReplaySplit.untouched(index, count)).toList();
    return new ReplayEnumerator(context, all);
  }

  @Override
  public SplitEnumerator<ReplaySplit, Collection<ReplaySplit>> restoreEnumerator(
      SplitEnumeratorContext<ReplaySplit> context, Collection<ReplaySplit> unassigned) {
    return new ReplayEnumerator(context, unassigned);
  }

  @Override
  public SourceReader<byte[], ReplaySplit> createReader(SourceReaderContext context)
      throws Exception {
    return new ReplayReader(
        settings,
        Lines.read(Path.of(settings.input())),
        Clock.systemUTC(),
        new TimerThread(),
        context.metricGroup().getIOMetricGroup().getNumRecordsInCounter());
  }

  @Override
  public SimpleVersionedSerializer<ReplaySplit> getSplitSerializer() {
    return new ReplaySplitSerializer();
  }

  @Override
  public SimpleVersionedSerializer<Collection<ReplaySplit>> getEnumeratorCheckpointSerializer() {
    return new UnassignedSplitsSerializer();
  }

  @Override
  public TypeInformation<byte[]> getProducedType() {
    return PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
  }
}
