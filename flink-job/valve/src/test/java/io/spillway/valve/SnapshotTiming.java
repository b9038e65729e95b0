package io.spillway.valve;

import java.io.OutputStream;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Random;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.Path;
import org.apache.flink.core.fs.local.LocalFileSystem;
import org.apache.flink.runtime.state.CheckpointStateOutputStream;
import org.apache.flink.runtime.state.CompressibleFSDataOutputStream;
import org.apache.flink.runtime.state.OperatorStateCheckpointOutputStream;
import org.apache.flink.runtime.state.SnappyStreamCompressionDecorator;
import org.apache.flink.runtime.state.UncompressedStreamCompressionDecorator;
import org.apache.flink.runtime.state.filesystem.FsCheckpointStreamFactory.FsCheckpointStateOutputStream;

/**
 * Times the ways in which batches can get into a checkpoint's file. Not a test: run its main, and
 * compare the lines of one run (docs/decisions/0008).
 */
final class SnapshotTiming {

  private static final int BATCHES = 3;
  private static final int BATCH_BYTES = 4 << 20;
  private static final int ROUNDS = 40;

  /** Flink's default of {@code execution.checkpointing.write-buffer}. */
  private static final int WRITE_BUFFER = 4096;

  /** Opens what batches are written to, over a checkpoint's file. */
  private interface Way {
    OutputStream open(CheckpointStateOutputStream file) throws Exception;
  }

  private SnapshotTiming() {}

  /** Prints milliseconds for each way. */
  public static void main(String[] args) throws Exception {
    byte[] batch = batch();
    java.nio.file.Path folder = Files.createTempDirectory("snapshot-timing");
    try {
      for (int run = 0; run < 2; run++) {
        time("raw operator state", OperatorStateCheckpointOutputStream::new, batch, folder);
        time(
            "list state",
            file ->
                new CompressibleFSDataOutputStream(
                    file, UncompressedStreamCompressionDecorator.INSTANCE),
            batch,
            folder);
        time(
            "list state, snapshot compression",
            file ->
                new CompressibleFSDataOutputStream(file, SnappyStreamCompressionDecorator.INSTANCE),
            batch,
            folder);
      }
    } finally {
      Files.delete(folder);
    }
  }

  private static void time(String name, Way way, byte[] batch, java.nio.file.Path folder)
      throws Exception {
    long[] nanos = new long[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      CheckpointStateOutputStream file =
          new FsCheckpointStateOutputStream(
              Path.fromLocalFile(folder.toFile()),
              LocalFileSystem.getSharedInstance(),
              WRITE_BUFFER,
              0);
      long start = System.nanoTime();
      OutputStream out = way.open(file);
      for (int i = 0; i < BATCHES; i++) {
        out.write(batch);
      }
      if (out instanceof FSDataOutputStream) {
        // Compression holds bytes back until then.
        out.close();
      }
      file.flush();
      nanos[round] = System.nanoTime() - start;
      // Closed without a handle: the file is deleted.
      file.close();
    }
    Arrays.sort(nanos);
    System.out.printf(
        "%-34s %d MiB: p50 %.1f ms, p90 %.1f ms%n",
        name, BATCHES * BATCH_BYTES >> 20, nanos[ROUNDS / 2] / 1e6, nanos[ROUNDS * 9 / 10] / 1e6);
  }

  /** Bytes about as compressible as text. */
  private static byte[] batch() {
    Random random = new Random(1);
    byte[] batch = new byte[BATCH_BYTES];
    for (int i = 0; i < batch.length; i++) {
      batch[i] = (byte) ("etaoin shrdlu".charAt(random.nextInt(13)));
    }
    return batch;
  }
}
