package io.spillway.valve;

/**
 * The records of the open batch as the columns of {@code proto/spillway/v1/batch.proto}. Reused
 * batch after batch: putting a record in is a copy of its bytes and nothing more.
 */
final class BatchBuffer {

  /** Bytes of a message besides its columns: three names, their tags and lengths, and numbers. */
  private static final int ENVELOPE = 512;

  private final String job;
  private final String workload;
  private final long windowSizeMs;
  private final int maxBytes;

  private final Bytes offsets = new Bytes(1 << 12);
  private final Bytes lengths = new Bytes(1 << 12);
  private final Bytes records = new Bytes(1 << 16);
  private long baseTimeMs;
  private int count;

  BatchBuffer(ValveConfig config) {
    this(config.job(), config.workload(), config.windowSizeMs(), config.maxBatchBytes());
  }

  private BatchBuffer(String job, String workload, long windowSizeMs, int maxBytes) {
    this.job = job;
    this.workload = workload;
    this.windowSizeMs = windowSizeMs;
    this.maxBytes = maxBytes;
  }

  /** A buffer for what stays in the valve's state: only its records matter, all of them. */
  static BatchBuffer unbounded() {
    return new BatchBuffer("", "", 0, Integer.MAX_VALUE);
  }

  /** Number of records. */
  int count() {
    return count;
  }

  /**
   * Puts a record in, if it fits.
   *
   * @return false if the batch would exceed its maximum size; then nothing has changed
   */
  <T> boolean append(T record, RecordCodec<T> codec, long eventTimeMs) {
    int start = records.size();
    codec.encode(record, records);
    return commit(start, eventTimeMs);
  }

  /** The same with the record's bytes. */
  boolean append(byte[] bytes, int offset, int length, long eventTimeMs) {
    int start = records.size();
    records.write(bytes, offset, length);
    return commit(start, eventTimeMs);
  }

  private boolean commit(int start, long eventTimeMs) {
    int length = records.size() - start;
    if (count == 0) {
      baseTimeMs = eventTimeMs;
    }
    int offsetsBefore = offsets.size();
    int lengthsBefore = lengths.size();
    offsets.varint(Bytes.zigzag(eventTimeMs - baseTimeMs));
    lengths.varint(length);
    // In 64 bits: three columns of almost 2 GiB must not wrap round to a small number.
    if ((long) records.size() + offsets.size() + lengths.size() + ENVELOPE > maxBytes) {
      records.truncate(start);
      offsets.truncate(offsetsBefore);
      lengths.truncate(lengthsBefore);
      return false;
    }
    count++;
    return true;
  }

  /** The records so far as a message. The buffer stays as it is. */
  byte[] encode(String id) {
    // Its exact length, since a message of megabytes should be copied once only.
    int length =
        Bytes.stringFieldLength(id)
            + Bytes.stringFieldLength(job)
            + Bytes.stringFieldLength(workload)
            + Bytes.varintFieldLength(windowSizeMs)
            + Bytes.varintFieldLength(Bytes.zigzag(baseTimeMs))
            + Bytes.fieldLength(offsets.size())
            + Bytes.fieldLength(lengths.size())
            + Bytes.fieldLength(records.size());
    Bytes message = new Bytes(length);
    message.stringField(1, id);
    message.stringField(2, job);
    message.stringField(3, workload);
    message.varintField(4, windowSizeMs);
    message.varintField(5, Bytes.zigzag(baseTimeMs));
    message.bytesField(6, offsets);
    message.bytesField(7, lengths);
    message.bytesField(8, records);
    return message.toByteArray();
  }

  /** Empties the buffer for the next batch. */
  void clear() {
    offsets.truncate(0);
    lengths.truncate(0);
    records.truncate(0);
    count = 0;
  }
}
