package io.spillway.jobs.replay;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** Version 1: the splits one after the other, as {@link ReplaySplitSerializer} writes them. */
final class UnassignedSplitsSerializer
    implements SimpleVersionedSerializer<Collection<ReplaySplit>> {
  private static final int VERSION = 1;

  @Override
  public int getVersion() {
    return VERSION;
  }

  @Override
  public byte[] serialize(Collection<ReplaySplit> splits) {
    ByteBuffer buffer = ByteBuffer.allocate(splits.size() * ReplaySplitSerializer.BYTES);
    splits.forEach(split -> ReplaySplitSerializer.put(buffer, split));
    return buffer.array();
  }

  @Override
  public Collection<ReplaySplit> deserialize(int version, byte[] serialized) throws IOException {
    if (version != VERSION || serialized.length % ReplaySplitSerializer.BYTES != 0) {
      throw new IOException(
          "not replay splits of version %d: version %d, %d bytes"
              .formatted(VERSION, version, serialized.length));
    }
    List<ReplaySplit> splits = new ArrayList<>();
    ByteBuffer buffer = ByteBuffer.wrap(serialized);
    while (buffer.hasRemaining()) {
      splits.add(ReplaySplitSerializer.get(buffer));
    }
    return splits;
  }
}
