package io.spillway.valve;

import java.io.IOException;

/**
 * Walks through the records of an encoded batch, without copying them. The whole message is checked
 * when it is opened, so walking cannot fail.
 */
final class BatchReader {

  private final byte[] message;

  private long baseTimeMs;
  private int offsetsAt;
  private int offsetsEnd;
  private int lengthsAt;
  private int lengthsEnd;
  private int recordsAt;
  private int recordsEnd;
  private int remaining;

  private long eventTimeMs;
  private int recordOffset;
  private int recordLength;

  private boolean untouched = true;

  /** Where the next varint is read. */
  private int at;

  /**
   * Opens a batch.
   *
   * @throws IOException if the bytes are not a whole batch
   */
  BatchReader(byte[] message) throws IOException {
    this.message = message;
    try {
      findColumns();
      remaining = checkColumns();
    } catch (IndexOutOfBoundsException e) {
      throw malformed("it ends too early");
    }
  }

  /** Records not walked through yet. */
  int remaining() {
    return remaining;
  }

  /** Goes to the next record; false at the end. */
  boolean next() {
    if (!nextTime()) {
      return false;
    }
    at = lengthsAt;
    recordLength = (int) varint();
    lengthsAt = at;
    recordOffset = recordsAt;
    recordsAt += recordLength;
    return true;
  }

  /** Goes to the next record's time only; must not be mixed with {@link #next}. */
  boolean nextTime() {
    if (remaining == 0) {
      return false;
    }
    untouched = false;
    remaining--;
    eventTimeMs = peekTime();
    offsetsAt = at;
    return true;
  }

  /** The time of the record that is next, of which there must be one. */
  long peekTime() {
    at = offsetsAt;
    long zigzag = varint();
    return baseTimeMs + ((zigzag >>> 1) ^ -(zigzag & 1));
  }

  long eventTimeMs() {
    return eventTimeMs;
  }

  /** The message, in which the record lies. */
  byte[] array() {
    return message;
  }

  int recordOffset() {
    return recordOffset;
  }

  int recordLength() {
    return recordLength;
  }

  /** The records not walked through yet, as a message. */
  byte[] rest() {
    if (untouched) {
      return message;
    }
    BatchReader reader = new BatchReader(this);
    BatchBuffer buffer = BatchBuffer.unbounded();
    while (reader.next()) {
      buffer.append(message, reader.recordOffset, reader.recordLength, reader.eventTimeMs);
    }
    return buffer.encode("");
  }

  private BatchReader(BatchReader that) {
    message = that.message;
    baseTimeMs = that.baseTimeMs;
    offsetsAt = that.offsetsAt;
    offsetsEnd = that.offsetsEnd;
    lengthsAt = that.lengthsAt;
    lengthsEnd = that.lengthsEnd;
    recordsAt = that.recordsAt;
    recordsEnd = that.recordsEnd;
    remaining = that.remaining;
  }

  private void findColumns() throws IOException {
    while (at < message.length) {
      long tag = varint();
      switch ((int) (tag & 7)) {
        case 0 -> {
          long value = varint();
          if (tag >>> 3 == 5) {
            baseTimeMs = (value >>> 1) ^ -(value & 1);
          }
        }
        case 1 -> skip(8);
        case 5 -> skip(4);
        case 2 -> {
          long length = varint();
          int start = at;
          skip(length);
          switch ((int) (tag >>> 3)) {
            case 6 -> {
              offsetsAt = start;
              offsetsEnd = at;
            }
            case 7 -> {
              lengthsAt = start;
              lengthsEnd = at;
            }
            case 8 -> {
              recordsAt = start;
              recordsEnd = at;
            }
            default -> {
              // Names, and what a later version may add.
            }
          }
        }
        default -> throw malformed("wire type " + (tag & 7) + " at byte " + at);
      }
    }
  }

  /** Checks that the columns fit together, and counts the records. */
  private int checkColumns() throws IOException {
    int count = 0;
    for (at = offsetsAt; at < offsetsEnd; count++) {
      varint();
    }
    if (at != offsetsEnd) {
      throw malformed("the column of times is cut off");
    }
    int lengths = 0;
    long bytes = 0;
    for (at = lengthsAt; at < lengthsEnd; lengths++) {
      long length = varint();
      if (length < 0 || length > message.length) {
        throw malformed("a record of " + length + " bytes");
      }
      bytes += length;
    }
    if (at != lengthsEnd) {
      throw malformed("the column of lengths is cut off");
    }
    if (lengths != count || bytes != recordsEnd - recordsAt || count == 0) {
      throw malformed(
          count
              + " times, "
              + lengths
              + " lengths that add up to "
              + bytes
              + " of "
              + (recordsEnd - recordsAt)
              + " bytes");
    }
    return count;
  }

  private void skip(long length) throws IOException {
    if (length < 0 || length > message.length - at) {
      throw malformed("a field of " + length + " bytes at byte " + at);
    }
    at += (int) length;
  }

  private long varint() {
    byte[] from = message;
    int i = at;
    long value = from[i] & 0x7f;
    int shift = 7;
    while (from[i++] < 0 && shift < 70) {
      value |= (long) (from[i] & 0x7f) << shift;
      shift += 7;
    }
    at = i;
    return value;
  }

  private IOException malformed(String why) {
    return new IOException("Malformed batch of " + message.length + " bytes: " + why);
  }
}
