package io.spillway.valve;

import java.io.Serializable;

/**
 * Turns records into the bytes that the workload's function reads, and back.
 *
 * <p>The bytes are what both lanes compute on, so nothing may be lost: {@code decode(encode(r))}
 * must equal {@code r} for every record. One instance serves one valve subtask, from one thread.
 *
 * @param <T> type of the records
 */
public interface RecordCodec<T> extends Serializable {

  /**
   * Appends the record's bytes to the sink. Called once per diverted record: it should not
   * allocate.
   */
  void encode(T record, ByteSink sink);

  /**
   * Builds a record from its bytes.
   *
   * @param bytes holds the record; must not be kept or changed
   * @param offset of its first byte
   * @param length in bytes, may be 0
   */
  T decode(byte[] bytes, int offset, int length);

  /** Takes the bytes of one record. */
  interface ByteSink {
    /** Appends {@code length} bytes, from {@code offset} on. */
    void write(byte[] bytes, int offset, int length);
  }

  /** Records that are bytes already. */
  static RecordCodec<byte[]> bytes() {
    return BytesCodec.INSTANCE;
  }
}
