package io.spillway.jobs.replay;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** Version 1: index and count as int, next record as long, big endian. */
final class ReplaySplitSerializer implements SimpleVersionedSerializer<ReplaySplit> {
  static final int BYTES = Integer.BYTES + Integer.BYTES + Long.BYTES;
  private static final int VERSION = 1;

  @Override
  public int getVersion() {
    return VERSION;
  }

  @Override
  public byte[] serialize(ReplaySplit split) {
    return put(ByteBuffer.allocate(BYTES), split).array();
  }

  @Override
  public ReplaySplit deserialize(int version, byte[] serialized) throws IOException {
    if (version != VERSION || serialized.length != BYTES) {
      throw new IOException(
          "not a replay split of version %d: version %d, %d bytes"
              .formatted(VERSION, version, serialized.length));
    }
    return get(ByteBuffer.wrap(serialized));
  }

  static ByteBuffer put(ByteBuffer buffer, ReplaySplit split) {
    return buffer.putInt(split.index()).putInt(split.count()).putLong(split.nextRecord());
  }

  static ReplaySplit get(ByteBuffer buffer) {
    return new ReplaySplit(buffer.getInt(), buffer.getInt(), buffer.getLong());
  }
}
