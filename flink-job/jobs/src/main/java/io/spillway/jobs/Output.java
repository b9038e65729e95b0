package io.spillway.jobs;

import java.io.IOException;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/** Where a job's results go: {@code {output}/{job}/{folder}/}. */
final class Output {
  private Output() {}

  /**
   * Says before a job is submitted whether its output can be reached.
   *
   * @throws InvalidInputException if there is no such bucket, it may not be read, or the folder
   *     cannot be made
   */
  static void check(WordCountOptions options) throws InvalidInputException {
    Path folder = new Path(options.output());
    try {
      FileSystem fileSystem = folder.getFileSystem();
      // In an object store folders need no making, and what makes one leaves an object behind.
      boolean there = fileSystem.exists(folder) || fileSystem.isDistributedFS();
      if (!there && !fileSystem.mkdirs(folder)) {
        throw new IOException("the folder cannot be made");
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          InvalidInputException.CANNOT_CREATE,
          "cannot write to --output %s: %s".formatted(options.output(), cause(e)));
    }
  }

  /** The S3 client's messages are long; these are the two that people meet. */
  private static String cause(IOException e) {
    String message = String.valueOf(e.getMessage());
    if (message.contains("NoSuchBucket")) {
      return "there is no such bucket; create it, or give the name of one";
    }
    if (message.contains("Status Code: 403")) {
      return "access denied; check s3.access-key and s3.secret-key of the Flink cluster";
    }
    return message.lines().findFirst().orElse("") + " (" + e.getClass().getSimpleName() + ")";
  }

  /**
   * An exactly-once sink of one file per subtask and checkpoint.
   *
   * @param folder of the job's folder
   */
  static <T> FileSink<T> sink(WordCountOptions options, String folder, Encoder<T> encoder) {
    Path path = new Path("%s/%s/%s".formatted(options.output(), options.job(), folder));
    return FileSink.forRowFormat(path, encoder)
        .withBucketAssigner(new BasePathBucketAssigner<>())
        .withRollingPolicy(OnCheckpointRollingPolicy.build())
        .build();
  }
}
