package io.spillway.valve;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * Which running valve this is.
 *
 * @param attempt unique per job submission, restart, subtask and valve
 * @param subtask index, from 0
 * @param parallelism number of subtasks
 */
record ValveIdentity(String attempt, int subtask, int parallelism) {

  /**
   * Names an attempt. The valve's name is part of it, since two valves may be chained in one task.
   *
   * @param executionAttemptId Flink's {@code ExecutionAttemptID} as a string
   * @param valve the valve's name
   */
  static ValveIdentity of(String executionAttemptId, String valve, int subtask, int parallelism) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256")
              .digest((executionAttemptId + "/" + valve).getBytes(StandardCharsets.UTF_8));
      return new ValveIdentity(HexFormat.of().formatHex(hash, 0, 8), subtask, parallelism);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256", e);
    }
  }

  /** The id of the attempt's batch number {@code sequence}. */
  String batchId(long sequence) {
    return attempt + "-" + subtask + "-" + sequence;
  }
}
