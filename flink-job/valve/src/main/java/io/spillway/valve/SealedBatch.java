package io.spillway.valve;

/** A batch that is sealed and not settled: on its way, or waiting for its next send. */
final class SealedBatch {

  final long sequence;
  final String id;

  /** The whole message; never changed. */
  final byte[] message;

  final int records;
  final WindowTally windows;

  /** When it was sealed, on the monotonic clock. */
  final long sealedNanos;

  /** Sends so far. There is never more than one under way. */
  int sends;

  /** Whether it was refused and is now being returned to the local lane. */
  boolean returned;

  SealedBatch(
      long sequence,
      String id,
      byte[] message,
      int records,
      WindowTally windows,
      long sealedNanos) {
    this.sequence = sequence;
    this.id = id;
    this.message = message;
    this.records = records;
    this.windows = windows;
    this.sealedNanos = sealedNanos;
  }
}
