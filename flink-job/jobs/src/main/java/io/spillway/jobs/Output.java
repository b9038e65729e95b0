package io.spillway.jobs;

import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/** Where a job's results go: {@code {output}/{job}/{folder}/}. */
final class Output {
  private Output() {}

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
