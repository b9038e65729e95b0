package io.spillway.jobs.replay;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceOutput;

/** Keeps what a reader emits, as {@code line@timestamp}. */
final class CollectingOutput implements ReaderOutput<byte[]> {
  final List<String> records = new ArrayList<>();
  final Set<String> openSplits = new LinkedHashSet<>();

  @Override
  public void collect(byte[] record, long timestamp) {
    records.add(new String(record, StandardCharsets.UTF_8) + "@" + timestamp);
  }

  @Override
  public SourceOutput<byte[]> createOutputForSplit(String splitId) {
    openSplits.add(splitId);
    return this;
  }

  @Override
  public void releaseOutputForSplit(String splitId) {
    openSplits.remove(splitId);
  }

  @Override
  public void collect(byte[] record) {
    throw new UnsupportedOperationException("a record without event time");
  }

  @Override
  public void emitWatermark(Watermark watermark) {
    throw new UnsupportedOperationException("watermarks are left to the strategy");
  }

  @Override
  public void markIdle() {}

  @Override
  public void markActive() {}
}
