package io.spillway.valve;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** A growable, reusable byte array that speaks protobuf's wire types. */
final class Bytes implements RecordCodec.ByteSink {

  private byte[] array;
  private int size;

  Bytes(int capacity) {
    array = new byte[Math.max(16, capacity)];
  }

  /** Length of {@code value} as a varint. */
  static int varintLength(long value) {
    // 64 - leading zeros bits, 7 to a byte; 0 needs one byte.
    return (70 - Long.numberOfLeadingZeros(value | 1)) / 7;
  }

  /** Length of {@link #stringField} of ASCII text, for a field number below 16. */
  static int stringFieldLength(String ascii) {
    return fieldLength(ascii.length());
  }

  /** Length of {@link #varintField}, for a field number below 16. */
  static int varintFieldLength(long value) {
    return value == 0 ? 0 : 1 + varintLength(value);
  }

  /** Length of a field of so many bytes, for a field number below 16. */
  static int fieldLength(int bytes) {
    return 1 + varintLength(bytes) + bytes;
  }

  /** Maps small negative numbers to small varints, as protobuf's sint64. */
  static long zigzag(long value) {
    return (value << 1) ^ (value >> 63);
  }

  int size() {
    return size;
  }

  /** Forgets what is behind the first {@code newSize} bytes. */
  void truncate(int newSize) {
    size = newSize;
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    reserve(length);
    System.arraycopy(bytes, offset, array, size, length);
    size += length;
  }

  void write(Bytes bytes) {
    write(bytes.array, 0, bytes.size);
  }

  void varint(long value) {
    // Less than 10 bytes are left only near the end: then no more room than is needed.
    reserve(array.length - size >= 10 ? 10 : varintLength(value));
    byte[] to = array;
    int at = size;
    long rest = value;
    while ((rest & ~0x7fL) != 0) {
      to[at++] = (byte) (rest | 0x80);
      rest >>>= 7;
    }
    to[at++] = (byte) rest;
    size = at;
  }

  /** A varint field, left out when zero, as proto3 does. */
  void varintField(int field, long value) {
    if (value != 0) {
      varint((long) field << 3);
      varint(value);
    }
  }

  void stringField(int field, String value) {
    byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
    lengthField(field, utf8.length);
    write(utf8, 0, utf8.length);
  }

  void bytesField(int field, Bytes value) {
    lengthField(field, value.size);
    write(value);
  }

  /** Its content, without a copy if the array is exactly full. */
  byte[] toByteArray() {
    return size == array.length ? array : Arrays.copyOf(array, size);
  }

  private void lengthField(int field, int length) {
    varint(((long) field << 3) | 2);
    varint(length);
  }

  private void reserve(int more) {
    if (array.length - size < more) {
      array = Arrays.copyOf(array, Math.max(Math.addExact(size, more), size + (size >> 1)));
    }
  }
}
