package io.spillway.valve;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;
import org.apache.flink.runtime.state.OperatorStateCheckpointOutputStream;
import org.apache.flink.runtime.state.StatePartitionStreamProvider;
import org.apache.flink.runtime.state.StateSnapshotContext;

/**
 * The valve's state: batches whose records are in no other place. It is raw operator state, one
 * partition a batch, so that Flink deals the batches out anew after rescaling. Why not a list
 * state: docs/decisions/0008.
 *
 * <p>A partition is a version (a byte), the batch's length (four bytes, big endian), the batch.
 */
final class UnsettledState {

  private static final int VERSION = 1;

  private UnsettledState() {}

  /** Writes batches into a snapshot, in the task's thread; they are uploaded by another one. */
  static void write(StateSnapshotContext snapshot, List<byte[]> messages) throws Exception {
    if (messages.isEmpty()) {
      return;
    }
    OperatorStateCheckpointOutputStream out = snapshot.getRawOperatorStateOutput();
    DataOutputStream data = new DataOutputStream(out);
    for (byte[] message : messages) {
      out.startNewPartition();
      data.writeByte(VERSION);
      data.writeInt(message.length);
      data.write(message);
    }
  }

  /**
   * Reads the batches of restored state.
   *
   * @throws IOException if any of them cannot be read: to leave it out would be to lose records
   */
  static void read(Iterable<StatePartitionStreamProvider> partitions, Consumer<BatchReader> to)
      throws IOException {
    for (StatePartitionStreamProvider partition : partitions) {
      try {
        // Not closed: the next partition is read from the same stream.
        to.accept(readBatch(new DataInputStream(partition.getStream())));
      } catch (IOException e) {
        throw new IOException("The valve's state cannot be restored", e);
      }
    }
  }

  private static BatchReader readBatch(DataInputStream data) throws IOException {
    int version = data.readUnsignedByte();
    if (version != VERSION) {
      throw new IOException("It has version " + version + ", and this valve reads " + VERSION);
    }
    int length = data.readInt();
    if (length < 0) {
      throw new IOException("A batch of " + length + " bytes");
    }
    byte[] message = data.readNBytes(length);
    if (message.length < length) {
      throw new IOException("A batch ends after " + message.length + " of " + length + " bytes");
    }
    return new BatchReader(message);
  }
}
