package io.spillway.valve;

import java.util.Arrays;

/** The codec of records that are bytes already. */
enum BytesCodec implements RecordCodec<byte[]> {
  INSTANCE;

  @Override
  public void encode(byte[] record, ByteSink sink) {
    sink.write(record, 0, record.length);
  }

  @Override
  public byte[] decode(byte[] bytes, int offset, int length) {
    return Arrays.copyOfRange(bytes, offset, offset + length);
  }
}
