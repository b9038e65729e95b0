package io.spillway.valve;

import java.util.concurrent.CompletableFuture;

/** Takes reports to the sidecar. */
interface ReportTransport {

  /**
   * Posts a report, and does not wait.
   *
   * @return the body of a 200; fails with an exception whose message says what came instead
   */
  CompletableFuture<byte[]> post(byte[] report);
}
