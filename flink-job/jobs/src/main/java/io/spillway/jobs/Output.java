package io.spillway.jobs;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.jobmanager.HighAvailabilityMode;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/** Where a job's results go: {@code {output}/{job}/{folder}/}. */
final class Output {
  /** What the valve commits. */
  static final String LEDGER = "ledger";

  /** What the local lane commits. */
  static final String LOCAL = "local";

  private Output() {}

  /**
   * Says before a job is submitted whether its output can be reached, and is its own.
   *
   * <p>A job that starts from nothing would count what an earlier run has committed to its folder a
   * second time. One that goes on from a checkpoint needs what is there. So does one whose
   * JobManager is highly available: after a failure this may run again for the same job. Before its
   * first checkpoint a job has committed nothing, so it may always be submitted anew.
   *
   * @param flink says whether the job goes on from a checkpoint
   * @throws InvalidInputException if there is no such bucket, it may not be read, the folder cannot
   *     be made, or it holds what another run has committed
   */
  static void check(WordCountOptions options, ReadableConfig flink) throws InvalidInputException {
    Path folder = new Path(options.output());
    boolean goesOn =
        flink.getOptional(StateRecoveryOptions.SAVEPOINT_PATH).isPresent()
            || HighAvailabilityMode.isHighAvailabilityModeActivated(
                Configuration.fromMap(flink.toMap()));
    try {
      FileSystem fileSystem = folder.getFileSystem();
      if (!goesOn) {
        refuseOthers(options, fileSystem);
      }
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

  private static void refuseOthers(WordCountOptions options, FileSystem fileSystem)
      throws IOException, InvalidInputException {
    for (String part : List.of(LEDGER, LOCAL)) {
      Path path = folder(options, part);
      if (hasCommitted(fileSystem, path)) {
        throw new InvalidInputException(
            InvalidInputException.CANNOT_CREATE,
            ("%s holds what another run of --job %s has committed, which would be counted twice:"
                    + " give another --job or --output, remove the folder, or go on from that run's"
                    + " last checkpoint")
                .formatted(path, options.job()));
      }
    }
  }

  /** Names that start with a dot or an underscore are not committed. */
  private static boolean hasCommitted(FileSystem fileSystem, Path folder) throws IOException {
    FileStatus[] found;
    try {
      found = fileSystem.listStatus(folder);
    } catch (FileNotFoundException e) {
      return false;
    }
    return found != null
        && Arrays.stream(found)
            .map(file -> file.getPath().getName())
            .anyMatch(name -> !name.startsWith(".") && !name.startsWith("_"));
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
    return FileSink.forRowFormat(folder(options, folder), encoder)
        .withBucketAssigner(new BasePathBucketAssigner<>())
        .withRollingPolicy(OnCheckpointRollingPolicy.build())
        .build();
  }

  private static Path folder(WordCountOptions options, String name) {
    return new Path("%s/%s/%s".formatted(options.output(), options.job(), name));
  }
}
