package io.spillway.valve;

import java.io.IOException;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Serializes byte arrays that nobody changes. Flink's own serializer of byte arrays copies each of
 * them whenever a snapshot begins; megabytes in flight would be copied in the task's thread.
 */
final class SharedBytesSerializer extends TypeSerializerSingleton<byte[]> {

  static final SharedBytesSerializer INSTANCE = new SharedBytesSerializer();

  private static final long serialVersionUID = 1L;

  private static final byte[] EMPTY = new byte[0];

  @Override
  public boolean isImmutableType() {
    return true;
  }

  @Override
  public byte[] createInstance() {
    return EMPTY;
  }

  @Override
  public byte[] copy(byte[] from) {
    return from;
  }

  @Override
  public byte[] copy(byte[] from, byte[] reuse) {
    return from;
  }

  @Override
  public int getLength() {
    return -1;
  }

  @Override
  public void serialize(byte[] record, DataOutputView target) throws IOException {
    target.writeInt(record.length);
    target.write(record);
  }

  @Override
  public byte[] deserialize(DataInputView source) throws IOException {
    byte[] record = new byte[source.readInt()];
    source.readFully(record);
    return record;
  }

  @Override
  public byte[] deserialize(byte[] reuse, DataInputView source) throws IOException {
    return deserialize(source);
  }

  @Override
  public void copy(DataInputView source, DataOutputView target) throws IOException {
    int length = source.readInt();
    target.writeInt(length);
    target.write(source, length);
  }

  @Override
  public TypeSerializerSnapshot<byte[]> snapshotConfiguration() {
    return new Snapshot();
  }

  /** Says which serializer wrote the state. Public, as Flink creates it by name. */
  public static final class Snapshot extends SimpleTypeSerializerSnapshot<byte[]> {
    /** For Flink. */
    public Snapshot() {
      super(() -> INSTANCE);
    }
  }
}
